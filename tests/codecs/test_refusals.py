"""What a format cannot do is refused by a sentence that says what, and never by another error."""

import sys
from dataclasses import dataclass, make_dataclass
from decimal import Decimal
from numbers import Number
from typing import Any

import msgspec
import pytest

from gestalt.codecs import (
    Avro,
    Codec,
    Codecs,
    DecodeError,
    EncodeError,
    MessageTypes,
    SchemaError,
    Serializer,
    TooDeep,
    TooLarge,
    TrailingData,
    Truncated,
    ValidationError,
)


@dataclass
class Point:
    x: int


class Other(Serializer):
    """A format of others."""


@pytest.mark.parametrize(
    ("raised", "expected", "said"),
    [
        (MemoryError(), TooLarge, "other: needs more memory than there is: "),
        (RecursionError(), TooDeep, "other: nested too deep: "),
        (ValueError("at 3"), DecodeError, "other: cannot decode "),
    ],
)
def test_what_a_decoder_of_others_raises_is_an_error_of_the_family(
    raised: Exception, expected: type[Exception], said: str
) -> None:
    error = Other(name="other", max_depth=9, max_values=9).explain(raised, b"secret")
    assert type(error) is expected
    assert str(error).startswith(said)
    assert "secret" not in str(error)


@pytest.mark.parametrize(("name", "cls"), [("bytes", bytes), ("text", str)])
def test_bytes_and_text_carry_their_own_class_and_no_other(name: str, cls: Any) -> None:
    types = MessageTypes()
    types.add(1, cls)
    codec = Codec(name, types=types)
    value = cls() + (b"x" if cls is bytes else "x")
    encoded = codec.encode(value)
    assert (encoded.body, encoded.type_id) == (b"x", 1)
    assert codec.decode(b"x", type_id=1) == value
    for other in (int, str if cls is bytes else bytes, dict):
        types = MessageTypes()
        types.add(1, other)
        with pytest.raises(SchemaError, match=f"{name} "):
            Codec(name, types=types).decode(b"x", type_id=1)
    with pytest.raises(EncodeError, match=f"the codec {name} takes .*, not an int|of type int"):
        Codec(name).encode(5)


@pytest.mark.parametrize("make", [bytearray, memoryview])
def test_bytes_takes_any_buffer(make: Any) -> None:
    assert Codec("bytes").encode(make(b"x")).body == b"x"


def test_several_codecs_are_described_by_the_first() -> None:
    types = MessageTypes()
    types.add(1, dict)
    first = Codec("json", types=types, compress="deflate", max_size=100)
    codecs = Codecs(first, Codec("bytes", max_size=200))
    assert (codecs.serializer, codecs.compress, codecs.types) == ("json", "deflate", types)
    assert codecs.max_size == 200
    assert repr(codecs).startswith("Codecs(Codec(")
    assert len(list(codecs)) == 2


def record(*fields: tuple[str, Any]) -> dict[str, Any]:
    named = [{"name": name, "type": kind} for name, kind in fields]
    return {"type": "record", "name": "R", "fields": named}


def avro(kind: Any, **bounds: int) -> Codec:
    pytest.importorskip("fastavro")
    types = MessageTypes()
    types.add(1, Avro(record(("x", kind)), bare=True))
    return Codec("avro", types=types, **bounds)


@pytest.mark.parametrize(
    ("name", "library"), [("avro", "fastavro"), ("protobuf", "google.protobuf")]
)
def test_a_format_with_schemas_of_its_own_takes_no_other_class(name: str, library: str) -> None:
    pytest.importorskip(library)
    types = MessageTypes()
    types.add(1, int)
    with pytest.raises(SchemaError, match=name):
        Codec(name, types=types).encode(1)


@pytest.mark.parametrize(
    ("cls", "name", "said"),
    [
        (int, "a 'name'\n", "the name of a type is printable and without quotes"),
        (int, "", "the name of a type is printable"),
        (5, "five", "is not a class"),
        (Point(1), "point", "is not a class, and values are told by their class"),
    ],
)
def test_what_is_no_type_or_no_name_is_not_registered(cls: Any, name: str, said: str) -> None:
    with pytest.raises(SchemaError, match=said):
        MessageTypes().add(1, cls, name=name)


def test_types_are_shown_by_number_and_name_and_not_all_of_many() -> None:
    types = MessageTypes()
    assert repr(types) == "<MessageTypes: none>"
    for number in range(11):
        types.add(number, make_dataclass("Made", []), name=f"n{number}")
    assert str(types).startswith("0 n0, 1 n1, ")
    assert str(types).endswith("9 n9, ...")


