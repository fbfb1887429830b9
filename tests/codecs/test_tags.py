"""Message types that a tag in the body tells."""

import enum
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict

import attrs
import msgspec
import pytest

from gestalt.codecs import (
    Avro,
    Codec,
    DecodeError,
    EncodeError,
    Functions,
    MessageTypes,
    SchemaError,
    Serializer,
    Truncated,
    UnknownType,
    ValidationError,
)
from gestalt.codecs.tagging import of_any


@dataclass
class Position:
    lat: float
    lon: float = 0.0


class Ack(msgspec.Struct, forbid_unknown_fields=True):
    number: int


class Tagged(msgspec.Struct, tag="own"):
    number: int


class Typed(TypedDict, total=False):
    number: int


@attrs.define
class Attributes:
    number: int


class Empty(msgspec.Struct):
    pass


VALUES: list[Any] = [
    Position(1.5, 2.5),
    Ack(1),
    Tagged(2),
    {"number": 3},
    Attributes(4),
    Empty(),
]
CLASSES = (Position, Ack, Tagged, Typed, Attributes, Empty)


@pytest.fixture(params=["json", "msgpack", "yaml"])
def name(request: pytest.FixtureRequest) -> str:
    pytest.importorskip({"json": "msgspec"}.get(request.param, request.param))
    name: str = request.param
    return name


def tagged(*classes: Any, tag: str = "type") -> MessageTypes:
    types = MessageTypes(tag=tag)
    for type_id, cls in enumerate(classes, 1):
        types.add(type_id, cls)
    return types


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_the_tag_alone_tells_the_class(name: str, value: Any) -> None:
    codec = Codec(name, types=tagged(*CLASSES))
    encoded = codec.encode(value)
    decoded = codec.decode(encoded.body)
    assert decoded == value
    assert type(decoded) is type(value)
    assert codec.decode(encoded.body, type_id=encoded.type_id) == value
    assert codec.decode(encoded.body, type_name=encoded.type_name) == value


def test_the_tag_is_one_field_among_the_others() -> None:
    types = tagged(*CLASSES)
    codec = Codec("json", types=types)
    assert codec.encode(Position(1.5)).body == b'{"type":"Position","lat":1.5,"lon":0.0}'
    assert codec.encode(Tagged(2)).body == b'{"type":"own","number":2}'
    assert codec.encode(Empty()).body == b'{"type":"Empty"}'


def test_the_tag_is_one_field_in_msgpack_too() -> None:
    pytest.importorskip("msgpack")
    types = tagged(*CLASSES)
    plain = Codec("msgpack").decode(Codec("msgpack", types=types).encode(Ack(1)).body)
    assert plain == {"type": "Ack", "number": 1}


def test_its_value_is_the_name_that_was_given() -> None:
    types = MessageTypes(tag="ein Typ: \u00e9")
    types.add(1, Ack, name="smörgås, 'x'")
    codec = Codec("json", types=types)
    assert codec.decode(codec.encode(Ack(1)).body) == Ack(1)
    assert types.tag == "ein Typ: \u00e9"


@pytest.mark.parametrize(
    "body",
    [
        b'{"number":5,"type":"Ack"}',
        b' { "type" :\n"Ack" , "number" : 5 } ',
        rb'{"\u0074ype":"Ack","number":5}',
        rb'{"type":"\u0041ck","number":5}',
        b'{"type":"Position","number":5,"type":"Ack"}',
        rb'{"type":"Position","number":5,"\u0074ype":"Ack"}',
        b'{"type":null,"type":"Ack","number":5}',
    ],
)
@pytest.mark.parametrize("twice", [False, True])
def test_others_may_write_it_wherever_and_the_last_one_counts(body: bytes, twice: bool) -> None:
    codec = Codec("json", types=tagged(*CLASSES))
    if twice:  # what was met before is found by a shorter way
        for value in VALUES:
            codec.decode(codec.encode(value).body)
    assert codec.decode(body) == Ack(5)


def test_the_name_of_the_tag_may_occur_deeper() -> None:
    @dataclass
    class Track:
        points: list[dict[str, str]]

    codec = Codec("json", types=tagged(Track, Ack))
    track = Track([{"type": "Ack", "note": 'a "type": of \\ its own'}])
    for _ in range(2):
        assert codec.decode(codec.encode(track).body) == track


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [
        ({}, ValidationError, "is missing; there are Position, Ack"),
        ({"number": 1}, ValidationError, "is missing; there are Position, Ack"),
        (
            {"type": 1},
            ValidationError,
            "is a string, not an object of type int; there are Position, Ack",
        ),
        ({"type": None}, ValidationError, "is a string, not None; there are Position, Ack"),
        ({"type": ["Ack"]}, ValidationError, "is a string, not .*; there are Position, Ack"),
        ({"type": "ack"}, UnknownType, "is 'ack'; there are Position, Ack"),
        ({"type": ""}, UnknownType, "is ''; there are Position, Ack"),
        ([], DecodeError, "."),
        ("Ack", DecodeError, "."),
        ({"type": "Ack", "number": "x"}, ValidationError, r"Expected `int`, got `str`"),
        ({"type": "Ack", "number": 1, "more": 2}, ValidationError, "unknown field `more`"),
    ],
)
def test_a_tag_that_tells_no_type_says_which_there_are(
    name: str, value: Any, kind: type[DecodeError], said: str
) -> None:
    codec = Codec(name, types=tagged(*CLASSES))
    for _ in range(2):
        with pytest.raises(kind, match=said) as caught:
            codec.decode(Codec(name).encode(value).body)
        codec.decode(codec.encode(Ack(1)).body)
    if "missing" in said:
        assert caught.value.path == "$.type"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"type":"Ack",}', DecodeError),
        (b'{"type":"Ack","number":1', Truncated),
        (b'{"type":"Ack","number":1}}', DecodeError),
        (b'{"type":"Ack', Truncated),
        (b'{"type":"\xff","number":1}', DecodeError),
        (b'{"type":"Ack" "number":1}', DecodeError),
        (b"", Truncated),
    ],
)
def test_malformed_json_is_told_as_such(body: bytes, kind: type[DecodeError]) -> None:
    codec = Codec("json", types=tagged(Position, Ack))
    for _ in range(2):
        with pytest.raises(kind):
            codec.decode(body)
        codec.decode(codec.encode(Ack(1)).body)


