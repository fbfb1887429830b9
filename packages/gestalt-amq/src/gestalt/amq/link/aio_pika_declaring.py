"""What is declared by a channel of the link on aio-pika: by the library's own, under a deadline."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Unpack

import aio_pika.abc

from gestalt.amq.errors import AmqError

from .aio_pika_calls import Calls
from .interface import Arguments, Channel, DeclareOptions, QueueOptions


class AioPikaDeclaring(Channel):
    """The part of a channel that asks the broker for exchanges, queues and bindings.

    Args:
        channel: aio-pika's.
        calls: makes calls of the library on its connection.
    """

    def __init__(self, channel: aio_pika.abc.AbstractChannel, calls: Calls) -> None:
        self.closed: asyncio.Future[AmqError] = asyncio.get_running_loop().create_future()
        self._channel = channel
        self._calls = calls

    async def declare_exchange(
        self, name: str, type: str, **options: Unpack[DeclareOptions]
    ) -> None:
        await self._ask(partial(self._channel.declare_exchange, name, type, **options))

    async def declare_queue(self, name: str, **options: Unpack[QueueOptions]) -> str:
        declared: aio_pika.abc.AbstractQueue = await self._ask(
            partial(self._channel.declare_queue, name, **options)
        )
        return declared.name

    async def count(self, queue: str) -> tuple[int, int]:
        found: aio_pika.abc.AbstractQueue = await self._ask(
            partial(self._channel.declare_queue, queue, passive=True)
        )
        counts = found.declaration_result
        return counts.message_count or 0, counts.consumer_count or 0

    async def delete_queue(self, name: str) -> None:
        await self._ask(partial(self._channel.queue_delete, name))

    async def bind(
        self, queue: str, exchange: str, routing_key: str, arguments: Arguments = None
    ) -> None:
        bound = await self._channel.get_queue(queue, ensure=False)
        await self._ask(partial(bound.bind, exchange, routing_key, arguments=dict(arguments or {})))

    async def bind_exchange(
        self, destination: str, source: str, routing_key: str, arguments: Arguments = None
    ) -> None:
        bound = await self._channel.get_exchange(destination, ensure=False)
        await self._ask(partial(bound.bind, source, routing_key, arguments=dict(arguments or {})))

    async def unbind(
        self, queue: str, exchange: str, routing_key: str, arguments: Arguments = None
    ) -> None:
        bound = await self._channel.get_queue(queue, ensure=False)
        await self._ask(partial(bound.unbind, exchange, routing_key, dict(arguments or {})))

    async def _ask(self, call: Callable[[], Any]) -> Any:
        return await self._calls.ask(call, self.closed)
