"""What an application's data holds is in no error, no cause or note of one, and no log record."""

import asyncio
import functools
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from io import StringIO
from typing import Any, Literal

import msgspec
import pydantic
import pytest

from gestalt.amq import Queue, Retry, connect
from gestalt.amq.embedded import ThreadedBroker
from gestalt.codecs import Avro, Codec, MessageTypes
from gestalt.core import Batch, Handlers, Message, Timer
from gestalt.net import (
    Address,
    DatagramEndpoint,
    Delimited,
    LengthPrefix,
    Mti,
    Netstring,
    StreamClient,
    StreamServer,
    Wire,
)
from tests.support.waiting import QUICK, until

# No name, so that it is not taken for one: names are told.
CANARY = "cnry-0123456789-" + "8642" * 3
BYTES = CANARY.encode()


class Unsendable:
    """What no format carries; its repr shows what it holds."""

    def __repr__(self) -> str:
        return f"Unsendable({CANARY})"


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError(CANARY)


class Color(Enum):
    RED = "red"


@dataclass
class Record:
    number: int
    color: Color = Color.RED


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    number: int


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    number: int
    kind: Literal["a", "b"] = "a"


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]


class Owner(pydantic.BaseModel):
    pet: Cat | Dog = pydantic.Field(discriminator="kind")


@dataclass
class Holder:
    owner: Owner


AVRO = {
    "type": "record",
    "name": "Record",
    "fields": [
        {"name": "number", "type": "int"},
        {"name": "word", "type": ["null", "long"], "default": None},
    ],
}


def typed(serializer: str, cls: Any, tag: str | None = None) -> Codec:
    types = MessageTypes(tag=tag)
    types.add(1, cls, name="Record")
    return Codec(serializer, types=types)


def encoding() -> Iterator[tuple[str, Callable[[], object]]]:
    for name in ("bytes", "text", "json", "msgpack", "yaml"):
        for label, value in {
            "object": {CANARY: CANARY, "inner": [CANARY, Unsendable()]},
            "unprintable": [CANARY, Unprintable()],
            "key": {"inner": {(CANARY, Unsendable()): CANARY}},
            "surrogate": {CANARY: f"{CANARY}\ud800"},
            "integer": [CANARY, 1 << 70, Unsendable()],
            "deep": functools.reduce(lambda inner, _: [inner], range(5000), CANARY),
        }.items():
            yield f"encode {name} {label}", functools.partial(Codec(name).encode, value)
    small = Codec(max_size=10)
    yield "encode max_size", lambda: small.encode(CANARY)
    yield "encode max_values", lambda: Codec(max_values=3).encode([CANARY] * 10)
    for name in ("json", "msgpack", "yaml"):
        for cls in (Record, Strict):
            wrong = cls(Unsendable())  # type: ignore[arg-type]
            yield f"encode {name} {cls.__name__}", functools.partial(typed(name, cls).encode, wrong)
        model = Model.model_construct(number=CANARY)
        yield f"encode {name} Model", functools.partial(typed(name, Model).encode, model)
        yield f"encode {name} class", functools.partial(typed(name, Strict).encode, CANARY)
    avro = typed("avro", Avro(AVRO))
    for value in ({"number": CANARY}, {"number": 1, "word": CANARY}, {"number": 1 << 80}, CANARY):
        yield "encode avro", functools.partial(avro.encode, value)


