"""Contenders that the tests of the harness run in real processes."""

import asyncio
import os
import time

from benchmarks.harness import Measured, Run, Stopwatch, Unavailable


def hundred(run: Run) -> Measured:
    return Measured(100, 2.0, cpu=0.5, extra={"lost": 0})


def burning(run: Run) -> Measured:
    watch, end = Stopwatch(), time.process_time() + run.seconds
    while time.process_time() < end:
        pass
    return watch.stop(1)


async def serve(run: Run) -> Measured:
    received = 0
    closed = asyncio.Event()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        while data := await reader.read(65536):
            received += len(data)
        writer.close()
        closed.set()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        watch = Stopwatch()
        run.ready(port=server.sockets[0].getsockname()[1])
        outcome = await run.finished()
        await closed.wait()
        return watch.stop(received, {"options": len(run.options), "told": len(outcome)})


async def send(run: Run) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", run.partner["port"])
    writer.write(b"x" * run.options["size"])
    await writer.drain()
    writer.close()
    await writer.wait_closed()


def serve_blocking(run: Run) -> None:
    run.ready()
    outcome = run.wait_finished()
    if outcome != {"count": 100, "seconds": 2.0}:
        raise AssertionError(outcome)


def cores(run: Run) -> Measured:
    """The core that a process is bound to, or -1, as an extra number."""
    allowed = os.sched_getaffinity(0)
    return Measured(1, 1.0, extra={"core": min(allowed) if len(allowed) == 1 else -1})


def chatter(run: Run) -> Measured:
    print("this is not an answer")
    os.write(1, b"nor is this\n")
    return hundred(run)


def fail(run: Run) -> Measured:
    raise ValueError("the reason")


def crash(run: Run) -> Measured:
    os._exit(3)


def hang(run: Run) -> Measured:
    while True:
        time.sleep(1)


def lacking(run: Run) -> Measured:
    raise Unavailable("no broker is here")


def nothing(run: Run) -> None:
    return None


def zero(run: Run) -> Measured:
    return Measured(0, 1.0)
