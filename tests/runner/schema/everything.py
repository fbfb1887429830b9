"""An application that exchanges messages in every way that there is."""

import enum
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypedDict

import attrs
import msgspec
import pydantic
from google.protobuf.struct_pb2 import Struct
from google.protobuf.type_pb2 import Type

from gestalt.amq import BusBatch, Exchange, Partitioned, Queue, Request, connect
from gestalt.codecs import Avro, Codec, Codecs, MessageTypes
from gestalt.core import Batch, Call, Component, Group, Handlers, Message
from gestalt.core.describing import note
from gestalt.net import (
    DatagramEndpoint,
    Delimited,
    LengthPrefix,
    Mti,
    Raw,
    StreamClient,
    StreamServer,
    Wire,
)

types = MessageTypes()
tagged = MessageTypes(tag="kind")


class Color(enum.Enum):
    RED = "red"
    GREEN = "green"


@types.add(1)
@dataclass
class Position:
    """Where a vehicle is.

    It is sent once a second.
    """

    vehicle: str
    lat: float
    color: Color = Color.RED


class Leg(pydantic.BaseModel):
    to: str = pydantic.Field(alias="destination")


@types.add(2)
class Route(pydantic.BaseModel):
    legs: list[Leg]
    after: "Route | None" = None


@types.add(3)
@attrs.define
class Stop:
    name: str
    lines: dict[str, int] = attrs.Factory(dict)


@types.add(4)
class Ticket(msgspec.Struct):
    price: Annotated[int, msgspec.Meta(ge=0)]
    zone: Literal["a", "b"]
    raw: bytes = b""
    leg: Leg | None = None


@types.add(5)
class Note(TypedDict, total=False):
    text: str


types.add(6, Struct)
types.add(7, Type, name="Kind")
types.add(
    8,
    Avro(
        {
            "type": "record",
            "name": "Reading",
            "namespace": "acme",
            "doc": "What a sensor says.",
            "fields": [{"name": "value", "type": ["null", "double"], "default": None}],
        }
    ),
)
types.add(9, list[int], name="Numbers")
tagged.add(1, Position)
tagged.add(2, Stop)

WIRE = Wire(Mti(), Codec("json", types=types))

table = Handlers()


@table.use
async def around(message: Message[Any], call: Call) -> Any:
    return await call(message)


@table.on(Position)
def locate(request: Request[Position]) -> Stop:
    """Where the next stop is."""
    return Stop(request.body.vehicle)


@table.on(Stop)
async def lines(request: Request[Stop]) -> AsyncGenerator[Ticket, None]:
    yield Ticket(1, "a")


class Holder(Component):
    """Holds an endpoint that nobody else knows of."""

    def __init__(self) -> None:
        super().__init__()
        self._deep = {"of": [StreamClient("unix:///run/x.sock", Wire(Raw()), name="deep")]}

    async def _open(self) -> None: ...

    async def _close(self) -> None: ...


def take(message: Message[Position | Stop]) -> None: ...


async def take_batch(batch: BusBatch[Ticket]) -> None: ...


def app() -> Group:
    server = StreamServer("tcp://[::]:9000", WIRE, on_message=take, name="server")
    note(server, title="All of it", description="As *told* here.")
    line = Wire(Delimited(b"\r\n"), Codec("json", types=tagged, compress="deflate"))
    client = StreamClient("tls://host:9001", line, on_message=take, name="client")
    numbers = Handlers()
    numbers.on(7, 9)(take)
    plain = DatagramEndpoint("udp://:9002", Wire(Mti()), on_message=numbers, name="plain")
    fixed = DatagramEndpoint(None, Wire(LengthPrefix(size=2)), peer="udp://host:9003", name="fixed")
    bus = connect(["amqp://a:b@one/x", "amqps://two"], codec=Codec("msgpack", types=types))
    bus.subscription("telemetry", ["vehicle.#", "*.status"], take, queue="tracker")
    bus.subscription("events", "#", take_batch, queue=Partitioned("parts", 4), codec=None)
    bus.subscription(
        Exchange("heads", "headers"), "", take, queue=Queue("log", "stream"),
        bind_arguments={"x-match": "all", "kind": "a"}, batch=None,
    )  # fmt: skip
    bus.subscription("events", "#", take_batch, queue="batched", batch=Batch(10, within=1.0))
    bus.subscription("all", "#", take)
    bus.service("tickets", table, version="2", description="Sells tickets.")
    bus.service("both", print, codec=[Codec("json", types=types), Codec("msgpack", types=types)])
    publisher, same = (bus.publisher("telemetry", persistent=False) for _ in range(2))
    for each in (publisher, same):
        note(each, sends=[Position], keys=["vehicle.*.position", "vehicle.*.last"])
    other = bus.publisher(Exchange("hashed", "x-consistent-hash"), codec=Codec("text"))
    default = bus.publisher("", codec=Codec("bytes"))
    requester = bus.requester("prices")
    note(requester, sends=[Stop], receives=[Ticket])
    group = Group(server, client, Holder(), plain, fixed, bus)
    group.senders = publisher, other, default, requester, same  # type: ignore[attr-defined]
    return group


__all__ = ["Codecs", "app"]
