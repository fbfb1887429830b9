"""JSON Schema of message types, by the library that reads and writes them."""

from typing import Any

import msgspec

from gestalt.codecs.classes import is_model
from gestalt.codecs.errors import SchemaError
from gestalt.codecs.reasons import reason_of
from gestalt.codecs.showing import given
from gestalt.codecs.types import MessageType

REFERENCE = "#/$defs/"


def schema_of(kind: MessageType) -> dict[str, Any]:
    """The JSON Schema of a type's bodies, with its definitions in "$defs".

    It describes what JSON would carry. Formats with more types carry some values as they are, such
    as bytes, which JSON has as a string in base64.

    Raises:
        SchemaError: it cannot be described.
    """
    try:
        schema, definitions = _described(kind.type)
    except Exception as error:
        raise SchemaError(f"{kind.name} cannot be described: {reason_of(error)}") from error
    if kind.tag is not None and not kind.writes_tag:
        schema = _with_tag(schema, definitions, kind.tag, kind.name)
    return {**schema, "$defs": definitions} if definitions else schema


def _described(cls: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    if is_model(cls):
        return _model(cls)
    found: dict[str, Any] = {}

    def of_custom(custom: type) -> dict[str, Any]:
        if not is_model(custom):
            # It is given as it comes, by whatever turns it into plain values.
            return {"title": custom.__name__}
        schema, definitions = _model(custom)
        found.update(definitions)
        return schema

    (schema,), definitions = msgspec.json.schema_components(
        [cls], schema_hook=of_custom, ref_template=REFERENCE + "{name}"
    )
    return schema, found | definitions


def _model(cls: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    from pydantic import TypeAdapter

    schema = TypeAdapter(cls).json_schema(ref_template=REFERENCE + "{model}", mode="validation")
    definitions: dict[str, Any] = schema.pop("$defs", {})
    name = cls.__name__
    if set(schema) == {"$ref"} or name in definitions:
        return schema, definitions
    return {"$ref": f"{REFERENCE}{name}"}, {**definitions, name: schema}


def _with_tag(
    schema: dict[str, Any], definitions: dict[str, Any], tag: str, name: str
) -> dict[str, Any]:
    """The schema of bodies that tell their type by a field of their own."""
    body = schema
    if (reference := schema.get("$ref", "")).startswith(REFERENCE):  # pragma: no branch - its own
        body = definitions[reference.removeprefix(REFERENCE)]
    if body.get("type") != "object":
        raise SchemaError(f"{name} has no place for the tag {given(tag)}")
    return {
        **body,
        "properties": {tag: {"const": name}, **body.get("properties", {})},
        "required": [tag, *body.get("required", ())],
    }
