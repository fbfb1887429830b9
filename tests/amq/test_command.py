import asyncio
import json

import pytest

from gestalt.amq import Bus, BusMessage
from gestalt.amq.__main__ import main


async def test_parked_messages_are_listed_and_replayed(
    bus: Bus, broker_url: str, unique: str, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = True
    handled = asyncio.Event()

    def handle(message: BusMessage[str]) -> None:
        if broken:
            raise ValueError("not yet")
        handled.set()

    async def command(*arguments: str) -> str:
        assert await asyncio.to_thread(main, ["parked", *arguments, "--url", broker_url]) == 0
        return capsys.readouterr().out

    subscription = await bus.subscribe(unique, "#", handle, queue=unique, retry=None)
    await bus.publisher(unique).publish("x", "a.key")
    async with asyncio.timeout(10):
        while not subscription.stats.parked:
            await asyncio.sleep(0.01)
    text = await command("list", unique)
    assert "ValueError: not yet" in text
    assert "a.key" in text
    listed = json.loads(await command("list", unique, "--json"))
    assert (listed["reason"], listed["attempts"], listed["body"]) == ("not yet", 1, '"x"')
    broken = False
    assert await command("replay", unique) == f"1 sent back to {unique}\n"
    async with asyncio.timeout(5):
        await handled.wait()
    assert await command("list", unique) == ""


def test_a_queue_without_parking_is_an_error(
    broker_url: str, unique: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["parked", "list", unique, "--url", broker_url]) == 1
    assert f"{unique}.parked" in capsys.readouterr().err
