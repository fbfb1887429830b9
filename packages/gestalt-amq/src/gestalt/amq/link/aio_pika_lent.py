"""Channels of aio-pika as applications get them."""

from collections.abc import Awaitable, Callable
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage, ConsumerTag

from .aio_pika_logging import loudly


class _Queue(aio_pika.Queue):
    """A queue whose consumers are the application's, and log as it does."""

    async def consume(
        self,
        callback: Callable[[AbstractIncomingMessage], Awaitable[Any]],
        *args: Any,
        **options: Any,
    ) -> ConsumerTag:
        return await super().consume(loudly(callback), *args, **options)


class LibraryChannel(aio_pika.Channel):
    """A channel by aio-pika, in an application's hands."""

    QUEUE_CLASS = _Queue