class TestAvro:
    @pytest.mark.parametrize(
        ("kind", "said"),
        [
            ({"type": "enum", "name": "E", "symbols": ["a b"]}, "fastavro refuses a schema of R"),
            ({"type": "bytes", "logicalType": "decimal", "precision": -1}, "refuses a schema of R"),
            ("Other", "names 'Other', which it does not define before"),
        ],
    )
    def test_a_schema_that_the_library_refuses_is_refused(self, kind: Any, said: str) -> None:
        with pytest.raises(SchemaError, match=said):
            avro(kind).encode({"x": "a"})

    @pytest.mark.parametrize("size", ["x", "4", 1.5, -1, True, None])
    def test_a_fixed_takes_a_whole_number_of_bytes(self, size: Any) -> None:
        with pytest.raises(SchemaError, match="a whole number of bytes, 0 or more, not "):
            Avro(record(("x", {"type": "fixed", "name": "F", "size": size})))

    def test_a_type_is_known_by_its_full_name_and_within_its_namespace(self) -> None:
        fixed = {"type": "fixed", "name": "F", "size": 4}
        codec = avro(record(("a", fixed), ("b", "F"), ("c", "fleet.F")) | {"name": "fleet.Inner"})
        value = {"x": {"a": b"abcd", "b": b"efgh", "c": b"ijkl"}}
        assert codec.decode(codec.encode(value).body, type_id=1) == value

    def test_a_record_has_its_full_name(self) -> None:
        assert repr(Avro({**record(), "name": "fleet.R"})) == "<Avro fleet.R>"
        assert Avro({**record(), "namespace": "fleet"}).name == "fleet.R"

    def test_values_within_a_union_that_the_reader_has_are_counted(self) -> None:
        pytest.importorskip("fastavro")
        inner = {**record(("a", "long"), ("b", "long")), "name": "Inner"}
        wanted = {**record(("a", "long")), "name": "Inner"}
        wanted["fields"] += [{"name": f"w{n}", "type": "int", "default": n} for n in range(3)]
        kind = {"type": "array", "items": ["null", inner]}
        reading = {"type": "array", "items": ["null", wanted]}
        types = MessageTypes()
        types.add(1, Avro(record(("x", kind))))
        body = Codec("avro", types=types).encode({"x": [{"a": 1, "b": 2}, None]}).body
        types = MessageTypes()
        types.add(1, Avro(record(("x", reading)), accepts=[record(("x", kind))]))
        read = {"x": [{"a": 1, "w0": 0, "w1": 1, "w2": 2}, None]}
        assert Codec("avro", types=types, max_values=9).decode(body, type_id=1) == read
        with pytest.raises(TooLarge):
            Codec("avro", types=types, max_values=8).decode(body, type_id=1)

    def test_a_record_that_does_not_fit_its_class_says_where(self) -> None:
        pytest.importorskip("fastavro")
        types = MessageTypes()
        types.add(1, Avro(record(("x", "string")), into=Point, bare=True))
        with pytest.raises(ValidationError, match="int"):
            Codec("avro", types=types).decode(b"\x02a", type_id=1)

    def test_bare_records_have_one_schema(self) -> None:
        with pytest.raises(SchemaError, match="accepts= has no use"):
            Avro(record(), bare=True, accepts=[record()])

    @pytest.mark.parametrize("kind", ["array", "map"])
    def test_blocks_that_tell_their_size_are_counted_as_others(self, kind: str) -> None:
        items = {"type": kind, "items" if kind == "array" else "values": "long"}
        # -2 items and -1 item, which are so many bytes; 1 item; the end.
        body = {
            "array": b"\x03\x04\x02\x04" + b"\x01\x02\x06" + b"\x02\x08" + b"\x00",
            "map": b"\x03\x0c\x02a\x02\x02b\x04" + b"\x01\x06\x02c\x06" + b"\x02\x02d\x08\x00",
        }[kind]
        expected = {"array": [1, 2, 3, 4], "map": {"a": 1, "b": 2, "c": 3, "d": 4}}[kind]
        values = 1 + 1 + len(expected) * (1 if kind == "array" else 2)
        assert avro(items, max_values=values).decode(body, type_id=1) == {"x": expected}
        with pytest.raises(TooLarge, match=f"max_values={values - 1} values"):
            avro(items, max_values=values - 1).decode(body, type_id=1)

    @pytest.mark.parametrize(
        ("kind", "body", "expected", "said"),
        [
            ("long", b"\xff" * 10, DecodeError, "a number of more than 10 bytes"),
            ("long", b"\xff\xff", Truncated, "the end is missing"),
            ("string", b"\x01xxxx", Truncated, "-1 bytes are claimed, and 4 left"),
            ("string", b"\x0axxxx", Truncated, "5 bytes are claimed, and 4 left"),
            ("bytes", b"\xff", Truncated, "the end is missing"),
            (["null", "long"], b"\x04\x02", DecodeError, "2 is no branch of a union of 2"),
            (["null", "long"], b"\x01\x02", DecodeError, "-1 is no branch of a union of 2"),
            (
                {"type": "array", "items": "long"},
                b"\x06\x02\x04",
                Truncated,
                "3 items are claimed, and 2 bytes left",
            ),
            ({"type": "array", "items": "long"}, b"\x05\x02\x02", Truncated, "3 items are claimed"),
            ({"type": "array", "items": "double"}, b"\x02\x00", Truncated, "1 items are claimed"),
        ],
    )
    def test_a_record_that_lies_is_refused_before_it_is_decoded(
        self, kind: Any, body: bytes, expected: type[Exception], said: str
    ) -> None:
        # So few values that each record is walked through before.
        fields = record(("x", kind), *[(f"n{n}", "null") for n in range(8)])
        pytest.importorskip("fastavro")
        types = MessageTypes()
        types.add(1, Avro(fields, bare=True))
        with pytest.raises(expected, match=said):
            Codec("avro", types=types, max_values=9).decode(body, type_id=1)

    def test_a_decimal_is_what_it_was(self) -> None:
        kind = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
        codec = avro(["null", {"type": "array", "items": kind}])
        value = {"x": [Decimal("-1234567.89"), Decimal("0.01")]}
        assert codec.decode(codec.encode(value).body, type_id=1) == value

    @pytest.mark.parametrize(("precision", "longest"), [(4, 32), (40, 40)])
    def test_decimals_are_read_up_to_a_length(self, precision: int, longest: int) -> None:
        codec = avro({"type": "bytes", "logicalType": "decimal", "precision": precision})

        def padded(size: int) -> bytes:
            return bytes([2 * size]) + b"\x07".rjust(size, b"\x00")

        assert codec.decode(padded(longest), type_id=1) == {"x": Decimal(7)}
        said = f"a decimal of {longest + 1} bytes, more than {longest}"
        with pytest.raises(TooLarge, match=said):
            codec.decode(padded(longest + 1), type_id=1)

    def test_what_resembles_a_decimal_is_read_as_what_it_is(self) -> None:
        fixed = {"type": "fixed", "name": "F", "size": 4, "logicalType": "decimal", "precision": 9}
        plain, unknown = {"type": "bytes"}, {"type": "string", "logicalType": "decimal"}
        codec = avro(record(("d", fixed), ("b", plain), ("s", unknown)) | {"name": "Inner"})
        value = {"x": {"d": Decimal(-5), "b": b"\x01", "s": "5"}}
        assert codec.decode(codec.encode(value).body, type_id=1) == value

    def test_what_follows_a_record_is_refused(self) -> None:
        with pytest.raises(TrailingData, match="follows the record in data of 2 bytes"):
            avro("long").decode(b"\x02\x02", type_id=1)


