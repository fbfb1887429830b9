"""Consuming 1 KiB with acknowledgement, at a prefetch of 100, from a queue that is filled."""

import asyncio

from benchmarks.amq.rabbitmq_setup import broker, fill
from benchmarks.harness import Benchmark, Contender, Measured, Run, Stopwatch

PREFETCH = 100
BATCH = PREFETCH // 2
"""How many messages a handler of batches takes; the next ones are on their way meanwhile."""


class Counter:
    """Counts what is handled, and knows when it is enough."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._count = count
        self._done = asyncio.Event()
        self._watch: Stopwatch | None = None
        # Those that came before the watch ran.
        self._uncounted = 0

    def __call__(self, more: int = 1) -> None:
        if self._watch is None:
            self._watch, self._uncounted = Stopwatch(), more
        self._left -= more
        if not self._left:
            self._done.set()

    async def measured(self) -> Measured:
        await self._done.wait()
        assert self._watch is not None
        return self._watch.stop(self._count - self._uncounted)


async def prepare(run: Run, name: str) -> tuple[str, str, Counter]:
    count = max(500, int(run.seconds * int(run.options["rate"])) // BATCH * BATCH)
    queue = f"consume.{name}"
    await fill(str(run.options["url"]), queue, count)
    return str(run.options["url"]), queue, Counter(count)


async def gestalt(run: Run) -> Measured:
    from gestalt.amq import BusMessage, Exchange, Queue, connect
    from gestalt.codecs import Codec

    url, queue, counter = await prepare(run, "gestalt")

    async def handle(message: BusMessage[bytes]) -> None:
        counter()

    async with connect(url, codec=Codec("bytes")) as bus:
        shared = Queue(queue, type="classic", declare=False)
        await bus.subscribe(Exchange(""), "", handle, queue=shared, prefetch=PREFETCH)
        return await counter.measured()


async def gestalt_batches(run: Run) -> Measured:
    from gestalt.amq import BusBatch, Exchange, Queue, connect
    from gestalt.codecs import Codec
    from gestalt.core import Batch

    url, queue, counter = await prepare(run, "gestalt")

    async def handle(batch: BusBatch[bytes]) -> None:
        counter(len(batch.bodies))

    async with connect(url, codec=Codec("bytes")) as bus:
        shared = Queue(queue, type="classic", declare=False)
        await bus.subscribe(Exchange(""), "", handle, queue=shared, batch=Batch(size=BATCH))
        return await counter.measured()


async def aio_pika(run: Run) -> Measured:
    import aio_pika

    url, queue, counter = await prepare(run, "aio-pika")

    async def handle(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        counter()
        await message.ack()

    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.set_qos(PREFETCH)
        await (await channel.get_queue(queue)).consume(handle)
        return await counter.measured()


async def aio_pika_batches(run: Run) -> Measured:
    import aio_pika

    url, queue, counter = await prepare(run, "aio-pika")
    gathered: list[bytes] = []

    async def handle(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        gathered.append(message.body)
        if len(gathered) == BATCH:
            gathered.clear()
            counter(BATCH)
            await message.ack(multiple=True)

    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.set_qos(PREFETCH)
        await (await channel.get_queue(queue)).consume(handle)
        return await counter.measured()


async def faststream(run: Run) -> Measured:
    from faststream.rabbit import Channel, RabbitBroker, RabbitQueue

    url, queue, counter = await prepare(run, "faststream")
    broker = RabbitBroker(url, logger=None, default_channel=Channel(prefetch_count=PREFETCH))

    @broker.subscriber(RabbitQueue(queue, durable=True))
    async def handle(body: bytes) -> None:
        counter()

    async with broker:
        await broker.start()
        return await counter.measured()


def kombu(run: Run) -> Measured:
    import kombu as library

    url, queue, counter = asyncio.run(prepare(run, "kombu"))
    count = counter._count
    watch: Stopwatch | None = None
    left = count

    def handle(body: object, message: library.Message) -> None:
        nonlocal watch, left
        watch = watch or Stopwatch()
        left -= 1
        message.ack()

    with library.Connection(url) as connection:
        source = library.Queue(queue, durable=True, no_declare=True)
        with library.Consumer(
            connection, source, callbacks=[handle], prefetch_count=PREFETCH, accept=None
        ):
            while left:
                connection.drain_events(timeout=10)
    assert watch is not None
    return watch.stop(count - 1)


GUARANTEES = "durable queue, acknowledged after the handler"

BENCHMARK = Benchmark(
    title="Consume 1 KiB with acknowledgement, prefetch 100",
    unit="message",
    reference="aio-pika",
    # How many messages a second of measuring is prepared for; the slow ones take longer.
    cases={"1 KiB": {"rate": 8000}},
    setup=broker,
    contenders=[
        Contender(name="gestalt.amq", run=gestalt, work="async handler", guarantees=GUARANTEES),
        Contender(
            name="gestalt.amq, batches",
            run=gestalt_batches,
            work=f"async handler of {BATCH} at a time",
            guarantees=f"{GUARANTEES} by one frame; a message can fail alone",
        ),
        Contender(
            name="aio-pika",
            run=aio_pika,
            work="Queue.consume",
            guarantees=GUARANTEES,
            package="aio-pika",
        ),
        Contender(
            name="aio-pika, batches by hand",
            run=aio_pika_batches,
            work=f"Queue.consume, {BATCH} gathered in a list",
            guarantees=f"{GUARANTEES} by one frame; no deadline for those that are not {BATCH}",
            package="aio-pika",
        ),
        Contender(
            name="faststream",
            run=faststream,
            work="subscriber",
            guarantees=GUARANTEES,
            package="faststream",
        ),
        Contender(
            name="kombu",
            run=kombu,
            work="synchronous callback",
            guarantees=GUARANTEES,
            package="kombu",
        ),
    ],
)
