"""From a codec to the shapes of its messages."""

import inspect
from collections.abc import Iterable
from typing import Any, Final

from gestalt.codecs.avro import Avro
from gestalt.codecs.codec import Codec
from gestalt.codecs.registry import find_serializer
from gestalt.codecs.types import MessageType
from gestalt.core.contracts import Key, MessageShape

AVRO: Final = "application/vnd.apache.avro;version=1.9.0"
PROTOBUF: Final = "application/vnd.google.protobuf;version=3"

_UNTYPED: Final[dict[str, Any]] = {
    "bytes": {"type": "string", "format": "binary"},
    "text": {"type": "string"},
}


def shapes_of(codec: Any, keys: Iterable[Key] | None = None) -> list[MessageShape]:
    """The messages that a codec carries.

    Args:
        codec: a Codec, or Codecs, whose first member is the one that writes.
        keys: classes and type ids of those that are asked for; a class stands for its subclasses,
            too. None asks for all.

    Returns:
        A shape for each type, in the order of type ids; of a codec without types, one for all of
        its values. Where the keys fit no type of the codec, they say nothing, and it is all.

    Raises:
        SchemaError: a type cannot be described.
    """
    first: Codec = codec if isinstance(codec, Codec) else next(iter(codec))
    if first.types is None:
        written = find_serializer(first.serializer).content_types[0]
        schema = _UNTYPED.get(first.serializer, {})
        return [MessageShape(name=first.serializer, schema=schema, content_type=written)]
    kinds = sorted(first.types, key=lambda kind: kind.id)
    wanted = None if keys is None else tuple(keys)
    if wanted is not None and (chosen := [kind for kind in kinds if _is_one(kind, wanted)]):
        kinds = chosen
    return [_shape(kind, first) for kind in kinds]


def facts_of(codec: Any) -> dict[str, Any]:
    """What both ends have to agree about, besides types: compression, and what else is read.

    Args:
        codec: a Codec, or several, of which the first one writes.
    """
    members = [codec] if isinstance(codec, Codec) else list(codec)
    facts: dict[str, Any] = {}
    if members[0].compress is not None:
        facts["compression"] = members[0].compress
    if accepted := sorted({each for member in members for each in member.accept}):
        facts["accepts-compression"] = accepted
    read = {name for member in members for name in member.accept_types}
    for member in members:
        read.update(find_serializer(member.serializer).content_types)
    facts["accepts"] = sorted(read)
    facts["max-size"] = max(member.max_size for member in members)
    return facts


def _is_one(kind: MessageType, wanted: tuple[Key, ...]) -> bool:
    return any(
        kind.id == key if isinstance(key, int) else issubclass(kind.python_class, key)
        for key in wanted
    )


def _shape(kind: MessageType, codec: Codec) -> MessageShape:
    written = find_serializer(kind.format or codec.serializer).content_types[0]
    facts: dict[str, Any] = {}
    form = ""
    schema: Any
    described = kind.python_class
    if isinstance(kind.type, Avro):
        form, schema = AVRO, kind.type.schema
        described = kind.type.into or Avro
        facts["avro"] = {"accepts": list(kind.type.accepts), "bare": kind.type.bare}
    elif kind.format == "protobuf":
        from .protobuf import facts_of_message, proto_of

        form, schema = PROTOBUF, proto_of(kind.type.DESCRIPTOR)
        facts["protobuf"] = facts_of_message(kind.type.DESCRIPTOR)
    else:
        from .json_schema import schema_of

        schema = schema_of(kind)
    if kind.tag is not None:
        facts["tag"] = kind.tag
    return MessageShape(
        name=kind.name,
        schema=schema,
        schema_format=form,
        content_type=written,
        type_id=kind.id,
        description=_description(described, schema),
        python_class=kind.python_class,
        facts=facts,
    )


def _description(cls: type, schema: Any) -> str:
    """The docstring of a class, unless it was made by a decorator, or is that of its kind."""
    if isinstance(schema, dict) and isinstance(schema.get("doc"), str):
        return str(schema["doc"])
    text = vars(cls).get("__doc__")
    if cls.__module__ == "builtins" or cls is Avro or not isinstance(text, str):
        return ""
    return "" if text.startswith(f"{cls.__name__}(") else inspect.cleandoc(text)