def decoding() -> Iterator[tuple[str, Callable[[], object]]]:
    texts = {
        "end": f'{{"number": "{CANARY}',
        "trailing": f'{{"number": 1}}, {CANARY}',
        "words": CANARY + ": [",
        "alias": f"- &a {CANARY}\n- *{CANARY}",
        "tag": f"!{CANARY} {CANARY}",
        "bytes": f"{CANARY}\xff: \x00",
    }
    for name in ("text", "json", "msgpack", "yaml"):
        for label, text in texts.items():
            yield (
                f"decode {name} {label}",
                functools.partial(Codec(name).decode, text.encode("latin-1")),
            )
    for label, value in {
        "type": {"number": CANARY},
        "enum": {"number": 1, "color": CANARY, "kind": CANARY},
        "field": {"number": 1, CANARY: CANARY},
        "tag": {"type": CANARY, "number": 1},
        "other": {"type": "Other", "number": CANARY},
        "union": {"pet": {"kind": CANARY}, "owner": {"pet": {"kind": CANARY}}},
    }.items():
        for name in ("json", "msgpack", "yaml"):
            body = Codec(name).encode(value).body
            for cls in (Record, Strict, Model, Owner, Holder):
                yield (
                    f"decode {name} {label} {cls.__name__}",
                    functools.partial(typed(name, cls).decode, body),
                )
            tagged = typed(name, Record, "type")
            yield f"decode {name} {label} tag", functools.partial(tagged.decode, body)
    for kind in ("gzip", "zstd", "lz4", "snappy", "br", "bzip2", "xz"):
        codec = Codec("text", compress=kind)
        yield f"decompress {kind}", functools.partial(codec.decode, BYTES, content_encoding=kind)
    yield "decode max_size", lambda: Codec("text", max_size=10).decode(BYTES)
    yield "decode avro", lambda: typed("avro", Avro(AVRO)).decode(BYTES)
    yield (
        "decode charset",
        lambda: Codec("text").decode(BYTES + b"\xff", content_type="text/plain; charset=utf-16"),
    )


def arguments() -> Iterator[tuple[str, Callable[[], object]]]:
    secretive: Any = functools.partial(print, CANARY)
    odd: Any = Unsendable()
    yield "handlers", lambda: Handlers()(Message({"a": CANARY}, source="x"))
    yield "reply", lambda: asyncio.run(Message([CANARY]).reply(CANARY))
    yield "register", lambda: Handlers().register(int, odd)
    yield "use", lambda: Handlers().use(secretive)
    yield "batch", lambda: Batch(size=odd)
    yield "timer", lambda: Timer(1, secretive, on_error=odd)
    for url in (
        f"tcp://user:{CANARY}@host:1",
        f"tcp://user:{CANARY}@host",
        f"ftp://{CANARY}@host:1",
        f"tcp://host:1?token={CANARY}",
        f"tcp://host:1#{CANARY}",
        f"tcp://host:{CANARY}",
        f"tcp://us\uff20er:{CANARY}@ho\u2100st:1",
    ):
        yield f"address {url[:6]}", functools.partial(Address.parse, url, ("tcp", "udp"))
    for url in (
        f"amqp://user:{CANARY}@host:port",
        f"http://user:{CANARY}@host",
        f"amqp://user:{CANARY}@host/vhost?{CANARY}=1",
        f"amqp://user:{CANARY}@host?heartbeat={CANARY}",
    ):
        yield f"url {url[:6]}", functools.partial(connect, url)
    yield "credentials", lambda: connect("amqp://h", credentials=("u", CANARY))  # type: ignore[arg-type]
    yield "retry", lambda: Retry(unless=(odd,))
    yield "queue", lambda: Queue("q", arguments={"x-max-length": odd})
    yield "key", lambda: StreamServer("tcp://127.0.0.1:0", Mti(), on_message=print, key=odd)
    yield "handler", lambda: StreamServer("tcp://127.0.0.1:0", Mti(), on_messages=odd)
    for framing in (Netstring(max_size=10), Delimited(b"-", max_size=10), LengthPrefix(1)):
        wire = Wire(framing, Codec("text"))
        yield f"wire {framing}", functools.partial(wire.encode, CANARY * 9)
    yield "type id", lambda: Wire(Mti(), Codec("text")).encode(CANARY, odd)


CASES = [*encoding(), *decoding(), *arguments()]


def leaks(error: BaseException) -> bool:
    return CANARY in "".join(traceback.format_exception(error)) or CANARY in repr(error)


def test_what_data_holds_is_in_no_error() -> None:
    told, refused = [], 0
    for label, call in CASES:
        try:
            call()
        except Exception as error:
            refused += 1
            if leaks(error):
                told.append((label, str(error)))
    assert told == []
    assert refused > 200  # few of the others fit by chance


