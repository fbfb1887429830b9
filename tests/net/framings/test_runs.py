"""Runs of frames are cut by few calls, and frames fill the room that there is."""

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt.net import FrameTooLarge, LengthPrefix, Mti
from gestalt.net.framings.runs import LONG_RUN, RUN, fitting, runs_of

bodies_of_any_size = st.lists(st.integers(0, 50), min_size=1, max_size=60).map(
    lambda sizes: list(map(bytes, sizes))
)


@given(st.integers(0, 40), st.integers(0, 200), st.integers(0, 9), st.sampled_from([0, 1, 99]))
@pytest.mark.parametrize(("header", "fields_of_one"), [(">I", 2), ("<H", 2), ("<II", 3)])
def test_of_frames_of_one_size_all_but_the_last_few_are_taken_by_few_calls(
    header: str, fields_of_one: int, length: int, count: int, before: int, others: int
) -> None:
    frames = [
        (length, *[number] * (fields_of_one - 2), bytes([number]) * length)
        for number in range(count)
    ]
    data = b"x" * before
    data += b"".join(pack(header, *frame[:-1]) + frame[-1] for frame in frames)
    other = pack(header, *[length + 1] * (fields_of_one - 1)) + bytes(length + 1)
    taken: list[int | bytes] = []
    ends = []
    for end, fields in runs_of(data + other * others, before, header, length, fields_of_one):
        taken += fields
        ends.append(end)
    assert taken == [field for frame in frames[: count - count % RUN] for field in frame]
    size = len(other) - 1
    assert not ends or ends[-1] == before + size * (count - count % RUN)
    # One to see whether there is a run, long ones, and short ones for the rest of it.
    assert len(ends) <= 1 + count // LONG_RUN + LONG_RUN // RUN


@given(bodies_of_any_size, st.integers(1, 9), st.integers(-9, 2000))
def test_as_many_payloads_are_taken_as_there_is_room_for(
    payloads: list[bytes], added: int, room: int
) -> None:
    sizes, total = fitting(payloads, added, room)
    count = len(sizes)
    assert sizes == [len(payload) for payload in payloads[:count]]
    assert total == sum(sizes) + added * count
    assert total <= room or count == 1
    # Of thousands, large ones at their beginning may make the guess too low.
    assert count >= min(RUN, len(payloads)) or total + len(payloads[count]) + added > room


@given(st.integers(0, 30), st.integers(1, 300), st.integers(1, 9), st.integers(0, 6000))
def test_of_payloads_of_one_size_the_last_one_that_fits_is_taken(
    size: int, count: int, added: int, room: int
) -> None:
    sizes, _ = fitting([bytes(size)] * count, added, room)
    assert len(sizes) == max(1, min(count, room // (size + added)))


@pytest.mark.parametrize("size", [0, 1, 40])
@pytest.mark.parametrize("framing", [Mti(max_size=40), LengthPrefix(2, max_size=40)])
def test_the_limit_is_kept_wherever_frames_are_cut(framing: Mti | LengthPrefix, size: int) -> None:
    free = Mti() if isinstance(framing, Mti) else LengthPrefix(2)
    frames = [free.encode(bytes(size))] * 50
    large = free.encode(bytes(41))
    for place in (0, 1, 16, 17, 33, 50):
        data = b"".join([*frames[:place], large, *frames[place:]])
        for feed in (framing.decoder().feed, framing.decoder().feed_together):
            with pytest.raises(FrameTooLarge, match="41 bytes is more than max_size, 40") as caught:
                feed(data)
            assert [payload for payload, _ in caught.value.frames] == [bytes(size)] * place
