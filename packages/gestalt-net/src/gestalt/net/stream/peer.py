"""The other end of a connection, as an application sees it."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gestalt.net.address import Address
from gestalt.net.tls import TlsDetails

from .sending import Outlet

if TYPE_CHECKING:
    from .connection import Connection
    from .endpoint import StreamEndpoint


class Peer(Outlet):
    """The other end of a connection. Endpoints make them.

    Attributes:
        id: a number that no other peer of the endpoint has or had.
        state: whatever the application keeps of this peer; None at first.
    """

    __slots__ = ("_encode", "_header", "_link", "_plain", "id", "state")

    _link: "Connection"

    def __init__(self, connection: "Connection", endpoint: "StreamEndpoint") -> None:
        self._link = connection
        wire = endpoint.wire
        self._encode, self._header = wire.encode, wire.header
        self._plain = wire.plain(endpoint.limits.send_buffer)
        self.id = endpoint._next_peer_id()
        self.state: Any = None

    async def close(self) -> None:
        """Send what was accepted for sending, close, and wait for it, up to `close_timeout`.

        Raises:
            WrongThread: this is not the thread of the endpoint's event loop.
        """
        self._link.check_thread()
        self._link.close()
        await self._link.wait_closed()

    def abort(self) -> None:
        """Close at once; what waits to be sent is lost.

        Raises:
            WrongThread: this is not the thread of the endpoint's event loop.
        """
        self._link.check_thread()
        self._link.abort()

    @property
    def connected(self) -> bool:
        """Whether messages can be sent to it."""
        return not self._link.closing

    @property
    def address(self) -> Address:
        """Where it is: its host and port; for a unix socket, mostly an empty path."""
        return self._address("peername")

    @property
    def local_address(self) -> Address:
        """Where it is connected to: our own end."""
        return self._address("sockname")

    @property
    def tls(self) -> TlsDetails | None:
        """What TLS has agreed upon; None where the connection is plain."""
        ssl_object = self._link.transport.get_extra_info("ssl_object")
        return None if ssl_object is None else TlsDetails.of(ssl_object)

    def _address(self, which: str) -> Address:
        link = self._link
        return Address.of_socket(link.scheme, link.socket_name(which))

    def __repr__(self) -> str:
        return f"<Peer {self.id} {self.address}>"


class PeersView(Mapping[int, Peer]):
    """The peers of an endpoint by their identifiers, as they come and go."""

    __slots__ = ("_connections",)

    def __init__(self, connections: "Mapping[int, Connection]") -> None:
        self._connections = connections

    def __getitem__(self, peer_id: int) -> Peer:
        return self._connections[peer_id].peer

    def __iter__(self) -> Iterator[int]:
        return iter(self._connections)

    def __len__(self) -> int:
        return len(self._connections)

    def __repr__(self) -> str:
        return f"<{len(self)} peers>"
