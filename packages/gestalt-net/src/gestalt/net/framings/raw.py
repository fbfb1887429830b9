"""No framing: the stream as it comes."""

from dataclasses import dataclass

from .base import BytesLike, Frame, Framing, as_bytes, refuse_type_id


@dataclass(frozen=True, slots=True)
class Raw(Framing):
    """Whatever was read at once is a message: bytes arrive in order, their boundaries do not.

    Over UDP, boundaries do: a message is a datagram, and may be empty.
    """

    def encode(self, payload: BytesLike, type_id: int | None = None) -> bytes:
        if type_id is not None:
            raise refuse_type_id(self, type_id)
        return as_bytes(payload)

    def cut(self, data: bytes, payloads: list[bytes], _: list[int]) -> tuple[int, int]:
        if data:
            payloads.append(data)
        return len(data), 1

    def whole_together(self, datagrams: list[bytes]) -> tuple[list[bytes], list[int | None]] | None:
        return datagrams, [None] * len(datagrams)

    def whole(self, data: bytes) -> Frame:
        return data, None
