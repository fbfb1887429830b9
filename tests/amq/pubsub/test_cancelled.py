"""Whoever cancels a subscription's tasks does not end it unnoticed."""

import asyncio
from typing import Any

import pytest

from gestalt.amq import Bus, BusMessage, Retry
from tests.support.collector import Collector
from tests.support.waiting import Reported, until


@pytest.mark.parametrize("waits", [True, False])
async def test_a_handler_that_cancels_its_own_task_fails_alone(
    bus: Bus, unique: str, waits: bool, reported: Reported
) -> None:
    got = Collector()
    attempts: list[int] = []

    async def handle(message: BusMessage[Any]) -> None:
        if message.body == "good":
            got(message)
            return
        attempts.append(message.attempt)
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        if waits:
            await asyncio.sleep(0)

    subscription = await bus.subscribe(
        unique, "#", handle, queue=unique, retry=Retry(attempts=2, delay=0.02)
    )
    publisher = bus.publisher(unique)
    await publisher.publish("poison")
    for _ in range(20):
        await publisher.publish("good")
    await got.wait(20)
    if waits:
        await until(lambda: subscription.stats.parked)
        assert attempts == [1, 2]
    assert subscription.reported >= 1
    assert bus.ready
    assert reported == []


@pytest.mark.parametrize("concurrency", [1, 5])
async def test_tasks_that_a_library_cancels_are_made_again(
    bus: Bus, unique: str, concurrency: int
) -> None:
    got = Collector()
    hanging: list[int] = []

    async def handle(message: BusMessage[int]) -> None:
        if message.attempt == 1 and message.body < 0:
            hanging.append(message.body)
            await asyncio.Event().wait()
        got(message)

    subscription = await bus.subscribe(
        unique, "#", handle, queue=unique, concurrency=concurrency, retry=Retry(delay=0.02)
    )
    publisher = bus.publisher(unique)
    for _ in range(3):
        begun = len(hanging)
        await publisher.publish(-1)
        await until(lambda begun=begun: len(hanging) > begun)
        for task in asyncio.all_tasks():
            if task.get_name().startswith(subscription.name):
                task.cancel()
    for number in range(50):
        await publisher.publish(number)
    await until(lambda: {-1, *range(50)} <= set(got.bodies))
    bodies = got.bodies
    assert set(bodies) == {-1, *range(50)}
    await until(lambda: bus.ready)


async def test_a_move_that_a_library_cancels_gives_its_message_back(bus: Bus, unique: str) -> None:
    failed: list[int] = []

    def fail(message: BusMessage[int]) -> None:
        failed.append(message.body)
        if len(failed) == 1:
            # The task that moves it is made when this returns, and begins a turn later.
            asyncio.get_running_loop().call_soon(cancel_moves)
        raise ValueError

    def cancel_moves() -> None:
        for task in asyncio.all_tasks():
            if task.get_name().endswith(" move"):
                task.cancel()

    subscription = await bus.subscribe(unique, "#", fail, queue=unique, retry=None)
    await bus.publisher(unique).publish(1)
    await until(lambda: subscription.stats.parked == 1)
    assert failed == [1, 1]
