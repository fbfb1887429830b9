"""MessagePack, by the msgpack package."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgpack
import msgspec

from gestalt.codecs.errors import DecodeError, TooDeep, TrailingData, Truncated, short
from gestalt.codecs.serializer import Functions, Serializer
from gestalt.codecs.types import MessageType

from .convert import to_plain, validation_error
from .msgpack_guard import guarded


class Msgpack(Serializer):
    """The current specification: str and bin are told apart, timestamps become datetimes in UTC."""

    def untyped(self) -> Functions:
        loads = partial(msgpack.unpackb, strict_map_key=False, timestamp=3)
        dumps = partial(msgpack.packb, default=to_plain)
        return Functions(dumps, guarded(loads, self.max_depth))

    def typed(self, kind: MessageType) -> Functions:
        if kind.format is not None:
            return super().typed(kind)
        dumps, loads = self.untyped()
        convert, cls = msgspec.convert, kind.type

        def typed_loads(data: bytes) -> Any:
            return convert(loads(data), cls)

        return Functions(dumps, typed_loads)

    def explain(self, error: Exception, data: bytes) -> DecodeError:
        if isinstance(error, msgspec.ValidationError):
            return validation_error(self.name, error, data)
        if isinstance(error, msgpack.ExtraData):
            return TrailingData(f"{self.name}: something follows the value in {short(data)}")
        if isinstance(error, msgpack.StackError):
            return TooDeep(f"{self.name}: nested too deep: {short(data)}")
        if "incomplete input" in str(error) or "exceeds max_" in str(error):
            return Truncated(f"{self.name}: the end is missing from {short(data)}")
        return super().explain(error, data)
