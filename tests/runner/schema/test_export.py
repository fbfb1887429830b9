"""`gestalt schema export` tells what an application exchanges, and starts nothing for it."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gestalt.runner.schema.definitions import Definitions
from tests.runner.schema.conftest import Schema, Write

EVERYTHING = "tests.runner.schema.everything:app"


@pytest.fixture
def document(schema: Schema) -> dict[str, Any]:
    return schema("export", EVERYTHING).json


def names(document: dict[str, Any], references: list[dict[str, str]]) -> list[str]:
    """The names of messages."""
    found = []
    for each in references:
        _, _, channel, _, key = each["$ref"].split("/")
        reference = document["channels"][channel]["messages"][key]["$ref"]
        found.append(document["components"]["messages"][reference.rpartition("/")[2]]["name"])
    return found


def messages(document: dict[str, Any], operation: str) -> list[str]:
    return names(document, document["operations"][operation].get("messages", []))


def test_a_subscription_is_told_with_its_exchange_its_pattern_and_its_types(
    schema: Schema, write: Write
) -> None:
    document = schema("export", f"{write()}:bus").json
    assert list(document["operations"]) == ["receive-tracker-vehicle.one.position"]
    (operation,) = document["operations"].values()
    assert operation["action"] == "receive"
    assert operation["description"] == "Keeps where each vehicle is."
    assert messages(document, "receive-tracker-vehicle.one.position") == ["Position"]
    channel = document["channels"]["telemetry.vehicle.one.position"]
    assert channel["address"] == "vehicle.*.position"
    assert channel["bindings"]["amqp"]["exchange"]["name"] == "telemetry"
    assert document["components"]["messages"]["Position"]["x-gestalt-type-id"] == 1
    position = document["components"]["schemas"]["Position"]
    assert position["required"] == ["vehicle", "lat"]


def test_a_broker_is_told_without_its_user_and_its_password(schema: Schema, write: Write) -> None:
    told = schema("export", f"{write()}:bus")
    server = {"host": "broker:5673", "protocol": "amqp", "pathname": "/tracks"}
    assert told.json["servers"] == {"bus": server}
    assert "secret" not in told.out
    assert "user" not in told.out


def test_parts_are_told_in_their_order_wherever_they_are_held(document: dict[str, Any]) -> None:
    received = [key for key in document["operations"] if key.startswith("receive-")]
    ends = ["receive-server", "receive-client", "receive-plain", "receive-fixed"]
    assert [key for key in received if key in ends] == ends
    assert "receive-deep" in received


def test_types_with_a_handler_are_received_and_the_others_may_be_sent(
    document: dict[str, Any],
) -> None:
    assert messages(document, "receive-server") == ["Position", "Stop"]
    sent = messages(document, "send-server")
    assert sent[:3] == ["Route", "Ticket", "Note"]
    assert not {"Position", "Stop"} & set(sent)


def test_a_table_of_type_ids_over_a_wire_without_a_codec_is_told_by_them(
    document: dict[str, Any],
) -> None:
    assert messages(document, "receive-plain") == ["bytes 7", "bytes 9"]


def test_a_note_says_what_is_sent_and_by_which_keys(document: dict[str, Any]) -> None:
    for key in ("position", "last"):
        operation = f"send-telemetry.vehicle.one.{key}"
        assert messages(document, operation) == ["Position"]
        assert document["channels"][f"telemetry.vehicle.one.{key}"]["address"] == f"vehicle.*.{key}"
    bindings = document["operations"]["send-telemetry.vehicle.one.last"]["bindings"]
    assert bindings["amqp"]["deliveryMode"] == 1


def test_a_service_has_an_operation_for_each_handler_with_its_reply(
    document: dict[str, Any],
) -> None:
    single = document["operations"]["serve-tickets-Position"]
    assert messages(document, "serve-tickets-Position") == ["Position"]
    assert names(document, single["reply"]["messages"]) == ["Stop"]
    assert single["reply"]["x-gestalt-streamed"] is False
    assert single["description"] == "Where the next stop is."
    stream = document["operations"]["serve-tickets-Stop"]["reply"]
    assert names(document, stream["messages"]) == ["Ticket"]
    assert stream["x-gestalt-streamed"] is True


def test_a_request_is_told_with_what_may_answer_it(document: dict[str, Any]) -> None:
    operation = document["operations"]["request-prices"]
    assert operation["action"] == "send"
    assert messages(document, "request-prices") == ["Stop"]
    assert names(document, operation["reply"]["messages"]) == ["Ticket"]
    assert operation["reply"]["address"] == {"location": "$message.header#/replyTo"}


def test_what_both_ends_have_to_agree_about_is_told_of_a_channel(document: dict[str, Any]) -> None:
    client = document["channels"]["client"]
    assert client["x-gestalt-framing"]["name"] == "Delimited"
    assert client["x-gestalt-framing"]["delimiter"] == "\r\n"
    assert client["x-gestalt-compression"] == "deflate"
    assert client["x-gestalt-tagged"] is True
    assert client["x-gestalt-identified-by"] == "tag"
    assert document["channels"]["server"]["x-gestalt-identified-by"] == "type-id"
    assert document["channels"]["both-requests"]["x-gestalt-accepts"] == [
        "application/json",
        "application/msgpack",
        "application/vnd.msgpack",
        "application/x-msgpack",
        "text/json",
    ]


def test_nothing_is_started_and_what_modules_print_is_no_part_of_the_document(
    schema: Schema, write: Write
) -> None:
    module = write("""
        import asyncio
        from gestalt.net import Mti, StreamServer, Wire
        print("hello")
        class Server(StreamServer):
            async def _open(self):
                raise AssertionError
        def make():
            print("made")
            return Server("tcp://127.0.0.1:0", Wire(Mti()), on_message=print, name="it")
    """)
    told = schema("export", f"{module}:make")
    assert list(told.json["operations"]) == ["receive-it", "send-it"]
    assert told.err == "hello\nmade\n"


def test_the_children_of_a_supervisor_are_told_also_where_functions_make_them(
    schema: Schema, write: Write
) -> None:
    module = write("""
        from gestalt.core import Supervisor
        from gestalt.net import Mti, StreamServer, Wire
        def make():
            return StreamServer("tcp://127.0.0.1:0", Wire(Mti()), on_message=print, name="made")
        app = Supervisor(make, StreamServer("unix:///x", Wire(Mti()), on_message=print, name="one"))
    """)
    assert {"receive-made", "receive-one"} <= set(
        schema("export", f"{module}:app").json["operations"]
    )


def test_two_endpoints_of_one_name_are_two_channels(schema: Schema, write: Write) -> None:
    module = write("""
        from gestalt.core import Group
        from gestalt.net import Mti, Raw, StreamServer, Wire
        app = Group(
            StreamServer("unix:///a", Wire(Mti()), on_message=print),
            StreamServer("unix:///b", Wire(Raw()), on_message=print),
        )
    """)
    channels = schema("export", f"{module}:app").json["channels"]
    assert list(channels) == ["StreamServer", "StreamServer-2"]


def test_an_application_may_describe_what_it_does_itself(schema: Schema, write: Write) -> None:
    module = write("""
        from gestalt.core import Component
        from gestalt.core.contracts import Channel, MessageShape, Operation, describes
        class Bridge(Component):
            @describes
            def _frames(self):
                shape = MessageShape(name="frame", schema={"type": "string"})
                can = Channel(name="can0", address="can0", facts={"bitrate": 500000})
                yield Operation(action="send", name="send frames", channel=can, messages=[shape])
            async def _open(self): ...
            async def _close(self): ...
        app = Bridge()
    """)
    document = schema("export", f"{module}:app").json
    assert document["channels"]["can0"]["x-gestalt-bitrate"] == 500000
    assert messages(document, "send-frames") == ["frame"]


def test_title_and_version_can_be_said(schema: Schema, write: Write) -> None:
    target = f"{write()}:bus"
    assert schema("export", target).json["info"] == {"title": "bus", "version": "0.0.0"}
    told = schema("export", target, "--title", "Tracker", "--api-version", "2.1")
    assert told.json["info"] == {"title": "Tracker", "version": "2.1"}


def test_targets_may_stand_in_pyproject_toml(schema: Schema, write: Write, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(f'[tool.gestalt]\ntargets = ["{write()}:bus"]\n')
    assert schema("export").json["info"]["title"] == "bus"


def test_the_end_of_the_name_of_the_output_says_the_format(
    schema: Schema, write: Write, tmp_path: Path
) -> None:
    target = f"{write()}:bus"
    for name, begin in (("a.json", "{\n"), ("a.yaml", "asyncapi: 3.0.0\n"), ("a.md", "# bus\n")):
        told = schema("export", target, "--output", name)
        assert (told.status, told.out) == (0, "")
        assert (tmp_path / name).read_text().startswith(begin)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("MODULE:main", "is an async function: what it makes is not known before it runs"),
        ("MODULE:types", "got an object of type MessageTypes"),
        ("MODULE:Part", "give an instance of it"),
        ("MODULE:number", "must make a component to be described, and made an object of type int"),
        ("MODULE:later", "returns an awaitable"),
        ("MODULE:quiet", "there is nothing to describe"),
        ("MODULE:broken", "broken: no message without a channel"),
        ("MODULE:early", "is not known before: "),
        ("MODULE:late", "'late' makes its child 'main' by an async function"),
        ("MODULE:nothing", "has no attribute 'nothing'"),
        ("nowhere:bus", "there is no module 'nowhere'"),
        ("app.py", "names a file"),
    ],
)
def test_a_wrong_target_is_told(schema: Schema, write: Write, target: str, reason: str) -> None:
    module = write("""
        from gestalt.amq.embedded import EmbeddedBroker
        from gestalt.codecs import MessageTypes
        from gestalt.core import Component, Supervisor, Timer
        from gestalt.core.contracts import describes
        types = MessageTypes()
        async def main(): ...
        class Part(Component):
            async def _open(self): ...
            async def _close(self): ...
        class Broken(Part):
            @describes
            def _it(self):
                raise ValueError("no message without a channel")
        def number(): return 1
        def later(): return main()
        quiet = Timer.every(1, print)
        broken = Broken(name="broken")
        broker = EmbeddedBroker()
        def needs(): return broker.url
        early = Supervisor(needs)
        late = Supervisor(main, name="late")
    """)
    told = schema("export", target.replace("MODULE", module))
    assert told.status == 2
    assert told.out == ""
    assert reason in told.err.replace("'broken', a Broken, exchanges cannot be told:", "broken:")
    assert "Traceback" not in told.err


def test_an_error_of_the_application_is_shown_with_its_traceback(
    schema: Schema, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    told = schema("export", f"{write('import gestalt.nowhere')}:bus")
    assert told.status == 2
    assert "ModuleNotFoundError" in caplog.text
    told = schema("export", f"{write('import sys; sys.exit(chr(65) * 3)')}:bus")
    assert told.status == 2
    assert "AAA" in told.err
    told = schema("export", f"{write('import sys; sys.exit(3)')}:bus")
    assert told.status == 2
    assert "the module ends the process" in told.err
    told = schema("export", f"{write('def make(): return 1 / 0')}:make")
    assert told.status == 2
    assert "ZeroDivisionError" in told.err


def test_without_a_word_what_to_do_it_says_what_there_is(schema: Schema) -> None:
    assert "say what to do: export, diff" in schema().err
    told = schema("export")
    assert told.status == 2
    assert "name a target, as in 'gestalt schema export app:bus'" in told.err


def test_what_cannot_be_written_is_told(
    schema: Schema, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = f"{write()}:bus"
    told = schema("export", target, "--output", ".")
    assert told.status == 2
    assert "the document cannot be written: " in told.err
    monkeypatch.setitem(sys.modules, "yaml", None)
    told = schema("export", target, "--format", "yaml")
    assert told.status == 2
    assert "pip install 'gestalt-runner[schema]'" in told.err.replace("\n", " ")


def test_data_beside_the_application_are_not_searched_for_ever(
    schema: Schema, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gestalt.runner.schema.finding.MOST", 1000)
    target = f"{write()}:bus"
    assert schema("export", target).status == 0
    sys.modules[target.removesuffix(":bus")].bus.data = [[number] for number in range(1000)]
    told = schema("export", target)
    assert told.status == 2
    assert "holds more than 1,000 objects" in told.err.replace("\n", " ")


def test_what_was_logged_is_no_part_of_an_application(
    schema: Schema, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gestalt.runner.schema.finding.MOST", 1000)
    keeper = logging.NullHandler()
    vars(keeper)["kept"] = [[number] for number in range(1000)]
    monkeypatch.setattr(logging.getLogger(), "handlers", [keeper])
    assert schema("export", f"{write()}:bus").status == 0


def test_a_handler_may_use_what_is_made_later(schema: Schema, write: Write) -> None:
    module = write("""
        from gestalt.net import Raw, StreamServer, Wire
        def app():
            def take(message):
                return later
            return StreamServer("tcp://:1", Wire(Raw()), on_message=take, name="gate")
            later = 1
    """)
    assert list(schema("export", f"{module}:app").json["channels"]) == ["gate"]


def test_a_type_that_cannot_be_described_is_named(schema: Schema, write: Write) -> None:
    module = write("""
        from gestalt.codecs import Codec, MessageTypes
        from gestalt.net import Mti, StreamServer, Wire
        class Odd:
            def __init__(self, x: "nowhere"): ...
        types = MessageTypes()
        types.add(1, dict[str, "Nowhere"], name="Odd")
        app = StreamServer("unix:///a", Wire(Mti(), Codec(types=types)), on_message=print)
    """)
    told = schema("export", f"{module}:app")
    assert told.status == 2
    assert "Odd cannot be described" in told.err


def test_an_application_that_runs_imports_nothing_of_this(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "import json, sys\n"
        "from gestalt.amq import connect\n"
        "from gestalt.net import DatagramEndpoint, StreamClient, StreamServer\n"
        "async def main():\n"
        "    print(json.dumps(sorted(sys.modules)))\n"
    )
    command = [sys.executable, "-m", "gestalt.runner", "run", "app:main"]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    loaded = set(json.loads(done.stdout))
    assert "gestalt.core.describing" in loaded
    found = {name for name in loaded if "contracts" in name or "gestalt.runner.schema" in name}
    assert found == set()


class Cat(msgspec.Struct, tag=True):
    lives: int


class Dog(msgspec.Struct, tag=True):
    tricks: int


def test_a_union_names_the_field_that_tells_its_members_as_asyncapi_does() -> None:
    definitions = Definitions()
    told = definitions.add(msgspec.json.schema(Cat | Dog))
    assert told["discriminator"] == "type"
    assert told["anyOf"] == [{"$ref": f"#/components/schemas/{name}"} for name in ("Cat", "Dog")]
    assert set(definitions.schemas) == {"Cat", "Dog"}
