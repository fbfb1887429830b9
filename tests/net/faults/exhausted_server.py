"""A server with few descriptors: what it tells, as JSON, when a line comes on standard input.

Usage: python -m tests.net.faults.exhausted_server LOOP URL
"""

import asyncio
import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gestalt.net import Delimited, Limits, StreamMessage, StreamServer, Wire
from tests.support import mutual_tls

SPARE = 12


async def echo(message: StreamMessage[bytes]) -> None:
    await message.reply(message.body)


async def main(url: str) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    unhandled: list[str] = []
    loop.set_exception_handler(lambda _, context: unhandled.append(repr(context)))
    errors: list[Exception] = []
    context = None
    if url.startswith("tls"):
        context = mutual_tls.server_context()
        context.verify_mode = mutual_tls.ssl.CERT_NONE
    server = StreamServer(
        url,
        Wire(Delimited()),
        on_message=echo,
        on_error=errors.append,
        limits=Limits(max_peers=None),
        tls=context,
    )
    async with server:
        # What the event loop needs to read the line is opened before.
        line = loop.create_task(asyncio.to_thread(sys.stdin.readline))
        while len(asyncio.all_tasks()) < 2:
            await asyncio.sleep(0)
        begun = loop.time()
        await asyncio.sleep(0.1)
        used = len(list(Path("/proc/self/fd").iterdir()))
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + SPARE, before[1]))
        print(server.address.port, flush=True)
        await line
        seconds = loop.time() - begun
    # Where its coverage is measured, that is written to a file now.
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
    return {
        "refused": server.stats.refused,
        "told": sum(getattr(error, "refused", 0) for error in errors),
        "reports": sum(type(error).__name__ == "AcceptFailed" for error in errors),
        "seconds": seconds,
        "unhandled": unhandled,
    }


def factory(loop: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if loop == "asyncio":
        return asyncio.SelectorEventLoop
    import uvloop

    made: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return made


with asyncio.Runner(loop_factory=factory(sys.argv[1])) as runner:
    print(json.dumps(runner.run(main(sys.argv[2]))))
