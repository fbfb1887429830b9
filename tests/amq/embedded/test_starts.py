"""A start or stop of the broker that comes to nothing, in whatever turn, leaves nothing behind."""

import asyncio
import contextlib
import gc
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gestalt.amq.embedded import EmbeddedBroker, Settings, ThreadedBroker
from gestalt.amq.wire import PROTOCOL_HEADER
from gestalt.core import State, StateError
from tests.support import mutual_tls
from tests.support.wire_client import WireClient

TURNS = 12
KINDS = ("plain", "name", "tls")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="descriptors are read from /proc")


def descriptors() -> dict[str, str]:
    """What is open, by its number."""
    found = {}
    for each in Path("/proc/self/fd").iterdir():
        # The one of this folder is gone by now.
        with contextlib.suppress(FileNotFoundError):
            found[each.name] = str(each.readlink())
    return found


def maker(kind: str, broker: Callable[..., Any]) -> Callable[[], Any]:
    """Returns what makes a broker of this kind, at one port all the time."""
    settings = Settings(tls=mutual_tls.server_context()) if kind == "tls" else None
    with ThreadedBroker() as first:
        port = first.port
    host = "localhost" if kind == "name" else "127.0.0.1"
    return lambda: broker(host, port, settings, stop_timeout=0.2)


@pytest.fixture
async def loop_in_use() -> None:
    """What is opened once and for all is open: uvloop does so for its first connection."""
    async with EmbeddedBroker(stop_timeout=0) as broker:
        (await asyncio.to_thread(WireClient, broker.url)).socket.close()


@contextlib.asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """Asserts that what was opened meanwhile is closed, and that no task is left."""
    before, tasks = descriptors(), asyncio.all_tasks()
    yield
    for _ in range(100):
        gc.collect()
        if len(descriptors()) <= len(before) and asyncio.all_tasks() <= tasks:
            break
        await asyncio.sleep(0.01)
    left = {number: what for number, what in descriptors().items() if before.get(number) != what}
    assert len(descriptors()) <= len(before), left
    assert asyncio.all_tasks() <= tasks


async def end(how: str, ongoing: "asyncio.Task[None]", broker: EmbeddedBroker) -> None:
    """Cancels what is going on, or stops the broker meanwhile; and sees to it that it has ended."""
    if how == "cancel":
        ongoing.cancel()
        await asyncio.wait([ongoing])
    await broker.stop()
    await asyncio.gather(ongoing, return_exceptions=True)
    # In the first turn, a start had not begun.
    await broker.stop()
    assert broker.state is not State.RUNNING


