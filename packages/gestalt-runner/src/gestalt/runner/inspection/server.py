"""The socket's side: few clients, small requests, answers that are read in time.

It runs in a thread of its own, so that it answers while the event loop is blocked. The thread
sleeps until somebody asks.
"""

import contextlib
import logging
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any, Protocol

from gestalt.core import Reports, keep_from_children

logger = logging.getLogger("gestalt.runner")

MOST_CLIENTS = 8

LONGEST_REQUEST = 4096
"""In bytes."""

LONGEST_ANSWER = 8 * 1024 * 1024
"""In bytes."""

READ_TIMEOUT = 10.0
"""How long a client may take to read an answer, in seconds."""

SILENCE = 30.0
"""A client that was silent for so long, in seconds, makes room for another."""


class Answering(Protocol):
    """What is asked of whoever knows the answers."""

    def ask(self, request: dict[str, Any]) -> "Future[object]":
        """Begin to answer a request.

        What comes of it is encoded; where that is a function, what that returns, which is called
        in the server's thread.
        """

    def overdue(self) -> float | None:
        """Give up what takes too long; how long until it is to be called again, in seconds."""


class Server:
    """Serves clients at a listening socket.

    Args:
        listener: where they connect, without blocking; None where nobody can.
        answering: knows the answers. It is called in the server's thread.
        allowed: whether a client of this user may ask; None where the system does not tell.
        connection: one that is there already, whose client is never too late, and never makes room
            for another.
    """

    def __init__(
        self,
        listener: socket.socket | None,
        answering: Answering,
        allowed: Callable[[int | None], bool],
        connection: socket.socket | None = None,
    ) -> None:
        self._listener = listener
        self._answering = answering
        self._allowed = allowed
        self._clients: set[_Client] = set()
        self._thread: threading.Thread | None = None
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        self._pausing = False
        self._reports = Reports(logger)
        for each in (self._woken, self._waker):
            each.setblocking(False)
        self._sockets = [self._woken, self._waker, *([] if listener is None else [listener])]
        for each in self._sockets:
            keep_from_children(each.fileno())
            if each is not self._waker:
                self._selector.register(each, selectors.EVENT_READ)
        if connection is not None:
            self._add(connection, kept=True)

    def start(self) -> None:
        """Serve, in a thread of its own."""
        self._pausing = False
        self._thread = threading.Thread(target=self._serve, name="gestalt inspection", daemon=True)
        self._thread.start()

    def pause(self, timeout: float) -> bool:
        """End the thread, for `start` to go on later; whether it has ended within the time."""
        thread, self._thread = self._thread, None
        if thread is None:
            return True
        self._pausing = True
        self.wake()
        thread.join(timeout)
        return not thread.is_alive()

    def close(self) -> None:
        """Close everything; the thread has ended."""
        for client in list(self._clients):
            self._drop(client)
        self._selector.close()
        for each in self._sockets:
            each.close()

    def forget(self) -> None:
        """Close what a forked child has of it, which the parent goes on to use."""
        self._selector.close()
        connections = [client.connection for client in self._clients]
        for each in (*self._sockets, *connections):
            each.close()

    def wake(self) -> None:
        """Have the thread look what there is to do; from any thread."""
        with contextlib.suppress(OSError):
            self._waker.send(b"\0")

    def _serve(self) -> None:
        while not self._pausing:
            try:
                self._turn()
            except Exception as error:
                # Whatever it is, the application has nothing to do with it.
                self._reports.log("inspection: a request failed", error)
                for client in list(self._clients):
                    self._drop(client)

    def _turn(self) -> None:
        timeout = self._answering.overdue()
        if not all(each.kept for each in self._clients):
            timeout = min(timeout or 1.0, 1.0)
        ready = self._selector.select(timeout)
        # One that has left makes room for another: those that come are last.
        for key, _ in sorted(ready, key=lambda each: each[0].fileobj is self._listener):
            if self._listener is not None and key.fileobj is self._listener:
                self._accept(self._listener)
            elif key.fileobj is self._woken:
                with contextlib.suppress(BlockingIOError):
                    self._woken.recv(4096)
            else:
                self._serve_client(key.data)
        now = time.monotonic()
        for client in [each for each in self._clients if each.is_late(now)]:
            self._drop(client)  # pragma: no cover - it takes ten seconds to read
        for client in [each for each in self._clients if each.is_answered()]:
            self._send(client)

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:  # pragma: no cover - it goes between two looks
            return
        if not self._allowed(_user_of(connection)):
            _refuse(connection, "this is for the user of the process alone")
            return
        others = [each for each in self._clients if not each.kept]
        if len(others) >= MOST_CLIENTS:
            longest = min(others, key=lambda each: each.since)
            if time.monotonic() - longest.since < SILENCE:
                _refuse(connection, f"{MOST_CLIENTS} clients are connected already, no more may")
                return
            self._drop(longest)  # pragma: no cover - it is silent for half a minute
        self._add(connection)

    def _add(self, connection: socket.socket, *, kept: bool = False) -> None:
        keep_from_children(connection.fileno())
        connection.setblocking(False)
        client = _Client(connection, kept=kept)
        self._clients.add(client)
        self._watch(client)

    def _serve_client(self, client: "_Client") -> None:
        if client.output:
            self._write(client)
            return
        try:
            data = client.connection.recv(LONGEST_REQUEST)
        except BlockingIOError:  # pragma: no cover - a system may tell of what is not there
            return
        except OSError:  # pragma: no cover - it resets the connection
            data = b""
        client.since = time.monotonic()
        client.input += data
        if not data:
            # It has asked all that it will; what it has asked is answered.
            client.ended = True
            self._watch(client)
        elif len(client.input) > LONGEST_REQUEST:
            _refuse(client.connection, f"a request has at most {LONGEST_REQUEST} bytes")
            self._drop(client)
        else:
            self._ask(client)

    def _ask(self, client: "_Client") -> None:
        """Begin to answer the next request; one after another."""
        if client.pending is not None or client.output:  # pragma: no cover - it does not wait
            return
        line, newline, rest = bytes(client.input).partition(b"\n")
        if not newline:
            return
        client.input[:] = rest
        # Imported by the first request: most applications are never asked.
        import json

        try:
            request = json.loads(line)
        except ValueError:
            request = None
        if not isinstance(request, dict):
            client.pending = Future()
            client.pending.set_exception(ValueError("a request is a JSON object in one line"))
        else:
            client.pending = self._answering.ask(request)
        client.pending.add_done_callback(lambda _: self.wake())

    def _send(self, client: "_Client") -> None:
        """Encode an answer that has come, and begin to send it."""
        pending, client.pending = client.pending, None
        if pending is None:  # pragma: no cover - for type checkers
            return
        try:
            answer = pending.result()
            client.output = _encode({"answer": answer() if callable(answer) else answer})
        except (Exception, CancelledError) as error:
            client.output = _encode({"error": str(error) or type(error).__name__})
        if len(client.output) > LONGEST_ANSWER:
            client.output = _encode({"error": f"the answer has over {LONGEST_ANSWER} bytes"})
        client.since = time.monotonic()
        self._write(client)

    def _write(self, client: "_Client") -> None:
        try:
            client.output = client.output[client.connection.send(client.output) :]
        except BlockingIOError:  # pragma: no cover - the answers before it are not read
            pass
        except OSError:  # pragma: no cover - it is gone before its answer
            self._drop(client)
            return
        if not client.output:
            client.since = time.monotonic()
            # Another request may have come together with this one.
            self._ask(client)
        self._watch(client)

    def _watch(self, client: "_Client") -> None:
        """Wait for what a client is to do next."""
        if client.output:
            events = selectors.EVENT_WRITE
        elif not client.ended:
            events = selectors.EVENT_READ
        elif client.pending is None:
            self._drop(client)
            return
        else:
            events = 0
        if events != client.events:
            if client.events:
                self._selector.unregister(client.connection)
            if events:
                self._selector.register(client.connection, events, client)
            client.events = events

    def _drop(self, client: "_Client") -> None:
        self._clients.discard(client)
        if client.events:
            self._selector.unregister(client.connection)
            client.events = 0
        if client.pending is not None:
            client.pending.cancel()
        client.connection.close()


