"""Both ways with the other Python clients, compression and headers included."""

import asyncio
import bz2
import gzip
import json
import zlib
from typing import Any

import aio_pika
import kombu
import pika
import pytest

from gestalt.amq import Bus, BusMessage, Exchange, Queue, Request
from gestalt.codecs import Codec

COMPRESSED = Codec("json", compress="deflate", min_size=16, accept=["bzip2", "gzip"])
BODY = {"text": "é" * 300, "n": 1}


async def receive(bus: Bus, exchange: str, codec: Codec) -> "asyncio.Queue[BusMessage[Any]]":
    queue: asyncio.Queue[BusMessage[Any]] = asyncio.Queue()
    await bus.subscribe(exchange, "#", queue.put_nowait, codec=codec)
    return queue


def kombu_publish(url: str, exchange: str, **options: Any) -> None:
    with kombu.Connection(url) as connection, connection.Producer() as producer:
        producer.publish(
            BODY,
            exchange=kombu.Exchange(exchange, "topic", durable=True),
            routing_key="from.kombu",
            headers={"from": "kombu", "deep": {"list": [1, None]}},
            **options,
        )


@pytest.mark.parametrize("compression", [None, "zlib", "gzip", "bzip2"])
async def test_from_kombu(bus: Bus, broker_url: str, unique: str, compression: str | None) -> None:
    got = await receive(bus, unique, COMPRESSED)
    await asyncio.to_thread(
        kombu_publish, broker_url, unique, serializer="json", compression=compression
    )
    async with asyncio.timeout(5):
        message = await got.get()
    assert message.body == BODY
    assert message.headers["from"] == "kombu"
    assert message.headers["deep"] == {"list": [1, None]}
    assert message.routing_key == "from.kombu"


@pytest.mark.parametrize(
    ("codec", "headers"),
    [
        (Codec("json"), {"from": "gestalt"}),
        # kombu looks for the compression in a header.
        (COMPRESSED, {"from": "gestalt", "compression": "application/x-gzip"}),
    ],
    ids=["plain", "compressed"],
)
async def test_to_kombu(
    bus: Bus, broker_url: str, unique: str, codec: Codec, headers: dict[str, str]
) -> None:
    await make_queue(bus, unique)
    await bus.publisher(unique, codec=codec).publish(BODY, "to.kombu", headers=headers)

    def consume() -> Any:
        got = []
        with kombu.Connection(broker_url) as connection:
            queue = kombu.Queue(unique, no_declare=True)

            def take(body: Any, message: Any) -> None:
                got.append((body, message.headers))
                message.ack()

            with kombu.Consumer(connection, queue, callbacks=[take], accept=["json"]):
                connection.drain_events(timeout=5)
        return got

    assert await asyncio.to_thread(consume) == [(BODY, headers)]


async def make_queue(bus: Bus, name: str) -> None:
    queue = Queue(name, type="classic")
    subscription = await bus.subscribe(name, "#", print, queue=queue)
    await subscription.stop()


async def test_from_pika(bus: Bus, broker_url: str, unique: str) -> None:
    got = await receive(bus, unique, COMPRESSED)

    def publish() -> None:
        connection = pika.BlockingConnection(pika.URLParameters(broker_url))
        channel = connection.channel()
        channel.basic_publish(
            unique,
            "from.pika",
            zlib.compress(json.dumps(BODY).encode()),
            pika.BasicProperties(
                content_type="application/json",
                content_encoding="deflate",
                headers={"n": 2**40, "yes": True},
            ),
        )
        connection.close()

    await asyncio.to_thread(publish)
    async with asyncio.timeout(5):
        message = await got.get()
    assert message.body == BODY
    assert message.headers == {"n": 2**40, "yes": True}


async def test_to_pika(bus: Bus, broker_url: str, unique: str) -> None:
    await make_queue(bus, unique)
    publisher = bus.publisher(unique, codec=COMPRESSED)
    await publisher.publish(BODY, "to.pika", headers={"n": 2**40, "yes": True}, priority=4)

    def get() -> Any:
        connection = pika.BlockingConnection(pika.URLParameters(broker_url))
        _, properties, body = connection.channel().basic_get(unique, auto_ack=True)
        connection.close()
        return properties, body

    properties, body = await asyncio.to_thread(get)
    assert json.loads(zlib.decompress(body)) == BODY
    assert properties.content_type == "application/json"
    assert properties.content_encoding == "deflate"
    assert properties.headers == {"n": 2**40, "yes": True}
    assert (properties.delivery_mode, properties.priority) == (2, 4)


async def test_gzip_by_the_name_that_kombu_has_for_zlib_is_read(
    bus: Bus, broker_url: str, unique: str
) -> None:
    got = await receive(bus, unique, COMPRESSED)

    def publish() -> None:
        connection = pika.BlockingConnection(pika.URLParameters(broker_url))
        connection.channel().basic_publish(
            unique,
            "from.pika",
            gzip.compress(json.dumps(BODY).encode()),
            pika.BasicProperties(
                content_type="application/json",
                content_encoding="utf-8",
                headers={"compression": "application/x-gzip"},
            ),
        )
        connection.close()

    await asyncio.to_thread(publish)
    async with asyncio.timeout(5):
        message = await got.get()
    assert message.body == BODY


