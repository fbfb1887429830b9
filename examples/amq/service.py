"""A service that is declared: `gestalt run service:bus` runs what this module says.

GESTALT_AMQP_URL names the broker, which is on this machine by default. Run by itself, the program
is a client of itself as well, and ends.
"""

import asyncio
import os
import sys
from dataclasses import dataclass
from typing import Any

from gestalt.amq import AmqError, BusMessage, Request, connect
from gestalt.codecs import Codec, MessageTypes
from gestalt.core import Call, Handlers, Message, handles

types = MessageTypes()


@types.add(1)
@dataclass
class Position:
    vehicle: str
    lat: float
    lon: float


@types.add(2)
@dataclass
class Locate:
    vehicle: str


@types.add(3)
@dataclass
class Forget:
    vehicle: str


class Positions:
    """What the service knows, and what it does when it is asked."""

    def __init__(self) -> None:
        self.known: dict[str, Position] = {}
        self.changed = asyncio.Event()

    def learn(self, position: Position) -> None:
        self.known[position.vehicle] = position
        self.changed.set()

    @handles(Locate)
    def locate(self, request: Request[Locate]) -> Position:
        return self.known[request.body.vehicle]

    @handles(Forget)
    def forget(self, request: Request[Forget]) -> Position:
        return self.known.pop(request.body.vehicle)


try:
    bus = connect(
        os.environ.get("GESTALT_AMQP_URL", "amqp://localhost"), codec=Codec("json", types=types)
    )
except ValueError as error:
    sys.exit(f"GESTALT_AMQP_URL: {error}")
positions = Positions()
handlers = Handlers(of=positions)


@handlers.use
async def told(message: Message[Any], call: Call) -> Any:
    """Around every request: tell of it, and of what it ends with."""
    try:
        answer = await call(message)
    except KeyError:
        print(f"{message.body}: not known")
        raise
    print(f"{message.body}: {answer}")
    return answer


bus.service("examples.positions", handlers, version="1.0")


@bus.subscriber("telemetry", "vehicle.*.position", queue="examples.positions")
async def track(message: BusMessage[Position]) -> None:
    positions.learn(message.body)


async def main() -> None:
    async with bus, asyncio.timeout(10):
        publisher = bus.publisher("telemetry", mandatory=True)
        await publisher.publish(Position("42", -34.9, 138.6), "vehicle.42.position")
        await positions.changed.wait()
        requester = bus.requester("examples.positions")
        located = await requester.request(Locate("42"))
        assert located == await requester.request(Forget("42"))


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except AmqError as error:
        sys.exit(f"GESTALT_AMQP_URL: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