class _Client:
    """One that is connected.

    Attributes:
        connection: its socket.
        input: what of requests has come.
        pending: the answer that is waited for.
        output: what is left to send of an answer.
        ended: it sends nothing any more.
        events: what is waited for at its socket.
        since: when it was last heard of, or an answer was begun.
        kept: it may take as long as it likes.
    """

    def __init__(self, connection: socket.socket, *, kept: bool) -> None:
        self.connection = connection
        self.kept = kept
        self.input = bytearray()
        self.pending: Future[object] | None = None
        self.output = b""
        self.ended = False
        self.events = 0
        self.since = time.monotonic()

    def is_late(self, now: float) -> bool:
        return bool(self.output) and not self.kept and now - self.since > READ_TIMEOUT

    def is_answered(self) -> bool:
        return self.pending is not None and self.pending.done()


def _refuse(connection: socket.socket, why: str) -> None:
    with connection, contextlib.suppress(OSError):
        connection.send(_encode({"error": why}))


def _encode(answer: dict[str, Any]) -> bytes:
    import json

    # Never a repr: it can hold secrets.
    text = json.dumps(answer, separators=(",", ":"), default=lambda value: type(value).__name__)
    return text.encode() + b"\n"


def _user_of(connection: socket.socket) -> int | None:
    """Whose process is at the other end; None where the system does not tell."""
    if not hasattr(socket, "SO_PEERCRED"):  # pragma: no cover - systems that do not tell
        return None
    size = struct.calcsize("3i")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    uid: int = struct.unpack("3i", credentials)[1]
    return uid
