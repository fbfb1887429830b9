"""A channel of the link on aio-pika: it writes the hot frames itself."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Unpack

import aio_pika.abc
import aiormq.abc

from gestalt.amq.errors import (
    AmqError,
    LinkLost,
    Rejected,
    TopologyError,
    Unroutable,
    Unsendable,
)
from gestalt.amq.headers import SEQUENCE_HEADER
from gestalt.amq.wire import (
    CONTENT_HEADER,
    Delivery,
    FieldError,
    Got,
    PartialContent,
    Properties,
    ack_frame,
    content_parts,
    encode_properties,
    get_frame,
    nack_frame,
    publish_frame,
)

from .aio_pika_calls import Calls
from .aio_pika_declaring import AioPikaDeclaring
from .interface import CHANNEL_CLOSED, Confirm, ConsumeOptions
from .output import Output
from .suspects import blame
from .unsendable import check_routing_keys, unsendable
from .watch import Progress


class AioPikaChannel(AioPikaDeclaring):
    """A channel by aio-pika, and the sink of its hot frames.

    Args:
        channel: aio-pika's, which declares.
        protocol: the same channel below it, by which the broker is asked to consume.
        transaction: what is sent waits for its commit; None for a channel without transactions.
        frame_limit: the largest body that is sent in one frame, in bytes.
        output: of the connection.
        calls: makes calls of the library on that connection.
        forget: is called with the channel and its number when no frame is for it any more, and
            with whether it was tried to close it.
        on_delivery, on_cancelled, on_returned: as `Link.open_channel` has them.

    Attributes:
        number: the channel's, on its connection.
        consumes: it takes deliveries.
    """

    def __init__(
        self,
        channel: aio_pika.abc.AbstractChannel,
        protocol: aiormq.abc.AbstractChannel,
        transaction: aio_pika.abc.AbstractTransaction | None,
        frame_limit: int,
        output: Output,
        calls: Calls,
        *,
        forget: Callable[["AioPikaChannel", bool], None],
        on_delivery: Callable[[Delivery], None] | None,
        on_cancelled: Callable[[], None] | None,
        on_returned: Callable[[Delivery], None] | None,
    ) -> None:
        super().__init__(channel, calls)
        self._loop = asyncio.get_running_loop()
        self.content: PartialContent | None = None
        self._write = output.write
        self.before_flush = output.before_flush
        self.in_next_turn = output.in_next_turn
        self._writable = output.writable
        self._is_writable = output.writable.is_set
        self._forget = forget
        self._protocol = protocol
        self._transaction = transaction
        self.number: int = protocol.number
        self.frame_limit = frame_limit
        self._header_limit = frame_limit - CONTENT_HEADER.size
        self._deliver = on_delivery
        self.consumes = on_delivery is not None
        self._cancelled = on_cancelled
        self._returned = on_returned
        self._sequence = 0
        # In the order of their numbers, as the broker counts them.
        self._unconfirmed: dict[int, Confirm] = {}
        # What a get is answered by.
        self._got: asyncio.Future[Got | None] | None = None
        # Messages in a row mostly share their properties: they are encoded once.
        self._encoded: tuple[Properties | None, bytes] = (None, b"")

    # Hot

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
        number = self._sequence + 1
        if mandatory:
            headers = {**(properties.headers or {}), SEQUENCE_HEADER: number}
            properties = replace(properties, headers=headers)
        self.send(exchange, routing_key, properties, body, mandatory=mandatory, at_once=at_once)
        # Whatever could not be encoded has been refused by now: the number is used up.
        self._sequence = number
        confirm = self._unconfirmed[number] = self._loop.create_future()
        return confirm

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
        if self.closed.done():
            raise LinkLost(str(self.closed.result()))
        try:
            if isinstance(properties, bytes):
                encoded = properties
            elif properties is self._encoded[0]:
                encoded = self._encoded[1]
            else:
                encoded = self._encode(properties)
            method = publish_frame(self.number, exchange, routing_key, mandatory)
        except FieldError as error:
            raise unsendable(error) from error
        parts = content_parts(self.number, method, encoded, body, self.frame_limit)
        self._write(parts, len(body) + 128, at_once=at_once)

    def _encode(self, properties: Properties) -> bytes:
        encoded = encode_properties(properties)
        check_routing_keys(properties.headers)
        if len(encoded) > self._header_limit:
            raise Unsendable(
                f"properties and headers take {len(encoded)} bytes, and the broker ends the "
                f"connection of one who sends more than {self._header_limit}"
            )
        self._encoded = (properties, encoded)
        return encoded

    def ack(self, tag: int, *, multiple: bool = False) -> None:
        if not self.closed.done():
            self._write([ack_frame(self.number, tag, multiple)], 21)

    def nack(self, tag: int, *, multiple: bool = False, requeue: bool = True) -> None:
        if not self.closed.done():  # pragma: no branch - closed in this turn
            self._write([nack_frame(self.number, tag, multiple, requeue)], 21)

    @property
    def congested(self) -> bool:
        return not self._is_writable()

    @property
    def confirms(self) -> Progress:
        left = len(self._unconfirmed)
        return Progress(self._sequence - left, left > 0)

    def unconfirmed(self) -> list[Confirm]:
        return [confirm for confirm in self._unconfirmed.values() if not confirm.done()]

    async def drain(self) -> None:
        await self._writable.wait()

    # What the demultiplexer tells

    def on_delivery(self, delivery: Delivery) -> None:
        if self._deliver is not None:  # pragma: no branch - one that consumes has it
            self._deliver(delivery)

    def on_confirm(self, tag: int, multiple: bool, accepted: bool) -> None:
        unconfirmed = self._unconfirmed
        if not multiple:
            self._settle(unconfirmed.pop(tag, None), accepted)
            return
        while unconfirmed:
            first = next(iter(unconfirmed))
            if tag and first > tag:  # 0 means all of them
                break
            self._settle(unconfirmed.pop(first), accepted)

    def on_returned(self, code: int, text: str, delivery: Delivery) -> None:
        if self._returned is not None:
            self._returned(delivery)
            return
        number = (delivery.properties.headers or {}).get(SEQUENCE_HEADER)
        # The acknowledgement that follows finds it settled.
        confirm = self._unconfirmed.get(number) if isinstance(number, int) else None
        if confirm is not None and not confirm.done():  # pragma: no branch - given up in this turn
            where = f"exchange {delivery.exchange!r}, routing key {delivery.routing_key!r}"
            confirm.set_exception(Unroutable(f"no queue takes it: {where} ({code} {text})"))

    def on_got(self, delivery: Got | None) -> None:
        if self._got is not None and not self._got.done():  # pragma: no branch - given up just now
            self._got.set_result(delivery)

    @staticmethod
    def _settle(confirm: Confirm | None, accepted: bool) -> None:
        if confirm is None or confirm.done():
            return
        if accepted:
            confirm.set_result(None)
        else:
            confirm.set_exception(Rejected("the broker did not take it: a queue is full or failed"))

    def on_cancelled(self) -> None:
        if self._cancelled is not None:  # pragma: no branch - one that consumes has it
            self._cancelled()

    def on_closed(self, code: int, text: str, *, by_publish: bool) -> None:
        if by_publish:
            blame(self._unconfirmed, code, text)
        self.end(TopologyError(CHANNEL_CLOSED + text, code))

    def end(self, reason: AmqError, *, left: bool = False) -> None:
        """The channel is over: what was not confirmed will never be.

        Args:
            left: it was left, and what the broker may still send by it is for nobody.
        """
        if self.closed.done():
            return
        self.closed.set_result(reason)
        if left:
            self._deliver = None
        self._forget(self, left)
        if self._got is not None and not self._got.done():
            self._got.set_exception(LinkLost(str(reason)))
        unconfirmed, self._unconfirmed = self._unconfirmed, {}
        for confirm in unconfirmed.values():
            if not confirm.done():
                confirm.set_exception(LinkLost(str(reason)))

    # Cold

    async def qos(self, prefetch: int) -> None:
        await self._ask(partial(self._channel.set_qos, prefetch_count=prefetch))

    async def consume(self, queue: str, **options: Unpack[ConsumeOptions]) -> str:
        # Below aio-pika, which would have deliveries called back: they come by the demultiplexer.
        consuming = await self._ask(
            partial(self._protocol.basic_consume, queue, _not_called, **options)
        )
        return str(consuming.consumer_tag)

    async def cancel(self, consumer_tag: str) -> None:
        await self._ask(partial(self._protocol.basic_cancel, consumer_tag))

    async def get(self, queue: str) -> Got | None:
        delivery: Got | None = await self._ask(partial(self._get, queue))
        return delivery

    async def rollback(self) -> None:
        if self._transaction is None:  # pragma: no cover - for type checkers
            raise RuntimeError("the channel was opened without transactions")
        await self._ask(self._transaction.rollback)

    async def _get(self, queue: str) -> Got | None:
        # Not by the library: it reads less of what others wrote into headers than the link does.
        if self.closed.done():  # pragma: no cover - closed in this turn
            raise LinkLost(str(self.closed.result()))
        try:
            frame = get_frame(self.number, queue)
        except FieldError as error:  # pragma: no cover - a name that was declared fits
            raise unsendable(error) from error
        self._got = self._loop.create_future()
        self._write([frame], 32, at_once=True)
        try:
            return await self._got
        finally:
            self._got = None

    async def answers(self) -> bool:
        # What is asked for is so already: any question would do.
        if await self._calls.answered(partial(self._protocol.flow, True), self.closed):
            return True
        # What the broker still says there, should it wake up, is for nobody.
        self.end(LinkLost("the channel hangs in the broker"), left=True)
        self._calls.note_hanging()
        return False

    async def close(self) -> None:
        if not self.closed.done():
            await self._calls.take_leave(self._channel.close)
            self.end(LinkLost("the channel was closed here"), left=True)


async def _not_called(message: object) -> None:  # noqa: ARG001 - what the library calls
    raise AssertionError("a delivery went past the link")  # pragma: no cover - a fault of the link
