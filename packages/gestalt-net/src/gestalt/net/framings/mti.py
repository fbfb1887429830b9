"""Messages with a message type identifier."""

from collections.abc import Callable
from dataclasses import dataclass, field
from struct import Struct
from struct import error as StructError
from typing import Any, ClassVar, Literal

from gestalt.net.errors import FrameTooLarge, PayloadError

from .base import MAX_SIZE, BytesLike, Frame, Framing, as_bytes, check_max_size
from .length_prefix import ORDERS
from .runs import LONGEST, RUN, run_of

HEADER_SIZE = 8
LARGEST = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Mti(Framing):
    """Payload length (uint32), message type identifier (uint32), payload.

    An empty payload is legal: an event that is its type alone. A message sent without a type
    identifier has 0. `Mti("little")` is what the MTI endpoints of gestalt 20.1.1 speak on x86.

    Args:
        byteorder: of the two integers: "big", the network's, or "little".
        max_size: limit of a payload, in bytes.
    """

    carries_type_id: ClassVar[bool] = True

    byteorder: Literal["big", "little"] = "big"
    max_size: int = MAX_SIZE
    _format: str = field(init=False, repr=False, compare=False)
    pack_header: Callable[[int, int], bytes] = field(init=False, repr=False, compare=False)
    _unpack: Callable[[bytes, int], tuple[Any, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.byteorder not in tuple(ORDERS):
            raise ValueError(f'byteorder must be "big" or "little", got {self.byteorder!r}')
        check_max_size(self.max_size)
        object.__setattr__(self, "max_size", min(self.max_size, LARGEST))
        object.__setattr__(self, "_format", ORDERS[self.byteorder] + "II")
        header = Struct(self._format)
        object.__setattr__(self, "pack_header", header.pack)
        object.__setattr__(self, "_unpack", header.unpack_from)

    def encode(self, payload: BytesLike, type_id: int | None = None) -> bytes:
        if type(payload) is not bytes:
            payload = as_bytes(payload)
        size = len(payload)
        if size > self.max_size:
            raise PayloadError(f"{size} bytes are more than max_size, {self.max_size}")
        try:
            return self.pack_header(size, type_id or 0) + payload
        except StructError:
            raise PayloadError(
                f"a type identifier must be an integer of 0 to {LARGEST}, got {type_id!r}"
            ) from None

    def cut(self, data: bytes, payloads: list[bytes], type_ids: list[int]) -> tuple[int, int]:
        unpack = self._unpack
        max_size = self.max_size
        add_payload = payloads.append
        add_type_id = type_ids.append
        total = len(data)
        position = 0
        previous = -1
        tried = False
        while True:
            start = position + HEADER_SIZE
            if start > total:
                return position, HEADER_SIZE
            length, type_id = unpack(data, position)
            if length > max_size:
                raise FrameTooLarge(f"a frame of {length} bytes is more than max_size, {max_size}")
            end = start + length
            if end > total:
                return position, end - position
            add_payload(data[start:end])
            add_type_id(type_id)
            position = end
            if length != previous:
                previous = length
                tried = False
            elif not tried:
                tried = True
                if length <= LONGEST and total - end >= RUN * (HEADER_SIZE + length):
                    position = self._cut_runs(data, end, length, payloads, type_ids)

    def whole(self, data: bytes) -> Frame:
        size = len(data) - HEADER_SIZE
        if size >= 0:
            length, type_id = self._unpack(data, 0)
            if length == size <= self.max_size:
                return data[HEADER_SIZE:], type_id
        # Framing's, which says what is wrong. A dataclass with slots has no super() without names.
        return Framing.whole(self, data)

    def _cut_runs(
        self,
        data: bytes,
        position: int,
        length: int,
        payloads: list[bytes],
        type_ids: list[int],
    ) -> int:
        """Cut runs of payloads of `length` bytes; return where they end."""
        run = run_of(self._format, length)
        last = len(data) - run.size
        while position <= last:
            fields = run.unpack_from(data, position)
            if fields[0::3].count(length) != RUN:
                break
            payloads += fields[2::3]
            type_ids += fields[1::3]
            position += run.size
        return position
