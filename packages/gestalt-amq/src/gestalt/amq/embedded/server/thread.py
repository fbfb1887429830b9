"""A broker in a thread of its own, for synchronous programs and for tests of any kind."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Self, TypeVar

from gestalt.core import StateError

from .broker import EmbeddedBroker
from .controls import Controls
from .hub import Hub
from .settings import Settings

T = TypeVar("T")

# A control takes microseconds; a broker that does not answer for this long, in seconds, is stuck.
_CONTROL_TIMEOUT = 10.0


class ThreadedBroker(Controls):
    """An embedded broker that runs in a thread.

        with ThreadedBroker() as broker:
            connection = pika.BlockingConnection(pika.URLParameters(broker.url))

    Args:
        host: The address to listen on.
        port: The port; 0 lets the system choose one.
        settings: Users, limits and all else.
        stop_timeout: How long a stop may wait for clients to close their connections, in seconds.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        settings: Settings | None = None,
        *,
        stop_timeout: float = 2.0,
    ) -> None:
        self._broker = EmbeddedBroker(host, port, settings, stop_timeout=stop_timeout)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def port(self) -> int:
        """The port that it listens on. Raises StateError when it is not running."""
        return self._broker.port

    @property
    def url(self) -> str:
        """The URL for the first user and virtual host. Raises StateError when it is not running."""
        return self._broker.url

    def url_for(self, user: str | None = None, virtual_host: str | None = None) -> str:
        """Returns the URL for a user and a virtual host.

        Raises:
            StateError: The broker is not running.
            KeyError: There is no such user.
        """
        return self._broker.url_for(user, virtual_host)

    def start(self) -> None:
        """Starts, and returns when clients can connect.

        Raises:
            StateError: It is running already.
            OSError: The address cannot be used.
        """
        if self._thread is not None:
            raise StateError(f"{self._broker!r} is running already")
        started: Future[asyncio.AbstractEventLoop] = Future()
        thread = threading.Thread(
            target=self._run, args=(started,), name="embedded broker", daemon=True
        )
        thread.start()
        try:
            self._loop = started.result()
        except BaseException:
            thread.join()
            raise
        self._thread = thread

    def stop(self) -> None:
        """Closes all connections and ends the thread. Does nothing when it is not running."""
        thread, self._thread = self._thread, None
        if thread is None or self._loop is None:
            return
        self._loop.call_soon_threadsafe(self._broker.request_stop)
        thread.join()

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

    def _run(self, started: Future[asyncio.AbstractEventLoop]) -> None:
        asyncio.run(self._serve(started))

    async def _serve(self, started: Future[asyncio.AbstractEventLoop]) -> None:
        try:
            await self._broker.start()
        except Exception as error:
            started.set_exception(error)
            return
        started.set_result(asyncio.get_running_loop())
        await self._broker.wait_stopped()

    def control(self, action: Callable[[Hub], T]) -> T:
        if self._thread is None or self._loop is None:
            raise StateError(f"{self._broker!r} is not running")
        done: Future[T] = Future()

        def act() -> None:
            try:
                done.set_result(self._broker.control(action))
            except Exception as error:
                done.set_exception(error)

        self._loop.call_soon_threadsafe(act)
        return done.result(_CONTROL_TIMEOUT)
