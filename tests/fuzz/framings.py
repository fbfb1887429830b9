"""Framing: what comes out does not depend on the pieces in which the bytes came in."""

from collections.abc import Callable, Iterable

from gestalt.net import Delimited, Framing, FramingError, LengthPrefix, Mti, Netstring
from gestalt.net.framings import Frame

MAX_SIZE = 1000

FRAMINGS: dict[str, Framing] = {
    "delimited": Delimited(max_size=MAX_SIZE),
    "length-prefix": LengthPrefix(max_size=MAX_SIZE),
    "mti": Mti(max_size=MAX_SIZE),
    "mti-little": Mti(max_size=MAX_SIZE, byteorder="little"),
    "netstring": Netstring(max_size=MAX_SIZE),
}
NAMES = list(FRAMINGS)


def target(name: str) -> Callable[[bytes], None]:
    """Cuts the same bytes whole and in pieces, and encodes again what came out."""
    framing = FRAMINGS[name]

    def cut(data: bytes) -> None:
        size, data = (data[0] % 16 + 1, data[1:]) if data else (1, data)
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        frames, end = _cut(framing, [data])
        assert (frames, end) == _cut(framing, pieces), "the pieces made a difference"
        assert all(len(payload) <= MAX_SIZE for payload, _ in frames), "beyond the limit"
        again = b"".join(framing.encode(*frame) for frame in frames)
        assert _cut(framing, [again]) == (frames, None), "what was encoded again differs"

    return cut


def _cut(framing: Framing, pieces: Iterable[bytes]) -> tuple[list[Frame], str | None]:
    """The frames, and what is wrong with what follows them."""
    decoder = framing.decoder()
    frames: list[Frame] = []
    try:
        for piece in pieces:
            frames += decoder.feed(piece)
        decoder.eof()
    except FramingError as error:
        frames += error.frames
        return frames, type(error).__name__
    return frames, None
