"""Avro schemas and data made to crash, hang or fill the memory."""

from collections.abc import Callable
from typing import Any

import pytest

from gestalt.codecs import (
    Avro,
    Codec,
    DecodeError,
    MessageTypes,
    SchemaError,
    Truncated,
    UnknownType,
)

Measured = Callable[[str], list[tuple[str | None, int, float]]]

READING = {
    "type": "record",
    "name": "Reading",
    "fields": [
        {"name": "sensor", "type": "string"},
        {"name": "values", "type": {"type": "array", "items": "double"}},
    ],
}


def reading_codec() -> Codec:
    types = MessageTypes()
    types.add(1, Avro(READING))
    return Codec("avro", types=types)


class TestAvroSchemas:
    @pytest.mark.parametrize(
        "field",
        [
            ["null", "R"],
            {"type": "array", "items": "R"},
            {"type": "record", "name": "S", "fields": [{"name": "r", "type": ["null", "R"]}]},
        ],
    )
    def test_recursion_is_refused(self, field: Any) -> None:
        with pytest.raises(SchemaError, match="contain themselves"):
            Avro({"type": "record", "name": "R", "fields": [{"name": "next", "type": field}]})

    @pytest.mark.parametrize(
        "items",
        [
            "null",
            {"type": "null"},
            {"type": "fixed", "name": "F", "size": 0},
            {"type": "record", "name": "E", "fields": []},
            {"type": "record", "name": "E", "fields": [{"name": "n", "type": "null"}]},
        ],
    )
    def test_arrays_of_items_without_bytes_are_refused(self, items: Any) -> None:
        array = {"type": "array", "items": items}
        with pytest.raises(SchemaError, match="no bytes"):
            Avro({"type": "record", "name": "R", "fields": [{"name": "x", "type": array}]})

    @pytest.mark.parametrize(
        "items",
        [
            "boolean",
            "string",
            ["null"],
            {"type": "enum", "name": "E", "symbols": ["A"]},
            {"type": "fixed", "name": "F", "size": 1},
            {"type": "array", "items": "int"},
            {"type": "map", "values": "null"},
        ],
    )
    def test_arrays_of_items_that_take_a_byte_are_accepted(self, items: Any) -> None:
        Avro({**READING, "fields": [{"name": "x", "type": {"type": "array", "items": items}}]})

    @pytest.mark.parametrize(
        "schema",
        ["{", "[]", '"string"', {"type": "record"}, {"type": "enum"}, "[" * 100_000],
        ids=lambda schema: str(schema)[:20],
    )
    def test_malformed_schemas_are_refused(self, schema: Any) -> None:
        with pytest.raises(SchemaError):
            Avro(schema)


class TestAvroData:
    @pytest.fixture(autouse=True)
    def _fastavro(self) -> None:
        pytest.importorskip("fastavro")

    def test_a_schema_that_no_accepted_one_is_names_its_fingerprint(self) -> None:
        codec = reading_codec()
        for body in ("", "00"):
            with pytest.raises(UnknownType, match="schema 0102030405060708;"):
                codec.decode(bytes.fromhex("c301 0102030405060708" + body))

    def test_lying_lengths_are_decode_errors(self) -> None:
        codec = reading_codec()
        header = codec.encode({"sensor": "", "values": []}).body[:10]
        count = "feffffffffffffffff01"
        for body in ("feffffff0f", "01", f"00{count}", f"00ff{count[2:]}", "ff" * 500, "0002"):
            with pytest.raises(DecodeError):
                codec.decode(header + bytes.fromhex(body))

    def test_lying_lengths_of_fields_that_are_skipped_hold_nothing_up(
        self, measured: Measured
    ) -> None:
        found = measured("""
from gestalt.codecs import Avro, Codec, MessageTypes
def codec(*schemas):
    types = MessageTypes()
    types.add(1, Avro(schemas[0], accepts=schemas[1:]))
    return Codec("avro", types=types)
def record(*fields):
    return dict(type="record", name="R", fields=list(fields))
most = "feffffffffffffffff01"
kinds = [(kind, item) for kind in ("array", "map") for item in ("double", "boolean", "long")]
for kind, item in kinds:
    skipped = dict(name="a", type=dict(type=kind, items=item, values=item))
    kept = dict(name="b", type="int", default=0)
    written, read = codec(record(skipped)), codec(record(kept), record(skipped))
    empty = written.encode(dict(a=dict(array=[], map=dict())[kind])).body
    assert read.decode(empty) == dict(b=0)
    for lie in (most, "ffffffffffffffffff01" + most):
        measure(lambda: read.decode(empty[:10] + bytes.fromhex(lie)))
""")
        assert [error for error, _, _ in found] == ["Truncated"] * 12
        assert all(growth < 4 * 1024 for _, growth, _ in found)

    @pytest.mark.parametrize("skipped", ["double", "string", "bytes", "boolean", "long"])
    def test_truncation_within_a_field_that_is_skipped_is_an_error(self, skipped: str) -> None:

        def codec(*fields: list[dict[str, Any]]) -> Codec:
            schemas = [{"type": "record", "name": "R", "fields": each} for each in fields]
            types = MessageTypes()
            types.add(1, Avro(schemas[0], accepts=schemas[1:]))
            return Codec("avro", types=types)

        old = [{"name": "a", "type": "int"}, {"name": "b", "type": skipped}]
        value = {"double": 1.5, "string": "xy", "bytes": b"xy", "boolean": True, "long": 2**40}
        body = codec(old).encode({"a": 1, "b": value[skipped]}).body
        new = codec(old[:1], old)
        assert new.decode(body) == {"a": 1}
        for end in range(len(body)):
            with pytest.raises(Truncated if end > 10 else DecodeError):
                new.decode(body[:end])

    def test_long_decimals_take_no_quadratic_time(self, measured: Measured) -> None:
        found = measured("""
from gestalt.codecs import Avro, Codec, MessageTypes
from decimal import Decimal
decimal = dict(type="bytes", logicalType="decimal", precision=40, scale=2)
inner = dict(type="record", name="I", fields=[dict(name="d", type=decimal)])
number = Decimal("-12345678901234567890123456789012345678.90")
# The last is a type that is used by its name.
for field, value in ((decimal, number), (["null", decimal], number), ("I", dict(d=number))):
    fields = [dict(name="i", type=["null", inner]), dict(name="x", type=field)]
    types = MessageTypes()
    types.add(1, Avro(dict(type="record", name="R", fields=fields)))
    codec = Codec("avro", types=types)
    value = dict(i=None, x=value)
    body = codec.encode(value).body
    assert codec.decode(body) == value
    at = body.index(bytes([2 * 17]))  # the length of the decimal
    padded = body[:at] + bytes([2 * 19, 255, 255]) + body[at + 1:]
    assert codec.decode(padded) == value
    hostile = body[:at] + bytes.fromhex("80a4e803") + b"x" * 4_000_000
    measure(lambda: codec.decode(hostile))
""")
        assert [error for error, _, _ in found] == ["TooLarge"] * 3
        assert all(seconds < 10 for _, _, seconds in found)
