"""What values survive each format: rich ones, typed ones, and whatever hypothesis thinks of."""

import dataclasses
import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import Any, TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt.codecs import (
    Avro,
    Codec,
    CodecError,
    EncodeError,
    MessageTypes,
    SchemaError,
    UnregisteredType,
    ValidationError,
)


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


@dataclasses.dataclass
class Rich:
    moment: dt.datetime
    day: dt.date
    time: dt.time
    span: dt.timedelta
    key: uuid.UUID
    price: Decimal
    blob: bytes
    colour: Colour
    level: Level
    numbered: dict[int, str]
    keyed: dict[uuid.UUID, int]
    unique: set[int]
    pair: tuple[int, str]
    maybe: float | None = None


RICH = Rich(
    moment=dt.datetime(2024, 2, 29, 12, 30, 1, 250, tzinfo=dt.UTC),
    day=dt.date(2024, 2, 29),
    time=dt.time(23, 59, 1),
    span=dt.timedelta(days=1, microseconds=5),
    key=uuid.UUID(int=2**127 + 5),
    price=Decimal("12345678901234567890.123"),
    blob=b"\x00\xff",
    colour=Colour.RED,
    level=Level.HIGH,
    numbered={1: "one", -5: "minus five"},
    keyed={uuid.UUID(int=1): 1},
    unique={1, 2},
    pair=(1, "x"),
)

FORMATS = ["json", "msgpack", "yaml"]


@pytest.fixture(params=FORMATS)
def name(request: pytest.FixtureRequest) -> str:
    pytest.importorskip({"json": "msgspec"}.get(request.param, request.param))
    name: str = request.param
    return name


def only(cls: Any) -> MessageTypes:
    types = MessageTypes()
    types.add(1, cls)
    return types


def test_rich_values_come_back_typed(name: str) -> None:
    codec = Codec(name, types=only(Rich))
    assert codec.decode(codec.encode(RICH).body, type_id=1) == RICH


def test_rich_values_are_plain_without_types(name: str) -> None:
    codec = Codec(name)
    plain = codec.decode(codec.encode({"rich": RICH, "list": [RICH.moment, Colour.RED]}).body)
    assert plain["rich"]["moment"] == "2024-02-29T12:30:01.000250Z"
    assert plain["rich"]["key"] == str(RICH.key)
    assert plain["rich"]["price"] == "12345678901234567890.123"
    assert plain["rich"]["colour"] == "red"
    assert plain["list"] == ["2024-02-29T12:30:01.000250Z", "red"]


def test_structs_typed_dicts_and_generics_are_types(name: str) -> None:
    class Struct(msgspec.Struct):
        x: int

    class Typed(TypedDict):
        x: int

    for cls, value in ((Struct, Struct(1)), (Typed, {"x": 1}), (list[int], [1, 2])):
        codec = Codec(name, types=only(cls))
        assert codec.decode(codec.encode(value).body) == value
        wrong = ["y"] if isinstance(value, list) else {"x": "y"}
        with pytest.raises(ValidationError):
            codec.decode(Codec(name).encode(wrong).body)


def test_attrs_classes_are_types(name: str) -> None:
    attrs = pytest.importorskip("attrs")

    @attrs.define
    class Point:
        x: int

    codec = Codec(name, types=only(Point))
    assert codec.decode(codec.encode(Point(1)).body) == Point(1)


def test_several_typed_dicts_decode_and_cannot_be_told_when_encoding(name: str) -> None:
    class One(TypedDict):
        x: int

    class Two(TypedDict):
        y: int

    types = only(One)
    types.add(2, Two)
    codec = Codec(name, types=types)
    body = Codec(name).encode({"y": 1}).body
    assert codec.decode(body, type_id=2) == {"y": 1}
    with pytest.raises(UnregisteredType, match="several message types"):
        codec.encode({"y": 1})


plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize("format_name", ["msgpack", "yaml"])
def test_plain_values_come_back(format_name: str) -> None:
    pytest.importorskip(format_name)
    codec = Codec(format_name)

    @given(plain_values)
    def check(value: Any) -> None:
        assert codec.decode(codec.encode(value).body) == value

    check()


@given(plain_values)
def test_json_gives_back_what_json_has(value: Any) -> None:
    codec = Codec("json")

    def without_infinity(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without_infinity(each) for key, each in value.items()}
        if isinstance(value, list):
            return [without_infinity(each) for each in value]
        return None if isinstance(value, float) and abs(value) == float("inf") else value

    assert codec.decode(codec.encode(value).body) == without_infinity(value)


def test_msgpack_keys_may_be_integers_and_timestamps_are_datetimes() -> None:
    msgpack = pytest.importorskip("msgpack")
    codec = Codec("msgpack")
    value = {1: {b"x": dt.datetime(2024, 1, 1, tzinfo=dt.UTC)}}
    body = msgpack.packb(value, datetime=True)
    assert codec.decode(body) == value
    made: list[Any] = []
    codec.decode_alike([body, body], None, made)
    assert made == [value, value]
    # Its length is what the values are bounded by, or the depth.
    for bounds in ({"max_values": 5}, {"max_depth": 2}):
        assert Codec("msgpack", **bounds).decode(body) == value


