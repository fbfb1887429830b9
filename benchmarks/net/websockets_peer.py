"""websockets on asyncio: binary messages one way, and echo.

Without compression, which its guide to performance advises against where bandwidth is no concern,
and with its parts in C, which come with its wheels.
"""

import asyncio
import time
from typing import Any

from benchmarks.harness import Measured, Run, Stopwatch


async def stream_server(run: Run) -> Measured:
    from websockets.asyncio.server import serve

    result: asyncio.Future[Measured] = asyncio.get_running_loop().create_future()

    async def take(connection: Any) -> None:
        watch, count = Stopwatch(), 0
        async for _ in connection:
            count += 1
        result.set_result(watch.stop(count))

    async with serve(take, "127.0.0.1", 0, compression=None) as server:
        run.ready(port=port_of(server))
        return await result


async def stream_client(run: Run) -> None:
    from websockets.asyncio.client import connect

    payload = bytes(run.options["size"])
    async with connect(uri(run), compression=None, proxy=None) as connection:
        end = time.perf_counter() + run.seconds
        while time.perf_counter() < end:
            for _ in range(100):
                await connection.send(payload)


async def echo_server(run: Run) -> None:
    from websockets.asyncio.server import serve

    async def echo(connection: Any) -> None:
        async for message in connection:
            await connection.send(message)

    async with serve(echo, "127.0.0.1", 0, compression=None) as server:
        run.ready(port=port_of(server))
        await run.finished()


async def echo_client(run: Run) -> Measured:
    from websockets.asyncio.client import connect

    payload = bytes(run.options["size"])
    async with connect(uri(run), compression=None, proxy=None) as connection:
        for _ in range(run.options["in_flight"]):
            await connection.send(payload)
        count = 0
        end = time.perf_counter() + run.seconds
        watch = Stopwatch()
        while time.perf_counter() < end:
            await connection.send(await connection.recv())
            count += 1
        return watch.stop(count)


def port_of(server: Any) -> int:
    """The port that a server listens on."""
    found: int = next(iter(server.sockets)).getsockname()[1]
    return found


def uri(run: Run) -> str:
    """Where the server is."""
    return f"ws://127.0.0.1:{run.partner['port']}"
