"""Protocol Buffers, by the protobuf package."""

from __future__ import annotations

from google.protobuf.message import Message

from gestalt.codecs.serializer import Functions, Serializer
from gestalt.codecs.types import MessageType


class Protobuf(Serializer):
    """Messages of generated classes. Which one, says the type id or name, never the data."""

    def typed(self, kind: MessageType) -> Functions:
        if not (isinstance(kind.type, type) and issubclass(kind.type, Message)):
            return super().typed(kind)
        return Functions(kind.type.SerializeToString, kind.type.FromString)
