"""The narrow interface between what Gestalt promises and the client library below it.

A `Link` is one connection to one broker, for as long as it lasts: it never reconnects. All that
deals with supervision, topology, retry, deadlines and drain is written against these classes.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeAlias, TypedDict, Unpack

from gestalt.amq.errors import AmqError
from gestalt.amq.wire import Delivery, Got, Properties

from .client_library import AbstractChannel
from .watch import Progress

Arguments: TypeAlias = Mapping[str, Any] | None
"""Those of a binding."""
Confirm: TypeAlias = asyncio.Future[None]
"""The broker's answer to one publish: None, or Unroutable, Rejected, Refused or LinkLost."""


class DeclareOptions(TypedDict, total=False):
    """How an exchange or a queue is declared; what is left out is not so.

    Attributes:
        durable: it outlives a restart of the broker.
        auto_delete: it vanishes with its last binding, or its last consumer.
        arguments: further ones.
        passive: it must exist, whatever its arguments are.
    """

    durable: bool
    auto_delete: bool
    arguments: dict[str, Any]
    passive: bool


class QueueOptions(DeclareOptions, total=False):
    """How a queue is declared.

    Attributes:
        exclusive: it is the connection's own.
    """

    exclusive: bool


class ConsumeOptions(TypedDict, total=False):
    """How a queue is consumed; what is left out is not so.

    Attributes:
        exclusive: nobody else may consume from it.
        no_ack: nothing is to be settled.
        arguments: further ones.
    """

    exclusive: bool
    no_ack: bool
    arguments: dict[str, Any]


CHANNEL_CLOSED = "the broker closed the channel: "
"""Before the broker's words, in the TopologyError of a channel that it has closed."""


class Channel(ABC):
    """A channel of a link.

    Attributes:
        closed: done when the channel has ended; its result is the reason.
        frame_limit: the largest body that is sent in one frame, in bytes.
    """

    closed: asyncio.Future[AmqError]
    frame_limit: int

    # Hot: these never wait.

    @abstractmethod
    def publish(
        self,
        exchange: str,
        routing_key: str,
        properties: Properties,
        body: bytes,
        *,
        mandatory: bool = False,
        at_once: bool = False,
    ) -> Confirm:
        """Send a message, with whatever else is sent in this turn of the loop.

        Args:
            mandatory: it is an error when no queue takes it.
            at_once: nothing else is under way: do not wait for the end of the turn.

        Raises:
            LinkLost: the channel has ended; nothing was sent.
            Unsendable: it cannot be written as AMQP has it; nothing was sent.
        """

    @abstractmethod
    def send(
        self,
        exchange: str,
        routing_key: str,
        properties: Properties | bytes,
        body: bytes,
        *,
        mandatory: bool = False,
        at_once: bool = False,
    ) -> None:
        """Send a message as `publish` does, on a channel without confirmations.

        A mandatory one that no queue takes goes to the channel's `on_returned`.

        Args:
            properties: the properties, or what a `PropertiesTemplate` has encoded of them.

        Raises:
            LinkLost, Unsendable: as `publish`.
        """

    @abstractmethod
    def ack(self, tag: int, *, multiple: bool = False) -> None:
        """Settle a delivery, with `multiple` all up to it. Nothing happens on an ended channel."""

    @abstractmethod
    def nack(self, tag: int, *, multiple: bool = False, requeue: bool = True) -> None:
        """Give a delivery back, with `multiple` all up to it."""

    before_flush: Callable[[Callable[[], None]], None]
    """Calls a function at the end of this turn, before what was sent in it is written."""
    in_next_turn: Callable[[Callable[[], None]], None]
    """Calls a function in the next turn, after what was scheduled before; that ends the turn."""

    @property
    @abstractmethod
    def congested(self) -> bool:
        """Whether the socket takes no more for now: `drain()` before sending more."""

    @property
    @abstractmethod
    def confirms(self) -> Progress:
        """How many publishes were confirmed or rejected, and whether some were not."""

    @abstractmethod
    def unconfirmed(self) -> list[Confirm]:
        """The confirmations that have not come yet, and are awaited."""

    # Cold: these ask the broker and wait for its answer, up to the link's own deadline.

    @abstractmethod
    async def answers(self) -> bool:
        """Whether the broker answers on this channel in time; it changes nothing.

        One on which it does not has ended by that: the broker's own process of it hangs. The link
        lives on, unless that is so of several of its channels.

        Raises:
            LinkLost: the link or the channel ended meanwhile.
        """

    @abstractmethod
    async def drain(self) -> None:
        """Wait until the socket takes more, or the channel has ended."""

    @abstractmethod
    async def declare_exchange(
        self, name: str, type: str, **options: Unpack[DeclareOptions]
    ) -> None:
        """Declare an exchange.

        Raises:
            TopologyError: the broker refused it; the channel has ended by that.
        """

    @abstractmethod
    async def declare_queue(self, name: str, **options: Unpack[QueueOptions]) -> str:
        """Declare a queue and return its name, which the broker makes up for "".

        Raises:
            TopologyError: the broker refused it; the channel has ended by that.
        """

    @abstractmethod
    async def count(self, queue: str) -> tuple[int, int]:
        """How many messages of a queue are ready to be delivered, and how many consumers it has.

        Raises:
            TopologyError: there is no such queue; the channel has ended by that.
        """

    @abstractmethod
    async def delete_queue(self, name: str) -> None:
        """Delete a queue with all that is in it; one that is not there does no harm."""

    @abstractmethod
    async def bind(
        self, queue: str, exchange: str, routing_key: str, arguments: Arguments = None
    ) -> None:
        """Bind a queue to an exchange."""

    @abstractmethod
    async def bind_exchange(
        self, destination: str, source: str, routing_key: str, arguments: Arguments = None
    ) -> None:
        """Bind an exchange to another one, from which it takes."""

    @abstractmethod
    async def unbind(
        self, queue: str, exchange: str, routing_key: str, arguments: Arguments = None
    ) -> None:
        """Take back the binding with these arguments; one that is not there does no harm."""

    @abstractmethod
    async def qos(self, prefetch: int) -> None:
        """Bound how many unsettled deliveries the broker sends."""

    @abstractmethod
    async def consume(self, queue: str, **options: Unpack[ConsumeOptions]) -> str:
        """Begin to consume and return the consumer's tag.

        Raises:
            TopologyError: the broker refused it; the channel has ended by that.
        """

    @abstractmethod
    async def cancel(self, consumer_tag: str) -> None:
        """End a consumer: no delivery comes after this returns."""

    @abstractmethod
    async def get(self, queue: str) -> Got | None:
        """Take one message, None if the queue is empty. One call at a time."""

    @abstractmethod
    async def rollback(self) -> None:
        """Undo what was sent on a channel of transactions.

        Raises:
            TopologyError: the broker would have refused one of the messages; the channel has
                ended by that.
        """

    @abstractmethod
    async def close(self) -> None:
        """Send what is buffered and end the channel; unsettled deliveries go back."""


