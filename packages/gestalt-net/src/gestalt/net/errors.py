"""The errors of the network endpoints.

NetError (GestaltError)
├── AddressError (ValueError)                a URL that names no address
├── PayloadError (ValueError)                a framing cannot carry a payload: the caller erred
│   └── DatagramTooLarge                     a message is larger than a datagram may be
├── FramingError (ValueError)                received bytes are not frames: the sender erred
│   ├── FrameTooLarge
│   └── IncompleteFrame (EOFError)           the stream ended within a frame
├── LimitExceeded (TimeoutError)             a peer was idle, slow or stalled for too long
├── NotConnected (ConnectionError)           there is no connection to send over
├── ConnectFailed (ConnectionError)          an attempt to connect failed; its cause says why
├── AcceptFailed (ConnectionError)           a server had to refuse connections; its cause says why
├── HandshakeFailed (ConnectionError)        the ends did not agree on TLS; its cause says why
├── ConnectionLost (ConnectionError)         a connection ended; its cause says why
├── SendBufferFull (BlockingIOError)         a peer reads more slowly than it is sent to
├── SendFailed (ConnectionError)             the system refused a datagram; its cause says why
├── PeerUnreachable (ConnectionError)        nobody receives there; earlier datagrams are lost
├── DatagramDropped (ValueError)             a received datagram is no message; its cause says why
├── UnknownPeer (LookupError)                no peer with this identifier is connected
├── LoopNotSuitable (NotImplementedError)    the event loop lacks what an endpoint needs
└── HandlerError (RuntimeError)              a handler raised; its cause is what it raised

A peer's fault ends its own connection: the cause of the ConnectionLost is then a FramingError, a
LimitExceeded, what the codec raised, or, at a client, the HandshakeFailed of a server's refusal.
"""

from typing import TYPE_CHECKING, Any

from gestalt.core import GestaltError

if TYPE_CHECKING:
    from .address import Address
    from .datagram.message import DatagramMessage
    from .framings import Frame
    from .stream.message import StreamMessage
    from .stream.peer import Peer


class NetError(GestaltError):
    """The root of what the network endpoints raise."""


class AddressError(NetError, ValueError):
    """A URL that names no address to listen on or to connect to."""


class PayloadError(NetError, ValueError):
    """A payload, or its type identifier, that the framing cannot carry."""


class DatagramTooLarge(PayloadError):
    """A message, framed, is larger than a datagram may be; it was not sent."""


class FramingError(NetError, ValueError):
    """Received bytes do not follow the framing; nothing after them can be read.

    Attributes:
        frames: the complete frames that came before the fault, in the same piece of data.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.frames: list[Frame] = []


class FrameTooLarge(FramingError):
    """A frame announces, or has reached, more bytes than the framing's `max_size`."""


class IncompleteFrame(FramingError, EOFError):
    """The stream ended within a frame."""


class LimitExceeded(NetError, TimeoutError):
    """A peer was idle, slow or stalled for longer than the limits allow."""


class NotConnected(NetError, ConnectionError):
    """There is no connection to send over; the message was not sent."""


class ConnectFailed(NetError, ConnectionError):
    """An attempt to connect failed; another one follows."""


class AcceptFailed(NetError, ConnectionError):
    """A server refused connections, since the system had nothing left to take them with.

    Attributes:
        refused: how many, since this was told last.
    """

    def __init__(self, message: str, refused: int) -> None:
        super().__init__(message)
        self.refused = refused


class HandshakeFailed(NetError, ConnectionError):
    """A TLS handshake failed: at a server, the connection never came up; at a client, it ended.

    Attributes:
        address: who was at the other end.
    """

    def __init__(self, message: str, address: "Address") -> None:
        super().__init__(message)
        self.address = address


class ConnectionLost(NetError, ConnectionError):
    """A connection ended before everything was sent, or by a fault; the cause tells which.

    Attributes:
        peer: whose connection it was.
        unsent: how many messages were accepted for sending and certainly did not leave.
        in_doubt: how many more were being handed to the operating system; none, some or all of
            them may have left. What left earlier is not known to have arrived, either: TCP does
            not tell.
    """

    def __init__(self, message: str, peer: "Peer", unsent: int = 0, in_doubt: int = 0) -> None:
        super().__init__(message)
        self.peer = peer
        self.unsent = unsent
        self.in_doubt = in_doubt


class SendBufferFull(NetError, BlockingIOError):
    """A peer reads more slowly than it is sent to; the message was not sent."""


class SendFailed(NetError, ConnectionError):
    """The operating system refused to send a datagram; it was not sent."""


class PeerUnreachable(NetError, ConnectionError):
    """A host has answered that nobody receives there; datagrams sent before are lost.

    Attributes:
        source: the address that was sent to.
    """

    def __init__(self, message: str, source: "Address") -> None:
        super().__init__(message)
        self.source = source


class DatagramDropped(NetError, ValueError):
    """A received datagram is not a message, and was dropped; the cause says why.

    Attributes:
        source: who sent it.
    """

    def __init__(self, message: str, source: "Address") -> None:
        super().__init__(message)
        self.source = source


class UnknownPeer(NetError, LookupError):
    """No peer with this identifier is connected."""


class LoopNotSuitable(NetError, NotImplementedError):
    """The event loop lacks something that an endpoint needs; the error says what to run it on."""


class HandlerError(NetError, RuntimeError):
    """A handler or a callback raised; the cause is what it raised.

    Attributes:
        peer: whose message, or whose coming or going, it was; for a datagram, the address.
        message: the message that was handled; None for a callback.
    """

    def __init__(
        self,
        text: str,
        peer: "Peer | Address",
        message: "StreamMessage[Any] | DatagramMessage[Any] | None" = None,
    ) -> None:
        super().__init__(text)
        self.peer = peer
        self.message = message
