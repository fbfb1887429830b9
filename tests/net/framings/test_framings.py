"""Every framing, at every split of its input."""

import itertools
import time
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt.core import GestaltError
from gestalt.net import (
    Delimited,
    Frame,
    FrameTooLarge,
    Framing,
    FramingError,
    IncompleteFrame,
    LengthPrefix,
    Mti,
    Netstring,
    PayloadError,
    Raw,
)

FRAMINGS: list[Framing] = [
    Delimited(),
    Delimited(b"\r\n"),
    Delimited(b"aab"),
    Netstring(),
    Netstring(max_size=200),
    LengthPrefix(1),
    LengthPrefix(2, "little"),
    LengthPrefix(4),
    LengthPrefix(8, "little"),
    Mti(),
    Mti("little"),
]

framings = st.sampled_from(FRAMINGS)
payloads = st.lists(st.binary(max_size=60) | st.text("ab\r\n", max_size=6).map(str.encode))


def frames_of(framing: Framing, bodies: list[bytes]) -> list[Frame]:
    """The frames that a framing can carry, with varied type identifiers where it carries any."""
    if isinstance(framing, Delimited):
        bodies = [b for b in bodies if (b + framing.delimiter).find(framing.delimiter) == len(b)]
    if framing.carries_type_id:
        ids = itertools.cycle([0, 1, 7, 2**32 - 1])
        return [(body, next(ids)) for body in bodies]
    return [(body, None) for body in bodies]


def encode_all(framing: Framing, frames: list[Frame]) -> bytes:
    return b"".join(framing.encode(*frame) for frame in frames)


@given(framings, payloads)
def test_frames_survive_every_split_in_two(framing: Framing, bodies: list[bytes]) -> None:
    frames = frames_of(framing, bodies)
    stream = encode_all(framing, frames)
    for split in range(len(stream) + 1):
        decoder = framing.decoder()
        assert [*decoder.feed(stream[:split]), *decoder.feed(stream[split:])] == frames
        decoder.eof()


@given(framings, payloads)
def test_frames_survive_arriving_byte_by_byte(framing: Framing, bodies: list[bytes]) -> None:
    frames = frames_of(framing, bodies)
    decoder = framing.decoder()
    received = []
    for byte in encode_all(framing, frames):
        received += decoder.feed(bytes([byte]))
    assert received == frames
    decoder.eof()


@given(framings, payloads, st.lists(st.integers(0, 400), max_size=8))
def test_frames_survive_arriving_in_any_pieces(
    framing: Framing, bodies: list[bytes], cuts: list[int]
) -> None:
    frames = frames_of(framing, bodies)
    stream = encode_all(framing, frames)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    decoder = framing.decoder()
    received = [
        frame
        for start, end in itertools.pairwise(edges)
        for frame in decoder.feed(memoryview(bytearray(stream))[start:end])
    ]
    assert received == frames


@given(framings, st.binary(max_size=80), st.integers(0, 80))
def test_hostile_bytes_give_the_same_frames_and_fault_however_they_are_split(
    framing: Framing, stream: bytes, split: int
) -> None:
    def outcome(*pieces: bytes) -> tuple[list[Frame], bool]:
        decoder = framing.decoder()
        frames: list[Frame] = []
        try:
            for piece in pieces:
                frames += decoder.feed(piece)
        except FramingError as error:
            return frames + error.frames, True
        return frames, False

    assert outcome(stream[:split], stream[split:]) == outcome(stream)


@given(framings, payloads, st.data())
def test_a_stream_that_ends_within_a_frame_says_so(
    framing: Framing, bodies: list[bytes], data: st.DataObject
) -> None:
    frames = frames_of(framing, [*bodies, b"the last one"])
    whole = encode_all(framing, frames[:-1])
    last = framing.encode(*frames[-1])
    kept = data.draw(st.integers(1, len(last) - 1))
    decoder = framing.decoder()
    assert list(decoder.feed(whole + last[:kept])) == frames[:-1]
    assert decoder.incomplete
    with pytest.raises(IncompleteFrame, match=f"{kept} bytes"):
        decoder.eof()


def test_raw_hands_on_what_it_is_fed() -> None:
    decoder = Raw().decoder()
    assert not decoder.feed(b"")
    assert list(decoder.feed(b"ab")) == [(b"ab", None)]
    assert list(decoder.feed(memoryview(b"c"))) == [(b"c", None)]
    decoder.eof()
    assert Raw().encode(b"ab") == b"ab"


