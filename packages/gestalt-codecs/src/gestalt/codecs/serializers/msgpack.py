"""MessagePack, by the msgpack package."""

from collections.abc import Sequence
from typing import Any

import msgpack
import msgspec
from msgpack import packb, unpackb

from gestalt.codecs.errors import DecodeError, TooDeep, TrailingData, Truncated
from gestalt.codecs.serializer import Functions, Loads, LoadsOf, Quick, Serializer
from gestalt.codecs.showing import size_of
from gestalt.codecs.types import MessageType

from .convert import (
    SMALL,
    is_simple,
    plain_of,
    read_tagged,
    to_plain,
    typed_loads,
    validation_error,
)
from .msgpack_guard import check_claims, check_depth, check_structure


class Msgpack(Serializer):
    """The current specification: str and bin are told apart, timestamps become datetimes in UTC."""

    def untyped(self) -> Functions:
        return Functions(_dumps, self._loads())

    def typed(self, kind: MessageType) -> Functions:
        plain = plain_of(kind)

        def typed_dumps(value: Any) -> bytes:
            return packb(plain(value))  # type: ignore[no-any-return]

        return Functions(typed_dumps, typed_loads(self.name, kind, self._loads()))

    def quick(self, kind: MessageType | None) -> Quick | None:
        most = min(self.max_depth, self.max_values, SMALL)
        if kind is None:
            return Quick(_loads_all, most, _dumps_all)
        if not is_simple(self.name, kind.type):
            return None
        cls, convert = kind.type, msgspec.convert
        return Quick(lambda bodies: [convert(each, cls) for each in _loads_all(bodies)], most)

    def tagged(self, tag: str, loads_of: LoadsOf) -> Loads:
        return read_tagged(self._loads(), tag, loads_of)

    def _loads(self) -> Loads:
        max_depth, max_values = self.max_depth, self.max_values
        free = min(max_depth, max_values)

        def loads(data: bytes) -> Any:
            size = len(data)
            if size <= free:
                return unpackb(data, strict_map_key=False, timestamp=3)
            check = check_structure if size > max_values else check_claims
            check(data, max_depth, max_values)
            value = unpackb(data, strict_map_key=False, timestamp=3)
            if check is check_claims:
                check_depth(data, value, max_depth)
            return value

        return loads

    def check_values(self, body: bytes) -> None:
        check_structure(body, len(body), self.max_values)

    def explain(self, error: Exception, data: bytes) -> DecodeError:
        if isinstance(error, msgspec.ValidationError):
            return validation_error(self.name, error, data)
        if isinstance(error, msgpack.ExtraData):
            return TrailingData(f"{self.name}: something follows the value in {size_of(data)}")
        if isinstance(error, msgpack.StackError):
            return TooDeep(f"{self.name}: nested too deep: {size_of(data)}")
        if "incomplete input" in str(error) or "exceeds max_" in str(error):
            return Truncated(f"{self.name}: the end is missing from {size_of(data)}")
        return super().explain(error, data)


def _loads_all(bodies: Sequence[bytes]) -> list[Any]:
    return [unpackb(body, strict_map_key=False, timestamp=3) for body in bodies]


def _dumps_all(values: Sequence[Any]) -> list[bytes]:
    # `packb` makes a Packer for each value.
    return list(map(msgpack.Packer().pack, values))


def _dumps(value: Any) -> bytes:
    # Most values are plain, and packing them without a hook for the others is the faster.
    try:
        return packb(value)  # type: ignore[no-any-return]
    except TypeError:
        return packb(value, default=to_plain)  # type: ignore[no-any-return]
