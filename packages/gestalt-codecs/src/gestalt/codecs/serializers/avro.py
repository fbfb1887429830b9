"""Avro's single-object encoding (Avro 1.11 specification), by fastavro."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.schema import fingerprint, to_parsing_canonical_form

from gestalt.codecs.avro import Avro
from gestalt.codecs.errors import (
    DecodeError,
    SchemaError,
    TrailingData,
    Truncated,
    UnknownType,
    short,
)
from gestalt.codecs.serializer import Functions, Serializer
from gestalt.codecs.serializers.convert import validation_error
from gestalt.codecs.types import MessageType

_MARKER: Final = b"\xc3\x01"
_HEADER: Final = len(_MARKER) + 8
# Avro's logical types take these as they are.
_NATIVE: Final = (bytes, datetime, date, time, Decimal, UUID)


class AvroSerializer(Serializer):
    """C3 01, the fingerprint of the writer's schema, and the record in Avro's binary encoding."""

    def typed(self, kind: MessageType) -> Functions:
        if not isinstance(kind.type, Avro):
            return super().typed(kind)
        avro = kind.type
        try:
            if avro.bare:
                schemas = {b"": _parse(avro.schema)}
            else:
                accepted = (avro.schema, *avro.accepts)
                schemas = {_MARKER + fingerprint_of(each): _parse(each) for each in accepted}
        except Exception as error:
            raise SchemaError(f"fastavro refuses a schema of {avro.name}: {error}") from error
        return Functions(_writer(avro, schemas), _reader(avro, schemas))

    def explain(self, error: Exception, data: bytes) -> DecodeError:
        if isinstance(error, msgspec.ValidationError):
            return validation_error(self.name, error, data)
        if isinstance(error, EOFError):
            return Truncated(f"{self.name}: the end is missing from {short(data)}")
        return super().explain(error, data)


def fingerprint_of(schema: Any) -> bytes:
    """Give the 64-bit fingerprint of a schema's parsing canonical form, as the header has it."""
    canonical = to_parsing_canonical_form(_parse(schema))
    return bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO"))


def _parse(schema: Any) -> Any:
    return parse_schema(schema, named_schemas={})


def _writer(avro: Avro, schemas: dict[bytes, Any]) -> Callable[[Any], bytes]:
    header, schema = next(iter(schemas.items()))

    def dumps(value: Any) -> bytes:
        if avro.into is not None:
            value = msgspec.to_builtins(value, builtin_types=_NATIVE)
        out = io.BytesIO()
        out.write(header)
        schemaless_writer(out, schema, value)
        return out.getvalue()

    return dumps


def _reader(avro: Avro, schemas: dict[bytes, Any]) -> Callable[[bytes], Any]:
    header, target = next(iter(schemas.items()))
    # Without schema resolution reading is faster, and the same.
    readers = {each: None if each == header else target for each in schemas}
    into, size = avro.into, len(header)

    def loads(data: bytes) -> Any:
        written = data[:size]
        if written not in schemas:
            raise _unknown(avro, data)
        source = io.BytesIO(data)
        source.seek(size)
        record = schemaless_reader(source, schemas[written], readers[written])
        if source.tell() != len(data):
            raise TrailingData(f"avro: something follows the record in {short(data)}")
        return record if into is None else msgspec.convert(record, into)

    return loads


def _unknown(avro: Avro, data: bytes) -> DecodeError:
    if len(data) < _HEADER:
        return Truncated(f"avro: the header is missing from {short(data)}")
    if not data.startswith(_MARKER):
        return DecodeError(f"avro: {short(data)} is not in the single-object encoding (C3 01 ...)")
    return UnknownType(
        f"avro: {avro.name} does not accept the writer's schema {data[2:_HEADER].hex()}; "
        "add that schema to Avro(..., accepts=)"
    )
