"""Every asynchronous test of this folder runs on asyncio and, where it is installed, on uvloop.

What needs gestalt 20.1.1 shares one environment, and one process, that has it.
"""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gestalt.core import Handler
from gestalt.net import Mti, StreamClient, StreamServer, Wire
from tests.net.fixtures import DEADLINE, Connect, Serve, T, Within
from tests.support.foreign import ForeignPeer, NoPredecessorError, install_predecessor, running
from tests.support.missing import without

try:
    import uvloop
except ImportError:
    uvloop = None


def pytest_asyncio_loop_factories(config: Any, item: Any) -> dict[str, Callable[[], Any]]:
    loops: dict[str, Callable[[], Any]] = {"asyncio": asyncio.SelectorEventLoop}
    if uvloop is not None:
        loops["uvloop"] = uvloop.new_event_loop
    return loops


@pytest_asyncio.fixture(autouse=True)
async def unhandled() -> AsyncIterator[list[dict[str, Any]]]:
    """What reached the event loop's exception handler; a test that expects some takes it out."""
    contexts: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: contexts.append(context))
    before = asyncio.all_tasks()
    yield contexts
    gc.collect()
    assert contexts == []
    assert asyncio.all_tasks() - before - {asyncio.current_task()} == set()


@pytest_asyncio.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest_asyncio.fixture
async def serve(stack: AsyncExitStack) -> Serve:
    """Starts a server on a free port; it stops at the end of the test."""

    async def start(
        on_message: Handler | None = None,
        *,
        wire: Wire | None = None,
        url: str = "tcp://127.0.0.1:0",
        **options: Any,
    ) -> StreamServer:
        server = StreamServer(url, wire or Wire(Mti()), on_message=on_message, **options)
        return await stack.enter_async_context(server)

    return start


@pytest_asyncio.fixture
async def connect(stack: AsyncExitStack) -> Connect:
    """Starts a client of a server; it stops at the end of the test."""

    async def start(
        server: StreamServer, *, wire: Wire | None = None, **options: Any
    ) -> StreamClient:
        client = StreamClient(server.address, wire or server.wire, **options)
        return await stack.enter_async_context(client)

    return start


@pytest.fixture
def within() -> Within:
    """Awaits with a deadline, so that what hangs fails by name."""

    async def wait(awaitable: Awaitable[T], seconds: float = DEADLINE) -> T:
        async with asyncio.timeout(seconds):
            return await awaitable

    return wait


@pytest.fixture(scope="session")
def _predecessor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForeignPeer | str]:
    """The process of gestalt 20.1.1, or why there is none."""
    try:
        python = install_predecessor(tmp_path_factory.mktemp("predecessor"))
    except NoPredecessorError as error:
        yield str(error)
        return
    with running(python, Path(__file__).parent / "interop" / "predecessor_peer.py") as peer:
        yield peer


@pytest.fixture
def predecessor(request: pytest.FixtureRequest, _predecessor: ForeignPeer | str) -> ForeignPeer:
    if isinstance(_predecessor, str):
        without(request.config, _predecessor)
    assert isinstance(_predecessor, ForeignPeer)
    return _predecessor