class Link(ABC):
    """One connection to one broker, open from the start, until it ends once for all.

    Attributes:
        lost: done when the connection has ended; its result is the reason.
        blocked: why the broker blocks this connection's publishes, None when it does not.
        blocking: done while the broker blocks; another one when it has ceased to.
        on_blocked: called when `blocked` changes.
        address: the broker's URL, without the password.
        place: its host and port.
    """

    lost: asyncio.Future[AmqError]
    blocked: str | None
    blocking: asyncio.Future[None]
    on_blocked: Callable[[str | None], None] | None
    address: str
    place: str

    @abstractmethod
    async def open_channel(
        self,
        *,
        confirms: bool = False,
        transactions: bool = False,
        on_delivery: Callable[[Delivery], None] | None = None,
        on_cancelled: Callable[[], None] | None = None,
        on_returned: Callable[[Delivery], None] | None = None,
    ) -> Channel:
        """Open a channel.

        Args:
            confirms: the broker confirms each publish.
            transactions: what is sent counts when it is committed, which nothing here does.
            on_delivery: takes each delivery of the channel's consumers.
            on_cancelled: the broker cancelled the consumer, as when its queue was deleted.
            on_returned: takes each mandatory message of `Channel.send` that no queue took.

        Raises:
            LinkLost: the connection has ended.
            ChannelsExhausted: it has as many channels as the broker allows.
        """

    @abstractmethod
    async def update_secret(self, secret: str) -> None:
        """Have the broker take a new password, or token, for the one of the handshake.

        Raises:
            LinkLost: the connection has ended, or the broker does not answer.
            CredentialsError: it is too long to be sent.
        """

    @abstractmethod
    async def lend_channel(
        self, *, publisher_confirms: bool, on_return_raises: bool
    ) -> AbstractChannel:
        """Open a channel of the client library, which gets all of its frames.

        Raises:
            LinkLost, ChannelsExhausted: as `open_channel`.
        """

    @abstractmethod
    async def take_leave(self, call: Callable[[], Awaitable[Any]]) -> asyncio.Task[Any]:
        """Await what closes something here, for half a second; then it goes on by itself.

        Returns:
            Its task, which ends with the link at the latest.
        """

    @abstractmethod
    async def close(self, timeout: float) -> None:
        """End the connection: in order when the broker answers in time, else by cutting it.

        Args:
            timeout: how long the broker may take to answer, in seconds.
        """


@contextlib.asynccontextmanager
async def channel_aside(
    link: Link, *, confirms: bool = False, transactions: bool = False
) -> AsyncIterator[Channel]:
    """A channel for one block alone: a refusal ends it, and hurts no other.

    What was taken by it and not acknowledged goes back with its end. Parameters and errors as
    those of `Link.open_channel`.
    """
    channel = await link.open_channel(confirms=confirms, transactions=transactions)
    try:
        yield channel
    finally:
        # It may have ended by itself.
        with contextlib.suppress(AmqError):
            await channel.close()


async def wait_unless_lost(link: Link, seconds: float) -> None:
    """Wait before something is tried again on a link, which ends with the link."""
    await asyncio.wait({link.lost}, timeout=seconds)
