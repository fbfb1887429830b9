"""Unmodified clients work with the embedded broker: aio-pika, pika and kombu."""

import asyncio

import aio_pika
import kombu
import pika
import pytest
from aio_pika.exceptions import DeliveryError, QueueEmpty
from aio_pika.patterns import RPC


@pytest.fixture
async def connection(amqp_url):
    async with await aio_pika.connect(amqp_url) as connection:
        yield connection


async def test_aio_pika_publishes_with_confirms_and_consumes(connection):
    channel = await connection.channel()
    exchange = await channel.declare_exchange("topic", "topic")
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind(exchange, "vehicle.*.position")
    message = aio_pika.Message(b"body", headers={"n": 1}, delivery_mode=2, message_id="id")
    await asyncio.gather(*[exchange.publish(message, "vehicle.1.position") for _ in range(50)])
    received = []
    async with queue.iterator() as iterator:
        async for incoming in iterator:
            async with incoming.process():
                received.append(incoming)
            if len(received) == 50:
                break
    assert all(item.body == b"body" and item.headers == {"n": 1} for item in received)
    with pytest.raises(QueueEmpty):
        await queue.get()


async def test_aio_pika_tells_what_cannot_be_routed_or_is_refused(connection, amqp_broker):
    channel = await connection.channel(on_return_raises=True)
    with pytest.raises(DeliveryError):
        await channel.default_exchange.publish(aio_pika.Message(b""), "nowhere", mandatory=True)
    await channel.declare_queue("q")
    amqp_broker.reject_publishes()
    with pytest.raises(DeliveryError):
        await channel.default_exchange.publish(aio_pika.Message(b""), "q")


async def test_aio_pika_calls_remote_functions(connection):
    channel = await connection.channel()
    rpc = await RPC.create(channel)

    async def double(*, value):
        return value * 2

    await rpc.register("double", double, auto_delete=True)
    assert await rpc.call("double", {"value": 21}) == 42
    await rpc.close()


# aiormq, in its older versions, leaves the stream of a connection unclosed that was cut.
@pytest.mark.filterwarnings("ignore:Exception ignored in.*StreamWriter.__del__")
async def test_aio_pika_reconnects_after_a_cut(amqp_url, amqp_broker):
    connection = await aio_pika.connect_robust(amqp_url, reconnect_interval=0.01)
    async with connection:
        reconnected = asyncio.Event()
        connection.reconnect_callbacks.add(lambda *_: reconnected.set())
        channel = await connection.channel()
        queue = await channel.declare_queue("q", durable=True)
        amqp_broker.drop_connections()
        await reconnected.wait()
        await channel.default_exchange.publish(aio_pika.Message(b"after"), "q")
        async with queue.iterator() as iterator:
            async for incoming in iterator:
                assert incoming.body == b"after"
                await incoming.ack()
                break


@pytest.fixture
def blocking(amqp_url):
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    yield connection
    if connection.is_open:
        connection.close()


def test_pika_publishes_with_confirms_and_consumes(blocking):
    channel = blocking.channel()
    channel.confirm_delivery()
    name = channel.queue_declare("", exclusive=True).method.queue
    for number in range(10):
        channel.basic_publish("", name, b"%d" % number, mandatory=True)
    received = []
    for method, _, body in channel.consume(name, inactivity_timeout=5):
        received.append(body)
        channel.basic_ack(method.delivery_tag)
        if len(received) == 10:
            break
    assert received == [b"%d" % number for number in range(10)]
    channel.cancel()