@pytest.fixture
def log() -> Iterator[StringIO]:
    """All that is logged, tracebacks included, down to the level DEBUG."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.setLevel(level)
    root.removeHandler(handler)


def fail(message: Message[Any]) -> None:
    if isinstance(message.body, bytes):
        message.body.decode()
    raise LookupError("a handler failed")


async def test_what_peers_send_is_in_no_error_and_no_log(log: StringIO) -> None:
    errors: list[BaseException] = []
    wire = Wire(Mti(), Codec("json"))
    address = "tcp://127.0.0.1:0"
    async with (
        StreamServer(address, wire, on_message=fail) as logging_server,
        StreamServer(address, wire, on_message=fail, on_error=errors.append) as server,
        StreamServer(address, Wire(Mti()), on_message=fail, on_error=errors.append) as raw,
        StreamServer(address, Wire(Netstring()), on_message=fail, on_error=errors.append) as framed,
        DatagramEndpoint("udp://127.0.0.1:0", wire, on_message=fail) as udp,
    ):
        for target in (logging_server, server, raw):
            async with StreamClient(str(target.address), Wire(Mti()), backoff=QUICK) as client:
                for payload in (json.dumps({"a": CANARY}).encode(), b"{" + BYTES, BYTES + b"\xff"):
                    await client.send(payload, type_id=1)
                    with pytest.raises(Exception, match=r"\w") as caught:
                        await client.send(Unsendable(), type_id=1)
                    errors.append(caught.value)
        reader, writer = await asyncio.open_connection(framed.address.host, framed.address.port)
        writer.write(BYTES)
        assert await reader.read() == b""
        writer.close()
        async with DatagramEndpoint(None, Wire(Mti()), peer=str(udp.address)) as sender:
            for payload in (BYTES, json.dumps([CANARY]).encode()):
                await sender.send(payload, type_id=1)
            await until(lambda: "DatagramEndpoint" in log.getvalue() and len(errors) > 12)
    assert [error for error in errors if leaks(error)] == []
    assert log.getvalue().count("a handler failed") >= 1
    assert CANARY not in log.getvalue()


async def test_what_messages_of_a_bus_hold_is_in_no_error_and_no_log(log: StringIO) -> None:
    errors: list[BaseException] = []
    asked = 0

    def credentials() -> tuple[str, str]:
        nonlocal asked
        asked += 1
        if asked < 2:
            raise ValueError(CANARY)
        return "guest", "guest"

    with ThreadedBroker() as broker:
        bus = connect(broker.url, credentials=credentials, backoff=QUICK)
        once = Retry(attempts=1)
        bus.subscription("e", "typed", fail, queue="typed", codec=typed("json", Record))
        bus.subscription("e", "plain", fail, queue="plain", retry=once)
        bus.service("service", fail)
        async with bus:
            publisher = bus.publisher("e")
            for body, options in (
                (Unsendable(), {}),
                ([CANARY], {"headers": {"token": Unsendable()}}),
                ([CANARY], {"headers": {"token": f"{CANARY}\ud800"}}),
                ([CANARY], {"headers": {CANARY * 20: 1}}),
                ([CANARY], {"headers": CANARY}),
                ([CANARY], {"headers": {"CC": CANARY}}),
                ([CANARY], {"correlation_id": CANARY * 20}),
                ([CANARY], {"expiration": CANARY}),
                ([CANARY], {"priority": CANARY}),
                ([CANARY], {"timestamp": CANARY}),
            ):
                with pytest.raises(Exception, match=r"\w") as caught:
                    await publisher.publish(body, routing_key="plain", **options)  # type: ignore[arg-type]
                errors.append(caught.value)
            for queue in ("typed", "plain"):
                headers = {"token": CANARY}
                await publisher.publish({"number": CANARY}, routing_key=queue, headers=headers)
            requester = bus.requester("service")
            for value in (CANARY, Unsendable()):
                with pytest.raises(Exception, match=r"\w") as caught:
                    await requester.request(value)
                errors.append(caught.value)
            await until(lambda: log.getvalue().count("parked in") >= 2)
    assert [error for error in errors if leaks(error)] == []
    assert "credentials (" in log.getvalue()
    assert CANARY not in log.getvalue()
