"""Messages that end with a delimiter, such as lines."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from gestalt.core.numbers import kind_of
from gestalt.net.errors import FrameTooLarge, PayloadError

from .base import (
    MAX_SIZE,
    BytesLike,
    Decoder,
    Frame,
    Frames,
    Framing,
    TypeIds,
    as_bytes,
    check_max_size,
    refuse_type_id,
)
from .runs import fitting


@dataclass(frozen=True, slots=True)
class Delimited(Framing):
    """Each message ends with `delimiter`, which is no part of it and does not occur in it.

    Args:
        delimiter: one or more bytes; a line feed by default.
        max_size: limit of a message without its delimiter, in bytes.
    """

    delimiter: bytes = b"\n"
    max_size: int = MAX_SIZE

    def __post_init__(self) -> None:
        if not bytes(self.delimiter):
            raise ValueError(f"delimiter must be at least one byte, got {kind_of(self.delimiter)}")
        check_max_size(self.max_size)

    def encode(self, payload: BytesLike, type_id: int | None = None) -> bytes:
        if type_id is not None:
            raise refuse_type_id(self, type_id)
        frame = as_bytes(payload) + self.delimiter
        size = len(frame) - len(self.delimiter)
        if size > self.max_size:
            raise PayloadError(f"{size} bytes are more than max_size, {self.max_size}")
        # A delimiter that repeats itself may also arise where the payload meets it.
        if frame.find(self.delimiter) != size:
            raise PayloadError(f"the payload has the delimiter {self.delimiter!r} in it")
        return frame

    def encode_many(
        self, payloads: Sequence[BytesLike], type_ids: TypeIds = None, room: int = 0
    ) -> tuple[bytes, int]:
        # A delimiter of several bytes may also arise where a payload meets it.
        if type_ids is None and len(self.delimiter) == 1:
            with suppress(TypeError):
                sizes, total = fitting(payloads, 1, room)
                count = len(sizes)
                data = self.delimiter.join([*payloads[:count], b""])
                if (
                    len(data) == total
                    and max(sizes) <= self.max_size
                    and data.count(self.delimiter) == count
                ):
                    return data, count
        # Framing's says what is wrong. A dataclass with slots has no super() without names.
        return Framing.encode_many(self, payloads, type_ids, room)

    def cut(self, data: bytes, payloads: list[bytes], _: list[int]) -> tuple[int, int]:
        *messages, rest = data.split(self.delimiter)
        max_size = self.max_size
        for message in messages:
            if len(message) > max_size:
                raise _too_large(self)
            payloads.append(message)
        if len(rest) > max_size and _exceeds(self, rest):
            raise _too_large(self)
        return len(data) - len(rest), len(rest) + 1

    def decoder(self) -> "DelimitedDecoder":
        return DelimitedDecoder(self)


class DelimitedDecoder(Decoder):
    """Searches each byte of an incomplete message once, in however small pieces it arrives."""

    __slots__ = ("_delimited",)

    def __init__(self, framing: Delimited) -> None:
        super().__init__(framing)
        self._delimited = framing

    def feed(self, data: BytesLike) -> Iterable[Frame]:
        if self.pending and self._error is None:
            joined = self._join(data)
            return () if joined is None else super().feed(joined)
        return super().feed(data)

    def feed_together(self, data: BytesLike) -> "Frames | tuple[()]":
        if self.pending and self._error is None:
            joined = self._join(data)
            return () if joined is None else super().feed_together(joined)
        return super().feed_together(data)

    def _join(self, data: BytesLike) -> bytes | None:
        """What has arrived with what `data` adds to it, or None while no message is complete."""
        pending = self.pending
        framing = self._delimited
        before = len(pending)
        pending += data
        overlap = len(framing.delimiter) - 1
        if pending.find(framing.delimiter, max(0, before - overlap)) < 0:
            if len(pending) > framing.max_size and _exceeds(framing, pending):
                error = _too_large(framing)
                self._fail(error)
                raise error
            return None
        joined = bytes(pending)
        pending.clear()
        return joined


def _exceeds(framing: Delimited, rest: bytes | bytearray) -> bool:
    """Whether an incomplete message is too large even if a delimiter has begun at its end."""
    delimiter = framing.delimiter
    begun = next(n for n in range(len(delimiter) - 1, -1, -1) if rest.endswith(delimiter[:n]))
    return len(rest) - begun > framing.max_size


def _too_large(framing: Delimited) -> FrameTooLarge:
    return FrameTooLarge(
        f"no delimiter {framing.delimiter!r} within max_size, {framing.max_size} bytes"
    )
