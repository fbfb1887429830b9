"""`gestalt schema diff` tells what has changed, and for whom that breaks something."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.runner.schema.conftest import APP, Schema, Told, Write

OLD, NEW, PEERS = "old-readers", "new-readers", "peers"

STREAM = """
    from dataclasses import dataclass, field
    from typing import Literal, Optional
    from gestalt.codecs import Avro, Codec, MessageTypes
    from gestalt.core import Handlers, Message
    from gestalt.net import Delimited, LengthPrefix, Mti, StreamServer, Wire

    types = MessageTypes()

    @types.add(1)
    @dataclass
    class Position:
        vehicle: str
        lat: float
        kind: Literal["bus", "tram"] = "bus"

    @types.add(2)
    @dataclass
    class Status:
        text: str

    handlers = Handlers()

    @handlers.on(Position)
    def take(message): ...

    wire = Wire(Mti(), Codec("json", types=types))
    app = StreamServer("tcp://:9000", wire, on_message=handlers, name="gate")
"""

SERVICE = """
    from dataclasses import dataclass
    from collections.abc import AsyncIterator
    from gestalt.amq import Request, connect
    from gestalt.codecs import Codec, MessageTypes

    types = MessageTypes()

    @types.add(1)
    @dataclass
    class Ask:
        what: str

    @types.add(2)
    @dataclass
    class Price:
        cents: int

    @types.add(3)
    @dataclass
    class Refusal:
        why: str

    bus = connect("amqp://localhost", codec=Codec("json", types=types))
    app = bus

    @bus.responder("prices")
    async def price(request: Request[Ask]) -> Price: ...
