"""Messages that start with their length as an unsigned integer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from struct import Struct
from struct import error as StructError
from typing import Any, Literal

from gestalt.core.numbers import choice_of
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
    refuse_type_id,
)
from .runs import LONGEST, RUN, cut_lengths, join_frames, runs_of, too_large

CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
ORDERS = {"big": ">", "little": "<"}


@dataclass(frozen=True, slots=True)
class LengthPrefix(Framing):
    """Each payload follows its length in bytes, which does not count itself.

    `LengthPrefix(4, "little")` is what the netstring endpoints of gestalt 20.1.1 speak on x86.

    Args:
        size: of the length, in bytes: 1, 2, 4 or 8.
        byteorder: "big", the network's, or "little".
        max_size: limit of a payload, in bytes; never more than the length can tell.
    """

    size: int = 4
    byteorder: Literal["big", "little"] = "big"
    max_size: int = MAX_SIZE
    _format: str = field(init=False, repr=False, compare=False)
    _pack: Callable[[int], bytes] = field(init=False, repr=False, compare=False)
    _unpack: Callable[[bytes, int], tuple[Any, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.size not in tuple(CODES):
            raise ValueError(f"size must be 1, 2, 4 or 8 bytes, got {choice_of(self.size)}")
        if self.byteorder not in tuple(ORDERS):
            raise ValueError(
                f'byteorder must be "big" or "little", got {choice_of(self.byteorder)}'
            )
        check_max_size(self.max_size)
        object.__setattr__(self, "max_size", min(self.max_size, (1 << (8 * self.size)) - 1))
        object.__setattr__(self, "_format", ORDERS[self.byteorder] + CODES[self.size])
        header = Struct(self._format)
        object.__setattr__(self, "_pack", header.pack)
        object.__setattr__(self, "_unpack", header.unpack_from)

    def encode(self, payload: BytesLike, type_id: int | None = None) -> bytes:
        if type_id is not None:
            raise refuse_type_id(self, type_id)
        if type(payload) is not bytes:
            payload = as_bytes(payload)
        size = len(payload)
        if size > self.max_size:
            raise PayloadError(f"{size} bytes are more than max_size, {self.max_size}")
        return self._pack(size) + payload

    def encode_many(
        self, payloads: Sequence[BytesLike], type_ids: TypeIds = None, room: int = 0
    ) -> tuple[bytes, int]:
        joined = None
        if type_ids is None:
            pack = self._pack
            try:
                joined = join_frames(
                    payloads,
                    None,
                    room,
                    header_size=self.size,
                    header_of=lambda size, _: pack(size),
                    max_size=self.max_size,
                )
            except (TypeError, StructError):
                joined = None
        # Framing's says what is wrong. A dataclass with slots has no super() without names.
        return joined or Framing.encode_many(self, payloads, type_ids, room)

    def cut(self, data: bytes, payloads: list[bytes], _: list[int]) -> tuple[int, int]:
        unpack = self._unpack
        max_size = self.max_size
        header_size = self.size
        append = payloads.append
        total = len(data)
        position = 0
        previous = -1
        tried = False
        while True:
            start = position + header_size
            if start > total:
                return position, header_size
            (length,) = unpack(data, position)
            if length > max_size:
                raise too_large(length, max_size)
            end = start + length
            if end > total:
                return position, end - position
            append(data[start:end])
            position = end
            if length != previous:
                previous = length
                tried = False
            elif not tried:
                tried = True
                if length <= LONGEST and total - end >= RUN * (header_size + length):
                    prefix = data[start - header_size : start]
                    frame = f"{self._format[0]}{header_size}x{length}s"
                    for after, fields in runs_of(data, end, prefix, frame, header_size + length):
                        position = after
                        payloads += fields

    def single(self, data: bytes) -> Frame | None:
        size = len(data) - self.size
        if size >= 0 and self._unpack(data, 0)[0] == size <= self.max_size:
            return data[self.size :], None
        return None

    def cut_together(
        self, data: bytes, payloads: list[bytes]
    ) -> tuple[int, int, TypeIdsLater | None]:
        used, needed = cut_lengths(
            data,
            payloads,
            header=self._format,
            header_size=self.size,
            length_size=self.size,
            unpack=self._unpack,
            max_size=self.max_size,
        )
        return used, needed, None
