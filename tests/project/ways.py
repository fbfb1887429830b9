"""Which files a message passes on its way, as the interpreter sees it; docs/architecture.md has them.

    ./dev run python -m tests.project.ways

The message is not the first of its connection, so that only what every message costs is seen. The
other end is no part of it: a plain socket, another thread, or an embedded broker in one.
"""

import asyncio
import socket
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from gestalt.amq import Bus, connect
from gestalt.amq.embedded import ThreadedBroker
from gestalt.codecs import Codec, MessageTypes
from gestalt.net import Mti, StreamClient, StreamServer, Wire

types = MessageTypes()


@types.add(1)
@dataclass
class Position:
    """What is sent."""

    lat: float
    lon: float


CODEC = Codec("json", types=types)
WIRE = Wire(Mti(), CODEC)
POSITION = Position(-34.9, 138.6)
WARM = 3
"""How many messages go before."""

Steps = list[str]


@contextmanager
def watched(steps: Steps, part: str) -> Iterator[None]:
    """Note the files whose functions are called in this thread, each once, in order."""
    inside = f"/gestalt/{part}/"

    def note(frame: FrameType, event: str, _: object) -> None:
        _, found, file = frame.f_code.co_filename.partition(inside)
        if event == "call" and found and file not in steps:
            steps.append(file)

    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)


async def turns() -> None:
    """Let the event loop write what is to be written."""
    for _ in range(3):
        await asyncio.sleep(0)


async def send() -> Steps:
    """A client sends to a socket."""
    steps: Steps = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = StreamClient(f"tcp://127.0.0.1:{listener.getsockname()[1]}", WIRE)
        async with client:
            await client.wait_connected()
            other, _ = listener.accept()
            for _ in range(WARM):
                await client.send(POSITION)
                await turns()
            with watched(steps, "net"):
                await client.send(POSITION)
                await turns()
            other.close()
    return steps


async def receive(handler: Callable[[asyncio.Event], Callable[[Any], Any]]) -> Steps:
    """A server is sent something by a socket."""
    steps: Steps = []
    handled = asyncio.Event()
    async with StreamServer("tcp://127.0.0.1:0", WIRE, on_message=handler(handled)) as server:
        with socket.create_connection((server.address.host, server.address.port)) as other:
            for number in range(WARM + 1):
                handled.clear()
                with watched(steps if number == WARM else [], "net"):
                    other.sendall(WIRE.encode(POSITION))
                    steps.clear()
                    await handled.wait()
    return steps


def plain(handled: asyncio.Event) -> Callable[[Any], None]:
    """A handler that waits for nothing."""
    return lambda _: handled.set()


def asynchronous(handled: asyncio.Event) -> Callable[[Any], Awaitable[None]]:
    """A handler that is a coroutine."""

    async def handle(_: Any) -> None:
        handled.set()

    return handle


@asynccontextmanager
async def bus() -> AsyncIterator[tuple[Bus, str]]:
    """A bus, and the URL of its broker, which runs in another thread."""
    with ThreadedBroker() as broker:
        async with connect(broker.url, codec=CODEC) as made:
            yield made, broker.url


def elsewhere(url: str, ask: Callable[[Bus], Awaitable[Any]]) -> None:
    """Do something with another bus, in a thread of its own."""

    async def run() -> None:
        async with connect(url, codec=CODEC) as other:
            await ask(other)

    threading.Thread(target=lambda: asyncio.run(run())).start()


async def publish() -> Steps:
    """A publisher publishes, until the broker has confirmed it."""
    steps: Steps = []
    async with bus() as (made, _):
        publisher = made.publisher("telemetry")
        for number in range(WARM + 1):
            with watched(steps if number == WARM else [], "amq"):
                await publisher.publish(POSITION, "vehicle.42")
    return steps


async def deliver() -> Steps:
    """A subscription is sent a message, until that is acknowledged."""
    steps: Steps = []
    handled = asyncio.Event()
    async with bus() as (made, url):
        await made.subscribe("telemetry", "#", plain(handled), queue="tracker")

        async def ask(other: Bus) -> None:
            await other.publisher("telemetry").publish(POSITION, "vehicle.42")

        for number in range(WARM + 1):
            handled.clear()
            elsewhere(url, ask)
            with watched(steps if number == WARM else [], "amq"):
                await handled.wait()
                await turns()
    return steps


async def request() -> Steps:
    """A requester makes a request, until it has the reply."""
    steps: Steps = []
    ready, over = threading.Event(), threading.Event()
    async with bus() as (made, url):

        async def serve(other: Bus) -> None:
            await other.respond("tracker", lambda _: POSITION)
            ready.set()
            await asyncio.to_thread(over.wait)

        elsewhere(url, serve)
        await asyncio.to_thread(ready.wait)
        requester = made.requester("tracker")
        for number in range(WARM + 1):
            with watched(steps if number == WARM else [], "amq"):
                await requester.request(POSITION)
        over.set()
    return steps


async def reply() -> Steps:
    """A responder is sent a request, until it has replied."""
    steps: Steps = []
    handled = asyncio.Event()
    async with bus() as (made, url):

        def locate(_: Any) -> Position:
            handled.set()
            return POSITION

        async def ask(other: Bus) -> None:
            await other.requester("tracker").request(POSITION)

        await made.respond("tracker", locate)
        for number in range(WARM + 1):
            handled.clear()
            elsewhere(url, ask)
            with watched(steps if number == WARM else [], "amq"):
                await handled.wait()
                await turns()
    return steps


WAYS: dict[str, Callable[[], Awaitable[Steps]]] = {
    "send": send,
    "receive, plain handler": lambda: receive(plain),
    "receive, async handler": lambda: receive(asynchronous),
    "publish": publish,
    "deliver": deliver,
    "request": request,
    "reply": reply,
}


def main() -> None:
    """Print the files of every way."""
    for name, way in WAYS.items():

        async def go(way: Callable[[], Awaitable[Steps]] = way) -> Steps:
            return await way()

        print(f"{name}: {', '.join(asyncio.run(go()))}")


if __name__ == "__main__":
    main()