"""


@pytest.fixture
def changes(schema: Schema, write: Write, tmp_path: Path) -> Any:
    """What has changed from an application to the same with some lines replaced."""

    def compare(text: str, *replaced: tuple[str, str], name: str = "app") -> list[tuple[str, str]]:
        assert schema("export", f"{write(text)}:{name}", "--output", "old.json").status == 0
        for old, new in replaced:
            assert old in text, old
            text = text.replace(old, new)
        told = schema("diff", "old.json", f"{write(text)}:{name}", "--json")
        found = told.json["changes"]
        assert told.json["compatible"] is not any(each["breaks"] for each in found)
        assert told.status == any(each["breaks"] for each in found), told.err
        return [(f"{each['where']}: {each['what']}", " ".join(each["breaks"])) for each in found]

    return compare


def field(line: str) -> tuple[str, str]:
    """A line in place of that of `lat`."""
    return "lat: float", line


CASES: dict[str, tuple[str, tuple[tuple[str, str], ...], list[tuple[str, str]]]] = {
    "nothing": (STREAM, (), []),
    "a required field": (
        STREAM,
        (field("lat: float\n        lon: float"),),
        [("message Position: lon: a required field is added", NEW)],
    ),
    "beside a field that may be anything": (
        STREAM.replace("lat: float", "lat: float; more: Any").replace(
            "import Literal", "import Any, Literal"
        ),
        (field("lat: int"),),
        [("message Position: lat: it was number, and is integer", NEW)],
    ),
    "an optional field": (
        STREAM,
        (("Literal[", "Literal["), ('= "bus"', '= "bus"\n        lon: float = 0.0')),
        [("message Position: lon: an optional field is added", "")],
    ),
    "a field less": (
        STREAM,
        (("        lat: float\n", ""),),
        [("message Position: lat: the field is removed", OLD)],
    ),
    "a narrower type": (
        STREAM,
        (field("lat: int"),),
        [("message Position: lat: it was number, and is integer", NEW)],
    ),
    "a wider type": (
        STREAM,
        (field("lat: Optional[float]"),),
        [("message Position: lat: it may now be null", OLD)],
    ),
    "another type": (
        STREAM,
        (field("lat: str"),),
        [("message Position: lat: it was number, and is string", f"{OLD} {NEW}")],
    ),
    "a default": (
        STREAM,
        (field("lat: float = 0.0"),),
        [("message Position: lat: it may be missing now", OLD)],
    ),
    "a member of an enumeration less": (
        STREAM,
        (('Literal["bus", "tram"]', 'Literal["bus"]'),),
        [("message Position: kind: the value 'tram' is removed", NEW)],
    ),
    "a member of an enumeration more": (
        STREAM,
        (('Literal["bus", "tram"]', 'Literal["bus", "tram", "train"]'),),
        [("message Position: kind: the value 'train' is added", OLD)],
    ),
    "another type id": (
        STREAM,
        (("add(1)", "add(5)"),),
        [("message Position: its type id was 1, and is 5", f"{OLD} {NEW}")],
    ),
    "a type id for another message": (
        STREAM,
        (("class Status", "class State"),),
        [
            ("message State: type id 2 stood for Status, and stands for State", f"{OLD} {NEW}"),
            ("message Status: it is not sent any more", NEW),
            ("message State: it is new, and may be sent", OLD),
        ],
    ),
    "another framing": (
        STREAM,
        (("Wire(Mti(),", 'Wire(Mti(byteorder="little"),'),),
        [("channel gate: byteorder of the framing was 'big', and is 'little'", PEERS)],
    ),
    "smaller frames": (
        STREAM,
        (("Wire(Mti(),", "Wire(Mti(max_size=1000),"),),
        [("channel gate: a frame had up to 1,048,576 bytes, and has up to 1,000", NEW)],
    ),
    "another format": (
        STREAM,
        (('Codec("json"', 'Codec("msgpack"'),),
        [
            (
                f"message {name}: its content type was application/json, and is "
                "application/msgpack",
                f"{OLD} {NEW}",
            )
            for name in ("Position", "Status")
        ],
    ),
    "compression": (
        STREAM,
        (("types=types)", 'types=types, compress="deflate")'),),
        [
            (
                "channel gate: a payload begins with the byte that tells of compression now",
                PEERS,
            )
        ],
    ),
    "another name of a channel": (
        STREAM,
        (('name="gate"', 'name="door"'),),
        [
            ("channel gate: nothing is received there any more", PEERS),
            ("channel gate: nothing is sent there any more", PEERS),
            ("channel door: it is new: Position is received there", ""),
            ("channel door: it is new: Status is sent there", ""),
        ],
    ),
    "one more type that is received": (
        STREAM,
        (("@handlers.on(Position)", "@handlers.on(Position, Status)"),),
        [
            ("message Status: it is new, and received", ""),
            ("message Position: it is new, and may be sent", OLD),
        ],
    ),
    "a narrower pattern": (
        APP,
        (("vehicle.*.position", "vehicle.42.position"),),
        [
            ("channel telemetry vehicle.*.position: nothing is received there any more", PEERS),
            ("channel telemetry vehicle.42.position: it is new: Position is received there", ""),
        ],
    ),
    "a wider pattern": (
        APP,
        (("vehicle.*.position", "vehicle.#"),),
        [
            (
                "channel telemetry vehicle.*.position: its messages are received by telemetry "
                "vehicle.# now",
                "",
            ),
            ("channel telemetry vehicle.#: it is new: Position is received there", ""),
        ],
    ),
    "another queue": (
        APP,
        (('queue="tracker"', 'queue="other"'),),
        [
            (
                "channel telemetry vehicle.*.position: the queue 'tracker' is consumed no more: "
                "what waits in it is not handled",
                PEERS,
            )
        ],
    ),
    "another type id where names tell types": (
        APP,
        (("add(1)", "add(7)"),),
        [("message Position: its type id was 1, and is 7", "")],
    ),
    "another name of a type": (
        APP,
        (("Position", "Location"),),
        [
            ("message Position: it is not received any more", NEW),
            ("message Location: it is new, and received", ""),
        ],
    ),
    "another reply": (
        SERVICE,
        (("-> Price", "-> Refusal"),),
        [
            ("reply to Ask, message Price: it is not sent any more", NEW),
            ("reply to Ask, message Refusal: it is new, and may be sent", OLD),
        ],
    ),
    "a stream of replies": (
        SERVICE,
        (("-> Price: ...", "-> AsyncIterator[Price]:\n        yield Price(1)"),),
        [("reply to Ask: it is a stream now", PEERS)],
    ),
    "a field of a reply": (
        SERVICE,
        (("cents: int", "cents: int\n        currency: str"),),
        [("message Price: currency: a required field is added", NEW)],
    ),
    "another service": (
        SERVICE,
        (('"prices"', '"offers"'),),
        [
            ("service prices: requests are not answered there any more", PEERS),
            ("service offers: it is new: Ask is received there", ""),
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_change_is_told_with_those_for_whom_it_breaks(changes: Any, case: str) -> None:
    text, replaced, expected = CASES[case]
    found = changes(text, *replaced, name="bus" if "bus =" in text else "app")
    assert sorted(found) == sorted(expected)


AVRO = """
    from gestalt.codecs import Avro, Codec, MessageTypes
    from gestalt.net import Mti, StreamServer, Wire

    def record(*fields):
        return {"type": "record", "name": "Reading", "doc": "old", "fields": [
            {"name": name, "type": "int", "default": 0} for name in fields]}

    types = MessageTypes()
    types.add(1, Avro(record("a")))
    app = StreamServer("tcp://:1", Wire(Mti(), Codec("avro", types=types)), on_message=print,
                       name="gate")
