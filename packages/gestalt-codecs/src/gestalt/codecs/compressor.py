"""What every compressor is, and how all of them are bounded."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from io import BytesIO
from typing import ClassVar, Final, Protocol

from .errors import CodecError, DecodeError, DecompressError, TooLarge, TrailingData, Truncated
from .reasons import reason_of
from .showing import given, size_of

CHUNK: Final = 64 * 1024
"""How much is decompressed at a time, in bytes."""


class Compressor(ABC):
    """A content coding: how bytes become fewer and back.

    A subclass sets its levels and gives `compress` and `chunks`. Instances hold no state between
    calls.

    Args:
        name: what the registry, or the entry point, calls it: the content-coding token.
        level: how hard to try, from `levels`; None for `default_level`.

    Raises:
        CodecError: the level is not one of this compressor's.
    """

    levels: ClassVar[range] = range(0)
    default_level: ClassVar[int] = 0

    def __init__(self, *, name: str, level: int | None = None) -> None:
        self.name = name
        if level is not None and level not in self.levels:
            known = f"{self.levels.start} to {self.levels.stop - 1}" if self.levels else "no levels"
            raise CodecError(f"{self.name} has {known}, not level {given(level)}")
        self.level: int = self.default_level if level is None else level

    @abstractmethod
    def compress(self, data: bytes) -> bytes:
        """Compress data, whole."""

    @abstractmethod
    def chunks(self, data: bytes) -> Iterator[bytes]:
        """Decompress data piece by piece, each about CHUNK bytes and made when it is asked for.

        Raises:
            Truncated: the end of the data is missing.
            TrailingData: something follows its end.
            Exception: what the library raises; `decompress` makes it a DecompressError.
        """

    def decompress(self, data: bytes, max_size: int) -> bytes:
        """Decompress data, whole.

        It is decompressed once. Memory stays bounded by twice `max_size`, and one window of the
        format, also where more would come out; mostly it takes what comes out and the window.

        Args:
            data: what `compress` made, no more and no less.
            max_size: how many bytes may come out.

        Raises:
            TooLarge: more than `max_size` bytes would come out.
            Truncated, TrailingData, DecompressError: the data is not whole, or damaged.
        """
        try:
            return self._decompress(data, max_size)
        except DecodeError:
            raise
        except Exception as error:
            raise DecompressError(
                f"{self.name}: cannot decompress {size_of(data)}: {reason_of(error)}"
            ) from error

    def _decompress(self, data: bytes, max_size: int) -> bytes:
        chunks = self.chunks(data)
        first = next(chunks, b"")
        # It shares the first chunk until another follows, grows in place, and gives what it holds
        # without copying it.
        kept = BytesIO(first)
        size = kept.seek(len(first))
        for chunk in chunks:
            size += len(chunk)
            if size > max_size:
                break
            kept.write(chunk)
        if size > max_size:
            raise TooLarge(f"{self.name}: more than {max_size} bytes come out of {size_of(data)}")
        return kept.getvalue()


class Decompressor(Protocol):
    """The interface that bz2, lzma, zstd and lz4 share."""

    def decompress(self, data: bytes | memoryview, max_length: int = ...) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...


def drain(name: str, decompressor: Decompressor, data: bytes) -> Iterator[bytes]:
    """Give the output of a decompressor object in chunks, and see that its input was whole."""
    view = memoryview(data)
    for start in range(0, len(view), CHUNK):
        yield decompressor.decompress(view[start : start + CHUNK], CHUNK)
        while not (decompressor.eof or decompressor.needs_input):
            yield decompressor.decompress(b"", CHUNK)
        if decompressor.eof:
            if decompressor.unused_data or start + CHUNK < len(view):
                raise trailing(name, data)
            return
    raise truncated(name, data)


def truncated(name: str, data: bytes) -> Truncated:
    """Make the error for compressed data whose end is missing."""
    return Truncated(f"{name}: the end is missing from {size_of(data)}")


def trailing(name: str, data: bytes) -> TrailingData:
    """Make the error for compressed data that something follows."""
    return TrailingData(f"{name}: something follows the end in {size_of(data)}")


def refuse_skippable(name: str, data: bytes) -> None:
    """Refuse data that starts with a frame which decoders skip: a body is one frame of content.

    Raises:
        DecompressError: it does.
    """
    if data[1:4] == b"\x2a\x4d\x18" and data[0] & 0xF0 == 0x50:
        raise DecompressError(
            f"{name}: {size_of(data)} start with a skippable frame, which is refused: it has no "
            "content"
        )