@pytest.mark.parametrize(
    ("framing", "payload", "type_id", "encoded"),
    [
        (Delimited(), b"hello", None, b"hello\n"),
        (Delimited(b"\r\n"), b"", None, b"\r\n"),
        (Netstring(), b"hello world!", None, b"12:hello world!,"),
        (Netstring(), b"", None, b"0:,"),
        (LengthPrefix(1), b"hello", None, b"\x05hello"),
        (LengthPrefix(2, "little"), b"hello", None, b"\x05\x00hello"),
        (LengthPrefix(4), b"hello", None, b"\x00\x00\x00\x05hello"),
        (LengthPrefix(8), b"", None, bytes(8)),
        (Mti(), b"hello", 7, b"\x00\x00\x00\x05\x00\x00\x00\x07hello"),
        (Mti("little"), b"hello", 7, b"\x05\x00\x00\x00\x07\x00\x00\x00hello"),
        (Mti(), b"", 7, b"\x00\x00\x00\x00\x00\x00\x00\x07"),
        (Mti(), b"x", None, b"\x00\x00\x00\x01\x00\x00\x00\x00x"),
    ],
    ids=str,
)
def test_bytes_on_the_wire(
    framing: Framing, payload: bytes, type_id: int | None, encoded: bytes
) -> None:
    assert framing.encode(payload, type_id) == encoded


def test_an_empty_mti_body_keeps_its_type_identifier() -> None:
    assert list(Mti().decoder().feed(Mti().encode(b"", 42))) == [(b"", 42)]


@pytest.mark.parametrize(
    "stream",
    [
        b"05:hello,",
        b"00:,",
        b"5:hello.",
        b"-1:,",
        b"+5:hello,",
        b" 5:hello,",
        b"5 :hello,",
        b":,",
        b"a:",
        b"5;hello,",
        b"1\xb2:",
        b"\xd9\xa3:abc,",
    ],
)
def test_a_netstring_that_breaks_the_specification_is_refused(stream: bytes) -> None:
    good = b"2:ok,"
    for split in range(len(stream) + 1):
        decoder = Netstring().decoder()
        with pytest.raises(FramingError):  # noqa: PT012 - either call may be the one that finds it
            decoder.feed(stream[:split])
            decoder.feed(stream[split:])
    with pytest.raises(FramingError) as caught:
        Netstring().decoder().feed(good + good + stream)
    assert caught.value.frames == [(b"ok", None), (b"ok", None)]


@pytest.mark.parametrize(
    ("framing", "header"),
    [
        (Netstring(max_size=999), b"1000"),
        (Netstring(max_size=500), b"501:"),
        (Netstring(), b"9" * 400),
        (LengthPrefix(4, max_size=100), b"\x00\x00\x00\x65"),
        (LengthPrefix(8), b"\xff" * 8),
        (Mti(max_size=100), b"\x00\x00\x00\x65\x00\x00\x00\x01"),
        (Mti(), b"\xff" * 8),
        (Delimited(max_size=4), b"abcde"),
        (Delimited(b"\r\n", max_size=4), b"abcd\rx"),
    ],
    ids=str,
)
def test_an_oversize_frame_is_refused_before_its_body_is_buffered(
    framing: Framing, header: bytes
) -> None:
    with pytest.raises(FrameTooLarge, match="max_size"):
        framing.decoder().feed(header)
    decoder = framing.decoder()
    with pytest.raises(FrameTooLarge, match="max_size"):  # noqa: PT012 - one of the bytes does it
        for byte in header:
            decoder.feed(bytes([byte]))


@pytest.mark.parametrize(
    "framing",
    [
        Delimited(max_size=100),
        Delimited(b"\r\n", max_size=100),
        Netstring(max_size=100),
        LengthPrefix(1, max_size=100),
        Mti(max_size=100),
    ],
    ids=str,
)
def test_the_limit_itself_is_within_the_limit(framing: Framing) -> None:
    encoded = framing.encode(b"x" * 100)
    for split in range(len(encoded)):
        decoder = framing.decoder()
        frames = [*decoder.feed(encoded[:split]), *decoder.feed(encoded[split:])]
        assert [payload for payload, _ in frames] == [b"x" * 100]
    with pytest.raises(PayloadError, match="101"):
        framing.encode(b"x" * 101)


def test_a_prefix_never_promises_more_than_it_can_tell() -> None:
    assert LengthPrefix(1).max_size == 255
    with pytest.raises(PayloadError, match="256"):
        LengthPrefix(1).encode(bytes(256))


def test_a_fault_is_final_and_its_good_frames_are_given_once() -> None:
    decoder = Netstring().decoder()
    with pytest.raises(FramingError) as first:
        decoder.feed(b"1:a,x")
    with pytest.raises(FramingError, match="does not begin") as second:
        decoder.feed(b"1:b,")
    assert first.value.frames == [(b"a", None)]
    assert second.value.frames == []


@pytest.mark.parametrize("delimiter", [b"\n", b"\r\n", b"aa"])
def test_a_payload_that_would_end_early_is_refused(delimiter: bytes) -> None:
    for payload in (delimiter, b"x" + delimiter + b"y"):
        with pytest.raises(PayloadError, match="delimiter"):
            Delimited(delimiter).encode(payload)
    with pytest.raises(PayloadError, match="delimiter"):
        Delimited(b"aa").encode(b"xa")


