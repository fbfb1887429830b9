"""gRPC on asyncio: one stream of messages one way, and echo by a stream and by calls.

Bodies travel as bytes, without protobuf: what is measured is the transport. Its guide to
performance asks for channels that are kept, and for a stream where many messages follow each other.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.harness import Measured, Run, Stopwatch, in_tasks

SERVICE = "bench.Bench"


@asynccontextmanager
async def serving(kind: str, method: Callable[..., Any]) -> AsyncIterator[int]:
    """Serve one method of a kind, such as "unary_unary", and give the port."""
    import grpc

    handler = getattr(grpc, f"{kind}_rpc_method_handler")(method)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, {"Method": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


@asynccontextmanager
async def calling(run: Run, kind: str) -> AsyncIterator[Callable[..., Any]]:
    """Connect, and give the method."""
    import grpc

    async with grpc.aio.insecure_channel(f"127.0.0.1:{run.partner['port']}") as channel:
        await channel.channel_ready()
        yield getattr(channel, kind)(f"/{SERVICE}/Method")


# One way: a stream of requests that one reply ends.


async def stream_server(run: Run) -> Measured:
    result: asyncio.Future[Measured] = asyncio.get_running_loop().create_future()

    async def take(requests: AsyncIterator[bytes], context: Any) -> bytes:
        watch, count = Stopwatch(), 0
        async for _ in requests:
            count += 1
        result.set_result(watch.stop(count))
        return b""

    async with serving("stream_unary", take) as port:
        run.ready(port=port)
        measured = await result
        await run.finished()
        return measured


async def stream_client(run: Run) -> None:
    payload = bytes(run.options["size"])
    async with calling(run, "stream_unary") as method:
        call = method()
        end = time.perf_counter() + run.seconds
        while time.perf_counter() < end:
            for _ in range(100):
                await call.write(payload)
        await call.done_writing()
        await call


# Echo by one stream each way.


async def echo_server(run: Run) -> None:
    async def echo(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request

    async with serving("stream_stream", echo) as port:
        run.ready(port=port)
        await run.finished()


async def echo_client(run: Run) -> Measured:
    payload = bytes(run.options["size"])
    async with calling(run, "stream_stream") as method:
        call = method()
        for _ in range(run.options["in_flight"]):
            await call.write(payload)
        count = 0
        end = time.perf_counter() + run.seconds
        watch = Stopwatch()
        while time.perf_counter() < end:
            await call.write(await call.read())
            count += 1
        measured = watch.stop(count)
        await call.done_writing()
        while await call.read():
            pass
        return measured


# Calls of a method.


async def unary_server(run: Run) -> None:
    async def echo(request: bytes, context: Any) -> bytes:
        return request

    async with serving("unary_unary", echo) as port:
        run.ready(port=port)
        await run.finished()


async def unary_client(run: Run) -> Measured:
    """Calls with as many bytes as the case says, each with a deadline."""
    body = bytes(run.options["size"])
    async with calling(run, "unary_unary") as method:
        return await in_tasks(run, lambda: method(body, timeout=10))
