"""Netstrings: the length in decimal digits, a colon, the payload, a comma."""

from dataclasses import dataclass, field

from gestalt.net.errors import FrameTooLarge, FramingError, PayloadError

from .base import MAX_SIZE, BytesLike, Framing, as_bytes, check_max_size, refuse_type_id

COMMA = ord(",")


@dataclass(frozen=True, slots=True)
class Netstring(Framing):
    """`5:hello,`, strictly: no leading zeros, nothing but digits, and never without the comma.

    Source: D. J. Bernstein, "Netstrings", 1997 (https://cr.yp.to/proto/netstrings.txt).

    Args:
        max_size: limit of a payload, in bytes.
    """

    max_size: int = MAX_SIZE
    _digits: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_max_size(self.max_size)
        object.__setattr__(self, "_digits", len(str(self.max_size)))

    def encode(self, payload: BytesLike, type_id: int | None = None) -> bytes:
        if type_id is not None:
            raise refuse_type_id(self, type_id)
        payload = as_bytes(payload)
        if len(payload) > self.max_size:
            raise PayloadError(f"{len(payload)} bytes are more than max_size, {self.max_size}")
        return b"%d:%b," % (len(payload), payload)

    def cut(self, data: bytes, payloads: list[bytes], _: list[int]) -> tuple[int, int]:
        max_size = self.max_size
        header_size = self._digits + 1
        total = len(data)
        position = 0
        while True:
            colon = data.find(b":", position, position + header_size)
            if colon < 0:
                self._check_begun(data[position : position + header_size])
                return position, total - position + 1
            digits = data[position:colon]
            if not digits.isdigit() or (digits[0] == 48 and len(digits) > 1):
                raise FramingError("what came does not begin a netstring: its length and a colon")
            length = int(digits)
            if length > max_size:
                raise self._too_large(digits)
            end = colon + 1 + length
            if end >= total:
                return position, end + 1 - position
            if data[end] != COMMA:
                raise FramingError(f"a netstring of {length} bytes does not end with a comma")
            payloads.append(data[colon + 1 : end])
            position = end + 1

    def _check_begun(self, header: bytes) -> None:
        """Refuse a header without its colon as soon as no colon can make it good."""
        if not header:
            return
        if not header.isdigit() or (header[0] == 48 and len(header) > 1):
            raise FramingError("what came does not begin a netstring: its length and a colon")
        if len(header) > self._digits:
            raise self._too_large(header + b"...")

    def _too_large(self, digits: bytes) -> FrameTooLarge:
        return FrameTooLarge(
            f"a netstring of {digits.decode()} bytes is more than max_size, {self.max_size}"
        )
