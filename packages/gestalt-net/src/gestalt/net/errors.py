"""The errors of the network endpoints, all of which `gestalt.net` has.

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
├── SendIncomplete (RuntimeError)            a `send_many` ended before its last message
├── SendFailed (ConnectionError)             the system refused a datagram; its cause says why
├── PeerUnreachable (ConnectionError)        nobody receives there; earlier datagrams are lost
├── DatagramDropped (ValueError)             a received datagram is no message; its cause says why
├── UnknownPeer (LookupError)                no peer with this identifier is connected
└── HandlerError (RuntimeError)              a handler raised; its cause is what it raised

A peer's fault ends its own connection: the cause of the ConnectionLost is then a FramingError, a
LimitExceeded, what the codec raised, or, at a client, the HandshakeFailed of a server's refusal.

Those that carry a peer or an address stand beside what they are about: ConnectionLost and
HandshakeFailed in `stream.errors`, DatagramDropped and PeerUnreachable in `datagram.errors`.
"""

from typing import Any

from gestalt.core import GestaltError, Message, MessageBatch


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
        self.frames: list[tuple[bytes, int | None]] = []


class FrameTooLarge(FramingError):
    """A frame announces, or has reached, more bytes than the framing's `max_size`."""


class IncompleteFrame(FramingError, EOFError):
    """The stream ended within a frame."""


class LimitExceeded(NetError, TimeoutError):
    """A peer was idle, slow or stalled for longer than the limits allow.

    It is the cause of the `ConnectionLost` that the peer's end is told by.
    """


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


class SendBufferFull(NetError, BlockingIOError):
    """A peer reads more slowly than it is sent to; the message was not sent."""


class SendIncomplete(NetError, RuntimeError):
    """Not all messages of a `send_many` were accepted; the cause is what `send` would have raised.

    Attributes:
        accepted: how many were, from the first one on.
    """

    def __init__(self, text: str, accepted: int) -> None:
        super().__init__(text)
        self.accepted = accepted


class SendFailed(NetError, ConnectionError):
    """The operating system refused to send a datagram; it was not sent."""


class UnknownPeer(NetError, LookupError):
    """No peer with this identifier is connected."""


class HandlerError(NetError, RuntimeError):
    """A handler or a callback raised; the cause is what it raised.

    Attributes:
        peer: the Peer whose message, or whose coming or going, it was; for a datagram, the Address.
        message: the message that was handled; None for a callback, and for a batch.
        batch: the batch that was handled; None where it was a single message.
    """

    def __init__(
        self,
        text: str,
        peer: Any,
        message: Message[Any] | None = None,
        batch: MessageBatch[Any] | None = None,
    ) -> None:
        super().__init__(text)
        self.peer = peer
        self.message = message
        self.batch = batch


def handler_error(
    text: str, peer: Any, handled: Message[Any] | MessageBatch[Any] | None
) -> HandlerError:
    """The HandlerError about a message, a batch, or a callback."""
    if isinstance(handled, MessageBatch):
        return HandlerError(text, peer, batch=handled)
    return HandlerError(text, peer, handled)
