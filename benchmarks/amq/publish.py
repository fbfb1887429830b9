"""Publishing 1 KiB, persistent, each confirmed by the broker."""

import time
from collections.abc import Awaitable, Callable

from benchmarks.amq import nats_peer
from benchmarks.amq.bare import BareClient
from benchmarks.amq.rabbitmq_setup import BODY, EXCHANGE, KEY, broker, empty
from benchmarks.harness import Benchmark, Contender, Measured, Run, Stopwatch, in_tasks


async def tasks(run: Run, publish: Callable[[], Awaitable[object]]) -> Measured:
    """Publish into an empty queue from as many tasks as are to be in flight."""
    await empty(str(run.options["url"]))
    return await in_tasks(run, publish)


async def gestalt(run: Run) -> Measured:
    from gestalt.amq import connect
    from gestalt.codecs import Codec

    async with connect(str(run.options["url"]), codec=Codec("bytes")) as bus:
        publisher = bus.publisher(EXCHANGE)
        return await tasks(run, lambda: publisher.publish(BODY, KEY))


async def gestalt_batch(run: Run) -> Measured:
    from gestalt.amq import connect
    from gestalt.codecs import Codec

    size = int(run.options["in_flight"])
    await empty(str(run.options["url"]))
    async with connect(str(run.options["url"]), codec=Codec("bytes")) as bus:
        publisher = bus.publisher(EXCHANGE)
        await publisher.publish(BODY, KEY)
        end = time.perf_counter() + run.seconds
        count = 0
        watch = Stopwatch()
        while time.perf_counter() < end:
            async with publisher.batch() as batch:
                for _ in range(size):
                    await batch.publish(BODY, KEY)
            count += size
        return watch.stop(count)


async def aio_pika(run: Run) -> Measured:
    import aio_pika

    async with await aio_pika.connect(str(run.options["url"])) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(EXCHANGE)

        def publish() -> Awaitable[object]:
            message = aio_pika.Message(BODY, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            return exchange.publish(message, KEY, mandatory=False)

        return await tasks(run, publish)


async def faststream(run: Run) -> Measured:
    from faststream.rabbit import ExchangeType, RabbitBroker, RabbitExchange

    exchange = RabbitExchange(EXCHANGE, type=ExchangeType.TOPIC, durable=True)
    async with RabbitBroker(str(run.options["url"]), logger=None) as broker:
        return await tasks(
            run,
            lambda: broker.publish(BODY, KEY, exchange=exchange, persist=True, mandatory=False),
        )


async def bare(run: Run) -> Measured:
    client = await BareClient.connect(str(run.options["url"]), EXCHANGE, KEY, BODY)
    try:
        return await tasks(run, client.publish)
    finally:
        await client.close()


GUARANTEES = "durable queue, persistent, confirmed"

BENCHMARK = Benchmark(
    title="Publish 1 KiB with confirmation",
    unit="message",
    reference="aio-pika",
    cases={"one at a time": {"in_flight": 1}, "100 in flight": {"in_flight": 100}},
    setup=broker,
    contenders=[
        Contender(name="gestalt.amq", run=gestalt, work="Publisher.publish", guarantees=GUARANTEES),
        Contender(
            name="gestalt.amq batch", run=gestalt_batch, work="batches", guarantees=GUARANTEES
        ),
        Contender(
            name="aio-pika",
            run=aio_pika,
            work="Exchange.publish",
            guarantees=GUARANTEES,
            package="aio-pika",
        ),
        Contender(
            name="faststream",
            run=faststream,
            work="broker.publish",
            guarantees=GUARANTEES,
            package="faststream",
        ),
        Contender(
            name="bare protocol",
            bare=True,
            run=bare,
            work="one message, encoded beforehand",
            guarantees=GUARANTEES,
        ),
        Contender(
            name="nats-py JetStream",
            run=nats_peer.publish,
            work="JetStreamContext.publish, to a NATS server",
            guarantees="a stream in a file that is synced every two minutes, acknowledged before",
            package="nats-py",
        ),
    ],
)
