"""Requests and their replies, a kilobyte each way, between two processes."""

import asyncio

from benchmarks.amq import nats_peer
from benchmarks.amq.bare import BareCaller, BareResponder
from benchmarks.amq.rabbitmq_setup import BODY, broker
from benchmarks.harness import Benchmark, Contender, Measured, Run, in_tasks
from benchmarks.net import grpc_peer


async def gestalt_server(run: Run) -> None:
    from gestalt.amq import Request, connect
    from gestalt.codecs import Codec

    async def echo(request: Request[bytes]) -> bytes:
        return request.body

    async with connect(str(run.options["url"]), codec=Codec("bytes")) as bus:
        await bus.respond("bench.gestalt", echo)
        run.ready()
        await run.finished()


async def gestalt_client(run: Run) -> Measured:
    from gestalt.amq import connect
    from gestalt.codecs import Codec

    async with connect(str(run.options["url"]), codec=Codec("bytes")) as bus:
        requester = bus.requester("bench.gestalt")
        return await in_tasks(run, lambda: requester.request(BODY))


async def rpc_server(run: Run) -> None:
    import aio_pika
    from aio_pika.patterns import RPC

    async def echo(*, body: bytes) -> bytes:
        return body

    async with await aio_pika.connect(str(run.options["url"])) as connection:
        rpc = await RPC.create(await connection.channel())
        await rpc.register("bench.rpc", echo, auto_delete=True)
        run.ready()
        await run.finished()


async def rpc_client(run: Run) -> Measured:
    import aio_pika
    from aio_pika.patterns import RPC

    async with await aio_pika.connect(str(run.options["url"])) as connection:
        rpc = await RPC.create(await connection.channel())
        return await in_tasks(run, lambda: rpc.call("bench.rpc", {"body": BODY}, expiration=10))


async def protocol_server(run: Run) -> None:
    responder = await BareResponder.connect(str(run.options["url"]), "bench.protocol")
    run.ready()
    await run.finished()
    await responder.close()


async def protocol_client(run: Run) -> Measured:
    caller = await BareCaller.connect(str(run.options["url"]), "bench.protocol", BODY)
    try:
        return await in_tasks(run, caller.call)
    finally:
        await caller.close()


async def bare_server(run: Run) -> None:
    import aio_pika

    async with await aio_pika.connect(str(run.options["url"])) as connection:
        channel = await connection.channel()
        await channel.set_qos(100)
        queue = await channel.declare_queue("bench.bare", auto_delete=True)

        async def echo(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            reply = aio_pika.Message(message.body, correlation_id=message.correlation_id)
            await channel.default_exchange.publish(reply, message.reply_to or "", mandatory=False)
            await message.ack()

        await queue.consume(echo)
        run.ready()
        await run.finished()


async def bare_client(run: Run) -> Measured:
    import aio_pika

    waiting: dict[str | None, asyncio.Future[bytes]] = {}
    number = 0

    async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        waiting.pop(message.correlation_id).set_result(message.body)

    async with await aio_pika.connect(str(run.options["url"])) as connection:
        channel = await connection.channel(publisher_confirms=False)
        replies = await channel.get_queue("amq.rabbitmq.reply-to", ensure=False)
        await replies.consume(take, no_ack=True)

        async def call() -> None:
            nonlocal number
            number += 1
            message = aio_pika.Message(
                BODY, correlation_id=str(number), reply_to="amq.rabbitmq.reply-to"
            )
            reply = waiting[str(number)] = asyncio.get_running_loop().create_future()
            await channel.default_exchange.publish(message, "bench.bare", mandatory=False)
            async with asyncio.timeout(10):
                await reply

        return await in_tasks(run, call)


async def faststream_server(run: Run) -> None:
    from faststream.rabbit import Channel, RabbitBroker, RabbitQueue

    broker = RabbitBroker(
        str(run.options["url"]), logger=None, default_channel=Channel(prefetch_count=100)
    )

    @broker.subscriber(RabbitQueue("bench.faststream", auto_delete=True))
    async def echo(body: bytes) -> bytes:
        return body

    async with broker:
        await broker.start()
        run.ready()
        await run.finished()


async def faststream_client(run: Run) -> Measured:
    from faststream.rabbit import RabbitBroker

    async with RabbitBroker(str(run.options["url"]), logger=None) as broker:
        return await in_tasks(run, lambda: broker.request(BODY, "bench.faststream", timeout=10))


BENCHMARK = Benchmark(
    title="Calls with 1 KiB each way",
    unit="call",
    reference="aio-pika RPC",
    cases={
        "1 in flight": {"in_flight": 1, "size": len(BODY)},
        "64 in flight": {"in_flight": 64, "size": len(BODY)},
    },
    setup=broker,
    # With the broker there are three processes to two cores.
    pin=False,
    contenders=[
        Contender(
            name="gestalt.amq",
            server=gestalt_server,
            client=gestalt_client,
            work="Requester.request, an async handler",
            guarantees="deadline told to the responder, nobody serves told at once",
        ),
        Contender(
            name="aio-pika RPC",
            server=rpc_server,
            client=rpc_client,
            work="patterns.RPC: pickle",
            guarantees="expiration, nobody serves told at once",
            package="aio-pika",
        ),
        Contender(
            name="aio-pika by hand",
            bare=True,
            server=bare_server,
            client=bare_client,
            work="direct reply-to, a future per call",
            guarantees="deadline",
            package="aio-pika",
        ),
        Contender(
            name="bare protocol",
            bare=True,
            server=protocol_server,
            client=protocol_client,
            work="frames by hand, one acknowledgement for a read",
            guarantees="none: no deadline, none told that nobody serves",
        ),
        Contender(
            name="faststream",
            server=faststream_server,
            client=faststream_client,
            work="broker.request, a subscriber that returns",
            guarantees="deadline",
            package="faststream",
        ),
        Contender(
            name="nats-py request",
            server=nats_peer.call_server,
            client=nats_peer.call_client,
            work="through a NATS server: request, a subscription's callback that responds",
            guarantees="deadline, nobody serves told at once; nothing is kept",
            package="nats-py",
        ),
        Contender(
            name="grpc.aio unary",
            server=grpc_peer.unary_server,
            client=grpc_peer.unary_client,
            work="no broker: a connection between the two, bytes, no protobuf",
            guarantees="deadline told to the server; the caller has to know who serves",
            package="grpcio",
        ),
    ],
)
