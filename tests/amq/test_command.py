import asyncio
import json

import pytest

from gestalt.amq import Bus, BusMessage, Request
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


async def test_a_service_tells_who_serves_it(
    bus: Bus, broker_url: str, unique: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def locate(request: Request[str]) -> str:
        return request.body

    async def command(*arguments: str) -> str:
        assert await asyncio.to_thread(main, [*arguments, "--url", broker_url]) == 0
        return capsys.readouterr().out

    responder = await bus.respond(unique, locate, version="1.2", description="Finds things.")
    await bus.requester(unique).request("x")
    text = await command("info", unique)
    assert all(each in text for each in (responder.instance, "1.2", "locate", "Finds things."))
    (line,) = (await command("info", unique, "--json")).splitlines()
    told = json.loads(line)
    assert (told["instance"], told["stats"]["replied"]) == (responder.instance, 1)
    assert f"{unique} answered in" in await command("ping", unique)


@pytest.mark.parametrize("question", ["info", "ping"])
def test_a_service_that_nobody_serves_is_an_error(
    question: str, broker_url: str, unique: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([question, unique, "--url", broker_url]) == 1
    assert f"{unique}: nobody serves it" in capsys.readouterr().err