"""


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ('record("a"', []),
        ('{**record("a"), "doc": "new"}', []),
        ('record("a", "b"', [("message Reading: the schema has changed", f"{OLD} {NEW}")]),
        (
            'record("a", "b"), accepts=[record("a")]',
            [("message Reading: the schema has changed", OLD)],
        ),
    ],
)
def test_an_avro_reader_takes_the_schemas_that_it_accepts(
    changes: Any, new: str, expected: list[tuple[str, str]]
) -> None:
    new = new if new.endswith(("]", "}")) else new + ")"
    assert changes(AVRO, ('Avro(record("a"))', f"Avro({new})")) == expected


PROTO = """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    from gestalt.codecs import Codec, MessageTypes
    from gestalt.net import Mti, StreamServer, Wire

    file = descriptor_pb2.FileDescriptorProto(name="a.proto", package="acme", syntax="proto3")
    mode = file.enum_type.add(name="Mode")
    for name, number in [("OFF", 0), ("ON", 1)]:
        mode.value.add(name=name, number=number)
    message = file.message_type.add(name="Reading")
    T = descriptor_pb2.FieldDescriptorProto
    message.field.add(name="value", number=1, type=T.TYPE_INT32, label=T.LABEL_OPTIONAL)
    message.field.add(name="names", number=2, type=T.TYPE_STRING, label=T.LABEL_REPEATED)
    message.field.add(name="mode", number=3, type=T.TYPE_ENUM, type_name=".acme.Mode",
                      label=T.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    cls = message_factory.GetMessageClass(pool.FindMessageTypeByName("acme.Reading"))
    types = MessageTypes()
    types.add(1, cls)
    app = StreamServer("tcp://:1", Wire(Mti(), Codec("protobuf", types=types)), on_message=print,
                       name="gate")
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("TYPE_INT32", "TYPE_INT64", [("value: it was int32, and is int64", "")]),
        (
            "TYPE_INT32",
            "TYPE_SINT32",
            [("value: it was int32, and is sint32", f"{OLD} {NEW}")],
        ),
        ('name="value"', 'name="amount"', [("value: it is called 'amount' now", "")]),
        (
            "LABEL_REPEATED",
            "LABEL_OPTIONAL",
            [("names: it is a single value now", f"{OLD} {NEW}")],
        ),
        (
            "number=2",
            "number=4",
            [("names: the field 2 is removed", ""), ("names: a field 4 is added", "")],
        ),
        ('("ON", 1)', '("ON", 1), ("AUTO", 2)', [("mode: the value AUTO = 2 is added", "")]),
        (
            '[("OFF", 0), ("ON", 1)]',
            '[("ON", 0), ("OFF", 1)]',
            [
                ("mode: the value 0 was OFF, and is ON", f"{OLD} {NEW}"),
                ("mode: the value 1 was ON, and is OFF", f"{OLD} {NEW}"),
            ],
        ),
    ],
)
def test_protobuf_is_compared_by_the_numbers_of_fields(
    changes: Any, old: str, new: str, expected: list[tuple[str, str]]
) -> None:
    found = changes(PROTO, (old, new))
    assert found == [(f"message acme.Reading: {text}", breaks) for text, breaks in expected]


def test_the_text_of_a_proto_file_is_one_that_its_compiler_takes(
    schema: Schema, write: Write
) -> None:
    document = schema("export", f"{write(PROTO)}:app").json
    text = document["components"]["messages"]["acme.Reading"]["payload"]["schema"]
    assert text == (
        'syntax = "proto3";\n\npackage acme;\n\nenum Mode {\n  OFF = 0;\n  ON = 1;\n}\n\n'
        "message Reading {\n  int32 value = 1;\n  repeated string names = 2;\n"
        "  .acme.Mode mode = 3;\n}\n"
    )


@pytest.fixture
def files(schema: Schema, write: Write) -> None:
    """An old document, and a new one, in which new readers cannot read old messages."""
    assert schema("export", f"{write()}:bus", "--output", "old.json").status == 0
    more = APP.replace("lat: float", "lat: float\n        lon: float")
    assert schema("export", f"{write(more)}:bus", "--output", "new.yaml").status == 0


