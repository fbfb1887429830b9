"""Messages for tests of handlers, which then need no endpoint.

peer = RecordingPeer()
await handler(stream_message(Order(7), peer=peer))
assert peer.sent == [Confirmed(7)]
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, TypeVar

from .address import Address
from .batch import listed_in_turn
from .datagram.message import DatagramMessage
from .datagram.message_batch import DatagramMessageBatch
from .errors import SendIncomplete
from .stream.batch import StreamBatch
from .stream.errors import ConnectionLost
from .stream.message import StreamMessage
from .stream.peer import Peer
from .tls import TlsDetails
from .wire import Wire

T = TypeVar("T")

# Of RFC 5737, for documentation: nobody is there.
SOMEBODY = "tcp://192.0.2.1:9000"
SENDER = "udp://192.0.2.1:9000"


class RecordingPeer(Peer):
    """A peer that is nowhere, and keeps what it is sent.

    Args:
        wire: what is sent is encoded by it, so that what it cannot carry raises as it would from a
            connection; None for no check.
        address: where it seems to be.
        tls: what TLS is to have agreed upon; None for a plain connection.

    Attributes:
        sent: the bodies that it was sent, in order.
        aborted: whether `abort` was called.
    """

    def __init__(
        self,
        wire: Wire | None = None,
        *,
        address: str | Address = SOMEBODY,
        tls: TlsDetails | None = None,
    ) -> None:
        # Not by the base, which asks for a connection.
        self.id = 1
        self.state = None
        self.sent: list[Any] = []
        self.aborted: bool = False
        self._checks = wire
        self._where = Address.parse(address, ("tcp", "tls", "unix"))
        self._tls = tls
        self._open = True

    async def send(self, body: Any, type_id: int | None = None) -> None:
        """Keep a message."""
        self.send_nowait(body, type_id)

    def send_nowait(self, body: Any, type_id: int | None = None) -> None:
        """Keep a message."""
        if not self._open:
            raise ConnectionLost(f"{self!r} is not connected any more", self)
        if self._checks is not None:
            self._checks.encode(body, type_id)
        self.sent.append(body)

    async def send_many(self, bodies: Iterable[Any], type_id: int | None = None) -> None:
        """Keep messages."""
        lists, of_all = listed_in_turn(bodies)
        accepted = 0
        try:
            for body in chain.from_iterable(lists):
                self.send_nowait(body, type_id)
                accepted += 1
        except Exception as error:
            text = f"{accepted}{of_all} messages were accepted: {error}"
            raise SendIncomplete(text, accepted) from error

    async def close(self) -> None:
        """Be connected no more."""
        self._open = False

    def abort(self) -> None:
        """Be connected no more."""
        self._open = False
        self.aborted = True

    @property
    def connected(self) -> bool:
        """Whether it was neither closed nor aborted."""
        return self._open

    @property
    def address(self) -> Address:
        """Where it seems to be."""
        return self._where

    @property
    def local_address(self) -> Address:
        """Where it seems to be connected to."""
        return self._where

    @property
    def tls(self) -> TlsDetails | None:
        """What it was given."""
        return self._tls


class RecordingEndpoint:
    """Stands for the endpoint that datagrams have come to, and keeps the replies.

    Attributes:
        sent: the bodies of the replies, in order, each with where it was sent.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[Any, Address]] = []

    async def send(
        self, body: Any, type_id: int | None = None, *, to: Address | str | None = None
    ) -> None:
        """Keep a reply."""
        self.send_nowait(body, type_id, to=to)

    def send_nowait(
        self,
        body: Any,
        type_id: int | None = None,  # noqa: ARG002 - as an endpoint has it
        *,
        to: Address | str | None = None,
    ) -> None:
        """Keep a reply."""
        self.sent.append((body, Address.parse(to or SENDER, ("udp",))))

    async def send_many(
        self,
        bodies: Iterable[Any],
        type_id: int | None = None,
        *,
        to: Address | str | None = None,
    ) -> None:
        """Keep replies."""
        lists, _ = listed_in_turn(bodies)
        for body in chain.from_iterable(lists):
            self.send_nowait(body, type_id, to=to)


def stream_message(
    body: T, type_id: int | None = None, *, peer: Peer | None = None
) -> StreamMessage[T]:
    """Make a message as a stream's handler gets it.

    Args:
        body: as the codec would have decoded it.
        type_id: the message type identifier.
        peer: who sent it; a `RecordingPeer` of its own by default.
    """
    return StreamMessage(body, type_id, RecordingPeer() if peer is None else peer)


def stream_batch(
    bodies: Sequence[T], type_id: int | None = None, *, peer: Peer | None = None
) -> StreamBatch[T]:
    """Make a batch as `on_messages=` of a stream gets it.

    Args:
        bodies: as the codec would have decoded them, at least one.
        type_id: the message type identifier of all of them.
        peer: who sent them; a `RecordingPeer` of its own by default.
    """
    type_ids = [type_id] * len(bodies)
    return StreamBatch(bodies, lambda: type_ids, RecordingPeer() if peer is None else peer)


def datagram_message(
    body: T,
    type_id: int | None = None,
    *,
    source: str | Address = SENDER,
    endpoint: RecordingEndpoint | None = None,
) -> DatagramMessage[T]:
    """Make a message as the handler of a datagram endpoint gets it.

    Args:
        body: as the codec would have decoded it.
        type_id: the message type identifier.
        source: who sent it.
        endpoint: keeps the replies; None where nobody looks at them.
    """
    where = Address.parse(source, ("udp",))
    return DatagramMessage(body, type_id, where, endpoint or RecordingEndpoint())


def datagram_batch(
    bodies: Sequence[T],
    type_id: int | None = None,
    *,
    source: str | Address = SENDER,
    endpoint: RecordingEndpoint | None = None,
) -> DatagramMessageBatch[T]:
    """Make a batch as `on_messages=` of a datagram endpoint gets it.

    Args:
        bodies: as the codec would have decoded them, at least one.
        type_id: the message type identifier of all of them.
        source: who sent them.
        endpoint: keeps the replies; None where nobody looks at them.
    """
    sources = [Address.parse(source, ("udp",))] * len(bodies)
    type_ids = [type_id] * len(bodies)
    replies = endpoint or RecordingEndpoint()
    return DatagramMessageBatch(bodies, lambda: type_ids, sources, replies)
