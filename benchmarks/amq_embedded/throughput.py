"""Messages published with confirms and consumed with acknowledgements, through either broker."""

import asyncio
import time
from urllib.parse import urlsplit

from benchmarks.amq.rabbitmq_setup import broker
from benchmarks.harness import Benchmark, Contender, Measured, Run, Stopwatch

IN_FLIGHT = 500
BATCH = 50


async def serve(run: Run) -> None:
    from gestalt.amq.embedded import EmbeddedBroker

    async with EmbeddedBroker() as broker:
        run.ready(url=broker.url)
        await run.finished()


async def through_embedded(run: Run) -> Measured:
    return await publish_and_consume(str(run.partner["url"]), run)


async def through_rabbitmq(run: Run) -> Measured:
    return await publish_and_consume(str(run.options["url"]), run)


async def publish_and_consume(url: str, run: Run) -> Measured:
    """Keeps 500 messages in flight on one connection until the time is over."""
    from gestalt.amq.wire import (
        PROTOCOL_HEADER,
        Properties,
        content_frames,
        content_header,
    )
    from gestalt.amq.wire import methods as m
    from gestalt.amq.wire.codec import encode_method, method_frame
    from gestalt.amq.wire.decoder import Decoder

    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    decoder = Decoder(expect_header=False)

    async def wait_for(kind: type) -> None:
        while True:
            for _, method, _ in decoder.feed(await reader.read(65536)):
                if isinstance(method, kind):
                    return

    async def call(channel: int, method: m.Method, answer: type) -> None:
        writer.write(method_frame(channel, method))
        await wait_for(answer)

    login = b"\0%b\0%b" % ((address.username or "").encode(), (address.password or "").encode())
    writer.write(PROTOCOL_HEADER)
    await wait_for(m.ConnectionStart)
    await call(0, m.ConnectionStartOk({}, "PLAIN", login), m.ConnectionTune)
    decoder.frame_max = 131_072
    writer.write(method_frame(0, m.ConnectionTuneOk(2047, 131_072, 0)))
    await call(0, m.ConnectionOpen("/"), m.ConnectionOpenOk)
    await call(1, m.ChannelOpen(), m.ChannelOpenOk)
    await call(1, m.ConfirmSelect(), m.ConfirmSelectOk)
    await call(1, m.QueueDeclare(0, "benchmark", exclusive=True), m.QueueDeclareOk)
    await call(1, m.BasicQos(0, 2 * IN_FLIGHT), m.BasicQosOk)
    await call(1, m.BasicConsume(0, "benchmark", "tag"), m.BasicConsumeOk)
    body = b"x" * int(run.options["size"])
    header = content_header(Properties(content_type="text/plain", delivery_mode=1), len(body))
    publish = encode_method(m.BasicPublish(0, "", "benchmark"))
    message = content_frames(1, publish, header, body, 131_072)

    sent = confirmed = received = acknowledged = 0
    end = time.perf_counter() + run.seconds
    watch = Stopwatch()
    while time.perf_counter() < end:
        allowed = IN_FLIGHT - (sent - min(confirmed, received))
        if allowed >= BATCH:
            writer.write(message * allowed)
            sent += allowed
        for _, method, _ in decoder.feed(await reader.read(65536)):
            if isinstance(method, m.BasicDeliver):
                received = method.delivery_tag
            elif isinstance(method, m.BasicAck):
                confirmed = method.delivery_tag
        if received - acknowledged >= BATCH:
            writer.write(method_frame(1, m.BasicAck(received, True)))
            acknowledged = received
    measured = watch.stop(min(confirmed, received))
    writer.close()
    await writer.wait_closed()
    return measured


BENCHMARK = Benchmark(
    title="Publish with confirms, consume and acknowledge: 500 messages in flight",
    unit="message",
    reference="RabbitMQ",
    cases={"64 bytes": {"size": 64}, "4 KiB": {"size": 4096}},
    setup=broker,
    compares_cpu=False,
    contenders=[
        Contender(
            name="gestalt.amq.embedded",
            server=serve,
            client=through_embedded,
            work="routes, queues, delivers and confirms each message",
            guarantees="in memory, in one process",
        ),
        Contender(
            name="RabbitMQ",
            run=through_rabbitmq,
            work="routes, queues, delivers and confirms each message",
            guarantees="in memory: a transient message in a queue of one connection",
        ),
    ],
    note="One client on the wire layer for both; its own work is in both rows."
    " RabbitMQ uses all cores, the embedded broker one.",
)
