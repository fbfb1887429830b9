"""A bus with what is declared on it is a whole service: `gestalt run app:bus`."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from gestalt.amq import Bus, NoResponder, Queue, Requester, connect
from tests.support.waiting import until

pytest.importorskip("gestalt.runner")

COMMAND = ("-m", "gestalt.runner", "run")
APPLICATION = """
import asyncio
import os

from gestalt.amq import BusMessage, Request, connect
from gestalt.core import Group, State, Timer
from gestalt.runner import run

bus = connect(os.environ["URL"])
name = os.environ["NAME"]
confirmed = bus.publisher(f"{name}.handled")


@bus.subscriber(name, "#", queue=name, concurrency=4)
async def handle(message: BusMessage[int]) -> None:
    print("begun", message.body, flush=True)
    await asyncio.sleep(0.3)
    await confirmed.publish(message.body)
    print("handled", message.body, flush=True)


@bus.responder(name)
def answer(request: Request[int]) -> int:
    # It is asked before the bus has started: what stops then is given up, and not drained.
    return request.body + (bus.state is State.RUNNING)


def service() -> Group:
    return Group(bus, Timer.every(60, lambda: None, delay=0))


if __name__ == "__main__":
    run(bus)
"""


@asynccontextmanager
async def running(
    folder: Path, url: str, name: str, *arguments: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    (folder / "app.py").write_text(APPLICATION)
    path = os.pathsep.join([str(folder), *filter(None, sys.path)])
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=folder,
        env={**os.environ, "URL": url, "NAME": name, "PYTHONPATH": path},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_bus_serves_until_a_signal_and_drains_what_it_has_begun(
    bus: Bus, broker_url: str, unique: str, tmp_path: Path
) -> None:
    await serves_until_a_signal(bus, broker_url, unique, tmp_path, *COMMAND, "app:bus")


async def test_so_does_one_that_is_run_by_a_call_and_one_of_a_group(
    amqp_url: str, tmp_path: Path
) -> None:
    async with connect(amqp_url) as bus:
        for arguments in (["app.py"], [*COMMAND, "app:service"]):
            name = arguments[-1]
            await serves_until_a_signal(bus, amqp_url, name, tmp_path, *arguments)


async def answer(requester: Requester[Any, Any]) -> int | None:
    """What the service answers; None before it is there."""
    try:
        return cast("int", await requester.request(1))
    except NoResponder:
        return None


async def serves_until_a_signal(
    bus: Bus, broker_url: str, unique: str, folder: Path, *arguments: str
) -> None:
    confirmed: list[int] = []
    await bus.subscribe(f"{unique}.handled", "#", lambda message: confirmed.append(message.body))
    async with running(folder, broker_url, unique, *arguments) as process, asyncio.timeout(30):
        requester = bus.requester(unique)
        while await answer(requester) != 2:
            await asyncio.sleep(0.05)
        for number in range(4):
            await bus.publisher(unique, mandatory=True).publish(number)
        assert process.stdout is not None
        begun = {(await process.stdout.readline()).decode().strip() for _ in range(4)}
        assert begun == {f"begun {number}" for number in range(4)}
        process.send_signal(signal.SIGTERM)
        rest, errors = await process.communicate()
    assert process.returncode == -signal.SIGTERM, errors
    handled = sorted(rest.decode().split("\n")[:4])
    assert handled == [f"handled {number}" for number in range(4)], errors
    assert b"ERROR" not in errors
    assert b"Traceback" not in errors
    await until(lambda: len(confirmed) == 4)
    # All were acknowledged: nothing is left for the next one.
    again: list[int] = []
    await bus.subscribe(unique, "#", lambda message: again.append(message.body), queue=unique)
    await bus.publisher(unique).publish(99)
    await until(lambda: again)
    assert again == [99]


async def test_one_that_cannot_start_says_why_and_ends_with_status_1(
    bus: Bus, broker_url: str, unique: str, tmp_path: Path
) -> None:
    await bus.subscribe(unique, "#", print, queue=Queue(unique, type="classic"))
    command = (*COMMAND, "app:bus")
    async with running(tmp_path, broker_url, unique, *command) as process, asyncio.timeout(30):
        _, errors = await process.communicate()
    assert process.returncode == 1
    assert f"subscription {unique}: ".encode() in errors
    assert b"it exists with other properties" in errors
