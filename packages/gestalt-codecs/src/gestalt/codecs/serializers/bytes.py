"""Bytes as they are."""

from typing import Any

from gestalt.codecs.errors import EncodeError
from gestalt.codecs.serializer import Functions, Serializer
from gestalt.codecs.types import MessageType
from gestalt.core.numbers import kind_of


class Bytes(Serializer):
    """Hands bytes on: the application gives them their meaning."""

    def untyped(self) -> Functions:
        return Functions(_dumps, _loads)

    def typed(self, kind: MessageType) -> Functions:
        return self.untyped() if kind.type is bytes else super().typed(kind)


def _dumps(value: Any) -> bytes:
    if type(value) is bytes:
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise EncodeError(f"the codec bytes takes bytes, bytearray or memoryview, not {kind_of(value)}")


def _loads(data: bytes) -> bytes:
    return data
