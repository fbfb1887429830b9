"""Runs of frames are cut by few calls, and frames fill the room that there is."""

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt.net import FrameTooLarge, Framing, LengthPrefix, Mti
from gestalt.net.framings.runs import LONG_RUN, RUN, fitting, join_frames, runs_of

# In some, the first has the size that they have on the average.
sizes_of_bodies = st.lists(st.integers(0, 50), min_size=1, max_size=60)
bodies_of_any_size = (sizes_of_bodies | st.just([5, 9, 1] * 5)).map(
    lambda sizes: list(map(bytes, sizes))
)


@given(st.integers(0, 40), st.integers(0, 600), st.integers(0, 9), st.sampled_from([0, 1, 99]))
@pytest.mark.parametrize(("header", "padding"), [(">I", "4x"), ("<H", "2x"), ("<II", "4xI")])
def test_of_frames_of_one_size_all_but_the_last_few_are_taken_by_few_calls(
    header: str, padding: str, length: int, count: int, before: int, others: int
) -> None:
    order, ids = header[0], len(header) - 2
    frames = [(*[number] * ids, bytes([number % 256]) * length) for number in range(count)]
    data = b"x" * before
    data += b"".join(pack(header, length, *frame[:-1]) + frame[-1] for frame in frames)
    other = pack(header, length + 1, *[length + 1] * ids) + bytes(length + 1)
    prefix = pack(header[:2], length)
    size = len(other) - 1
    taken: list[int | bytes] = []
    ends = []
    for end, fields in runs_of(
        data + other * others, before, prefix, f"{order}{padding}{length}s", size
    ):
        taken += fields
        ends.append(end)
    assert taken == [field for frame in frames[: count - count % RUN] for field in frame]
    assert not ends or ends[-1] == before + size * (count - count % RUN)
    # One to see whether there is a run, long ones, and one for the rest of it.
    assert len(ends) <= 2 + count // LONG_RUN


class Counted(list[bytes]):
    """Payloads, and how many of them came alone."""

    alone = 0

    def append(self, payload: bytes) -> None:
        self.alone += 1
        super().append(payload)


@pytest.mark.parametrize("sizes", [[0], [5], [5, 7], [512, 0, 30]])
@pytest.mark.parametrize("framing", [Mti(), LengthPrefix(2)], ids=str)
def test_steady_frames_are_not_cut_one_by_one(framing: Framing, sizes: list[int]) -> None:
    bodies = [bytes(size) for size in sizes for _ in range(160)]
    data = b"".join(map(framing.encode, bodies))
    one_by_one, together = Counted(), Counted()
    framing.cut(data, one_by_one, [])
    framing.cut_together(data, together)
    assert one_by_one == together == bodies
    # Until a run is noticed, and what is left at its end.
    assert one_by_one.alone <= 2 * RUN * len(sizes)
    assert together.alone <= 3 * RUN * len(sizes)


@pytest.mark.parametrize("mixed", [0, 1, 17, 100, 273, 600])
@pytest.mark.parametrize("framing", [Mti("little"), LengthPrefix(4)], ids=str)
def test_a_run_is_noticed_after_any_number_of_mixed_frames(framing: Framing, mixed: int) -> None:
    # Each differs from the one before it, so that no run begins among them.
    bodies = [bytes(number % 7) for number in range(mixed)] + [bytes(9)] * 1000
    together = Counted()
    framing.cut_together(b"".join(map(framing.encode, bodies)), together)
    assert together == bodies
    # The more mixed ones there were, the more are taken before another look.
    assert together.alone - mixed <= min(max(RUN, 2 * mixed), LONG_RUN) + 3 * RUN


@given(bodies_of_any_size, st.data(), st.integers(0, 4000))
def test_frames_are_joined_as_they_are_made_one_by_one(
    payloads: list[bytes], data: st.DataObject, room: int
) -> None:
    ids = st.none() | st.integers(0, 2**32 - 1)
    each = st.lists(ids, min_size=len(payloads), max_size=len(payloads))
    type_ids = data.draw(ids | each)
    framing = Mti(max_size=max(map(len, payloads)) or 1)
    joined = join_frames(
        payloads,
        type_ids,
        room,
        header_size=8,
        header_of=framing.pack_header,
        max_size=framing.max_size,
    )
    # What every framing can do instead is slower, and hides what is wrong here.
    assert joined is not None
    assert joined == Framing.encode_many(framing, payloads, type_ids, room)
    assert joined == framing.encode_many(payloads, type_ids, room)


def test_a_payload_that_is_too_large_or_of_another_length_is_left_to_others() -> None:
    wide = memoryview(bytes(8)).cast("I")
    for payload in (b"123456789", wide):
        for payloads in ([payload], [payload, payload], [b"x", payload]):
            assert (
                join_frames(
                    payloads,
                    7,
                    1000,
                    header_size=8,
                    header_of=Mti().pack_header,
                    max_size=8,
                )
                is None
            )


@pytest.mark.parametrize(
    ("sizes", "headers"),
    [
        ([5], 1),
        ([5] * RUN, 1),
        ([5] * 300, 1),
        ([5, 7] * 20, 2),
        ([5] * RUN + [4], 2),
        # On the average they have the size of the first ones.
        ([5] * RUN + [4, 6], 3),
    ],
)
@pytest.mark.parametrize("type_id", [None, 3])
def test_one_header_is_made_for_all_payloads_of_a_size(
    sizes: list[int], headers: int, type_id: int | None
) -> None:
    payloads = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    made: list[int] = []

    def header_of(size: int, type_id: int) -> bytes:
        made.append(size)
        return Mti().pack_header(size, type_id)

    joined = join_frames(payloads, type_id, 9999, header_size=8, header_of=header_of, max_size=9)
    assert joined == (b"".join(Mti().encode(each, type_id or 0) for each in payloads), len(sizes))
    assert len(made) == headers


def test_few_of_many_payloads_are_looked_at_where_there_is_room_for_few() -> None:
    looks = 0

    class Payload(bytes):
        def __len__(self) -> int:
            nonlocal looks
            looks += 1
            return super().__len__()

    sizes, _ = fitting([Payload(10)] * 5000, 4, 140)
    assert len(sizes) == 10
    assert looks < 5 * RUN


@pytest.mark.parametrize("whole", [0, 1, 40])
@pytest.mark.parametrize("framing", [Mti(max_size=40), LengthPrefix(2, max_size=40)])
def test_what_is_needed_is_known_from_the_last_byte_of_a_header_on(
    framing: Mti | LengthPrefix, whole: int
) -> None:
    free = Mti() if isinstance(framing, Mti) else LengthPrefix(2)
    header_size = len(free.encode(b""))
    frames = free.encode(bytes(7)) * whole
    for size in (39, 40):
        for arrived in (0, 1, size - 1):
            data = frames + free.encode(bytes(size))[: header_size + arrived]
            payloads: list[bytes] = []
            used, needed, *_ = framing.cut_together(data, payloads)
            assert (used, needed, len(payloads)) == (len(frames), header_size + size, whole)
    for arrived in (0, 1, 40):
        data = frames + free.encode(bytes(41))[: header_size + arrived]
        for cut in (framing.cut_together, lambda data, payloads: framing.cut(data, payloads, [])):
            payloads = []
            with pytest.raises(
                FrameTooLarge, match="a frame of 41 bytes is more than max_size, 40"
            ):
                cut(data, payloads)
            assert len(payloads) == whole


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
    sizes, total = fitting([bytes(size)] * count, added, room)
    assert len(sizes) == max(1, min(count, room // (size + added)))
    assert total == len(sizes) * (size + added)


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
