"""Publishing with confirmation: returns when the broker has taken charge of the message."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Generic, TypedDict, TypeVar, Unpack

from gestalt.amq.encoding import MessageOptions, make_properties
from gestalt.amq.errors import (
    AmqError,
    LinkLost,
    NotSent,
    OutcomeUnknown,
    Rejected,
    UnsendableType,
)
from gestalt.amq.link.interface import Channel, Confirm
from gestalt.amq.link.preflight import Question
from gestalt.amq.link.sender import Sender
from gestalt.amq.link.suspects import Suspected
from gestalt.amq.link.unsendable import check_reply_to
from gestalt.amq.topology import Exchange
from gestalt.amq.tracing import Tracing
from gestalt.amq.wire import PERSISTENT, TRANSIENT, Properties, shown
from gestalt.codecs import Codec, Codecs
from gestalt.core import StateError

from .delays import TimeLeft
from .delays_keeper import DelayKeeper
from .delays_sender import DelaySender
from .exchange_keeper import ExchangeKeeper
from .publish_batch import PublishBatch, Sent, lost_after_sending
from .publish_options import PublishOptions, take_due

T_contra = TypeVar("T_contra", contravariant=True)


class PublisherOptions(TypedDict, total=False):
    """What a publisher may be told by name; Publisher has the defaults.

    Attributes:
        mandatory: a message that no queue takes is an error; it is not, by default.
        persistent: messages outlive a restart of the broker; they do, by default.
        timeout: for a publish with its confirmation, in seconds (30).
        max_unconfirmed: how many may be unconfirmed at once (1000); further ones wait.
        idempotent: consumers bear duplicates, which they know by the message_id: what was sent when
            the connection was lost is sent again, until the deadline; it is not, by default.
        delayed: it is known beforehand that messages will be delivered later: what that needs is
            declared at the start, and listed by the topology command; it is otherwise when the
            first such message is published.
    """

    delayed: bool
    idempotent: bool
    mandatory: bool
    persistent: bool
    timeout: float
    max_unconfirmed: int


class Publisher(Sender, Generic[T_contra]):
    """Publishes to one exchange; made by `Bus.publisher`, and shared by any number of tasks.

    A publish returns when the broker has confirmed it: it is stored, and replicated, as the
    queues that took it promise. Many may be under way at once; over `max_unconfirmed` of them,
    further ones wait. While there is no connection, publishes wait for it, up to their deadline.

    `Publisher[Alert | Cleared]` is for type checkers: what is published.

        alerts: Publisher[Alert | Cleared] = bus.publisher("alerts")
    """

    def __init__(
        self,
        keeper: ExchangeKeeper,
        codec: Codec | Codecs,
        *,
        delays: Callable[[], DelayKeeper],
        tracing: Tracing | None,
        mandatory: bool = False,
        persistent: bool = True,
        timeout: float = 30.0,
        max_unconfirmed: int = 1000,
        idempotent: bool = False,
        delayed: bool = False,
    ) -> None:
        if max_unconfirmed < 1:
            raise ValueError(f"max_unconfirmed must be at least 1, got {max_unconfirmed}")
        super().__init__(
            keeper, timeout=timeout, max_pending=max_unconfirmed, to=keeper.exchange.name
        )
        self.exchange: Exchange = keeper.exchange
        self.codec = codec
        self._tracing = tracing
        self._mandatory = mandatory
        self._idempotent = idempotent
        self._delivery_mode = PERSISTENT if persistent else TRANSIENT
        self._exchanges = keeper
        self._delays = delays
        self._delay_sender: DelaySender | None = None
        if delayed:
            self._delayed().expect()
        self._common: dict[tuple[str, str | None, str | None, int | None], Properties] = {}

    @property
    def persistent(self) -> bool:
        """Whether messages outlive a restart of the broker."""
        return self._delivery_mode == PERSISTENT

    async def publish(
        self,
        body: T_contra,
        routing_key: str = "",
        *,
        mandatory: bool | None = None,
        timeout: float | None = None,
        idempotent: bool | None = None,
        **options: Unpack[PublishOptions],
    ) -> None:
        """Publish, and return when the broker has confirmed it.

        Args:
            body: what to publish; the codec encodes it.
            routing_key: what the bindings of queues are compared with.
            mandatory: insist that some queue takes it; the publisher's own by default.
            timeout: for all of it, in seconds; the publisher's own by default.
            idempotent: consumers bear duplicates: send it again where the connection was lost after
                it was sent, with the same message_id, which is made where none is given; the
                publisher's own by default.
            options: headers, expiration (seconds), priority and so on: see MessageOptions; and
                delay (seconds) or at, for a message that is to be delivered later: see
                PublishOptions.

        Raises:
            Unroutable: it is mandatory, and no queue takes it.
            Rejected: a queue is full, or could not store it.
            Refused: the broker refuses the message itself: for want of a permission, because the
                exchange does not exist, for its size, or for another user's `user_id`.
            NotSent: there was no connection until the deadline; nothing was sent.
            Blocked: as NotSent, because the broker blocks publishers.
            OutcomeUnknown: it was sent, and the connection or the time ran out; with `idempotent`
                not before the deadline, unless the bus was stopped.
            StateError: the bus is not running.
            TopologyError: the broker refuses the exchange's declaration.
            Unsendable: an option or a header cannot be sent; it is named. A ValueError, and a
                TypeError (UnsendableType) where the type is wrong.
            CodecError: the body cannot be encoded.
        """
        due = take_due(options) if options else None
        encoded, properties = self._encode(body, options)
        again = self._idempotent if idempotent is None else idempotent
        if again:
            properties = identified(properties)
        if self._tracing is None or self._tracing.idle():
            await self._publish(encoded, properties, routing_key, mandatory, timeout, again, due)
            return
        with self._tracing.publishing(self.exchange.name, routing_key, properties) as traced:
            await self._publish(encoded, traced, routing_key, mandatory, timeout, again, due)

    def batch(self) -> PublishBatch[T_contra]:
        """Publish many messages and await their confirmations together.

            async with publisher.batch() as batch:
                for reading in readings:
                    await batch.publish(reading, reading.key)

        Leaving the block waits for all confirmations, and raises BatchError when some failed.
        """
        return PublishBatch(self._submit, self._resubmit)

    def _encode(self, body: T_contra, options: MessageOptions) -> tuple[bytes, Properties]:
        """Encode a body, with the properties that go with it."""
        encoded = self.codec.encode(body)
        if options:
            properties = make_properties(encoded, self._delivery_mode, options)
            check_reply_to(properties.reply_to)
            return encoded.body, properties
        # Plain messages of one type share their properties, encoded once by the channel.
        key = (encoded.content_type, encoded.content_encoding, encoded.type_name, encoded.type_id)
        common = self._common.get(key)
        if common is None:
            common = self._common[key] = make_properties(encoded, self._delivery_mode, options)
        return encoded.body, common

    async def _publish(
        self,
        body: bytes,
        properties: Properties,
        routing_key: str,
        mandatory: bool | None,
        timeout: float | None,
        idempotent: bool,
        due: TimeLeft | None,
    ) -> None:
        """Publish what is encoded, as `publish` does."""
        now = asyncio.get_running_loop().time()
        deadline = self._deadline(now, timeout)
        confirm = await self._send(body, properties, routing_key, mandatory, now, deadline, due)
        while True:
            try:
                await confirm
            except LinkLost as error:
                lost = error
            except Rejected as error:
                keeper = self._exchanges if due is None else self._delays()
                keeper.note_rejection(error)
                raise
            else:
                return
            finally:
                if due is None:
                    self._done(confirm)
                else:
                    self._delayed().done(confirm)
            confirm = await self._send_again(
                lost, body, properties, routing_key, mandatory, deadline, idempotent, due
            )

    async def _submit(
        self,
        body: T_contra,
        routing_key: str,
        mandatory: bool | None,
        timeout: float | None,
        idempotent: bool | None,
        options: PublishOptions,
    ) -> Sent:
        """Publish as a batch does, which awaits the confirmation later."""
        due = take_due(options) if options else None
        encoded, properties = self._encode(body, options)
        again = self._idempotent if idempotent is None else idempotent
        if again:
            properties = identified(properties)
        if self._tracing is not None:
            properties = self._tracing.inject(properties)
        now = asyncio.get_running_loop().time()
        deadline = self._deadline(now, timeout)
        confirm = await self._send(encoded, properties, routing_key, mandatory, now, deadline, due)
        confirm.add_done_callback(self._submitted if due is None else self._delayed().submitted)
        return confirm, encoded, properties, routing_key, mandatory, deadline, again, due

    async def _resubmit(self, sent: Sent, lost: LinkLost) -> Sent:
        """Publish again what a batch has published, if it may be."""
        confirm = await self._send_again(lost, *sent[1:])
        delayed = sent[-1] is not None
        confirm.add_done_callback(self._delayed().submitted if delayed else self._submitted)
        return confirm, *sent[1:]

    def _delayed(self) -> DelaySender:
        """What publishes messages that are to be delivered later."""
        if self._delay_sender is None:
            self._delay_sender = DelaySender(
                self._delays(),
                self.exchange,
                mandatory=self._mandatory,
                timeout=self._timeout,
                max_pending=self._max_pending,
            )
        return self._delay_sender

    def _submitted(self, confirm: Confirm) -> None:
        self._done(confirm)
        if not confirm.cancelled() and isinstance(error := confirm.exception(), Rejected):
            self._exchanges.note_rejection(error)

    async def _send_again(
        self,
        lost: LinkLost,
        body: bytes,
        properties: Properties,
        routing_key: str,
        mandatory: bool | None,
        deadline: float,
        idempotent: bool,
        due: TimeLeft | None,
    ) -> Confirm:
        """Send a message again after the connection was lost, if that can do no harm.

        Raises:
            OutcomeUnknown: it may have arrived, and is not sent again, or could not be.
            NotSent: it has not arrived, and could not be sent again.
            Rejected: the broker refuses it.
        """
        untaken = False
        if isinstance(lost, Suspected):
            if due is None:
                question = self._question(body, properties, routing_key)
                untaken = await self._exchanges.judge(lost, question)
            else:  # pragma: no cover - somebody deletes the ladder
                question = self._delayed().question(body, properties)
                untaken = await self._delays().judge(lost, question)
        if not (untaken or idempotent):
            raise lost_after_sending(lost) from lost
        now = asyncio.get_running_loop().time()
        try:
            return await self._send(body, properties, routing_key, mandatory, now, deadline, due)
        except Rejected:  # pragma: no cover - refused where it was taken before
            raise
        except (AmqError, StateError) as error:
            if untaken:  # pragma: no cover - lost once more meanwhile
                raise NotSent(f"{lost}, for another message; nothing was sent: {error}") from error
            raise OutcomeUnknown(
                f"the message was sent, then the connection was lost: {lost}; it could not be sent "
                f"again: {error}"
            ) from error

    def _question(self, body: bytes, properties: Properties, routing_key: str) -> Question:
        return Question(self.exchange.name, routing_key, len(body), properties.user_id)

    async def _send(
        self,
        body: bytes,
        properties: Properties,
        routing_key: str,
        mandatory: bool | None,
        now: float,
        deadline: float,
        due: TimeLeft | None,
    ) -> Confirm:
        """Send as soon as it may be sent, and return the answer, after which comes `_done`."""
        if due is not None:
            send = self._delayed().send
            return await send(due, body, properties, routing_key, mandatory, deadline)
        if not isinstance(routing_key, str):
            raise UnsendableType(f"routing_key is a str, got {shown(routing_key)}")
        channel: Channel | None = None
        if properties.user_id is None:
            channel = self._ready_now(routing_key, len(body), now)
        if channel is None:
            question = self._question(body, properties, routing_key)
            channel = await self._ready(deadline, question)
        try:
            confirm = channel.publish(
                self.exchange.name,
                routing_key,
                properties,
                body,
                mandatory=self._mandatory if mandatory is None else mandatory,
                at_once=not self._keeper.pending,
            )
        except BaseException:
            self._window.release()
            raise
        self._keeper.hold(confirm, deadline)
        self._counts.begin(confirm)
        return confirm


def identified(properties: Properties) -> Properties:
    """The properties of a message that may be sent twice, with a message_id to know it by."""
    if properties.message_id is not None:
        return properties
    return replace(properties, message_id=os.urandom(16).hex())
