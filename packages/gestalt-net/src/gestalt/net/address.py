"""Addresses as URLs."""

import os
import re
import socket
import sys
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import quote, unquote, urlsplit

from .errors import AddressError

LONGEST_PATH = 107 if sys.platform == "linux" else 103
"""How many bytes the path of a unix socket can have: `sun_path`, less the null at its end."""

_NO_PORT: Final = re.compile(r":(?!//)(?![0-9]*\Z)[^/:\]]*\Z")
_USER: Final = re.compile("^((?!unix:)[a-z0-9+.-]*://).+@", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Address:
    """Where an endpoint listens, or connects to.

    As a URL: `tcp://host:port`, `tls://host:port`, `udp://host:port`, `unix:///path`. An IPv6
    address stands in brackets. A server takes an empty host for every interface, and port 0 for
    any port that is free. On Linux, `unix://@name` is a name without a file. A socket that this
    process was started with is `fd://3` by its number, `systemd://name` by the name that its unit
    has for it.

    Args:
        scheme: "tcp", "tls", "udp" or "unix"; "fd" or "systemd".
        host: a name or an IP address; empty for a unix socket. The name of a socket of systemd.
        port: 0 for a unix socket. The number of a descriptor.
        path: of a unix socket; empty otherwise, and for the unnamed end of a unix connection. A
            name without a file begins with a null character.
    """

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def parse(cls, url: "str | Address", schemes: tuple[str, ...]) -> Self:
        """Read a URL whose scheme is one of `schemes`.

        Raises:
            AddressError: it names no address, or one of another kind.
        """
        if isinstance(url, Address):
            url = str(url)
        expected = ", ".join(f"{scheme}://" for scheme in schemes)
        # What these errors say quotes the URL.
        try:
            parts = urlsplit(url)
            named = parts.scheme == "systemd"
            host = None if named else parts.hostname
        except ValueError:
            raise _refused(url, "its host cannot be read") from None
        try:
            port = None if named else parts.port
        except ValueError:
            raise _refused(url, "a port is a number from 0 to 65535") from None
        if parts.scheme not in schemes:
            raise _refused(url, f"it must start with one of {expected}")
        if parts.query or parts.fragment:
            raise _refused(url, "an address has neither query nor tag")
        if parts.scheme == "unix":
            return cls("unix", path=_unix_path(url, parts.netloc, parts.path))
        if parts.scheme == "fd":
            if parts.path or not (parts.netloc.isascii() and parts.netloc.isdigit()):
                raise _refused(url, "a number is needed, as in fd://3")
            return cls("fd", port=int(parts.netloc[:9]))
        if parts.scheme == "systemd":
            if parts.path or not parts.netloc:
                raise _refused(url, "a name is needed, as in systemd://web")
            return cls("systemd", unquote(parts.netloc))
        if parts.username is not None:
            raise _refused(url, "an address has no user")
        if port is None:
            raise _refused(url, "the port is missing")
        if parts.path:
            raise _refused(url, "nothing may follow the port")
        return cls(parts.scheme, unquote(host or ""), port)

    @classmethod
    def of_socket(cls, scheme: str, name: Any) -> Self:
        """The address that the operating system calls `name`: a tuple, or a path."""
        if isinstance(name, tuple):
            return cls(scheme, name[0], name[1])
        if isinstance(name, bytes):
            name = name.decode("utf-8", "surrogateescape")
        return cls("unix", path=name or "")

    @property
    def family(self) -> socket.AddressFamily:
        """The address family where the host tells it, else AF_UNSPEC."""
        if self.scheme == "unix":
            return socket.AF_UNIX
        return socket.AF_INET6 if ":" in self.host else socket.AF_UNSPEC

    def __str__(self) -> str:
        if self.scheme == "unix":
            if self.path.startswith("\0"):
                return f"unix://@{quote(self.path[1:])}"
            return f"unix://{quote(self.path)}"
        if self.scheme == "fd":
            return f"fd://{self.port}"
        if self.scheme == "systemd":
            return f"systemd://{quote(self.host, safe='')}"
        # The zone of an IPv6 address follows a percent sign (RFC 6874).
        host = f"[{quote(self.host, safe=':')}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def _refused(url: str, why: str) -> AddressError:
    # As an error shows it: without what may be part of a secret, of a user, a query, a tag and a
    # port that is no number.
    shown = _NO_PORT.sub(":...", re.split("[?#]", url, maxsplit=1)[0])
    masked = _USER.sub(r"\1...@", shown)
    return AddressError(f"{masked!r} is no address: {why}")


def _unix_path(url: str, netloc: str, path: str) -> str:
    """The path in the parts of a URL, as the system is to be told."""
    if netloc.startswith("@") and len(netloc) > 1:
        if sys.platform != "linux":  # pragma: no cover - other systems
            raise _refused(url, "only Linux has names without files")
        name = "\0" + unquote(netloc[1:] + path)
    elif netloc or len(path) < 2:
        raise _refused(url, "unix:///path has three slashes")
    else:
        name = unquote(path)
    if "\0" in name[1:]:
        raise _refused(url, "a path has no null characters")
    size = len(os.fsencode(name))
    if size > LONGEST_PATH:
        raise _refused(
            url,
            f"its path has {size} bytes, and that of a unix socket {LONGEST_PATH} at most; choose "
            "a shorter one",
        )
    return name
