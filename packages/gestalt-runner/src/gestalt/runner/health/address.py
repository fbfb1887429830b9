"""Where the health endpoint listens."""

import contextlib
import errno
import socket
import stat
import sys
from pathlib import Path
from typing import NamedTuple

from gestalt.core.masking import masked
from gestalt.runner.errors import CannotListen

FORM = "host:port, [ipv6]:port, :port for all interfaces, or unix:/path"


class HealthAddress(NamedTuple):
    """A port, or a unix socket.

    Attributes:
        host: a name or an IP address; "" for all interfaces.
        port: the port; 0 for any that is free.
        path: of the unix socket; "" where there is a port.
    """

    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> "HealthAddress":
        """Read an address: host:port, [ipv6]:port, :port, or unix:/path.

        Raises:
            ValueError: it is none of these.
        """
        if text.startswith("unix:"):
            path = text.removeprefix("unix:").removeprefix("//")
            if not path.startswith("/"):
                raise ValueError(
                    f"a unix socket has an absolute path, unix:/path, got {masked(text)}"
                )
            return cls(path=path)
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ValueError(f"an IPv6 address stands in brackets, [::1]:8080, got {masked(text)}")
        if not (colon and port.isascii() and port.isdigit() and int(port) < 65536):
            raise ValueError(f"an address is {FORM}, got {masked(text)}")
        return cls(host, int(port))

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def listen(address: HealthAddress) -> list[socket.socket]:
    """Open the sockets for an address; a name may stand for several.

    Raises:
        CannotListen: it cannot be listened on; the error names it.
    """
    try:
        if address.path:
            return [_listen_unix(address.path)]
        if not address.host and socket.has_dualstack_ipv6():
            with contextlib.suppress(OSError):
                both = ("", address.port)
                return [socket.create_server(both, family=socket.AF_INET6, dualstack_ipv6=True)]
        return _listen_all(address)
    except OSError as error:
        why = (error.strerror or str(error)).partition(" (while attempting")[0]
        refused = CannotListen(f"the health endpoint cannot listen on {address}: {why}")
        refused.errno = error.errno
        raise refused from error


def _listen_all(address: HealthAddress) -> list[socket.socket]:
    found = socket.getaddrinfo(
        address.host or "0.0.0.0", address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    sockets: list[socket.socket] = []
    absent: OSError | None = None
    port = address.port
    try:
        for family, *_, target in dict.fromkeys(found):
            try:
                sockets.append(socket.create_server((target[0], port), family=family))
            except OSError as error:
                # localhost may stand for an address that this machine does not have.
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                absent = error
            else:
                port = sockets[-1].getsockname()[1]
        if absent is not None and not sockets:
            raise absent
    except OSError:
        for each in sockets:
            each.close()  # pragma: no cover - the second address of a name is taken
        raise
    return sockets


def _listen_unix(path: str) -> socket.socket:
    if sys.platform == "win32":  # pragma: no cover - Windows
        raise OSError("there are no unix sockets on Windows; take a port")
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(Path(path).stat().st_mode):
            _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.bind(path)
        # Nobody can connect before it listens.
        Path(path).chmod(0o600)
        sock.listen(100)
    except OSError:
        sock.close()
        raise
    return sock


def _remove_stale(path: str) -> None:
    """Remove the socket of a process that has died."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink(missing_ok=True)