def avro_schema(*fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "record", "name": "Reading", "namespace": "plant", "fields": list(fields)}


TIMESTAMP = {"type": "long", "logicalType": "timestamp-micros"}
V1 = avro_schema({"name": "sensor", "type": "int"}, {"name": "at", "type": TIMESTAMP})
V2 = avro_schema(
    {"name": "sensor", "type": "long"},
    {"name": "at", "type": TIMESTAMP},
    {"name": "unit", "type": "string", "default": "K"},
)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class TestAvro:
    @dataclasses.dataclass
    class Reading:
        sensor: int
        at: dt.datetime
        unit: str = "C"

    @pytest.fixture(autouse=True)
    def _fastavro(self) -> None:
        pytest.importorskip("fastavro")

    def test_records_come_back_into_their_class_with_logical_types(self) -> None:
        codec = Codec("avro", types=only(Avro(V2, into=self.Reading)))
        reading = self.Reading(7, dt.datetime(2024, 1, 1, tzinfo=dt.UTC))
        encoded = codec.encode(reading)
        assert encoded.body[:2] == b"\xc3\x01"
        assert encoded.type_name == "plant.Reading"
        assert codec.decode(encoded.body, type_name="plant.Reading") == reading

    def test_an_accepted_writer_schema_evolves_into_the_readers(self) -> None:
        old = Codec("avro", types=only(Avro(V1)))
        new = Codec("avro", types=only(Avro(V2, accepts=[V1])))
        record = new.decode(old.encode({"sensor": 7, "at": EPOCH}).body)
        assert record == {"sensor": 7, "at": EPOCH, "unit": "K"}

    def test_values_that_do_not_fit_the_schema_are_encode_errors(self) -> None:
        codec = Codec("avro", types=only(Avro(V1)))
        for value in ({"sensor": "x", "at": EPOCH}, {}, {"sensor": 1}):
            with pytest.raises(EncodeError):
                codec.encode(value)

    def test_bare_avro_is_the_record_alone(self) -> None:
        codec = Codec("avro", types=only(Avro(V1, bare=True)))
        assert codec.encode({"sensor": 7, "at": EPOCH}).body == b"\x0e\x00"
        assert codec.decode(b"\x0e\x00") == {"sensor": 7, "at": EPOCH}
        with pytest.raises(SchemaError):
            Avro(V1, accepts=[V2], bare=True)


class TestProtobuf:
    @pytest.fixture(autouse=True)
    def _protobuf(self) -> None:
        pytest.importorskip("google.protobuf")

    def test_messages_come_back_by_their_full_name(self) -> None:
        from google.protobuf.timestamp_pb2 import Timestamp

        codec = Codec("protobuf", types=only(Timestamp))
        encoded = codec.encode(Timestamp(seconds=5))
        assert encoded[1:] == ("application/protobuf", None, 1, "google.protobuf.Timestamp")
        decoded = codec.decode(
            encoded.body,
            type_name="google.protobuf.Timestamp",
            content_type="application/x-protobuf",
        )
        assert decoded == Timestamp(seconds=5)

    def test_protobuf_types_keep_their_wire_form_under_another_serializer(self) -> None:
        from google.protobuf.timestamp_pb2 import Timestamp

        types = only(Timestamp)
        types.add(2, Rich)
        codec = Codec("json", types=types)
        encoded = codec.encode(Timestamp(seconds=5))
        assert encoded.content_type == "application/protobuf"
        assert codec.decode(encoded.body, type_id=1, content_type=encoded.content_type).seconds == 5
        rich = codec.encode(RICH)
        assert rich.content_type == "application/json"
        with pytest.raises(CodecError, match="not allowed"):
            codec.decode(rich.body, type_id=2, content_type="application/protobuf")

    def test_without_types_it_is_of_no_use(self) -> None:
        with pytest.raises(SchemaError, match="types"):
            Codec("protobuf")


class TestMessageTypes:
    def test_a_number_a_name_and_a_class_are_used_once(self) -> None:
        class Other: ...

        class Third: ...

        types = only(Rich)
        for type_id, cls, type_name in ((1, Other, None), (2, Rich, "x"), (2, Other, "Rich")):
            with pytest.raises(SchemaError, match="Rich is registered as 1"):
                types.add(type_id, cls, name=type_name)
        types.add(2, Third)
        assert [kind.name for kind in types] == ["Rich", "Third"]
        assert len(types) == 2

    @pytest.mark.parametrize("type_id", [-1, 2**32, True, "1", 1.0, None])
    def test_numbers_are_unsigned_integers_of_32_bits(self, type_id: Any) -> None:
        with pytest.raises(SchemaError, match="0 to 4294967295"):
            MessageTypes().add(type_id, Rich)

    def test_what_is_no_class_is_refused(self) -> None:
        with pytest.raises(SchemaError, match="not a class"):
            MessageTypes().add(1, int | str)

    def test_it_finds_by_number_name_and_class(self) -> None:
        types = only(Rich)
        assert types.by_id(1) is types.by_name("Rich") is types.by_class(Rich) is types.only()