def test_a_type_id_that_says_otherwise_is_refused(name: str) -> None:
    codec = Codec(name, types=tagged(Position, Ack))
    body = codec.encode(Ack(1)).body
    with pytest.raises(DecodeError, match="declared as 1 Position, and its tag 'type' is 'Ack'"):
        codec.decode(body, type_id=1)
    with pytest.raises(DecodeError, match="is missing"):
        codec.decode(Codec(name).encode({"number": 1}).body, type_name="Ack")


def test_types_may_be_added_later(name: str) -> None:
    types = tagged(Position)
    codec = Codec(name, types=types)
    body = Codec(name, types=tagged(Position, Ack)).encode(Ack(1)).body
    with pytest.raises(UnknownType):
        codec.decode(body)
    types.add(2, Ack)
    assert codec.decode(body) == Ack(1)


@pytest.mark.parametrize("fields", ["type: str", "kind: str = msgspec.field(name='type')"])
def test_a_field_of_the_tags_name_is_refused(fields: str) -> None:
    namespace: dict[str, Any] = {"msgspec": msgspec}
    exec(f"class Struct(msgspec.Struct):\n    {fields}", namespace)
    with pytest.raises(SchemaError, match="has a field type, which is the tag"):
        tagged(namespace["Struct"])


def test_a_field_of_the_tags_name_is_refused_in_every_kind_of_class() -> None:
    @dataclass
    class Data:
        type: str

    class Dictionary(TypedDict, total=False):
        type: str

    @attrs.define
    class Attribute:
        type: str

    for cls in (Data, Dictionary, Attribute):
        with pytest.raises(SchemaError, match="has a field type, which is the tag"):
            tagged(cls)
        tagged(cls, tag="kind")


def test_what_has_no_named_fields_is_refused() -> None:
    class Row(NamedTuple):
        number: int

    class Array(msgspec.Struct, array_like=True):
        number: int

    class OwnArray(msgspec.Struct, array_like=True, tag=True):
        number: int

    class Colour(enum.Enum):
        RED = 1

    for cls in (Row, Array, OwnArray, Colour, int, str, list[int], dict[str, int], bytes):
        with pytest.raises(SchemaError, match="no named fields"):
            tagged(cls)


def test_types_with_a_wire_form_of_their_own_are_refused() -> None:
    schema = {"type": "record", "name": "R", "fields": []}
    with pytest.raises(SchemaError, match="wire form of avro, which has no place for the tag"):
        tagged(Avro(schema))
    protobuf = pytest.importorskip("google.protobuf.timestamp_pb2")
    with pytest.raises(SchemaError, match="wire form of protobuf, which has no place"):
        tagged(protobuf.Timestamp)


@pytest.mark.parametrize("format_name", ["bytes", "text", "avro", "protobuf"])
def test_formats_without_a_place_for_it_say_so(format_name: str) -> None:
    library = {"avro": "fastavro", "protobuf": "google.protobuf"}.get(format_name)
    if library:
        pytest.importorskip(library)
    with pytest.raises(SchemaError, match="no place for the tag 'type': json, msgpack and yaml"):
        Codec(format_name, types=tagged(Position))


def test_a_serializer_of_others_has_no_place_for_it_unless_it_says_so() -> None:
    class Other(Serializer):
        def typed(self, kind: Any) -> Functions:
            return Functions(bytes, bytes)

    with pytest.raises(SchemaError, match="other has no place"):
        of_any(tagged(Position), Other(name="other", max_depth=9, max_values=9))


@pytest.mark.parametrize("tag", ["", 5, b"type", 'a "tag"', "a\\b", "\n", "\ud800", None])
def test_a_tag_is_a_name(tag: Any) -> None:
    if tag is None:
        assert MessageTypes(tag=tag).tag is None
        return
    with pytest.raises(SchemaError, match="name of a field"):
        MessageTypes(tag=tag)


def test_a_struct_with_a_tag_of_its_own_keeps_it() -> None:
    class Other(msgspec.Struct, tag="other", tag_field="kind"):
        number: int

    class Numbered(msgspec.Struct, tag=5):
        number: int

    types = tagged(Tagged, Other)
    assert [kind.name for kind in types] == ["own", "Other"]
    codec = Codec("json", types=types)
    assert codec.encode(Other(1)).body == b'{"type":"Other","kind":"other","number":1}'
    assert codec.decode(codec.encode(Other(1)).body) == Other(1)
    with pytest.raises(SchemaError, match="tag 5 of its own"):
        tagged(Numbered)
    with pytest.raises(SchemaError, match="tag 'own' of its own"):
        MessageTypes(tag="type").add(1, Tagged, name="another")


def test_a_dict_that_holds_the_tag_itself_is_refused(name: str) -> None:
    codec = Codec(name, types=tagged(Typed, Ack))
    with pytest.raises(EncodeError, match="holds type, which is the tag"):
        codec.encode({"number": 1, "type": "Ack"})