@pytest.mark.usefixtures("files")
def test_people_are_told_what_breaks_and_where(schema: Schema) -> None:
    told = schema("diff", "old.json", "new.yaml")
    assert told.status == 1
    assert told.out == (
        "Incompatible:\n\n"
        "  message Position: lon: a required field is added\n"
        "    breaks  new readers of old messages\n"
        "    on      telemetry vehicle.*.position\n\n"
        "1 incompatible change, no compatible changes.\n"
    )
    assert schema("diff", "old.json", "old.json").out == "Nothing has changed.\n"


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(("fail_on", "status"), [("any", 1), (NEW, 1), (OLD, 0), (PEERS, 0)])
def test_it_can_be_said_whose_trouble_is_an_error(
    schema: Schema, fail_on: str, status: int
) -> None:
    told = schema("diff", "old.json", "new.yaml", "--fail-on", fail_on)
    assert told.status == status
    assert ("(allowed here)" in told.out) is (status == 0)
    assert ("1 of the incompatible ones is allowed here." in told.out) is (status == 0)
    told = schema("diff", "old.json", "new.yaml", "--fail-on", fail_on, "--json")
    assert (told.json["compatible"], told.json["failed"]) == (False, bool(status))


@pytest.mark.usefixtures("files")
def test_the_old_document_may_come_by_stdin(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(Path("old.json").read_text()))
    assert schema("diff", "-", "new.yaml").status == 1


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "name two documents"),
        (("old.json",), "name two documents"),
        (("gone.json", "old.json"), "gone.json cannot be read"),
        (("old.json", "old.json", "old.json"), "compare two documents"),
        (("broken.json", "old.json"), "broken.json is no JSON"),
        (("list.json", "old.json"), "list.json is no document of AsyncAPI"),
        (("two.json", "old.json"), "two.json is a document of AsyncAPI 2.6.0"),
        (("shapeless.json", "old.json"), "shapeless.json is malformed: operations are objects"),
        (("typeless.json", "old.json"), "cannot be compared, one is malformed: "),
        (("old.json", "nowhere:bus"), "there is no module 'nowhere'"),
        (("old.json", "old.json", "--fail-on", "nobody"), "must be one of"),
    ],
)
def test_wrong_use_is_told_and_ends_by_2(
    schema: Schema, arguments: tuple[str, ...], reason: str
) -> None:
    Path("broken.json").write_text("{")
    Path("list.json").write_text("[]")
    Path("two.json").write_text('{"asyncapi": "2.6.0"}')
    Path("shapeless.json").write_text('{"asyncapi": "3.0.0", "operations": [1]}')
    operation = {"action": "receive", "channel": 5}
    typeless = {"asyncapi": "3.0.0", "operations": {"a": operation}}
    Path("typeless.json").write_text(json.dumps(typeless))
    told: Told = schema("diff", *arguments)
    assert told.status == 2
    assert re.search(rf"gestalt schema diff: error: .*{re.escape(reason)}", told.err, re.DOTALL)


def test_a_document_of_others_is_compared_as_far_as_it_goes(schema: Schema, tmp_path: Path) -> None:
    document: dict[str, Any] = {
        "asyncapi": "3.0.0",
        "info": {"title": "x", "version": "1"},
        "channels": {"a/b": {"address": "a", "messages": {"M": {"payload": {"type": "integer"}}}}},
        "operations": {"get": {"action": "receive", "channel": {"$ref": "#/channels/a~1b"}}},
    }
    (tmp_path / "1.json").write_text(json.dumps(document))
    document["channels"]["a/b"]["messages"]["M"]["payload"] = {"type": "string"}
    (tmp_path / "2.json").write_text(json.dumps(document))
    told = schema("diff", str(tmp_path / "1.json"), str(tmp_path / "2.json"))
    assert told.status == 1
    assert "it was integer, and is string" in told.out


def test_channels_are_known_by_their_names_where_their_keys_are_alike(
    schema: Schema, tmp_path: Path
) -> None:
    old = str(tmp_path / "old.json")
    schema("export", "tests.runner.schema.hostile:app", "--output", old)
    told = schema("diff", old, "tests.runner.schema.hostile:reordered")
    assert told.out == "Nothing has changed.\n"


def test_each_choice_of_one_kind_is_compared(schema: Schema, write: Write) -> None:
    text = """
        from typing import Union
        import pydantic
        from gestalt.codecs import Codec, MessageTypes
        from gestalt.net import Mti, StreamServer, Wire

        types = MessageTypes()

        @types.add(1)
        class Values(pydantic.BaseModel):
            values: Union[list[int], list[str]]

        async def take(message): ...

        wire = Wire(Mti(), Codec("json", types=types))
        app = StreamServer("tcp://:9000", wire, on_message=take, name="gate")
    """
    former, present = write(text), write(text.replace("list[int]", "list[float]"))
    told = schema("diff", f"{former}:app", f"{present}:app")
    assert "values[*]: it was integer, and is number" in told.out
    assert told.status == 1
