"""Types are described as their codec reads and writes them."""

import enum
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypedDict

import attrs
import jsonschema
import pytest

from gestalt.codecs import Avro, Codec, Codecs, DecodeError, MessageTypes, SchemaError
from gestalt.codecs.contracts import facts_of, shapes_of

msgspec = pytest.importorskip("msgspec")
pydantic = pytest.importorskip("pydantic")
pytest.importorskip("google.protobuf")
pytest.importorskip("fastavro")


class Color(enum.Enum):
    RED = "red"


@dataclass
class Leg:
    to: str


class Model(pydantic.BaseModel):
    whence: str = pydantic.Field(alias="from")
    legs: list[Leg] = []  # noqa: RUF012 - pydantic copies it


class Tree(pydantic.BaseModel):
    left: "Tree | None" = None


@dataclass
class Plain:
    """Has a docstring."""

    name: str
    color: Color = Color.RED
    legs: list[Leg] = field(default_factory=list)


@dataclass
class Mixed:
    model: Model


@attrs.define
class Attributes:
    name: str
    numbers: dict[str, int] = attrs.Factory(dict)


class Struct(msgspec.Struct, array_like=True):
    price: Annotated[int, msgspec.Meta(ge=0)]
    zone: Literal["a", "b"] = "a"


class Dictionary(TypedDict, total=False):
    text: str


VALUES: list[tuple[Any, Any, list[Any]]] = [
    (Plain, Plain("x", legs=[Leg("y")]), [{}, {"name": 1}, {"name": "x", "color": "blue"}]),
    (Mixed, Mixed(Model(**{"from": "x"})), [{}, {"model": {"whence": "x"}}]),
    (
        Attributes,
        Attributes("x", {"a": 1}),
        [{"numbers": {}}, {"name": "x", "numbers": {"a": "b"}}],
    ),
    (Struct, Struct(3, "b"), [{}, [], [-1], [1, "c"]]),
    (Dictionary, {"text": "x"}, [{"text": 1}, []]),
    (Model, Model(**{"from": "x", "legs": [Leg("y")]}), [{}, {"whence": "x"}]),
    (Tree, Tree(left=Tree()), [{"left": 1}]),
    (list[int], [1, 2], [{}, ["x"]]),
]


@pytest.mark.parametrize(("cls", "value", "refused"), VALUES, ids=lambda each: str(each)[:20])
def test_a_schema_takes_what_the_codec_writes_and_refuses_what_it_refuses(
    cls: Any, value: Any, refused: list[Any]
) -> None:
    types = MessageTypes()
    types.add(1, cls, name="It")
    codec = Codec("json", types=types)
    (shape,) = shapes_of(codec)
    validator = jsonschema.Draft202012Validator(shape.schema)
    assert validator.is_valid(json.loads(codec.encode(value).body))
    for each in refused:
        with pytest.raises(DecodeError):
            codec.decode(json.dumps(each).encode(), type_id=1)
        assert not validator.is_valid(each), each


def test_a_tag_is_a_field_of_the_body() -> None:
    types = MessageTypes(tag="kind")
    types.add(1, Plain)
    types.add(2, Model)
    codec = Codec("json", types=types)
    plain, model = shapes_of(codec)
    for shape, value in ((plain, Plain("x")), (model, Model(**{"from": "x"}))):
        body = json.loads(codec.encode(value).body)
        validator = jsonschema.Draft202012Validator(shape.schema)
        assert validator.is_valid(body)
        assert not validator.is_valid({**body, "kind": "Other"})
        assert not validator.is_valid({name: body[name] for name in body if name != "kind"})
        assert shape.facts["tag"] == "kind"


def test_the_description_is_the_docstring_that_somebody_wrote() -> None:
    types = MessageTypes()
    types.add(1, Plain)
    types.add(2, Leg)
    plain, leg = shapes_of(Codec("json", types=types))
    assert (plain.description, leg.description) == ("Has a docstring.", "")


