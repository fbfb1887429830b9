"""A broker in a thread of its own, for synchronous programs and for tests of any kind."""

import asyncio
import contextlib
import sys
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from types import TracebackType
from typing import Any, Self, TypeVar

from gestalt.amq.embedded.model import DEFAULT_VERSION
from gestalt.core import StateError

from .broker import EmbeddedBroker
from .controls import Controls
from .hub import Hub
from .settings import Settings

T = TypeVar("T")

# A control takes microseconds; a broker that does not answer for this long, in seconds, is stuck.
_CONTROL_TIMEOUT = 10.0
# The default event loop of Windows cannot watch sockets.
_LOOP = asyncio.SelectorEventLoop if sys.platform == "win32" else None


class ThreadedBroker(Controls):
    """An embedded broker that runs in a thread.

        with ThreadedBroker() as broker:
            connection = pika.BlockingConnection(pika.URLParameters(broker.url))

    Args:
        host: the address to listen on.
        port: the port; 0 lets the system choose one.
        settings: users, limits and all else.
        compatible: the version of RabbitMQ that it is like: `4.3`, `4.0` or `3.10`.
        stop_timeout: how long a stop may wait for clients to close their connections, in seconds.

    Raises:
        ValueError: there can be no such port, stop_timeout is negative, or the version or a feature
            that the settings permit is not known.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        settings: Settings | None = None,
        *,
        compatible: str = DEFAULT_VERSION,
        stop_timeout: float = 2.0,
    ) -> None:
        self._broker = EmbeddedBroker(
            host, port, settings, compatible=compatible, stop_timeout=stop_timeout
        )
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: Future[None] = Future()

    @property
    def port(self) -> int:
        """The port that it listens on. Raises StateError when it is not running."""
        return self._broker.port

    @property
    def url(self) -> str:
        """The URL for the first user and virtual host. Raises StateError when it is not running."""
        return self._broker.url

    def url_for(self, user: str | None = None, virtual_host: str | None = None) -> str:
        """Return the URL for a user and a virtual host.

        Raises:
            StateError: the broker is not running.
            KeyError: there is no such user.
        """
        return self._broker.url_for(user, virtual_host)

    def start(self) -> None:
        """Start, and return when clients can connect.

        Raises:
            StateError: it is running already.
            OSError: the address cannot be used.
        """
        if self._thread is not None:
            raise StateError(f"{self._broker!r} is running already")
        started: Future[asyncio.AbstractEventLoop] = Future()
        ended: Future[None] = Future()
        thread = threading.Thread(
            target=self._run, args=(started, ended), name="embedded broker", daemon=True
        )
        try:
            thread.start()
            loop = started.result()
        except BaseException:
            # This may have been interrupted: then the thread stops what it has started.
            if not started.cancel() and started.exception() is None:
                started.result().call_soon_threadsafe(self._broker.request_stop)
            if thread.ident is not None:  # pragma: no branch - no thread could begin
                thread.join()
            raise
        self._thread, self._loop, self._ended = thread, loop, ended

    def stop(self) -> None:
        """Close all connections and end the thread. Does nothing when it is not running."""
        thread, loop = self._thread, self._loop
        if thread is None or loop is None:
            return
        # It may have ended by itself, and its loop with it.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._broker.request_stop)
        thread.join()
        self._thread = self._loop = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def control(self, action: Callable[[Hub], T]) -> T:
        """Call the action in the thread of the broker, with its inside, and return the result.

        What is inside may be another thing in each release.

        Raises:
            StateError: the broker is not running.
            TimeoutError: it has not answered within ten seconds.
        """
        loop, ended = self._loop, self._ended
        done: Future[T] = Future()

        def act() -> None:
            try:
                done.set_result(self._broker.control(action))
            except Exception as error:
                done.set_exception(error)

        if loop is None:
            raise StateError(f"{self._broker!r} is not running")
        # The loop may be closed at this moment, and drops then what it was to call.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(act)
        either: list[Future[Any]] = [done, ended]
        wait(either, _CONTROL_TIMEOUT, FIRST_COMPLETED)
        if done.done():
            return done.result()
        if ended.done():
            raise StateError(f"{self._broker!r} is not running")
        raise TimeoutError(  # pragma: no cover - a fault of the broker itself
            f"{self._broker!r} has not answered within {_CONTROL_TIMEOUT:.0f} s"
        )

    def _run(self, started: Future[asyncio.AbstractEventLoop], ended: Future[None]) -> None:
        try:
            with asyncio.Runner(loop_factory=_LOOP) as runner:
                # Made here, the loop fails before there is a coroutine that nobody awaits.
                runner.get_loop()
                runner.run(self._serve(started))
        except BaseException as error:
            if started.done():  # pragma: no cover - a fault of the broker itself
                raise
            started.set_exception(error)
        finally:
            ended.set_result(None)

    async def _serve(self, started: Future[asyncio.AbstractEventLoop]) -> None:
        await self._broker.start()
        if started.set_running_or_notify_cancel():
            started.set_result(asyncio.get_running_loop())
            await self._broker.wait_stopped()
        else:
            await self._broker.stop()