@pytest.mark.parametrize("framing", [Raw(), Delimited(), Netstring(), LengthPrefix()], ids=str)
def test_a_type_identifier_is_refused_where_there_is_no_place_for_it(framing: Framing) -> None:
    assert not framing.carries_type_id
    with pytest.raises(PayloadError, match="carries no type identifier"):
        framing.encode(b"x", 7)


@pytest.mark.parametrize("type_id", [-1, 2**32, 1.5, "7"])
def test_a_type_identifier_out_of_range_is_refused(type_id: int) -> None:
    with pytest.raises(PayloadError, match="type identifier"):
        Mti().encode(b"x", type_id)


@pytest.mark.parametrize("framing", [*FRAMINGS, Raw()], ids=str)
def test_payloads_may_be_anything_bytes_like_and_nothing_else(framing: Framing) -> None:
    data = bytearray(b"hello")
    assert framing.encode(data) == framing.encode(memoryview(data)) == framing.encode(b"hello")
    wide = memoryview(bytes(8)).cast("I")
    assert framing.encode(wide) == framing.encode(bytes(8))
    for wrong in ("hello", 5, None):
        with pytest.raises(TypeError, match="bytes-like"):
            framing.encode(wrong)  # type: ignore[arg-type]


def test_framings_are_immutable_values() -> None:
    assert Mti() == Mti("big")
    assert Mti() != Mti("little")
    assert len({LengthPrefix(), LengthPrefix(4), LengthPrefix(2)}) == 2
    assert repr(Netstring()) == "Netstring(max_size=1048576)"
    assert repr(Mti("little", 5)) == "Mti(byteorder='little', max_size=5)"
    assert repr(LengthPrefix(2)) == "LengthPrefix(size=2, byteorder='big', max_size=65535)"
    for framing in (Mti(), LengthPrefix(), Netstring(), Delimited()):
        assert not hasattr(framing, "__dict__")
        with pytest.raises(FrozenInstanceError):
            framing.max_size = 5  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Mti("middle"), "byteorder"),  # type: ignore[arg-type]
        (lambda: LengthPrefix(3), "size"),
        (lambda: LengthPrefix(4, "middle"), "byteorder"),  # type: ignore[arg-type]
        (lambda: Netstring(max_size=0), "max_size"),
        (lambda: Delimited(b""), "delimiter"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(make: object, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()  # type: ignore[operator]


def test_errors_are_of_the_family_and_of_the_standard_ones() -> None:
    for error in (FramingError, FrameTooLarge, IncompleteFrame, PayloadError):
        assert issubclass(error, GestaltError)
        assert issubclass(error, ValueError)
    assert issubclass(IncompleteFrame, EOFError)


@pytest.mark.parametrize(
    "framing",
    [LengthPrefix(4, max_size=1 << 26), Netstring(1 << 26), Delimited(max_size=1 << 26)],
    ids=str,
)
def test_the_time_for_a_large_frame_grows_with_its_size_not_with_its_square(
    framing: Framing,
) -> None:
    def seconds(size: int) -> float:
        encoded = framing.encode(b"x" * size)
        best = float("inf")
        for _ in range(3):
            decoder = framing.decoder()
            frames: list[Frame] = []
            start = time.process_time()
            for position in range(0, len(encoded), 4096):
                frames += decoder.feed(encoded[position : position + 4096])
            best = min(best, time.process_time() - start)
            assert len(frames[0][0]) == size
        return best

    # Sixteen times the size; a decoder that copies its buffer for each piece needs 256 times.
    assert seconds(1 << 24) < 80 * max(seconds(1 << 20), 0.005)


@pytest.mark.parametrize("framing", [LengthPrefix(4), Netstring(), Delimited()], ids=str)
def test_a_message_sent_byte_by_byte_costs_no_memory_beyond_its_size(framing: Framing) -> None:
    decoder = framing.decoder()
    size = 100_000
    for byte in framing.encode(b"x" * size)[:-1]:
        assert not decoder.feed(bytes([byte]))
    assert decoder.incomplete
    assert decoder.pending.__sizeof__() < 1.5 * size


@pytest.mark.parametrize(
    "data", [b"5:hello+", b"5:hello-", b"05:hello,", b"00:,", b":,", b"00", b"01"]
)
@pytest.mark.parametrize("before", [b"", b"0:,"])
def test_what_is_nearly_a_netstring_is_none(data: bytes, before: bytes) -> None:
    with pytest.raises(FramingError):
        Netstring().cut(before + data, [], [])


@pytest.mark.parametrize("before", [b"", b"0:,", b"3:abc,"])
def test_a_netstring_says_how_many_bytes_it_needs(before: bytes) -> None:
    whole = b"12:hello, world,"
    for size in range(3):
        # With no colon yet, one byte more may tell.
        assert Netstring().cut(before + whole[:size], [], []) == (len(before), size + 1)
    for size in range(3, len(whole)):
        assert Netstring().cut(before + whole[:size], [], []) == (len(before), len(whole))
