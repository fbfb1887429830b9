"""Accepting connections, also where the system runs out of what they take."""

import asyncio
import errno
import os
import socket
import sys
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from gestalt.net.address import Address
from gestalt.net.errors import AcceptFailed
from gestalt.net.sharing import refusal, share_port

from .shutdown import shut_down

BACKLOG = 256
"""How many connections the system keeps for us until they are accepted."""

AT_ONCE = 64
"""How many connections are accepted before it is others' turn."""

EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""What the system answers where it has nothing left for another connection."""

INTERVAL = 1.0
"""How many seconds pass between two reports, or until another attempt where nothing is left."""


class Listener:
    """Accepts what comes to listening sockets.

    The event loops either stop accepting for a second when there are no descriptors left, and tell
    their exception handler, or refuse such connections without a word. This refuses and counts
    them: one descriptor is kept in reserve, to take a connection with and close it.

    Args:
        loop: the event loop that it is used in.
        admit: takes a connection that was accepted and its address as the system names it, or
            closes it.
        report: told of connections that were refused for want of descriptors or memory.
        spawn: makes a task that ends with the owner.
    """

    __slots__ = (
        "_accepting",
        "_admit",
        "_cause",
        "_loop",
        "_refused",
        "_report",
        "_reserve",
        "_resume",
        "_shared",
        "_sockets",
        "_spawn",
        "_tell",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        admit: Callable[[socket.socket, Any], None],
        report: Callable[[AcceptFailed], None],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self._loop = loop
        self._admit = admit
        self._report = report
        self._spawn = spawn
        self._sockets: list[socket.socket] = []
        self._shared = False
        # Where the event loop cannot watch sockets, as that of Windows: what accepts for each.
        self._accepting: list[asyncio.Task[None]] = []
        self._reserve: int | None = None
        # How many were refused since that was told last, and what the system said to the last one.
        self._refused = 0
        self._cause: OSError | None = None
        self._tell: asyncio.TimerHandle | None = None
        self._resume: asyncio.TimerHandle | None = None

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """Where it listens."""
        return tuple(self._sockets)

    def listen(self, sockets: Iterable[socket.socket], *, shared: bool = False) -> None:
        """Listen on sockets that are bound; from now on they belong to the listener.

        Args:
            sockets: the sockets.
            shared: whether others have them as well, and go on listening when this closes.
        """
        self._sockets += sockets
        self._shared = shared
        self._keep_reserve()
        for sock in self._sockets:
            sock.setblocking(False)
            if not (shared and _accepts(sock)):
                sock.listen(BACKLOG)
            try:
                self._loop.add_reader(sock, self._accept, sock)
            except NotImplementedError:
                self._accepting.append(self._spawn(self._accept_each(sock)))

    def close(self) -> None:
        """Accept nobody any more."""
        sockets, self._sockets = self._sockets, []
        for task in self._accepting:
            task.cancel()
        for sock in sockets:
            if not self._accepting:
                self._loop.remove_reader(sock)
            if not self._shared:
                shut_down(sock)
            sock.close()
        self._accepting.clear()
        for timer in (self._tell, self._resume):
            if timer is not None:
                timer.cancel()
        self._tell = self._resume = None
        self._say_refused()
        self._drop_reserve()

    def _accept(self, sock: socket.socket) -> None:
        for _ in range(AT_ONCE):
            try:
                accepted, name = sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in EXHAUSTED:  # pragma: no cover - an error of the network's
                    # It is about the one connection: accept(2) passes on what befell it.
                    self._note_refused(error)
                elif not self._refuse(sock, error):
                    self._pause()
                    return
            else:
                accepted.setblocking(False)
                self._admit(accepted, name)

    async def _accept_each(self, sock: socket.socket) -> None:
        while True:
            try:
                accepted, name = await self._loop.sock_accept(sock)
            except OSError as error:
                self._note_refused(error)
                await asyncio.sleep(INTERVAL if error.errno in EXHAUSTED else 0)
            else:
                accepted.setblocking(False)
                self._admit(accepted, name)

    def _refuse(self, sock: socket.socket, error: OSError) -> bool:
        """Take a connection with the descriptor in reserve and close it; whether that could be."""
        self._keep_reserve()
        if self._reserve is None:  # pragma: no cover - there is still no descriptor after a pause
            return False
        self._drop_reserve()
        try:
            sock.accept()[0].close()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            pass
        except OSError:
            return False
        else:
            self._note_refused(error)
        finally:
            self._keep_reserve()
        return True

    def _note_refused(self, error: OSError) -> None:
        self._refused += 1
        self._cause = error
        if self._tell is None:
            self._say_refused()
            self._tell = self._loop.call_later(INTERVAL, self._tell_again)

    def _tell_again(self) -> None:
        self._tell = None
        self._say_refused()

    def _say_refused(self) -> None:
        count, cause = self._refused, self._cause
        self._refused, self._cause = 0, None
        if cause is None:
            return
        what = "a connection was" if count == 1 else f"{count} connections were"
        failure = AcceptFailed(f"{what} refused: {os.strerror(cause.errno or 0)}", count)
        failure.__cause__ = cause
        self._report(failure)

    def _pause(self) -> None:
        """Accept nobody for a while: there is nothing to accept or refuse them with."""
        for sock in self._sockets:
            self._loop.remove_reader(sock)
        if self._resume is None:  # pragma: no branch - several sockets in one turn
            self._resume = self._loop.call_later(INTERVAL, self._go_on)

    def _go_on(self) -> None:
        self._resume = None
        for sock in self._sockets:
            self._loop.add_reader(sock, self._accept, sock)

    def _keep_reserve(self) -> None:
        if self._reserve is None:
            try:
                self._reserve = os.open(os.devnull, os.O_RDONLY)
            except OSError:
                self._reserve = None

    def _drop_reserve(self) -> None:
        if self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None


def _accepts(sock: socket.socket) -> bool:
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) != 0


async def bind(address: Address, *, reuse_port: bool) -> list[socket.socket]:
    """Sockets at every address of the host; without one, on all interfaces.

    Raises:
        OSError: there is no such host, or an address is taken.
    """
    loop = asyncio.get_running_loop()
    try:
        infos = await loop.getaddrinfo(
            address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror as error:
        text = f"{address} cannot be listened on: {error.strerror}"
        raise socket.gaierror(error.errno, text) from error
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, name in dict.fromkeys(infos):
            try:
                sock = socket.socket(family, kind, protocol)
            except OSError as error:  # pragma: no cover - a system without IPv6
                if error.errno in EXHAUSTED or len(infos) == 1:
                    raise
                # The system does not have this family.
                continue
            sockets.append(sock)
            _bind(sock, name, address, reuse_port=reuse_port)
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _bind(sock: socket.socket, name: Any, address: Address, *, reuse_port: bool) -> None:
    if sys.platform != "win32":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse_port:
        share_port(sock, address)
    if sock.family == socket.AF_INET6:
        # IPv4 has a socket of its own.
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        sock.bind(name)
    except OSError as error:
        reason = refusal(error, shared=reuse_port)
        raise OSError(error.errno, f"{address} cannot be listened on: {reason}") from error
