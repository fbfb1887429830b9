"""Models of pydantic as message types."""

import dataclasses
import datetime as dt
import enum
import subprocess
import sys
import traceback
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import pytest

from gestalt.codecs import (
    Avro,
    Codec,
    DecodeError,
    EncodeError,
    MessageTypes,
    SchemaError,
    ValidationError,
)

pydantic = pytest.importorskip("pydantic")

from pydantic import (  # noqa: E402 - it may be absent
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyAddress,
    RootModel,
    computed_field,
    field_serializer,
    field_validator,
    model_serializer,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass  # noqa: E402

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"


class Position(BaseModel):
    lat: float = Field(ge=-90, le=90)
    lon: float


class Rich(BaseModel):
    at: dt.datetime
    day: dt.date
    span: dt.timedelta
    key: uuid.UUID
    price: Decimal
    colour: Colour
    blob: bytes
    unique: set[int]
    pair: tuple[int, str]
    numbered: dict[int, str]
    address: IPvAnyAddress
    path: Path
    track: list[Position] = []
    maybe: int | None = None


RICH: dict[str, Any] = {
    "at": dt.datetime(2024, 2, 29, 12, 30, 1, 250, tzinfo=dt.UTC),
    "day": dt.date(2024, 2, 29),
    "span": dt.timedelta(days=1, microseconds=5),
    "key": uuid.UUID(int=5),
    "price": Decimal("12345678901234567890.123"),
    "colour": Colour.RED,
    "blob": b"text",
    "unique": {1, 2},
    "pair": (1, "x"),
    "numbered": {1: "one"},
    "address": "127.0.0.1",
    "path": Path("/etc"),
    "track": [Position(lat=1.5, lon=2.5)],
}


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    at: dt.datetime
    key: uuid.UUID
    unique: set[int]
    pair: tuple[int, str]
    colour: Colour
    number: int


class Aliased(BaseModel):
    first: int = Field(alias="firstNumber")
    second: int = Field(validation_alias=AliasChoices("two", "zwei"), serialization_alias="two")


class Box(BaseModel, Generic[T]):
    content: T


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    tricks: list[str] = []


class Pets(BaseModel):
    pets: list[Annotated[Cat | Dog, Field(discriminator="kind")]]


class Numbers(RootModel[list[int]]):
    pass


class Node(BaseModel):
    label: str
    children: "list[Node]" = []


@pydantic_dataclass
class Checked:
    number: int = Field(gt=0)


@pytest.fixture(params=["json", "msgpack", "yaml"])
def name(request: pytest.FixtureRequest) -> str:
    pytest.importorskip({"json": "msgspec"}.get(request.param, request.param))
    name: str = request.param
    return name


def only(cls: Any, tag: str | None = None) -> MessageTypes:
    types = MessageTypes(tag=tag)
    types.add(1, cls)
    return types


@pytest.mark.parametrize("tag", [None, "type"])
@pytest.mark.parametrize(
    "value",
    [
        Position(lat=1.5, lon=2.5),
        Rich(**RICH),
        Aliased(firstNumber=1, two=2),
        Box[int](content=5),
        Box[list[Position]](content=[Position(lat=1, lon=2)]),
        Pets(pets=[Cat(), Dog(tricks=["roll"])]),
        Node(label="a", children=[Node(label="b")]),
        Checked(5),
        Strict(
            at=RICH["at"], key=RICH["key"], unique={1}, pair=(1, "x"), colour=Colour.RED, number=5
        ),
    ],
    ids=lambda value: type(value).__name__ if value else str(value),
)
def test_models_come_back(name: str, value: Any, tag: str | None) -> None:
    codec = Codec(name, types=only(type(value), tag))
    decoded = codec.decode(codec.encode(value).body)
    assert decoded == value
    assert type(decoded) is type(value)


def test_what_is_no_object_is_carried_too(name: str) -> None:
    codec = Codec(name, types=only(Numbers))
    assert codec.decode(codec.encode(Numbers([1, 2])).body) == Numbers([1, 2])
    with pytest.raises(SchemaError, match="no named fields"):
        only(Numbers, "type")


def test_binary_is_carried_where_the_format_does() -> None:
    class Blob(BaseModel):
        data: bytes

    for format_name in ("msgpack", "yaml"):
        pytest.importorskip(format_name)
        codec = Codec(format_name, types=only(Blob))
        assert codec.decode(codec.encode(Blob(data=b"\xff\x00")).body).data == b"\xff\x00"
    with pytest.raises(EncodeError):
        Codec("json", types=only(Blob)).encode(Blob(data=b"\xff"))


def test_a_value_that_does_not_fit_says_where(name: str) -> None:
    codec = Codec(name, types=only(Rich))
    plain = Codec(name).decode(codec.encode(Rich(**RICH)).body)
    plain["track"] = [{"lat": 1, "lon": 2}, {"lat": 91, "lon": 2}]
    with pytest.raises(ValidationError, match="less than or equal to 90") as caught:
        codec.decode(Codec(name).encode(plain).body)
    assert caught.value.path == "$.track[1].lat"
    assert caught.value.__cause__ is None  # pydantic's own shows what was given
    with pytest.raises(ValidationError, match="and 2 more"):
        codec.decode(Codec(name).encode({**plain, "pair": 5, "key": "x"}).body)


def test_lax_and_strict_are_pydantics_own(name: str) -> None:
    lax = Codec(name, types=only(Position))
    assert lax.decode(Codec(name).encode({"lat": "1.5", "lon": 2}).body) == Position(lat=1.5, lon=2)
    strict = Codec(name, types=only(Strict))
    plain = {"at": "2024-02-29T00:00:00Z", "key": str(RICH["key"]), "unique": [1], "pair": [1, "x"]}
    plain |= {"colour": "red", "number": 5}
    assert strict.decode(Codec(name).encode(plain).body).number == 5
    with pytest.raises(ValidationError) as caught:
        strict.decode(Codec(name).encode({**plain, "number": "5"}).body)
    assert caught.value.path == "$.number"


def test_aliases_and_configuration_are_respected(name: str) -> None:
    class Forbids(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True)
        x: int

    codec = Codec(name, types=only(Aliased))
    assert Codec(name).decode(codec.encode(Aliased(firstNumber=1, two=2)).body) == {
        "firstNumber": 1,
        "two": 2,
    }
    assert codec.decode(Codec(name).encode({"firstNumber": 1, "zwei": 3}).body).second == 3
    with pytest.raises(ValidationError) as caught:
        codec.decode(Codec(name).encode({"first": 1, "two": 2}).body)
    assert caught.value.path == "$.firstNumber"
    for types in (only(Forbids), only(Forbids, "type")):
        codec = Codec(name, types=types)
        body = codec.encode(Forbids(x=1)).body
        assert codec.decode(body) == Forbids(x=1)
        plain = Codec(name).decode(body)
        with pytest.raises(ValidationError) as caught:
            codec.decode(Codec(name).encode({**plain, "y": 1}).body)
        assert caught.value.path == "$.y"


def test_a_tag_keeps_clear_of_fields_aliases_and_extras(name: str) -> None:
    class Named(BaseModel):
        type: str

    class Alias(BaseModel):
        kind: str = Field(alias="type")

    class Choice(BaseModel):
        kind: str = Field(validation_alias=AliasChoices("kind", "type"))

    class Computed(BaseModel):
        @computed_field
        def type(self) -> str:
            return "x"

    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")
        x: int

    class Odd(BaseModel):
        x: int = 1

        @model_serializer
        def _text(self) -> str:
            return "odd"

    for cls in (Named, Alias, Choice, Computed):
        with pytest.raises(SchemaError, match="has a field type, which is the tag"):
            only(cls, "type")
    codec = Codec(name, types=only(Open, "type"))
    assert codec.decode(codec.encode(Open(x=1, y=2)).body) == Open(x=1, y=2)
    with pytest.raises(EncodeError, match="holds type"):
        codec.encode(Open(x=1, type="Open"))
    with pytest.raises(EncodeError, match="no object"):
        Codec(name, types=only(Odd, "type")).encode(Odd())


def test_a_value_that_was_made_past_validation_is_not_encoded(name: str) -> None:
    with pytest.raises(EncodeError):
        Codec(name, types=only(Position)).encode(Position.model_construct(lat="north", lon=[]))


def test_models_within_other_classes_are_carried(name: str) -> None:
    @dataclasses.dataclass
    class Track:
        points: list[Position]
        by_name: dict[str, Position]

    track = Track([Position(lat=1, lon=2)], {"a": Position(lat=3, lon=4)})
    codec = Codec(name, types=only(Track))
    assert codec.decode(codec.encode(track).body) == track
    wrong = {"points": [{"lat": 1, "lon": 2}, {"lat": 91, "lon": 2}], "by_name": {}}
    with pytest.raises(ValidationError, match="less than or equal to 90"):
        codec.decode(Codec(name).encode(wrong).body)


def test_models_are_plain_without_types(name: str) -> None:
    codec = Codec(name)
    plain = codec.decode(codec.encode({"rich": Rich(**RICH)}).body)["rich"]
    assert plain["key"] == str(RICH["key"])
    assert plain["address"] == "127.0.0.1"
    assert codec.decode(codec.encode(Position(lat=1, lon=2)).body) == {"lat": 1, "lon": 2}


def test_avro_records_become_models() -> None:
    pytest.importorskip("fastavro")

    class Reading(BaseModel):
        sensor: str
        at: dt.datetime

    timestamp = {"type": "long", "logicalType": "timestamp-micros"}
    fields = [{"name": "sensor", "type": "string"}, {"name": "at", "type": timestamp}]
    schema = {"type": "record", "name": "Reading", "fields": fields}
    codec = Codec("avro", types=only(Avro(schema, into=Reading)))
    reading = Reading(sensor="boiler", at=dt.datetime(2024, 1, 1, tzinfo=dt.UTC))
    assert codec.decode(codec.encode(reading).body) == reading


@pytest.mark.parametrize("body", [b'{"lat":NaN,"lon":1}', b'{"lat":1e999,"lon":1}', b"{", b"{}{}"])
def test_json_of_models_is_as_strict_as_that_of_others(body: bytes) -> None:
    class Point(BaseModel):
        lat: float
        lon: float

    with pytest.raises(DecodeError) as caught:
        Codec("json", types=only(Point)).decode(body)
    with pytest.raises(type(caught.value)):
        Codec("json").decode(body)


def test_validators_may_raise_what_they_like(name: str) -> None:
    class Odd(BaseModel):
        x: int

        @field_validator("x")
        @classmethod
        def _never(cls, value: int) -> int:
            if value == 1:
                raise ValueError("\ud800 is \n odd")
            raise KeyError(value)

    codec = Codec(name, types=only(Odd))
    for value in (1, 2):
        with pytest.raises(DecodeError) as caught:
            codec.decode(Codec(name).encode({"x": value}).body)
        assert str(caught.value).encode()


def test_an_incomplete_model_is_a_schema_error(name: str) -> None:
    class Incomplete(BaseModel):
        x: "Missing"  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(SchemaError, match="Incomplete"):
        Codec(name, types=only(Incomplete)).decode(b"1")


def test_a_model_of_pydantic_1_is_refused_with_what_to_do() -> None:
    if sys.version_info >= (3, 14):
        pytest.skip("pydantic 2 brings pydantic 1 up to Python 3.13")
    from pydantic.v1 import BaseModel as OldModel

    class Old(OldModel):
        x: int

    with pytest.raises(SchemaError, match="pydantic 1"):
        only(Old)


def test_pydantic_is_not_imported_where_no_model_is() -> None:
    code = """
import sys
from dataclasses import dataclass
from gestalt.codecs import Codec, MessageTypes
@dataclass
class Reading:
    sensor: str
types = MessageTypes(tag="type")
types.add(1, Reading)
codec = Codec("json", types=types)
assert codec.decode(codec.encode(Reading("x")).body) == Reading("x")
print("pydantic" in sys.modules, "pydantic_core" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False False", done.stderr


class Number(BaseModel):
    x: int


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Pet(BaseModel):
    pet: Cat | Dog = Field(discriminator="kind")


class Paths(BaseModel):
    paths: set[tuple[int, ...]]


def test_bytes_that_are_no_text_are_refused_where_a_number_is_wanted() -> None:
    pytest.importorskip("msgpack")
    body = Codec("msgpack").encode({"x": b"\xff"}).body
    with pytest.raises(ValidationError, match=r"valid integer.* at \$\.x"):
        Codec("msgpack", types=only(Number)).decode(body, type_id=1)


def test_a_kind_that_is_none_of_those_expected_is_not_quoted() -> None:
    with pytest.raises(ValidationError, match=r"none of those expected, at \$\.pet") as caught:
        Codec("json", types=only(Pet)).decode(b'{"pet": {"kind": "secret"}}', type_id=1)
    assert "secret" not in str(caught.value)


def test_tuples_of_any_length_are_members_of_sets() -> None:
    codec = Codec("json", types=only(Paths))
    assert codec.decode(b'{"paths": [[1, 2], []]}', type_id=1).paths == {(1, 2), ()}


class Refusing(BaseModel):
    x: int

    @field_validator("x")
    @classmethod
    def refuse(cls, value: int) -> int:
        raise ValueError("why")

    @field_serializer("x")
    def shown(self, value: int) -> int:
        return Number.model_validate({"x": "secret"}).x


def test_what_a_validator_raises_is_the_cause() -> None:
    with pytest.raises(ValidationError, match=r"why, at \$\.x") as caught:
        Codec("json", types=only(Refusing)).decode(b'{"x": 1}', type_id=1)
    assert repr(caught.value.__cause__) == "ValueError('why')"


def test_what_a_serializer_raises_is_told_without_the_value() -> None:
    with pytest.raises(EncodeError, match="a value is not of the type of its field") as caught:
        Codec("json", types=only(Refusing)).encode(Refusing.model_construct(x=1))
    assert "secret" not in str(caught.value)


@dataclasses.dataclass
class Checked:
    x: str

    def __post_init__(self) -> None:
        Number.model_validate({"x": self.x})


@pytest.mark.parametrize("name", ["json", "msgpack"])
def test_what_pydantic_says_within_another_class_is_told_without_the_value(name: str) -> None:
    pytest.importorskip("msgspec" if name == "json" else name)
    body = Codec(name).encode({"x": "secret"}).body
    with pytest.raises(ValidationError, match="should be a valid integer") as caught:
        Codec(name, types=only(Checked)).decode(body, type_id=1)
    told = "".join(traceback.format_exception(caught.value))
    assert "secret" not in told.replace(repr("secret") + "}).body", "")
