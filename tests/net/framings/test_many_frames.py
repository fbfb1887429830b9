"""Frames that are made, and cut, together: the same as one by one, to the byte."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gestalt.net import (
    Delimited,
    Frame,
    FrameTooLarge,
    Framing,
    FramingError,
    LengthPrefix,
    Mti,
    Netstring,
    PayloadError,
    Raw,
)
from tests.net.framings.own import Own

FRAMINGS: list[Framing] = [
    Own(),
    Delimited(),
    Delimited(b"aab"),
    Netstring(),
    LengthPrefix(1),
    LengthPrefix(2, "little"),
    LengthPrefix(8),
    Mti(),
    Mti("little"),
    Mti(max_size=30),
    LengthPrefix(4, max_size=30),
]

framings = st.sampled_from(FRAMINGS)
# Runs of one size, of which one is cut after the other, and what comes between them.
payloads = st.lists(
    st.tuples(st.binary(max_size=30), st.sampled_from([1, 2, 3, 17, 90])), max_size=6
).map(lambda runs: [body for body, count in runs for _ in range(count)])


def carried(framing: Framing, bodies: list[bytes]) -> list[bytes]:
    """Those that the framing can carry."""
    if isinstance(framing, Delimited):
        return [b for b in bodies if (b + framing.delimiter).find(framing.delimiter) == len(b)]
    return bodies


@given(framings, payloads, st.integers(0, 3000), st.booleans())
def test_frames_made_together_are_those_made_one_by_one(
    framing: Framing, bodies: list[bytes], room: int, several_types: bool
) -> None:
    bodies = carried(framing, bodies)
    ids: list[int | None] = [None] * len(bodies)
    if framing.carries_type_id:
        ids = [number % 3 if several_types else 7 for number in range(len(bodies))]
    made = []
    while bodies:
        given_ids = ids if several_types and framing.carries_type_id else ids[0]
        data, count = framing.encode_many(bodies, given_ids, room)
        expected = [framing.encode(*frame) for frame in zip(bodies, ids, strict=True)][:count]
        assert data == b"".join(expected)
        made.append(count)
        # As many as there is room for, but for a guess that large ones first may put too low.
        assert count == 1 or len(data) <= room
        bodies, ids = bodies[count:], ids[count:]
    assert all(made)


@given(framings, payloads, st.lists(st.integers(0, 2500), max_size=6))
def test_frames_cut_together_are_those_cut_one_by_one(
    framing: Framing, bodies: list[bytes], splits: list[int]
) -> None:
    bodies = carried(framing, bodies)
    ids = itertools.cycle([0, 1, 2**32 - 1] if framing.carries_type_id else [None])
    frames: list[Frame] = list(zip(bodies, ids, strict=False))
    stream = b"".join(framing.encode(*frame) for frame in frames)
    decoder = framing.decoder()
    received: list[Frame] = []
    for begin, end in itertools.pairwise([0, *sorted(splits), len(stream) + 1]):
        together = decoder.feed_together(stream[begin:end])
        if together:
            assert len(together.payloads) == len(together.type_ids or together.payloads)
        received += together
    assert received == frames
    decoder.eof()


@pytest.mark.parametrize("framing", [Mti(), Mti("little"), LengthPrefix(8), LengthPrefix(2)])
@pytest.mark.parametrize("sizes", [[511, 512, 513], [0, 600, 1], [513] * 40, [64] * 40 + [2000, 3]])
@pytest.mark.parametrize("missing", [0, 1, 4, 9])
def test_sizes_around_what_is_cut_by_one_call_are_cut_alike(
    framing: Framing, sizes: list[int], missing: int
) -> None:
    bodies = [bytes([number % 256]) * size for number, size in enumerate(sizes * 5)]
    type_id = 7 if framing.carries_type_id else None
    stream = b"".join(framing.encode(body, type_id) for body in bodies)
    decoder = framing.decoder()
    received = list(decoder.feed_together(stream[: len(stream) - missing]))
    assert received == [(body, type_id) for body in bodies[: len(received)]]
    # What is missing at the end costs no more than the frames that it is a part of.
    assert len(received) >= len(bodies) - 2
    received += decoder.feed_together(stream[len(stream) - missing :])
    assert received == [(body, type_id) for body in bodies]


@pytest.mark.parametrize("framing", [Mti(), Mti("little"), LengthPrefix(8), LengthPrefix(2)])
@pytest.mark.parametrize("before", [0, 1, 2, 3, 40])
@pytest.mark.parametrize("together", [True, False])
def test_payloads_that_look_like_frames_are_not_cut(
    framing: Framing, before: int, *, together: bool
) -> None:
    type_id = 7 if framing.carries_type_id else None
    small, size = b"small!", 3000
    own = framing.encode(bytes(size), type_id)[:-size]
    alike = framing.encode(small, type_id)
    bodies = [small] * before
    # Where the next frame of the run would begin, there are this one's own header, and theirs.
    bodies += [(small + own) * 500, alike * 500]
    bodies = [body[:size] for body in bodies] * 2
    stream = b"".join(framing.encode(body, type_id) for body in bodies)
    decoder = framing.decoder()
    received = list((decoder.feed_together if together else decoder.feed)(stream))
    assert received == [(body, type_id) for body in bodies]


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("body", [b"", b"a", b"b" * 30])
def test_a_single_frame_is_what_a_cut_finds_in_it(framing: Framing, body: bytes) -> None:
    type_id = 7 if framing.carries_type_id else None
    frame = framing.encode(body, type_id)
    told_at_once = isinstance(framing, Mti | LengthPrefix)
    assert framing.single(frame) == ((body, type_id) if told_at_once else None)
    alone, together = framing.decoder(), framing.decoder()
    for number in (1, 2):
        assert list(alone.feed(frame)) == list(together.feed_together(frame)) == [(body, type_id)]
        assert alone.count == together.count == number
    for other in (frame[:-1], frame + b"\0", frame + frame, b""):
        assert framing.single(other) is None


@pytest.mark.parametrize("framing", [Mti(max_size=40), LengthPrefix(4, max_size=40)])
def test_a_single_frame_that_is_too_large_is_refused(framing: Framing) -> None:
    free = Mti() if framing.carries_type_id else LengthPrefix(4)
    assert framing.single(free.encode(bytes(41))) is None
    for together in (False, True):
        decoder = framing.decoder()
        feed = decoder.feed_together if together else decoder.feed
        with pytest.raises(FrameTooLarge, match="41 bytes"):
            feed(free.encode(bytes(41)))
        assert decoder.count == 0


@pytest.mark.parametrize("framing", [Mti(max_size=40), LengthPrefix(4, max_size=40), Netstring(40)])
@pytest.mark.parametrize("good", [0, 1, 2, 3, 20, 100])
@pytest.mark.parametrize("complete", [True, False])
def test_what_is_too_large_costs_nothing_that_came_before_it(
    framing: Framing, good: int, complete: bool
) -> None:
    free = {Mti: Mti(), LengthPrefix: LengthPrefix(4), Netstring: Netstring()}[type(framing)]
    type_id = 7 if framing.carries_type_id else None
    stream = b"".join(framing.encode(b"g" * 33, type_id) for _ in range(good))
    bad = free.encode(b"b" * 41, type_id) + free.encode(b"after", type_id)
    decoder = framing.decoder()
    with pytest.raises(FrameTooLarge, match="40") as caught:
        decoder.feed_together(stream + (bad if complete else bad[:12]))
    assert caught.value.frames == [(b"g" * 33, type_id)] * good
    with pytest.raises(FramingError):
        decoder.feed_together(b"")


def test_lengths_beyond_all_numbers_are_refused() -> None:
    for framing, size in ((LengthPrefix(8), 8), (Mti(), 4)):
        good = framing.encode(b"good")
        with pytest.raises(FrameTooLarge) as caught:
            framing.decoder().feed_together(good + b"\xff" * size + b"rest of it")
        assert [payload for payload, _ in caught.value.frames] == [b"good"]


@pytest.mark.parametrize("framing", FRAMINGS)
def test_payloads_that_are_no_bytes_are_framed_as_the_bytes_that_they_have(
    framing: Framing,
) -> None:
    wide = memoryview(bytes(range(1, 9))).cast("I")
    some = [bytearray(b"12"), memoryview(b"34"), b"56", wide]
    data, count = framing.encode_many(some, None, 1000)
    assert count == 4
    assert data == b"".join(framing.encode(payload) for payload in some)


@pytest.mark.parametrize("framing", [*FRAMINGS, Raw()])
@pytest.mark.parametrize("bad", ["text", None, 5])
def test_what_is_no_payload_is_refused_by_name(framing: Framing, bad: object) -> None:
    with pytest.raises(TypeError, match="bytes-like, got " + type(bad).__name__):
        framing.encode_many([b"good", bad], None, 1000)  # type: ignore[list-item]


def test_what_cannot_be_framed_is_refused_as_it_is_one_by_one() -> None:
    with pytest.raises(PayloadError, match="max_size, 2"):
        Mti(max_size=2).encode_many([b"a", b"abc"], 7, 1000)
    with pytest.raises(PayloadError, match="0 to 4294967295"):
        Mti().encode_many([b"a", b"abc"], -1, 1000)
    with pytest.raises(PayloadError, match="has the delimiter"):
        Delimited().encode_many([b"a", b"\n"], None, 1000)
    for framing in (Delimited(), LengthPrefix(2)):
        with pytest.raises(PayloadError, match="carries no type identifier"):
            framing.encode_many([b"a"], 7, 1000)


def test_a_line_that_is_too_large_is_refused_though_it_has_an_end() -> None:
    decoder = Delimited(max_size=4).decoder()
    with pytest.raises(FrameTooLarge, match="4"):
        decoder.feed(b"good\n12345\nnext\n")


datagrams = st.lists(
    st.binary(max_size=20)
    | st.builds(Mti().encode, st.binary(max_size=20), st.integers(0, 9))
    | st.builds(lambda body: Mti().encode(body, 1) * 2, st.binary(max_size=4)),
    min_size=1,
    max_size=5,
)


@given(st.sampled_from([Mti(), Mti(max_size=15), Raw(), Netstring(), LengthPrefix(4)]), datagrams)
@example(Mti(max_size=15), [Mti().encode(bytes(15), 1)])
@example(Mti(max_size=15), [Mti().encode(bytes(16), 1)])
@example(Mti(), [Mti().encode(b"abc", 1)[:-1]])
@example(Mti(), [Mti().encode(b"abc", 1) + b"d"])
def test_datagrams_taken_together_are_those_taken_one_by_one(
    framing: Framing, received: list[bytes]
) -> None:
    try:
        expected = [framing.whole(data) for data in received]
    except FramingError:
        assert framing.whole_together(received) is None
        return
    together = framing.whole_together(received)
    assert together is None or list(zip(*together, strict=True)) == expected
    # What nearly all datagrams are is worth it.
    assert together is not None or type(framing) not in (Mti, Raw)


def test_a_datagram_that_is_larger_than_the_limit_is_refused() -> None:
    with pytest.raises(FrameTooLarge, match="16 bytes is more than max_size, 15"):
        Mti(max_size=15).whole(Mti().encode(bytes(16), 1))
