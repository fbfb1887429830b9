"""What type checkers are to say of `MessageTypes.add`: nothing, but where a line ends in `# error`.

Pyright takes a union of classes for a class; a SchemaError tells when it runs.
"""

from dataclasses import dataclass
from typing import TypedDict, assert_type

import msgspec

from gestalt.codecs import Avro, Codec, MessageTypes

types = MessageTypes(tag="type")


@types.add(1)
@dataclass
class Position:
    lat: float


@types.add(2, name="ack")
class Ack(msgspec.Struct):
    number: int


class Typed(TypedDict):
    number: int


@dataclass
class Later:
    number: int


assert_type(Position(1.5).lat, float)
assert_type(Ack(1).number, int)
assert_type(types.add(3, Later), type[Later])
assert_type(types.add(4, Avro("{}")), Avro)
types.add(5, Typed)
types.add(6, list[int])
types.add(7, int)
codec: Codec = Codec("json", types=types)

types.add(8, int | str)  # error of mypy
types.add(9, Position | Ack)  # error of mypy
types.add(10, Position(1.5))  # error
types.add(11, "Position")  # error
types.add("12", Later)  # error
types.add(13, Later, 14)  # error
MessageTypes("type")  # error
MessageTypes(tag=5)  # error