def test_classes_stand_for_their_subclasses_and_numbers_for_themselves() -> None:
    class Special(Plain):
        pass

    types = MessageTypes()
    for number, cls in ((3, Special), (1, Plain), (2, Leg)):
        types.add(number, cls)
    codec = Codec("json", types=types)
    named: Callable[..., list[str]] = lambda keys: [each.name for each in shapes_of(codec, keys)]  # noqa: E731
    assert named(None) == ["Plain", "Leg", "Special"]
    assert named([Plain]) == ["Plain", "Special"]
    assert named([2]) == ["Leg"]
    assert named([bytes]) == ["Plain", "Leg", "Special"]  # which says nothing of this codec


def test_a_codec_without_types_says_what_its_format_says() -> None:
    for serializer, schema in (("json", {}), ("text", {"type": "string"})):
        (shape,) = shapes_of(Codec(serializer))
        assert (shape.name, shape.schema, shape.type_id) == (serializer, schema, None)


PROTO2 = """
name: "a.proto" package: "acme"
message_type {
  name: "Reading"
  field { name: "number" number: 1 label: LABEL_REQUIRED type: TYPE_INT32 }
  field { name: "text" number: 2 label: LABEL_OPTIONAL type: TYPE_STRING default_value: "\\"b\\"" }
  field { name: "data" number: 3 label: LABEL_OPTIONAL type: TYPE_BYTES default_value: "\\\\000" }
  field { name: "level" number: 4 label: LABEL_OPTIONAL type: TYPE_DOUBLE default_value: "inf" }
  field { name: "steps" number: 5 label: LABEL_REPEATED type: TYPE_INT32 options { packed: true } }
  field {
    name: "place" number: 6 label: LABEL_REPEATED type: TYPE_GROUP type_name: ".acme.Reading.Place"
  }
  nested_type {
    name: "Place"
    field { name: "x" number: 7 label: LABEL_OPTIONAL type: TYPE_INT32 default_value: "5" }
  }
}
"""
PROTO2_TEXT = """\
syntax = "proto2";

package acme;

message Reading {
  required int32 number = 1;
  optional string text = 2 [default = "\\"b\\""];
  optional bytes data = 3 [default = "\\000"];
  optional double level = 4 [default = inf];
  repeated int32 steps = 5 [packed = true];
  repeated group Place = 6 {
    optional int32 x = 7 [default = 5];
  }
}
"""
EDITION = """
name: "b.proto" package: "acme" syntax: "editions" edition: EDITION_2023
options { features { field_presence: IMPLICIT } }
enum_type {
  name: "Mode" value { name: "OFF" number: 0 } options { features { enum_type: CLOSED } }
}
message_type {
  name: "Reading"
  field { name: "number" number: 1 label: LABEL_OPTIONAL type: TYPE_INT32 }
  field {
    name: "mode" number: 2 label: LABEL_OPTIONAL type: TYPE_ENUM type_name: ".acme.Mode"
    options { features { field_presence: EXPLICIT } }
  }
  field {
    name: "below" number: 3 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".acme.Reading"
    options { features { message_encoding: DELIMITED } }
  }
}
"""
EDITION_TEXT = """\
edition = "2023";

package acme;

option features.field_presence = IMPLICIT;

enum Mode {
  option features.enum_type = CLOSED;
  OFF = 0;
}

message Reading {
  int32 number = 1;
  .acme.Mode mode = 2 [features.field_presence = EXPLICIT];
  .acme.Reading below = 3 [features.message_encoding = DELIMITED];
}
"""


@pytest.mark.parametrize(
    ("described", "text"), [(PROTO2, PROTO2_TEXT), (EDITION, EDITION_TEXT)], ids=["2", "edition"]
)
def test_the_text_of_a_proto_file_says_all_that_readers_have_to_know(
    described: str, text: str
) -> None:
    from google.protobuf import descriptor_pb2, descriptor_pool, text_format

    from gestalt.codecs.contracts.protobuf import proto_of

    file = text_format.Parse(described, descriptor_pb2.FileDescriptorProto())
    pool = descriptor_pool.DescriptorPool()
    kept = descriptor_pb2.FileDescriptorProto()
    try:
        pool.AddSerializedFile(file.SerializeToString())
        pool.FindFileByName(file.name).CopyToProto(kept)
    except TypeError:
        if file.syntax != "editions":
            raise
    if file.syntax == "editions" != kept.syntax:
        pytest.skip("this protobuf has no editions yet")
    assert proto_of(pool.FindMessageTypeByName("acme.Reading")) == text


