"""The other end of a connection, as an application sees it."""

from typing import Any, Protocol

from gestalt.net.address import Address
from gestalt.net.tls import TlsDetails
from gestalt.net.wire import Wire

from .sending import MessageSender, SendBuffer, Writer


class Transport(Protocol):
    """What is asked of the transport of a link."""

    def get_extra_info(self, name: str) -> Any:
        """What asyncio's transports tell by these names."""


class Link(SendBuffer, Writer, Protocol):
    """What is asked of the connection with a peer.

    Attributes:
        scheme: that of its addresses.
    """

    scheme: str

    @property
    def transport(self) -> Transport:
        """Where its bytes go."""

    @property
    def closing(self) -> bool:
        """Whether nothing can be sent any more."""

    def socket_name(self, which: str) -> Any:
        """The "peername" or "sockname" of the socket, also after the connection is lost."""

    def check_thread(self) -> None:
        """Raise WrongThread when this is not the thread of the event loop."""

    def close(self) -> None:
        """Send what was accepted for sending, and close."""

    def abort(self) -> None:
        """Close at once."""

    async def wait_closed(self) -> None:
        """Wait until the connection is closed."""


class Peer(MessageSender):
    """The other end of a connection. Endpoints make them.

    Attributes:
        id: a number that no other peer of the endpoint has or had.
        state: whatever the application keeps of this peer; None at first.
    """

    __slots__ = ("_buffer", "_encode", "_header", "_link", "_wire", "_writer", "id", "state")

    def __init__(self, peer_id: int, link: Link, wire: Wire, send_buffer: int) -> None:
        self.id: int = peer_id
        self.state: Any = None
        self._link = self._buffer = self._writer = link
        self._wire = wire
        self._encode, self._header = wire.encode, wire.header_for(send_buffer)

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
