"""Avro's single-object encoding (Avro 1.11 specification), by fastavro."""

import io
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.read import LOGICAL_READERS
from fastavro.schema import fingerprint, to_parsing_canonical_form
from fastavro.write import LOGICAL_WRITERS

from gestalt.codecs.avro import Avro
from gestalt.codecs.errors import (
    DecodeError,
    SchemaError,
    TooLarge,
    TrailingData,
    Truncated,
    UnknownType,
)
from gestalt.codecs.serializer import Functions, Serializer
from gestalt.codecs.serializers.avro_guard import Counter
from gestalt.codecs.serializers.convert import from_plain, to_plain, validation_error
from gestalt.codecs.showing import size_of
from gestalt.codecs.types import MessageType

_MARKER: Final = b"\xc3\x01"
_HEADER: Final = len(_MARKER) + 8
# Avro's logical types take these as they are.
_NATIVE: Final = (bytes, datetime, date, time, Decimal, UUID)
# Writers may pad a decimal with bytes of its sign.
_SHORT_DECIMAL: Final = 32


class AvroSerializer(Serializer):
    """C3 01, the fingerprint of the writer's schema, and the record in Avro's binary encoding."""

    def typed(self, kind: MessageType) -> Functions:
        if not isinstance(kind.type, Avro):
            return super().typed(kind)
        avro = kind.type
        try:
            if avro.bare:
                schemas = {b"": _parse_guarded(avro.schema)}
            else:
                accepted = (avro.schema, *avro.accepts)
                schemas = {
                    _MARKER + fingerprint_of(each): _parse_guarded(each) for each in accepted
                }
        except Exception as error:
            raise SchemaError(f"fastavro refuses a schema of {avro.name}: {error}") from error
        target = next(iter(schemas.values()))
        counters = {
            header: Counter(schema, target, self.max_values) for header, schema in schemas.items()
        }
        return Functions(_writer(avro, schemas, counters), _reader(avro, schemas, counters))

    def explain(self, error: Exception, data: bytes) -> DecodeError:
        if isinstance(error, msgspec.ValidationError):
            return validation_error(self.name, error, data)
        # The second is what fastavro raises where the end is within a number.
        if isinstance(error, EOFError) or "string index out of range" in str(error):
            return Truncated(f"{self.name}: the end is missing from {size_of(data)}")
        return super().explain(error, data)


def fingerprint_of(schema: Any) -> bytes:
    """Give the 64-bit fingerprint of a schema's parsing canonical form, as the header has it."""
    canonical = to_parsing_canonical_form(_parse(schema))
    return bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO"))


def _parse(schema: Any) -> Any:
    return parse_schema(schema, named_schemas={})


def _parse_guarded(schema: Any) -> Any:
    # fastavro checks the logical types that it knows.
    _parse(schema)
    return _parse(_guarded(schema))


def _guarded(schema: Any) -> Any:
    """Give a schema whose decimals are read by `_read_decimal`."""
    if isinstance(schema, list):
        return [_guarded(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {key: _guarded(schema[key]) for key in ("type", "items", "values") if key in schema}
    if "fields" in schema:
        changed["fields"] = [{**each, "type": _guarded(each["type"])} for each in schema["fields"]]
    if schema.get("logicalType") == "decimal" and schema["type"] == "bytes":
        changed["logicalType"] = _DECIMAL
    return {**schema, **changed}


def _read_decimal(data: bytes, writer_schema: Any, reader_schema: Any = None) -> Any:
    # The time that a decimal takes grows with the square of its length: 300 KB took 8 s. A digit
    # takes less than half a byte.
    longest = max(_SHORT_DECIMAL, writer_schema["precision"])
    if len(data) > longest:
        raise TooLarge(f"avro: a decimal of {len(data)} bytes, more than {longest}")
    return _read_unbounded(data, writer_schema, reader_schema)


# fastavro finds logical types in tables of its own. Under another name, others keep theirs.
_DECIMAL: Final = "gestalt-decimal"
_read_unbounded = LOGICAL_READERS["bytes-decimal"]
LOGICAL_READERS[f"bytes-{_DECIMAL}"] = _read_decimal
LOGICAL_WRITERS[f"bytes-{_DECIMAL}"] = LOGICAL_WRITERS["bytes-decimal"]


def _writer(
    avro: Avro, schemas: dict[bytes, Any], counters: dict[bytes, Counter]
) -> Callable[[Any], bytes]:
    header, schema = next(iter(schemas.items()))
    counter, size = counters[header], len(header)

    def dumps(value: Any) -> bytes:
        if avro.into is not None:
            value = to_plain(value, _NATIVE)
        out = io.BytesIO()
        out.write(header)
        schemaless_writer(out, schema, value)
        body = out.getvalue()
        counter.check(body, size)
        return body

    return dumps


def _reader(
    avro: Avro, schemas: dict[bytes, Any], counters: dict[bytes, Counter]
) -> Callable[[bytes], Any]:
    header, target = next(iter(schemas.items()))
    # Without schema resolution reading is faster, and the same.
    readers = {each: None if each == header else target for each in schemas}
    size = len(header)
    convert = None if avro.into is None else from_plain("avro", avro.into)

    def loads(data: bytes) -> Any:
        written = data[:size]
        if written not in schemas:
            raise _unknown(avro, data)
        counters[written].check(data, size)
        source = io.BytesIO(data)
        source.seek(size)
        schema, reader = schemas[written], readers[written]
        if reader is not None:
            # Where resolution skips fields, fastavro looks for no end: lying lengths would hold it
            # for ever, and truncation would pass. Plain reading looks at every byte.
            schemaless_reader(source, schema, None)
            source.seek(size)
        record = schemaless_reader(source, schema, reader)
        if source.tell() != len(data):
            raise TrailingData(f"avro: something follows the record in {size_of(data)}")
        return record if convert is None else convert(record, data)

    return loads


def _unknown(avro: Avro, data: bytes) -> DecodeError:
    if len(data) < _HEADER:
        return Truncated(f"avro: the header is missing from {size_of(data)}")
    if not data.startswith(_MARKER):
        return DecodeError(
            f"avro: {size_of(data)} are not in the single-object encoding (C3 01 ...)"
        )
    return UnknownType(
        f"avro: {avro.name} does not accept the writer's schema {data[2:_HEADER].hex()}; "
        "add that schema to Avro(..., accepts=)"
    )