PLACE = """
name: "place.proto" package: "geo"
message_type { name: "Place" }
"""
TRIP = """
name: "trip.proto" dependency: "place.proto"
message_type {
  name: "Trip"
  field { name: "number" number: 1 label: LABEL_REQUIRED type: TYPE_INT32 }
  field { name: "to" number: 2 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".geo.Place" }
  field { name: "leg" number: 3 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".Trip.Leg" }
  field { name: "mode" number: 4 label: LABEL_OPTIONAL type: TYPE_ENUM type_name: ".Mode" }
  nested_type { name: "Leg" }
}
enum_type {
  name: "Mode" value { name: "OFF" number: 0 } value { name: "NONE" number: 0 }
  options { allow_alias: true }
}
"""
TRIP_TEXT = """\
syntax = "proto2";

import "place.proto";

enum Mode {
  option allow_alias = true;
  OFF = 0;
  NONE = 0;
}

message Trip {
  message Leg {
  }
  required int32 number = 1;
  optional .geo.Place to = 2;
  optional .Trip.Leg leg = 3;
  optional .Mode mode = 4;
}
"""


def test_a_proto_file_without_a_package_imports_what_is_of_others() -> None:
    from google.protobuf import descriptor_pb2, descriptor_pool, text_format

    from gestalt.codecs.contracts.protobuf import facts_of_message, proto_of

    pool = descriptor_pool.DescriptorPool()
    for text in (PLACE, TRIP):
        file = text_format.Parse(text, descriptor_pb2.FileDescriptorProto())
        pool.AddSerializedFile(file.SerializeToString())
    trip = pool.FindMessageTypeByName("Trip")
    assert proto_of(trip) == TRIP_TEXT
    fields = facts_of_message(trip)["messages"]["Trip"]
    assert fields["1"] == {"name": "number", "type": "int32", "required": True}
    assert "required" not in fields["2"]


class Spoken(pydantic.BaseModel):
    word: str

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> dict[str, Any]:
        return {"type": "string"}


def test_a_model_that_describes_itself_as_no_object_has_no_place_for_a_tag() -> None:
    types = MessageTypes(tag="type")
    types.add(1, Spoken)
    with pytest.raises(SchemaError, match="Spoken has no place for the tag 'type'"):
        shapes_of(Codec("json", types=types))


class Foreign:
    """What no format makes."""


def test_a_class_that_no_format_makes_is_told_by_its_name() -> None:
    @dataclass
    class Holder:
        foreign: Foreign

    types = MessageTypes()
    types.add(1, Holder)
    (shape,) = shapes_of(Codec("json", types=types))
    assert shape.schema["$defs"]["Holder"]["properties"] == {"foreign": {"title": "Foreign"}}


def test_avro_and_protobuf_have_schemas_of_their_own() -> None:
    from google.protobuf.timestamp_pb2 import Timestamp

    record = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]}
    types = MessageTypes()
    types.add(1, Avro(record, into=Leg))
    types.add(2, Timestamp)
    avro, protobuf = shapes_of(Codec("json", types=types))
    assert (avro.schema, avro.schema_format) == (
        record,
        "application/vnd.apache.avro;version=1.9.0",
    )
    assert avro.content_type == "avro/binary"
    assert protobuf.schema_format == "application/vnd.google.protobuf;version=3"
    assert "message Timestamp {\n  int64 seconds = 1;\n  int32 nanos = 2;\n}" in protobuf.schema
    assert protobuf.facts["protobuf"]["message"] == "google.protobuf.Timestamp"


def test_what_both_ends_agree_about_is_told_of_all_codecs() -> None:
    first = Codec("json", compress="zlib", accept_types=["+json"], max_size=10)
    assert facts_of(first) == {
        "compression": "deflate",
        "accepts-compression": ["deflate"],
        "accepts": ["+json", "application/json", "text/json"],
        "max-size": 10,
    }
    both = facts_of(Codecs(first, Codec("text", accept=["gzip"], max_size=20)))
    assert both["accepts-compression"] == ["deflate", "gzip"]
    assert "text/plain" in both["accepts"]
    assert both["max-size"] == 20
