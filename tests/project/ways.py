"""Which files a message passes, as the interpreter sees it; docs/architecture.md has them.

    ./dev run python -m tests.project.ways            prints its table
    ./dev run python -m tests.project.ways --write    and writes it there

Only the files that each of several messages passes are told, without what comes of timers or of a
first message. The other end is no part of it: a plain socket, another thread, an embedded broker.
"""

import asyncio
import re
import socket
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
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


PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"
ROWS = re.compile(r"(?:^\| [\w, ]+ \| `.+\.py`.* \|\n){2,}", re.MULTILINE)
CODEC = Codec("json", types=types)
WIRE = Wire(Mti(), CODEC)
POSITION = Position(-34.9, 138.6)
FRAME = WIRE.encode(POSITION)
WARM, COUNT = 3, 5
"""How many messages go before, and how many are looked at."""

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


async def passed(part: str, once: Callable[[], Awaitable[Any]]) -> Steps:
    """Note the files that a message passes whenever there is one."""
    runs: list[Steps] = []
    for _ in range(WARM + COUNT):
        runs.append([])
        with watched(runs[-1], part):
            await once()
            # What is gathered in a turn of the event loop leaves at its end.
            for _ in range(3):
                await asyncio.sleep(0)
    *others, last = runs[WARM:]
    return [file for file in last if all(file in other for other in others)]


async def send() -> Steps:
    """A client sends to a socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with StreamClient(f"tcp://127.0.0.1:{listener.getsockname()[1]}", WIRE) as client:
            await client.wait_connected()
            with listener.accept()[0]:
                return await passed("net", lambda: client.send(POSITION))


async def receive(handler: Callable[[asyncio.Event], Callable[[Any], Any]]) -> Steps:
    """A server is sent something by a socket."""
    handled = asyncio.Event()
    async with StreamServer("tcp://127.0.0.1:0", WIRE, on_message=handler(handled)) as server:
        with socket.create_connection((server.address.host, server.address.port)) as other:

            async def once() -> None:
                handled.clear()
                other.sendall(FRAME)
                await handled.wait()

            return await passed("net", once)


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


class Elsewhere:
    """Another bus, in a thread of its own.

    Args:
        url: the broker's.
        ask: what to do with it, each time that it is called.
        begin: what to do first.
    """

    def __init__(
        self,
        url: str,
        ask: Callable[[Bus], Awaitable[Any]],
        begin: Callable[[Bus], Awaitable[Any]] | None = None,
    ) -> None:
        self._url, self._ask, self._begin = url, ask, begin
        self._ready = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    async def __aenter__(self) -> Callable[[], None]:
        self._thread.start()
        await asyncio.to_thread(self._ready.wait)
        return self._go

    async def __aexit__(self, *_: object) -> None:
        self._over = True
        self._go()
        await asyncio.to_thread(self._thread.join)

    def _go(self) -> None:
        self._loop.call_soon_threadsafe(self._wake.set)

    async def _run(self) -> None:
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        async with connect(self._url, codec=CODEC) as other:
            if self._begin is not None:
                await self._begin(other)
            self._ready.set()
            while await self._wake.wait() and not self._over:
                self._wake.clear()
                await self._ask(other)


async def publish() -> Steps:
    """A publisher publishes, until the broker has confirmed it."""
    async with bus() as (made, _):
        publisher = made.publisher("telemetry")
        return await passed("amq", lambda: publisher.publish(POSITION, "vehicle.42"))


async def deliver() -> Steps:
    """A subscription is sent a message, until that is acknowledged."""
    handled = asyncio.Event()
    async with bus() as (made, url):
        await made.subscribe("telemetry", "#", plain(handled), queue="tracker")

        async def ask(other: Bus) -> None:
            await other.publisher("telemetry").publish(POSITION, "vehicle.42")

        async with Elsewhere(url, ask) as go:
            return await passed("amq", lambda: once(go, handled))


async def request() -> Steps:
    """A requester makes a request, until it has the reply."""

    async def serve(other: Bus) -> None:
        await other.respond("tracker", lambda _: POSITION)

    async def nothing(_: Bus) -> None:
        pass

    async with bus() as (made, url), Elsewhere(url, nothing, serve):
        requester = made.requester("tracker")
        return await passed("amq", lambda: requester.request(POSITION))


async def reply() -> Steps:
    """A responder is sent a request, until it has replied."""
    handled = asyncio.Event()
    async with bus() as (made, url):

        def locate(_: Any) -> Position:
            handled.set()
            return POSITION

        async def ask(other: Bus) -> None:
            await other.requester("tracker").request(POSITION)

        await made.respond("tracker", locate)
        async with Elsewhere(url, ask) as go:
            return await passed("amq", lambda: once(go, handled))


async def once(go: Callable[[], None], handled: asyncio.Event) -> None:
    """Have something sent from elsewhere, and wait for it."""
    handled.clear()
    go()
    await handled.wait()


WAYS: dict[str, Callable[[], Coroutine[Any, Any, Steps]]] = {
    "send": send,
    "receive, plain handler": lambda: receive(plain),
    "receive, async handler": lambda: receive(asynchronous),
    "publish": publish,
    "deliver": deliver,
    "request": request,
    "reply": reply,
}


def table() -> str:
    """The rows of the page's table."""
    rows = (
        f"| {name} | {', '.join(f'`{file}`' for file in asyncio.run(way()))} |\n"
        for name, way in WAYS.items()
    )
    return "".join(rows)


if __name__ == "__main__":
    rows = table()
    print(rows, end="")
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(ROWS.sub(lambda _: rows, PAGE.read_text(), count=1))
