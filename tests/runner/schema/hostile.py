"""An application whose names and values are none that a document, a key or a terminal can have."""

import enum
from dataclasses import dataclass, field
from typing import Literal

from gestalt.codecs import Codec, MessageTypes
from gestalt.core import Group, Message
from gestalt.net import Mti, StreamServer, Wire

types = MessageTypes()


class Colour(enum.Enum):
    RED = "red\x1b[31m"
    BACKWARDS = "\u202ewardsback\x9b"


@dataclass
class Größe:
    metres: float = float("inf")
    default: "Größe | None" = None


@dataclass
class Knoten:
    size: Größe = field(default_factory=Größe)
    children: list["Knoten"] = field(default_factory=list)
    reference: Literal["#/$defs/X", "#/$defs/Knoten"] = "#/$defs/X"


@types.add(1)
@dataclass
class Position:
    node: Knoten
    colour: Colour = Colour.RED
    note: str = "\x7f\x85 \ud800"


@types.add(2)
@dataclass
class Status:
    text: str


codec = Codec("json", types=types)


def server(name: str, kind: type) -> StreamServer:
    async def take(message: Message[kind]) -> None: ...  # type: ignore[valid-type]

    return StreamServer("tcp://127.0.0.1:9000", Wire(Mti(), codec), on_message=take, name=name)


NAMES = ("a/b", "a b", "a-b", "温度", "湿度", "~1#/ x", "\x1b]0;x\x07", "a b")
SERVERS = [(name, (Position, Status)[number % 2]) for number, name in enumerate(NAMES)]
app = Group(*(server(*each) for each in SERVERS))
reordered = Group(*(server(*each) for each in reversed(SERVERS)))