async def test_from_and_to_aio_pika(bus: Bus, broker_url: str, unique: str) -> None:
    got = await receive(bus, unique, COMPRESSED)
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(unique)
        await exchange.publish(
            aio_pika.Message(
                bz2.compress(json.dumps(BODY).encode()),
                content_type="application/json; charset=utf-8",
                content_encoding="bzip2",
            ),
            "from.aio-pika",
        )
        async with asyncio.timeout(5):
            assert (await got.get()).body == BODY
        queue = await channel.declare_queue(exclusive=True)
        publisher = bus.publisher(Exchange(""), codec=COMPRESSED)
        await publisher.publish(BODY, queue.name, headers={"k": "v"})
        message = await queue.get()
        assert message.content_encoding == "deflate"
        assert json.loads(zlib.decompress(message.body)) == BODY
        assert message.headers == {"k": "v"}
        await message.ack()


async def test_a_type_id_in_the_header_of_gestalt_20_is_read(
    bus: Bus, broker_url: str, unique: str
) -> None:
    got = await receive(bus, unique, Codec("json"))
    async with await aio_pika.connect(broker_url) as connection:
        exchange = await (await connection.channel()).get_exchange(unique)
        await exchange.publish(
            aio_pika.Message(
                b'"x"',
                content_type="application/json",
                content_encoding="utf-8",
                headers={"x-type-id": 7},
            ),
            "k",
        )
    async with asyncio.timeout(5):
        message = await got.get()
    assert (message.body, message.type_id) == ("x", 7)


async def test_pika_calls_a_responder(bus: Bus, broker_url: str, unique: str) -> None:
    await bus.respond(unique, lambda request: [request.body, request.headers.get("from")])

    def call() -> tuple[pika.BasicProperties, bytes]:
        connection = pika.BlockingConnection(pika.URLParameters(broker_url))
        channel = connection.channel()
        replies = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_publish(
            "gestalt.requests",
            unique,
            b'"ask"',
            pika.BasicProperties(reply_to=replies, correlation_id="7", headers={"from": "pika"}),
        )
        for _, properties, body in channel.consume(replies, auto_ack=True, inactivity_timeout=5):
            connection.close()
            return properties, body
        raise AssertionError

    properties, body = await asyncio.to_thread(call)
    assert json.loads(body) == ["ask", "pika"]
    assert (properties.correlation_id, properties.content_type) == ("7", "application/json")


async def test_aio_pika_calls_a_responder_by_direct_reply_to(
    bus: Bus, broker_url: str, unique: str
) -> None:
    def handle(request: Request[Any]) -> Any:
        if request.body is None:
            raise LookupError("nothing asked")
        return request.body

    await bus.respond(unique, handle, codec=COMPRESSED)
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange("gestalt.requests")
        replies: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()
        queue = await channel.get_queue("amq.rabbitmq.reply-to", ensure=False)
        await queue.consume(replies.put, no_ack=True)

        async def call(body: bytes) -> aio_pika.abc.AbstractIncomingMessage:
            await exchange.publish(
                aio_pika.Message(
                    body,
                    content_type="application/json",
                    reply_to="amq.rabbitmq.reply-to",
                    correlation_id="1",
                ),
                unique,
            )
            async with asyncio.timeout(5):
                return await replies.get()

        reply = await call(json.dumps(BODY).encode())
        assert reply.content_encoding == "deflate"
        assert json.loads(zlib.decompress(reply.body)) == BODY
        reply = await call(b"null")
        assert reply.headers["x-gestalt-status"] == "failed"
        assert reply.headers["x-gestalt-error"] == "LookupError"
        assert reply.headers["x-gestalt-reason"] == "nothing asked"


async def test_a_requester_calls_a_responder_of_aio_pika(
    bus: Bus, broker_url: str, unique: str
) -> None:
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()

        async def answer(request: aio_pika.abc.AbstractIncomingMessage) -> None:
            assert request.reply_to is not None
            await channel.default_exchange.publish(
                aio_pika.Message(
                    json.dumps({"you said": json.loads(request.body)}).encode(),
                    correlation_id=request.correlation_id,
                ),
                request.reply_to,
            )

        exchange = await channel.declare_exchange("gestalt.requests", durable=True)
        queue = await channel.declare_queue(f"{unique}.requests", auto_delete=True)
        await queue.bind(exchange, unique)
        await queue.consume(answer, no_ack=True)
        requester = bus.requester(unique)
        replies = await asyncio.gather(*map(requester.request, range(20)))
        assert replies == [{"you said": number} for number in range(20)]
