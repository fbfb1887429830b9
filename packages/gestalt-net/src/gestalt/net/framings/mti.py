"""Messages with a message type identifier."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, repeat
from struct import Struct
from struct import error as StructError
from typing import Any, ClassVar, Literal

from gestalt.core.numbers import amount_of, choice_of
from gestalt.net.errors import PayloadError

from .base import (
    MAX_SIZE,
    BytesLike,
    Frame,
    Framing,
    TypeIds,
    TypeIdsLater,
    as_bytes,
    check_max_size,
)
from .length_prefix import ORDERS
from .runs import LONGEST, RUN, cut_lengths, join_frames, runs_of, too_large

HEADER_SIZE = 8
LENGTH_SIZE = 4
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
    _unpack_length: Callable[[bytes, int], tuple[Any, ...]] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if self.byteorder not in tuple(ORDERS):
            raise ValueError(
                f'byteorder must be "big" or "little", got {choice_of(self.byteorder)}'
            )
        check_max_size(self.max_size)
        object.__setattr__(self, "max_size", min(self.max_size, LARGEST))
        object.__setattr__(self, "_format", ORDERS[self.byteorder] + "II")
        header = Struct(self._format)
        object.__setattr__(self, "pack_header", header.pack)
        object.__setattr__(self, "_unpack", header.unpack_from)
        length = Struct(ORDERS[self.byteorder] + "I4x")
        object.__setattr__(self, "_unpack_length", length.unpack_from)

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
                f"a type identifier must be an integer of 0 to {LARGEST}, got {amount_of(type_id)}"
            ) from None

    def encode_many(
        self, payloads: Sequence[BytesLike], type_ids: TypeIds = None, room: int = 0
    ) -> tuple[bytes, int]:
        try:
            joined = join_frames(
                payloads,
                type_ids,
                room,
                header_size=HEADER_SIZE,
                header_of=self.pack_header,
                max_size=self.max_size,
            )
        except (TypeError, StructError):
            joined = None
        # Framing's says what is wrong. A dataclass with slots has no super() without names.
        return joined or Framing.encode_many(self, payloads, type_ids, room)

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
                raise too_large(length, max_size)
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
                    prefix = data[start - HEADER_SIZE : start - LENGTH_SIZE]
                    frame = f"{self._format[0]}4xI{length}s"
                    for after, fields in runs_of(data, end, prefix, frame, HEADER_SIZE + length):
                        position = after
                        payloads += fields[1::2]
                        type_ids += fields[0::2]

    def cut_together(self, data: bytes, payloads: list[bytes]) -> tuple[int, int, TypeIdsLater]:
        used, needed = cut_lengths(
            data,
            payloads,
            header=self._format[:2] + "4x",
            header_size=HEADER_SIZE,
            length_size=LENGTH_SIZE,
            unpack=self._unpack_length,
            max_size=self.max_size,
        )
        return used, needed, lambda: self._type_ids_of(data, payloads)

    def _type_ids_of(self, data: bytes, payloads: list[bytes]) -> list[int]:
        """The type identifiers of the frames of `data`, whose payloads are known."""
        sizes = map(HEADER_SIZE.__add__, map(len, payloads))
        starts = accumulate(sizes, initial=0)
        unpack = Struct(f"{self._format[0]}4xI").unpack_from
        return [type_id for (type_id,) in map(unpack, repeat(data, len(payloads)), starts)]

    def whole_together(self, datagrams: list[bytes]) -> tuple[list[bytes], list[int | None]] | None:
        try:
            headers = list(map(self._unpack, datagrams, repeat(0)))
        except StructError:
            return None
        payloads = [data[HEADER_SIZE:] for data in datagrams]
        lengths, type_ids = zip(*headers, strict=True)
        if list(lengths) != list(map(len, payloads)) or max(lengths) > self.max_size:
            return None
        return payloads, list(type_ids)

    def single(self, data: bytes) -> Frame | None:
        size = len(data) - HEADER_SIZE
        if size >= 0:
            length, type_id = self._unpack(data, 0)
            if length == size <= self.max_size:
                return data[HEADER_SIZE:], type_id
        return None

    def whole(self, data: bytes) -> Frame:
        # Framing's says what is wrong.
        return self.single(data) or Framing.whole(self, data)