def test_pika_reads_a_stream_and_aio_pika_goes_on_in_it(blocking, amqp_url):
    channel = blocking.channel()
    channel.confirm_delivery()
    channel.queue_declare("history", durable=True, arguments={"x-queue-type": "stream"})
    for number in range(20):
        channel.basic_publish("", "history", b"%d" % number)
    channel.basic_qos(prefetch_count=5)
    read = []

    def handle(channel, method, properties, body):
        read.append((properties.headers["x-stream-offset"], body))
        channel.basic_ack(method.delivery_tag)
        if len(read) == 20:
            channel.stop_consuming()

    channel.basic_consume("history", handle, arguments={"x-stream-offset": "first"})
    channel.start_consuming()
    assert read == [(number, b"%d" % number) for number in range(20)]

    async def go_on():
        offsets = []
        async with await aio_pika.connect(amqp_url) as connection:
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=3)
            queue = await channel.get_queue("history")
            async with queue.iterator(arguments={"x-stream-offset": 15}) as messages:
                async for message in messages:
                    offsets.append(message.headers["x-stream-offset"])
                    await message.ack()
                    if len(offsets) == 5:
                        break
        return offsets

    assert asyncio.run(go_on()) == [15, 16, 17, 18, 19]


def test_pika_raises_what_the_broker_says(blocking, amqp_url):
    channel = blocking.channel()
    channel.queue_declare("q")
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as caught:
        channel.queue_declare("q", durable=True)
    assert caught.value.reply_code == 406
    assert caught.value.reply_text == (
        "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/':"
        " received 'true' but current is 'false'"
    )
    channel = blocking.channel()
    channel.confirm_delivery()
    with pytest.raises(pika.exceptions.UnroutableError):
        channel.basic_publish("", "nowhere", b"", mandatory=True)
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        pika.BlockingConnection(pika.URLParameters(amqp_url.replace("guest:guest", "guest:no")))


def test_pika_hears_that_it_is_blocked(amqp_url, amqp_broker):
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        heard = []
        connection.add_on_connection_blocked_callback(lambda *_: heard.append("blocked"))
        connection.add_on_connection_unblocked_callback(lambda *_: heard.append("unblocked"))
        channel = connection.channel()
        amqp_broker.block_publishers()
        channel.basic_publish("", "anywhere", b"")
        while heard != ["blocked"]:
            connection.process_data_events(1)
        amqp_broker.unblock_publishers()
        while heard != ["blocked", "unblocked"]:
            connection.process_data_events(1)


def test_pika_replies_directly(blocking):
    channel = blocking.channel()
    replies = []
    channel.basic_consume(
        "amq.rabbitmq.reply-to", lambda *delivery: replies.append(delivery[3]), auto_ack=True
    )
    channel.queue_declare("calls")
    properties = pika.BasicProperties(reply_to="amq.rabbitmq.reply-to")
    channel.basic_publish("", "calls", b"call", properties)
    _, call, _ = channel.basic_get("calls", auto_ack=True)
    channel.basic_publish("", call.reply_to, b"reply")
    while not replies:
        blocking.process_data_events(1)
    assert replies == [b"reply"]


def test_kombu_publishes_and_consumes(amqp_url):
    exchange = kombu.Exchange("tasks", type="direct")
    queue = kombu.Queue("tasks", exchange, routing_key="tasks", max_priority=5)
    received = []
    with kombu.Connection(amqp_url) as connection:
        with connection.Producer(serializer="json") as producer:
            for number in range(3):
                producer.publish(
                    {"n": number},
                    exchange=exchange,
                    routing_key="tasks",
                    declare=[queue],
                    priority=number,
                    compression="zlib",
                )

        def take(body, message):
            received.append(body["n"])
            message.ack()

        with connection.Consumer(queue, callbacks=[take], prefetch_count=1):
            while len(received) < 3:
                connection.drain_events(timeout=5)
    assert received == [2, 1, 0]


def test_kombu_uses_simple_queues(amqp_url):
    with kombu.Connection(amqp_url) as connection, connection.SimpleQueue("simple") as queue:
        queue.put({"hello": "world"})
        assert queue.qsize() == 1
        message = queue.get(timeout=5)
        assert message.payload == {"hello": "world"}
        message.ack()
