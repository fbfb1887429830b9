"""Brokers and responders that die: every call has one outcome, by its deadline.

And no request is worked on twice, unless it is marked as idempotent.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gestalt.amq import connect
from tests.support.callers import Calls
from tests.support.rabbitmq import RabbitMQNode
from tests.support.waiting import QUICK

# A node that starts twice, and processes: on a busy machine that takes a minute.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(autouse=True)
def _untraced(untraced: None) -> None:
    """The usual case; test_tracing.py has the other one."""


RESPONDER = """
import asyncio, os, sys
from gestalt.amq import connect
from gestalt.core import Backoff

async def main(url, service, path):
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def handle(request):
        # One write of a few bytes is whole, or not there.
        os.write(log, b"%d\\n" % request.body)
        await asyncio.sleep(0)
        return [request.body]

    async with connect(url, backoff=Backoff(initial=0.02, maximum=0.2)) as bus:
        await bus.respond(service, handle)
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


class Responders:
    """Processes that respond, and write down what they have begun."""

    def __init__(self, directory: Path, url: str, service: str) -> None:
        self._directory = directory
        self._url = url
        self._service = service
        self._processes: list[asyncio.subprocess.Process] = []
        self._script = directory / "responder.py"
        self._script.write_text(RESPONDER)
        self._log = directory / "begun"
        self._log.touch()

    async def start(self) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(self._script),
            self._url,
            self._service,
            str(self._log),
            stdout=asyncio.subprocess.PIPE,
        )
        self._processes.append(process)
        assert process.stdout is not None
        async with asyncio.timeout(20):
            assert await process.stdout.readline() == b"ready\n"

    async def kill(self) -> None:
        process = self._processes.pop(0)
        process.kill()
        await process.wait()

    async def close(self) -> None:
        while self._processes:
            await self.kill()

    def begun(self) -> Counter[int]:
        return Counter(map(int, self._log.read_text().split()))


@pytest.fixture
async def responders(
    rabbitmq_node: RabbitMQNode, unique: str, tmp_path: Path
) -> AsyncIterator[Responders]:
    responders = Responders(tmp_path, rabbitmq_node.url, unique)
    try:
        yield responders
    finally:
        await responders.close()


async def test_ten_thousand_calls_have_one_outcome_each_whatever_dies(
    rabbitmq_node: RabbitMQNode, responders: Responders, unique: str
) -> None:
    await asyncio.gather(responders.start(), responders.start())
    async with connect(rabbitmq_node.url, backoff=QUICK) as bus:
        calls = Calls(bus, unique, timeout=4)

        # Calls go on meanwhile: how many of them depends on how long a process takes to start.
        async def fault() -> None:
            await calls.answered(1500)
            await responders.kill()
            await calls.answered(1500)
            await responders.start()
            await calls.answered(1000)
            await asyncio.to_thread(rabbitmq_node.kill)
            await asyncio.to_thread(rabbitmq_node.start)
            await calls.answered(1000)
            await responders.kill()
            await calls.answered(500)
            await responders.start()
            await calls.answered(500)
            await calls.ended(10_000)

        await calls.through(fault)
    assert calls.outcomes["reply"] > 5000, calls.outcomes
    begun = responders.begun()
    assert max(begun.values()) == 1
    assert len(begun) >= calls.outcomes["reply"]


async def test_idempotent_calls_are_answered_whatever_dies(
    rabbitmq_node: RabbitMQNode, responders: Responders, unique: str
) -> None:
    await asyncio.gather(responders.start(), responders.start())
    async with connect(rabbitmq_node.url, backoff=QUICK) as bus:
        calls = Calls(bus, unique, timeout=60, idempotent=True)

        async def fault() -> None:
            await calls.answered(300)
            await responders.kill()
            await calls.answered(300)
            await asyncio.to_thread(rabbitmq_node.kill)
            await asyncio.to_thread(rabbitmq_node.start)
            await calls.answered(300)
            await calls.ended(2000)

        await calls.through(fault, tasks=16)
    assert calls.outcomes.keys() == {"reply"}, calls.outcomes