@pytest.mark.usefixtures("loop_in_use")
@pytest.mark.parametrize("how", ["stop", "cancel"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_start_that_is_ended_leaves_nothing(kind: str, how: str) -> None:
    make = maker(kind, EmbeddedBroker)
    async with nothing_left():
        for turn in range(TURNS):
            broker = make()
            starting = asyncio.create_task(broker.start())
            for _ in range(turn):
                await asyncio.sleep(0)
            await end(how, starting, broker)
            # It can be started again, at once and at the same port.
            async with broker:
                pass


@pytest.mark.usefixtures("loop_in_use")
@pytest.mark.parametrize("how", ["stop", "cancel"])
async def test_a_start_at_a_port_that_is_taken_leaves_nothing(how: str) -> None:
    make = maker("plain", EmbeddedBroker)
    async with nothing_left():
        for turn in range(TURNS):
            broker = make()
            async with make() as other:
                starting = asyncio.create_task(broker.start())
                for _ in range(turn):
                    await asyncio.sleep(0)
                await end(how, starting, broker)
                error = f"cannot listen on 127.0.0.1 port {other.port}: address already in use"
                with pytest.raises(OSError, match=error):
                    await broker.start()
            async with broker:
                pass


@pytest.mark.usefixtures("loop_in_use")
async def test_an_address_that_is_none_is_named() -> None:
    async with nothing_left():
        with pytest.raises(socket.gaierror, match=r"cannot listen on no-such-host\.invalid port 0"):
            await EmbeddedBroker("no-such-host.invalid").start()
    for port in (-1, 65_536):
        with pytest.raises(ValueError, match="port must be from 0 to 65535"):
            ThreadedBroker(port=port)


class Proactor(asyncio.SelectorEventLoop):
    """Refuses to watch sockets, as the default event loop of Windows does."""

    def add_reader(self, *_: Any) -> None:
        raise NotImplementedError


def test_an_event_loop_that_watches_no_sockets_is_named() -> None:
    async def main() -> None:
        async with nothing_left():
            with pytest.raises(RuntimeError, match=r"Proactor.*asyncio\.SelectorEventLoop"):
                await EmbeddedBroker().start()

    with asyncio.Runner(loop_factory=lambda: loop_for(Proactor)) as runner:
        runner.run(main())


def loop_for(kind: type[asyncio.SelectorEventLoop]) -> asyncio.AbstractEventLoop:
    """Makes a loop that refuses to watch sockets, but for the one that it wakes up by."""
    loop = asyncio.SelectorEventLoop()
    loop.__class__ = kind
    return loop


# With clients


def connected(kind: str, port: int, stage: int) -> socket.socket:
    """A client in the midst of its beginning, further with each stage, that does not wait."""
    sock: socket.socket = socket.create_connection(("127.0.0.1", port), 5)
    sock.setblocking(False)
    if kind == "tls" and stage:
        context = mutual_tls.client_context()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        with contextlib.suppress(ssl.SSLWantReadError):
            client.do_handshake()
        hello = outgoing.read()
        sock.sendall(hello[: len(hello) // 2] if stage == 1 else hello)
    elif stage:
        sock.sendall(PROTOCOL_HEADER[: 4 * stage])
    return sock


@pytest.mark.usefixtures("loop_in_use")
@pytest.mark.parametrize("stage", [0, 1, 2])
@pytest.mark.parametrize("how", ["stop", "cancel"])
@pytest.mark.parametrize("kind", ["plain", "tls"])
async def test_a_stop_ends_clients_that_have_just_come(kind: str, how: str, stage: int) -> None:
    make = maker(kind, EmbeddedBroker)
    async with nothing_left():
        for turn in range(TURNS):
            async with make() as broker:
                clients = [connected(kind, broker.port, stage) for _ in range(3)]
                for _ in range(turn):
                    await asyncio.sleep(0)
                stopping = asyncio.create_task(broker.stop())
                for _ in range(turn if how == "cancel" else 0):
                    await asyncio.sleep(0)
                await end(how, stopping, broker)
                assert broker.state is State.STOPPED
            for client in clients:
                await hung_up_on(client)


async def hung_up_on(client: socket.socket) -> None:
    """Waits until the other side has ended the connection."""
    loop = asyncio.get_running_loop()
    with client, contextlib.suppress(ConnectionError):
        async with asyncio.timeout(5):
            while await loop.sock_recv(client, 65_536):
                pass


@pytest.mark.usefixtures("loop_in_use")
@pytest.mark.parametrize("turn", range(TURNS))
async def test_a_stop_that_is_cancelled_ends_clients_that_are_connected(turn: int) -> None:
    make = maker("plain", EmbeddedBroker)
    async with nothing_left():
        broker = make()
        await broker.start()
        client = await asyncio.to_thread(WireClient, broker.url)
        stopping = asyncio.create_task(broker.stop())
        for _ in range(turn):
            await asyncio.sleep(0)
        await end("cancel", stopping, broker)
        client.socket.close()
        async with broker:
            pass


@pytest.mark.usefixtures("loop_in_use")
async def test_listening_may_be_ended_and_begun_in_any_turn() -> None:
    make = maker("plain", EmbeddedBroker)
    async with nothing_left():
        for turn in range(TURNS):
            async with make() as broker:
                for _ in range(turn):
                    await asyncio.sleep(0)
                broker.refuse_connections()
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", broker.port))
                broker.accept_connections()
                client = await asyncio.to_thread(WireClient, broker.url)
                client.socket.close()


# In a thread


@contextlib.contextmanager
def no_thread_left() -> Iterator[None]:
    """Asserts that the descriptors and threads are those that were there before."""
    before, threads = descriptors(), threading.enumerate()
    yield
    gc.collect()
    left = {number: what for number, what in descriptors().items() if before.get(number) != what}
    assert len(descriptors()) <= len(before), left
    assert threading.enumerate() == threads


@pytest.mark.parametrize("kind", KINDS)
def test_a_thread_starts_where_it_could_not_before(kind: str) -> None:
    make = maker(kind, ThreadedBroker)
    with no_thread_left():
        broker = make()
        for _ in range(5):
            with make() as other:
                text = f"port {other.port}: address already in use"
                with pytest.raises(OSError, match=text):
                    broker.start()
                with pytest.raises(StateError):
                    broker.connection_count()
                broker.stop()
            with broker:
                assert broker.connection_count() == 0


class Interrupting(asyncio.DefaultEventLoopPolicy):
    """Interrupts the main thread when a loop of another one is in a certain turn."""

    def __init__(self, turn: int) -> None:
        super().__init__()
        self.turn = turn
        self.done = threading.Event()

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        loop = super().new_event_loop()
        self.count(loop, 0)
        return loop

    def count(self, loop: asyncio.AbstractEventLoop, turn: int) -> None:
        if turn < self.turn:
            loop.call_soon(self.count, loop, turn + 1)
            return
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        self.done.set()


@pytest.fixture
def interrupted() -> Iterator[Callable[[int], Interrupting]]:
    policy, handler = asyncio.get_event_loop_policy(), signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt(turn: int) -> Interrupting:
        asyncio.set_event_loop_policy(interrupting := Interrupting(turn))
        return interrupting

    yield interrupt
    asyncio.set_event_loop_policy(policy)
    signal.signal(signal.SIGINT, handler)


def start_until_interrupted(broker: ThreadedBroker, interrupting: Interrupting) -> None:
    broker.start()
    # It comes too late for the start, and now.
    interrupting.done.wait(10)
    time.sleep(10)


def test_a_start_that_is_interrupted_leaves_no_thread(interrupted: Any) -> None:
    make = maker("plain", ThreadedBroker)
    before = asyncio.get_event_loop_policy()
    with no_thread_left():
        for turn in range(TURNS):
            broker = make()
            interrupting = interrupted(turn)
            with pytest.raises(KeyboardInterrupt):
                start_until_interrupted(broker, interrupting)
            asyncio.set_event_loop_policy(before)
            broker.stop()
            with broker:
                assert broker.connection_count() == 0


def test_a_thread_that_has_ended_by_itself_is_not_running() -> None:
    with no_thread_left():
        broker = ThreadedBroker()
        for _ in range(2):
            broker.start()
            broker.control(lambda hub: hub.loop.call_soon(broker._broker.request_stop))
            broker._thread.join(10)
            with pytest.raises(StateError, match="is not running"):
                broker.connection_count()
            broker.stop()


def count_until_it_fails(broker: ThreadedBroker) -> None:
    while True:
        broker.connection_count()


def test_controls_that_are_called_while_it_stops_answer_at_once() -> None:
    with no_thread_left():
        for _ in range(20):
            broker = ThreadedBroker()
            broker.start()
            stopping = threading.Thread(target=broker.stop)
            stopping.start()
            begun = time.monotonic()
            with pytest.raises(StateError, match="is not running"):
                count_until_it_fails(broker)
            stopping.join()
            assert time.monotonic() - begun < 5


WITHOUT_DESCRIPTORS = """
import gc, os, resource, threading
from gestalt.amq.embedded import ThreadedBroker

# Event loops that were left behind half made give back descriptors when they are collected.
gc.disable()

def take_descriptors():
    taken = []
    try:
        while True:
            taken.append(os.dup(0))
    except OSError:
        return taken

with ThreadedBroker():
    pass
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
broker = ThreadedBroker()
for count in range(6):
    gc.collect()
    taken = take_descriptors()
    for _ in range(count):
        os.close(taken.pop())
    try:
        broker.start()
    except OSError as error:
        print(count, error.strerror)
    else:
        print(count, "started")
    broker.stop()
    for each in taken:
        os.close(each)
    with broker:
        assert broker.connection_count() == 0
    assert threading.active_count() == 1
"""


def test_a_start_without_descriptors_says_so() -> None:
    # In a process of its own: asyncio leaves an event loop half made behind, and complains of it.
    command = [sys.executable, "-c", WITHOUT_DESCRIPTORS]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    lines = result.stdout.lower().splitlines()
    # It takes three for the event loop, and one to listen.
    assert all("too many open files" in line for line in lines[:4]), lines
    assert lines[4:] == ["4 started", "5 started"]
