"""Avro as a message type: the schemas of one record, and what makes a schema safe to decode by."""

from collections.abc import Sequence
from typing import Any, Final

from gestalt.core.numbers import kind_of
from gestalt.core.telling import said_by

from .errors import SchemaError
from .showing import given

Schema = str | dict[str, Any]

_PRIMITIVES: Final = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")


class Avro:
    """An Avro message type, for `MessageTypes.add`.

    Values are written by `schema` in the single-object encoding, which starts with the fingerprint
    of the writer's schema. They are read by it too, whichever of the accepted schemas the writer
    had: fields are matched, defaulted and promoted by Avro's rules of schema resolution.

    Args:
        schema: a record's schema, parsed or as JSON text: what is written, and what reading gives.
        accepts: further schemas that writers may have used, older or newer.
        into: a class that records are decoded into, and encoded from: a dataclass, msgspec Struct
            or attrs class. None leaves them dicts.
        bare: bodies have no header that names the schema which wrote them; `accepts` has no use
            then.

    Raises:
        SchemaError: a schema is malformed, recursive, or has arrays of items that take no bytes.
            The last two would let a few hostile bytes take all memory, or crash the process.
    """

    __slots__ = ("accepts", "bare", "into", "name", "schema")

    def __init__(
        self,
        schema: Schema,
        *,
        accepts: Sequence[Schema] = (),
        into: type | None = None,
        bare: bool = False,
    ) -> None:
        if bare and accepts:
            raise SchemaError("bare Avro does not say which schema wrote it: accepts= has no use")
        self.schema: dict[str, Any] = _parsed(schema)
        self.accepts: tuple[dict[str, Any], ...] = tuple(_parsed(each) for each in accepts)
        self.into: type | None = into
        self.bare: bool = bare
        self.name: str = _full_name(self.schema, "")
        """The full name of the record."""

    def __repr__(self) -> str:
        return f"<Avro {self.name}>"


def _parsed(schema: Schema) -> dict[str, Any]:
    if isinstance(schema, str):
        import json  # costs 2 ms, and few pass text

        try:
            schema = json.loads(schema)
        except (ValueError, RecursionError) as error:
            raise SchemaError(f"an Avro schema is not JSON: {kind_of(schema)}: {error}") from error
    if not isinstance(schema, dict) or schema.get("type") not in ("record", "error"):
        raise SchemaError(f"an Avro message type is a record, not {kind_of(schema)}")
    try:
        _Check().takes_bytes(schema, "")
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SchemaError(f"malformed Avro schema {kind_of(schema)}: {said_by(error)}") from error
    return schema


def _full_name(schema: dict[str, Any], namespace: str) -> str:
    name: str = schema["name"]
    if "." in name:
        return name
    namespace = schema.get("namespace", namespace) or ""
    return f"{namespace}.{name}" if namespace else name


class _Check:
    """Walks a schema once, and finds out whether every value of it takes bytes."""

    def __init__(self) -> None:
        self._known: dict[str, bool | None] = {}  # None while the definition is still open

    def takes_bytes(self, schema: Any, namespace: str) -> bool:
        if isinstance(schema, list):
            for branch in schema:
                self.takes_bytes(branch, namespace)
            return True  # an index comes first
        if isinstance(schema, str):
            return self._named(schema, namespace)
        kind = schema["type"]
        if kind in ("record", "error"):
            return self._record(schema, namespace)
        if kind in ("enum", "fixed"):
            takes = kind == "enum" or _size(schema) > 0
            self._known[_full_name(schema, namespace)] = takes
            return takes
        if kind == "array":
            if not self.takes_bytes(schema["items"], namespace):
                raise SchemaError(
                    "Avro arrays whose items take no bytes are refused: a few bytes would claim "
                    f"millions of items: {kind_of(schema)}"
                )
            return True
        if kind == "map":
            self.takes_bytes(schema["values"], namespace)
            return True
        return self.takes_bytes(kind, namespace)

    def _named(self, name: str, namespace: str) -> bool:
        if name in _PRIMITIVES:
            return name != "null"
        for full in (_full_name({"name": name}, namespace), name):
            if full in self._known:
                takes = self._known[full]
                if takes is None:
                    raise SchemaError(
                        f"Avro schemas that contain themselves are refused: {full} does; nested "
                        "data would exhaust the stack of the decoder"
                    )
                return takes
        raise SchemaError(f"an Avro schema names {given(name)}, which it does not define before")

    def _record(self, schema: dict[str, Any], namespace: str) -> bool:
        full = _full_name(schema, namespace)
        self._known[full] = None
        inner = full.rpartition(".")[0]
        takes = False
        for field in schema["fields"]:
            takes |= self.takes_bytes(field["type"], inner)
        self._known[full] = takes
        return takes


def _size(schema: dict[str, Any]) -> int:
    size = schema["size"]
    if type(size) is not int or size < 0:
        raise SchemaError(
            f"the size of an Avro fixed is a whole number of bytes, 0 or more, not {given(size)}"
        )
    return size
