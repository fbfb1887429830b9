"""A private RabbitMQ around all runs of a benchmark, and the names that they use there."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from benchmarks.harness import Unavailable

EXCHANGE = "bench"
KEY = "bench.key"
BODY = b"x" * 1024


@contextmanager
def broker() -> Iterator[Mapping[str, Any]]:
    """Give the URL of GESTALT_AMQP_URL, or of a node that lives as long as this."""
    if url := os.environ.get("GESTALT_AMQP_URL"):
        yield {"url": url, "versions": {"RabbitMQ": "as given"}}
        return
    from tests.support.rabbitmq import NoRabbitMQError, RabbitMQNode

    try:
        node = RabbitMQNode("bench")
        node.start()
    except NoRabbitMQError as error:
        raise Unavailable(str(error)) from error
    try:
        version = ".".join(map(str, node.version))
        yield {"url": node.url, "versions": {"RabbitMQ": version}}
    finally:
        node.close()


async def empty(url: str) -> None:
    """A durable topic exchange, and an empty durable queue that takes all of it."""
    import aio_pika

    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(EXCHANGE, "topic", durable=True)
        queue = await channel.declare_queue(EXCHANGE, durable=True)
        await queue.purge()
        await queue.bind(exchange, "#")


async def fill(url: str, queue: str, count: int) -> None:
    """Make a durable queue of `count` persistent messages."""
    import aio_pika

    from gestalt.amq import Exchange, connect
    from gestalt.codecs import Codec

    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        declared = await channel.declare_queue(queue, durable=True)
        await declared.purge()
    async with (
        connect(url, codec=Codec("bytes")) as bus,
        bus.publisher(Exchange("")).batch() as batch,
    ):
        for _ in range(count):
            await batch.publish(BODY, queue)
