"""The other end of a connection, as an application sees it."""

from collections.abc import Awaitable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .address import Address
from .sender import ACCEPTED
from .tls import TlsDetails

if TYPE_CHECKING:
    from .connection import Connection
    from .endpoint import StreamEndpoint


class Peer:
    """The other end of a connection. Endpoints make them.

    Attributes:
        id: a number that no other peer of the endpoint has or had.
        state: whatever the application keeps of this peer; None at first.
    """

    __slots__ = ("_connection", "_encode", "id", "state")

    def __init__(self, connection: "Connection", endpoint: "StreamEndpoint") -> None:
        self._connection = connection
        self._encode = endpoint.wire.encode
        self.id = endpoint._next_peer_id()
        self.state: Any = None

    def send(self, body: Any, type_id: int | None = None) -> Awaitable[None]:
        """Send a message; `await` it, which waits as long as the peer is too slow to take it.

        It returns when the message is accepted, not when it has arrived. Cancelled while it waits,
        it sends nothing.

        Args:
            body: what the codec of the wire takes; without a codec, bytes.
            type_id: the message type identifier, where the framing carries one and the codec has
                no types of its own.

        Raises:
            ConnectionLost: the connection is closed; the message was not sent.
            PayloadError: the framing cannot carry it.
            CodecError: the codec cannot encode it.
        """
        encode = self._encode
        frame = encode(body, type_id)
        connection = self._connection
        # What Sender.write does, for all messages of a turn but its first.
        room = connection.room - len(frame)
        if room > 0:
            connection.room = room
            connection.frames.append(frame)
            return ACCEPTED
        return connection.send(frame)

    def send_nowait(self, body: Any, type_id: int | None = None) -> None:
        """Send a message now, or raise.

        Raises:
            SendBufferFull: the peer has not taken what it was sent before; this was not sent.
            ConnectionLost: the connection is closed; the message was not sent.
            PayloadError: the framing cannot carry it.
            CodecError: the codec cannot encode it.
        """
        encode = self._encode
        frame = encode(body, type_id)
        connection = self._connection
        room = connection.room - len(frame)
        if room > 0:
            connection.room = room
            connection.frames.append(frame)
        else:
            connection.write_now(frame)

    async def close(self) -> None:
        """Send what was accepted for sending, close, and wait for it, up to `close_timeout`."""
        self._connection.close()
        await self._connection.wait_closed()

    def abort(self) -> None:
        """Close at once; what waits to be sent is lost."""
        self._connection.abort()

    @property
    def connected(self) -> bool:
        """Whether messages can be sent to it."""
        return not self._connection.closing

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
        ssl_object = self._connection.transport.get_extra_info("ssl_object")
        return None if ssl_object is None else TlsDetails.of(ssl_object)

    def _address(self, which: str) -> Address:
        transport = self._connection.transport
        tls = transport.get_extra_info("ssl_object") is not None
        return Address.of_socket("tls" if tls else "tcp", transport.get_extra_info(which))

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
