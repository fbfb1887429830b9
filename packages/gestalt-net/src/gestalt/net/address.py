"""Addresses as URLs."""

import socket
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit

from .errors import AddressError

INTERNET = ("tcp", "tls", "udp")


@dataclass(frozen=True, slots=True)
class Address:
    """Where an endpoint listens, or connects to.

    As a URL: `tcp://host:port`, `tls://host:port`, `udp://host:port`, `unix:///path`. An IPv6
    address stands in brackets. A server takes an empty host for every interface, and port 0 for
    any port that is free.

    Args:
        scheme: "tcp", "tls", "udp" or "unix".
        host: a name or an IP address; empty for a unix socket.
        port: 0 for a unix socket.
        path: of a unix socket; empty otherwise, and for the unnamed end of a unix connection.
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
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise AddressError(f"{url!r} is no address: {error}") from None
        if parts.scheme not in schemes:
            raise AddressError(f"{url!r} is no address: it must start with one of {expected}")
        if parts.query or parts.fragment or parts.username is not None:
            raise AddressError(f"{url!r} is no address: an address has neither user, query nor tag")
        if parts.scheme == "unix":
            if parts.netloc or len(parts.path) < 2:
                raise AddressError(f"{url!r} is no address: unix:///path has three slashes")
            return cls("unix", path=unquote(parts.path))
        if port is None:
            raise AddressError(f"{url!r} is no address: the port is missing")
        if parts.path:
            raise AddressError(f"{url!r} is no address: nothing may follow the port")
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
            return f"unix://{quote(self.path)}"
        # The zone of an IPv6 address follows a percent sign (RFC 6874).
        host = f"[{quote(self.host, safe=':')}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"
