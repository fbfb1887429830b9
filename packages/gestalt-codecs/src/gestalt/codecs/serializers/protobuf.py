"""Protocol Buffers, by the protobuf package."""

from typing import Any

from google.protobuf.message import Message

from gestalt.codecs.serializer import Functions, Serializer
from gestalt.codecs.types import MessageType

from .protobuf_guard import Guard


class Protobuf(Serializer):
    """Messages of generated classes. Which one, says the type id or name, never the data."""

    def typed(self, kind: MessageType) -> Functions:
        if not (isinstance(kind.type, type) and issubclass(kind.type, Message)):
            return super().typed(kind)
        guard = Guard(kind.type.DESCRIPTOR, self.max_values)
        free, check = guard.free, guard.check
        write, read = kind.type.SerializeToString, kind.type.FromString

        def dumps(value: Any) -> bytes:
            body: bytes = write(value)
            if len(body) > free:
                check(body)
            return body

        def loads(data: bytes) -> Any:
            if len(data) > free:
                check(data)
            return read(data)

        return Functions(dumps, loads)