class Thing:
    """A class that no format makes."""


@dataclass
class Holder:
    thing: Thing


@dataclass
class Counted:
    number: Number


def one(name: str, cls: Any) -> Codec:
    types = MessageTypes()
    types.add(1, cls)
    return Codec(name, types=types)


@pytest.mark.parametrize("name", ["json", "msgpack", "yaml"])
def test_a_class_that_no_format_makes_takes_what_is_of_it_already(name: str) -> None:
    pytest.importorskip("msgspec" if name == "json" else name)
    plain = Codec(name)
    body = plain.encode({"number": 5}).body
    assert one(name, Counted).decode(body, type_id=1) == Counted(5)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match=r"Expected `Thing`, got `dict`, at \$\.thing"):
        one(name, Holder).decode(plain.encode({"thing": {}}).body, type_id=1)


def test_of_many_types_some_are_named() -> None:
    types = MessageTypes(tag="type")
    for number in range(21):
        types.add(number, make_dataclass(f"Type{number}", [("x", int)]))
    with pytest.raises(DecodeError, match=r"Type19, \.\.\.$"):
        Codec("json", types=types).decode(b'{"x": 1}')


def test_a_field_that_is_not_known_is_named_where_it_reads_like_a_name() -> None:
    class Strict(msgspec.Struct, forbid_unknown_fields=True):
        x: int

    codec = one("json", Strict)
    for name, told in (("other", "`other`"), ("a b c", "of 5 characters")):
        with pytest.raises(ValidationError, match=f"unknown field {told}"):
            codec.decode(b'{"%s": 1, "x": 1}' % name.encode(), type_id=1)


@pytest.mark.parametrize(
    "cls", [make_dataclass("Odd", [("x", list[int] | set[int])])], ids=["two arrays"]
)
@pytest.mark.parametrize("name", ["json", "msgpack", "yaml"])
def test_a_class_that_the_library_refuses_is_refused_by_its_reason(name: str, cls: Any) -> None:
    pytest.importorskip("msgspec" if name == "json" else name)
    with pytest.raises(SchemaError, match=f"{name} cannot carry Odd, .*more than one array-like"):
        one(name, cls).decode(b"", type_id=1)


def test_a_key_of_yaml_that_is_an_equals_sign_is_a_string() -> None:
    pytest.importorskip("yaml")
    assert Codec("yaml").decode(b"=: 1") == {"=": 1}


def test_snappy_without_a_length_is_refused() -> None:
    pytest.importorskip("snappy")
    with pytest.raises(DecodeError, match="snappy: no length at the start of data of 6 bytes"):
        Codec("bytes", accept=["snappy"]).decode(b"\xff" * 6, content_encoding="snappy")


def test_a_compressor_may_be_named_twice() -> None:
    assert Codec("text", compress="gzip", accept=["gzip"]).accept == ("gzip",)


def test_a_python_that_was_built_without_a_module_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lzma", None)
    monkeypatch.delitem(sys.modules, "gestalt.codecs.compressors.xz", raising=False)
    with pytest.raises(ImportError, match="lzma"):
        Codec("text", compress="xz")
