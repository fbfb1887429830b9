"""A service that knows where vehicles are: requests, errors, and a stream of replies, on RabbitMQ.

GESTALT_AMQP_URL names the broker; without it, the embedded one serves.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

from gestalt.amq import AmqError, NoResponder, RemoteError, Request, connect
from gestalt.amq.embedded import EmbeddedBroker
from gestalt.codecs import Codec, MessageTypes
from gestalt.core import Handlers

types = MessageTypes()
handlers = Handlers()


@types.add(1)
@dataclass
class Locate:
    vehicle: str


@types.add(2)
@dataclass
class Follow:
    vehicle: str


@types.add(3)
@dataclass
class Position:
    lat: float
    lon: float


TRACKS = {"42": [Position(-34.9, 138.6), Position(-34.8, 138.7), Position(-34.7, 138.8)]}


@handlers.on(Locate)
async def locate(request: Request[Locate]) -> Position:
    return TRACKS[request.body.vehicle][-1]


@handlers.on(Follow)
async def follow(request: Request[Follow]) -> AsyncIterator[Position]:
    for position in TRACKS[request.body.vehicle]:
        yield position


async def main() -> None:
    async with AsyncExitStack() as stack:
        url = os.environ.get("GESTALT_AMQP_URL")
        if url is None:
            url = (await stack.enter_async_context(EmbeddedBroker(port=0))).url
        bus = await stack.enter_async_context(connect(url, codec=Codec("json", types=types)))

        await bus.respond("tracker", handlers, version="1.0")
        tracker = bus.requester("tracker", timeout=2.0)

        print(await tracker.request(Locate("42")))
        async for position in tracker.stream(Follow("42")):
            print(f"then {position.lat}")
        try:
            await tracker.request(Locate("43"))
        except RemoteError as error:
            print(f"refused: {error.remote_type}")
        (info,) = await tracker.info(count=1)
        print(f"{info.service} {info.version}: {', '.join(info.handlers)}")
        try:
            await bus.requester("harbour").request(Locate("7"))
        except NoResponder as error:
            print(error)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (AmqError, ValueError) as error:
        sys.exit(f"GESTALT_AMQP_URL: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
