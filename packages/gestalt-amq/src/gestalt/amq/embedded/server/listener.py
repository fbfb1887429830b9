"""The socket that clients connect to, and their connections until they have come up."""

import asyncio
import contextlib
import errno
import os
import socket
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from .settings import Settings

_BACKLOG = 512
# How many connections are accepted before it is others' turn.
_AT_ONCE = 64
# What the system answers where it has nothing left for another connection, and how long it takes
# until it is asked again, in seconds.
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PAUSE = 1.0


class Listener:
    """Listens on one address; it may be closed and opened again on the same port.

    The event loop could accept by itself, but it tells nobody of the connections that have not
    come up, which a stop has to end like all others.

    Args:
        host: the address or name to listen on.
        port: the port; 0 lets the system choose one, which is kept.
        settings: the broker's settings.
        make_connection: makes the protocol of a new connection.
        spawn: runs a coroutine in a task that the broker owns, and ends before it closes.
    """

    def __init__(
        self,
        host: str,
        port: int,
        settings: Settings,
        make_connection: Callable[[], asyncio.Protocol],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self._host = host
        self.port = port
        self._make_connection = make_connection
        self._spawn = spawn
        self._loop = asyncio.get_running_loop()
        self._options: dict[str, Any] = {}
        if settings.tls is not None:
            self._options["ssl"] = settings.tls
            self._options["ssl_handshake_timeout"] = settings.handshake_timeout
        self._socket: socket.socket | None = None
        self._resume: asyncio.TimerHandle | None = None
        # Those that were accepted, of which the task has not begun.
        self._accepted: set[socket.socket] = set()

    def open(self) -> None:
        """Listen; clients can connect when this returns.

        Raises:
            OSError: the address cannot be used.
            RuntimeError: the event loop cannot watch sockets.
        """
        if self._socket is not None:  # pragma: no cover - it listens already
            return
        try:
            self._socket = _listen(self._host, self.port)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            text = f"cannot listen on {self._host} port {self.port}: {reason}"
            raise type(error)(error.errno, text) from error
        try:
            self._loop.add_reader(self._socket, self._accept, self._socket)
        except NotImplementedError:
            self._socket.close()
            self._socket = None
            raise RuntimeError(
                f"the event loop, a {type(self._loop).__name__}, cannot watch sockets (add_reader):"
                " run the broker on asyncio.SelectorEventLoop, or in a ThreadedBroker"
            ) from None
        self.port = self._socket.getsockname()[1]

    def close(self) -> None:
        """Stop to listen. Connections that are open, or coming up, stay."""
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        listening, self._socket = self._socket, None
        if listening is not None:
            self._loop.remove_reader(listening)
            listening.close()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):  # pragma: no branch - so many at once
            try:
                accepted, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:  # pragma: no cover - an error of the network's
                    # It is about the one connection: accept(2) passes on what befell it.
                    continue
                self._pause(listening, error)
                return
            accepted.setblocking(False)
            self._accepted.add(accepted)
            task = self._spawn(self._connect(accepted))
            task.add_done_callback(partial(self._drop, accepted))

    def _pause(self, listening: socket.socket, error: OSError) -> None:
        self._loop.remove_reader(listening)
        self._resume = self._loop.call_later(
            _PAUSE, self._loop.add_reader, listening, self._accept, listening
        )
        self._report(error, f"the broker accepts no connection for {_PAUSE} s")

    async def _connect(self, accepted: socket.socket) -> None:
        self._accepted.discard(accepted)
        try:
            await self._loop.connect_accepted_socket(
                self._make_connection, accepted, **self._options
            )
        except OSError:
            # The client has gone, or its handshake has failed: it knows.
            _let_go(accepted)
        except BaseException as error:
            _let_go(accepted)
            if not isinstance(error, Exception):
                raise
            self._report(  # pragma: no cover - a fault of the event loop
                error, "the broker could not take a connection"
            )

    def _report(self, error: Exception, message: str) -> None:
        self._loop.call_exception_handler({"message": message, "exception": error})

    def _drop(self, accepted: socket.socket, _task: asyncio.Task[None]) -> None:
        """Close a socket whose task was cancelled before it had begun."""
        if accepted in self._accepted:  # pragma: no cover - a stop in the turn of the accept
            self._accepted.discard(accepted)
            accepted.close()


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket(family, kind, protocol))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
        listening.setblocking(False)
        stack.pop_all()
        return listening


def _let_go(accepted: socket.socket) -> None:
    """Close a socket of which no connection came, unless uvloop has closed what is below it.

    The number of its descriptor may be another one's then.
    """
    if sys.platform == "win32":  # pragma: no cover - Windows
        # Where there is no uvloop, either, a socket is no descriptor.
        accepted.close()
        return
    try:
        os.fstat(accepted.fileno())
    except OSError:
        accepted.detach()
    else:
        accepted.close()
