"""Bodies whose tag, one field among the others, tells which message type they are of."""

from typing import Any

from gestalt.core.numbers import kind_of

from .classes import carried
from .errors import DecodeError, EncodeError
from .serializer import ABSENT, Dumps, Loads, Serializer
from .showing import given, readable
from .types import MessageType, MessageTypes


def of_one(kind: MessageType, serializer: Serializer, loads: Loads) -> Loads:
    """Make the function that reads a body which is declared to be of one type."""

    def loads_of(name: Any) -> Loads:
        if name != kind.name:
            found = "missing" if name is ABSENT else readable(name)
            raise DecodeError(
                f"the message is declared as {kind.id} {kind.name}, and its tag {given(kind.tag)} "
                f"is {found}"
            )
        return loads

    return serializer.tagged(str(kind.tag), loads_of)


def of_any(types: MessageTypes, serializer: Serializer) -> Loads:
    """Make the function that reads a body whose tag alone tells its type."""
    known: dict[str, Loads] = {}

    def loads_of(name: Any) -> Loads:
        loads = known.get(name) if type(name) is str else None
        if loads is None:
            kind = types.by_tag(None if name is ABSENT else name, absent=name is ABSENT)
            loads = known[kind.name] = serializer.functions(kind).loads
        return loads

    return serializer.tagged(str(types.tag), loads_of)


def refusing(kind: MessageType, dumps: Dumps) -> Dumps:
    """Refuse values that hold the tag beside their fields, where their class lets them."""
    tag, items = str(kind.tag), carried(kind.type)
    if items is None:
        return dumps

    def guarded(value: Any) -> bytes:
        if tag in items(value):
            raise EncodeError(f"{kind_of(value)} holds {tag}, which is the tag of its types")
        return dumps(value)

    return guarded


def told_by_class(value: Any) -> bytes:
    """Stand for the function that encodes, where what is bound decodes alone."""
    raise AssertionError(  # pragma: no cover - nobody calls it
        f"{kind_of(value)} is encoded by what its class is bound to"
    )
