"""The health endpoint: a small HTTP server in a thread of its own."""

import asyncio
import contextlib
import errno
import logging
import math
import os
import socket
import threading
from collections import Counter
from functools import partial
from pathlib import Path

from gestalt.core import Reports, keep_from_children

from .address import HealthAddress, listen
from .connection import HEAD_SIZE, MOST_REQUESTS, Answer, Response, serve

logger = logging.getLogger("gestalt.runner")

EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""What the system refuses a connection by when it has no room for one."""

MOST_CONNECTIONS = 64
"""How many connections there may be. For another, one of whoever has the most is given up."""

REFUSALS_APART = 1.0
"""How often it is told that connections are refused for want of descriptors, in seconds."""

STOP_TIME = 0.4
"""How long what is being answered may take when the endpoint stops, in seconds."""


class HealthServer:
    """Answers by HTTP, from a thread, so that it does so while the application cannot.

    Args:
        address: where it listens.
        answer: makes the answers; called in the event loop of the thread.
    """

    def __init__(self, address: HealthAddress, answer: Answer) -> None:
        self._address = address
        self._answer = answer
        self._sockets: list[socket.socket] = []
        self._thread: threading.Thread | None = None
        # Of the thread; not one that the application's policy has made.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._connections: dict[asyncio.StreamWriter, str] = {}
        # Those that have asked, and have no answer yet.
        self._asking: set[asyncio.StreamWriter] = set()
        self._reports = Reports(logger)
        self._refusal_told = -math.inf
        # Given up for a connection when there are no descriptors: it asks whether all is well.
        self._reserve: int | None = None
        self._served_from_reserve: asyncio.Task[None] | None = None

    @property
    def address(self) -> HealthAddress:
        """Where it listens, with the port that it was given."""
        if self._address.path or not self._sockets:
            return self._address
        return HealthAddress(self._address.host, self._sockets[0].getsockname()[1])

    def start(self) -> None:
        """Listen, and answer from now on.

        Raises:
            OSError: the address cannot be listened on.
        """
        self._sockets = listen(self._address)
        for each in self._sockets:
            keep_from_children(each.fileno())
        self._stop = asyncio.Event()
        self._loop = asyncio.SelectorEventLoop()
        self._thread = threading.Thread(
            target=self._run, args=(self._loop,), name="health endpoint", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Answer no more; returns when the thread has ended, or soon."""
        thread, self._thread = self._thread, None
        if thread is None or self._loop is None:  # pragma: no cover - nobody stops it twice
            return
        # It has ended by itself if the loop is closed.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stop.set)
        thread.join(2 * STOP_TIME)
        if self._address.path:
            Path(self._address.path).unlink(missing_ok=True)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(self._serve(loop))
        except Exception:  # pragma: no cover - a fault of its own
            logger.exception("The health endpoint at %s failed", self.address)

    async def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.set_exception_handler(self._handle_exception)
        self._keep_reserve()
        servers = [
            await asyncio.start_server(self._connected, sock=each, limit=HEAD_SIZE)
            for each in self._sockets
        ]
        await self._stop.wait()
        for server in servers:
            server.close()
        await self._end_connections()
        self._drop_reserve()

    async def _end_connections(self) -> None:
        """Let those be answered who have asked; the others have nothing to wait for."""
        for writer in self._connections.keys() - self._asking:
            writer.transport.abort()
        for patience in (STOP_TIME, STOP_TIME / 2):
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            if tasks:
                await asyncio.wait(tasks, timeout=patience)
            for writer in self._connections:
                writer.transport.abort()  # pragma: no cover - it does not end in time

    async def _connected(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        most: int = MOST_REQUESTS,
    ) -> None:
        peer = writer.get_extra_info("peername")
        host = str(peer[0]) if isinstance(peer, tuple) else ""
        self._connections[writer] = host
        if self._served_from_reserve is None:
            self._keep_reserve()
        keep_from_children(writer.get_extra_info("socket").fileno())
        if len(self._connections) > MOST_CONNECTIONS:
            self._give_up_one()
        try:
            await serve(reader, writer, partial(self._try_to_answer, writer), most=most)
        except Exception as error:  # pragma: no cover - a fault of its own
            self._reports.log("A connection to the health endpoint failed", error)
        finally:
            self._connections.pop(writer, None)
            writer.close()

    async def _try_to_answer(
        self, writer: asyncio.StreamWriter, method: str, target: str
    ) -> Response:
        self._asking.add(writer)
        try:
            return await self._answer(method, target)
        except Exception as error:
            self._reports.log("A request to the health endpoint failed", error)
            return Response(500, b"")
        finally:
            # Its answer is written before anything else happens here.
            self._asking.discard(writer)

    def _give_up_one(self) -> None:
        """Close the oldest connection of the client that has the most: others do not pay for it."""
        ((host, _),) = Counter(self._connections.values()).most_common(1)
        oldest = next(each for each, its_host in self._connections.items() if its_host == host)
        del self._connections[oldest]
        oldest.transport.abort()

    def _handle_exception(
        self, loop: asyncio.AbstractEventLoop, context: dict[str, object]
    ) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in EXHAUSTED and "socket" in context:
            if not self._serve_from_reserve(loop):
                self._note_refused(loop.time(), error)
            return
        message = f"The health endpoint: {context.get('message') or 'an error of its event loop'}"
        self._reports.log(message, error if isinstance(error, BaseException) else None)

    def _serve_from_reserve(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Serve one of those that wait with the descriptor in reserve; whether that could be."""
        if self._served_from_reserve is not None:
            return True
        if self._reserve is None:
            return False
        self._drop_reserve()
        try:
            if (connection := self._next_connection()) is not None:
                self._served_from_reserve = loop.create_task(self._serve_one(connection))
                return True
        except OSError:  # pragma: no cover - they are used up once more
            return False
        # Nobody waits: the system refuses before it looks.
        self._keep_reserve()
        return True

    def _next_connection(self) -> socket.socket | None:
        for each in self._sockets:
            with contextlib.suppress(BlockingIOError, InterruptedError, ConnectionError):
                return each.accept()[0]
        return None

    async def _serve_one(self, connection: socket.socket) -> None:
        """Answer one request, so that the next connection can have the descriptor."""
        try:
            reader, writer = await asyncio.open_connection(sock=connection, limit=HEAD_SIZE)
            await self._connected(reader, writer, most=1)
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        except OSError:  # pragma: no cover - it is away already
            connection.close()
        finally:
            self._served_from_reserve = None
            self._keep_reserve()

    def _keep_reserve(self) -> None:
        if self._reserve is None:
            with contextlib.suppress(OSError):
                self._reserve = os.open(os.devnull, os.O_RDONLY)

    def _drop_reserve(self) -> None:
        reserve, self._reserve = self._reserve, None
        if reserve is not None:  # pragma: no branch - there was none
            os.close(reserve)

    def _note_refused(self, now: float, error: OSError) -> None:
        # The event loop tells of it a hundred times, and accepts again after a second.
        if now - self._refusal_told >= REFUSALS_APART:
            self._refusal_told = now
            why = error.strerror
            self._reports.log(
                f"The health endpoint refuses connections: {why}", level=logging.WARNING
            )
