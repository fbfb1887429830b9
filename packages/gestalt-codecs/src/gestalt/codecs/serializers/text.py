"""Text in UTF-8."""

from typing import Any

from gestalt.codecs.errors import EncodeError
from gestalt.codecs.serializer import Functions, Serializer
from gestalt.codecs.types import MessageType
from gestalt.core.numbers import kind_of


class Text(Serializer):
    """Strings; what is not valid UTF-8 is refused."""

    textual = True

    def untyped(self) -> Functions:
        return Functions(_dumps, bytes.decode)

    def typed(self, kind: MessageType) -> Functions:
        return self.untyped() if kind.type is str else super().typed(kind)


def _dumps(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    raise EncodeError(f"the codec text takes str, not {kind_of(value)}")
