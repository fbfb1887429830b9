"""The first confirmed publish, from the start of a process to its end."""

from benchmarks.amq.rabbitmq_setup import broker
from benchmarks.amq_embedded.throughput import serve
from benchmarks.harness import Benchmark, Contender, Measured, Run
from benchmarks.start import fresh

GESTALT = """
import asyncio, sys
from gestalt.amq import connect
async def main():
    async with connect(sys.argv[1]) as bus:
        await bus.publisher("amq.topic").publish("hello", "bench.first")
asyncio.run(main())
"""
AIO_PIKA = """
import asyncio, sys
import aio_pika
async def main():
    async with await aio_pika.connect_robust(sys.argv[1]) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange("amq.topic")
        await exchange.publish(aio_pika.Message(b"hello"), "bench.first", mandatory=False)
asyncio.run(main())
"""
FASTSTREAM = """
import asyncio, sys
from faststream.rabbit import ExchangeType, RabbitBroker, RabbitExchange
async def main():
    exchange = RabbitExchange("amq.topic", type=ExchangeType.TOPIC, durable=True)
    async with RabbitBroker(sys.argv[1], logger=None) as broker:
        await broker.publish("hello", "bench.first", exchange=exchange, mandatory=False)
asyncio.run(main())
"""


def gestalt(run: Run) -> Measured:
    return fresh.measure(run, fresh.program(GESTALT, run.options["url"]))


def gestalt_embedded(run: Run) -> Measured:
    return fresh.measure(run, fresh.program(GESTALT, run.partner["url"]))


def aio_pika(run: Run) -> Measured:
    return fresh.measure(run, fresh.program(AIO_PIKA, run.options["url"]))


def faststream(run: Run) -> Measured:
    return fresh.measure(run, fresh.program(FASTSTREAM, run.options["url"]))


GUARANTEES = "confirmed, the connection is closed"

BENCHMARK = Benchmark(
    title="The first confirmed publish",
    unit="run",
    reference="aio-pika",
    seconds=2.0,
    plot="ms",
    setup=broker,
    contenders=[
        Contender(
            name="gestalt.amq",
            run=gestalt,
            work="connect, Publisher.publish",
            guarantees=GUARANTEES,
            package="gestalt-amq",
        ),
        Contender(
            name="gestalt.amq, embedded broker",
            server=serve,
            client=gestalt_embedded,
            work="the same, to a broker of gestalt.amq.embedded",
            guarantees=GUARANTEES,
            package="gestalt-amq",
        ),
        Contender(
            name="aio-pika",
            run=aio_pika,
            work="connect_robust, Exchange.publish",
            guarantees=GUARANTEES,
            package="aio-pika",
        ),
        Contender(
            name="faststream",
            run=faststream,
            work="RabbitBroker.publish",
            guarantees=GUARANTEES,
            package="faststream",
        ),
    ],
    note=(
        "ms: the least time from the start of a process, whose interpreter has imported nothing, "
        "to its end; the broker runs already."
    ),
)
