"""What every framing has from its base, one of an application's own among them."""

import itertools

import pytest

from gestalt.net import (
    Delimited,
    Frame,
    Framing,
    FramingError,
    IncompleteFrame,
    LengthPrefix,
    Mti,
    Netstring,
    PayloadError,
    Raw,
)
from gestalt.net.framings.base import LARGE, frames_left
from tests.net.framings.own import Own


class Miscounting(Own):
    """Gives more type identifiers than payloads, or fewer."""

    def __init__(self, more: int) -> None:
        self.more = more

    def cut(self, data: bytes, payloads: list[bytes], type_ids: list[int]) -> tuple[int, int]:
        found = super().cut(data, payloads, type_ids)
        type_ids[:] = itertools.islice(itertools.cycle([7]), len(payloads) + self.more)
        return found


FRAMINGS = [Own(), Mti(), Mti("little"), Delimited(), Netstring(), LengthPrefix(2)]


@pytest.mark.parametrize("framing", FRAMINGS, ids=str)
@pytest.mark.parametrize("payload", [b"", b"abc"])
def test_a_datagram_is_one_frame_and_neither_less_nor_more(
    framing: Framing, payload: bytes
) -> None:
    frame: Frame = (payload, 9 if framing.carries_type_id else None)
    data = framing.encode(*frame)
    other = framing.encode(b"other", 5 if framing.carries_type_id else None)
    assert framing.whole(data) == frame
    for more in (other, other[:1]):
        with pytest.raises(FramingError, match=f"one frame is in {len(data + more)} bytes"):
            framing.whole(data + more)
    for kept in range(len(data)):
        with pytest.raises(IncompleteFrame, match=f"{kept} bytes are not a whole frame"):
            framing.whole(data[:kept])


@pytest.mark.parametrize("more", [-1, 1])
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_a_framing_that_miscounts_is_told_so(more: int, frames: int) -> None:
    framing = Miscounting(more)
    data = framing.encode(b"x", 7) * frames
    with pytest.raises(ValueError, match="zip"):
        list(framing.decoder().feed(data))
    with pytest.raises(ValueError, match=f"{frames} payloads, and {frames + more} type ident"):
        framing.decoder().feed_together(data)


@pytest.mark.parametrize("framing", FRAMINGS, ids=str)
def test_a_decoder_tells_how_far_it_is(framing: Framing) -> None:
    decoder = framing.decoder()
    assert (decoder.count, decoder.incomplete, decoder.progress) == (0, False, (0, 0))
    data = framing.encode(b"x" * 100)
    for feed in (decoder.feed, decoder.feed_together):
        before = decoder.count
        assert len(list(feed(data + data + data[:50]))) == 2
        assert decoder.count == before + 2
        assert decoder.incomplete
        here, needed = decoder.progress
        assert here == 50 < needed <= len(data)
        assert len(list(feed(data[50:]))) == 1
        assert (decoder.count, decoder.incomplete) == (before + 3, False)


@pytest.mark.parametrize("framing", FRAMINGS, ids=str)
def test_payloads_are_bytes_whatever_they_were_cut_out_of(framing: Framing) -> None:
    data = framing.encode(b"abc") * 3
    for given in (bytearray(data), memoryview(data)):
        for frames in (framing.decoder().feed(given), framing.decoder().feed_together(given)):
            assert [(type(payload), payload) for payload, _ in frames] == [(bytes, b"abc")] * 3


def test_a_small_frame_comes_in_a_tuple_and_what_takes_long_comes_one_at_a_time() -> None:
    for framing, header in ((Mti(), 8), (LengthPrefix(4), 4), (Delimited(), 1)):
        small, large = (framing.encode(bytes(LARGE - header - less)) for less in (1, 0))
        assert type(framing.decoder().feed(small)) is tuple
        for data in (large, small * 2):
            given = framing.decoder().feed(data)
            assert type(given) is not tuple
            frames = iter(given)
            count = 1 if data is large else 2
            for left in range(count, 0, -1):
                assert frames_left(frames) == left
                next(frames)
            assert frames_left(frames) == 0
    assert frames_left(iter(((b"x", None), (b"y", None)))) == 2


def test_one_frame_is_made_where_there_is_no_room_and_all_that_fit_in() -> None:
    framing = Raw()
    assert framing.encode_many([b"ab", b"c"]) == (b"ab", 1)
    assert framing.encode_many([b"", b"", b"a"]) == (b"", 2)
    assert framing.encode_many([b"", b"aa", b""], None, 1) == (b"", 1)
    assert framing.encode_many([b"a", b"b", b"c"], None, 2) == (b"ab", 2)


@pytest.mark.parametrize(
    "framing",
    [Mti(max_size=1), LengthPrefix(max_size=1), Netstring(max_size=1), Delimited(max_size=1)],
    ids=str,
)
def test_the_smallest_limit_is_a_byte(framing: Framing) -> None:
    assert framing.decoder().feed(framing.encode(b"x"))
    with pytest.raises(PayloadError, match="max_size, 1"):
        framing.encode(b"xx")
