import asyncio
import json

import pytest

from gestalt.amq import Bus, BusMessage, Request
from gestalt.amq.__main__ import main
from tests.support.waiting import until


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
    assert (listed["reason"], listed["attempts"], listed["body"]) == ("not yet", 1, "x")
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
    other = await bus.respond(unique, locate)
    await bus.requester(unique).request("x")
    text = await command("info", unique)
    instances = {responder.instance, other.instance}
    assert all(each in text for each in (*instances, "1.2", "locate", "Finds things."))
    told = [json.loads(line) for line in (await command("info", unique, "--json")).splitlines()]
    assert {each["instance"] for each in told} == instances
    assert sum(each["stats"]["replied"] for each in told) == 1
    assert f"{unique} answered in" in await command("ping", unique, "--timeout", "5")


@pytest.mark.parametrize("question", ["info", "ping"])
def test_a_service_that_nobody_serves_is_an_error(
    question: str, broker_url: str, unique: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([question, unique, "--url", broker_url]) == 1
    assert f"{unique}: nobody serves it" in capsys.readouterr().err


async def test_parked_messages_are_chosen_shown_and_deleted(
    bus: Bus, broker_url: str, unique: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(message: BusMessage[dict[str, int]]) -> None:
        raise ValueError(f"no vehicle {message.body['n']}")

    async def command(action: str, *arguments: str, status: int = 0) -> str:
        line = ["parked", action, unique, *arguments, "--url", broker_url]
        assert await asyncio.to_thread(main, line) == status
        out, err = capsys.readouterr()
        return out or err

    subscription = await bus.subscribe(unique, "#", fail, queue=unique, retry=None)
    for number in range(4):
        await bus.publisher(unique).publish(
            {"n": number, "é": None},
            f"vehicle.{number}",
            message_id=f"id-{number}",
            headers={"tenant": number % 2},
        )
    await until(lambda: subscription.stats.parked == 4)
    await subscription.stop()

    chosen = await command("list", "--where", "header.tenant=1", "--where", "routing-key=vehicle.*")
    lines = chosen.splitlines()
    assert [line.split("  ")[0] for line in lines[::3]] == ["2", "4"]
    assert lines[1:3] == ["    ValueError: no vehicle 1", '    {"n": 1, "é": null}']
    assert "id id-1" in lines[0]
    for which in ("id-2", "3"):
        shown = await command("show", which)
        assert "reason:           no vehicle 2\n" in shown
        assert "header tenant: 0\n" in shown
        assert shown.endswith('\n\n{\n  "n": 2,\n  "é": null\n}\n')
    assert json.loads(await command("show", "id-2", "--json"))["body"] == {"n": 2, "é": None}
    assert "has 'id-9'" in await command("show", "id-9", status=1)
    assert "has '5'" in await command("show", "5", status=1)
    assert """\n\nb'{"n":0,""" in await command("show", "1", "--codec", "text")
    assert await command("replay", "--where", "id=id-0") == f"1 sent back to {unique}\n"
    assert "2 would be deleted for good" in await command(
        "purge", "--where", "reason=*vehicle*", "--limit", "2", status=1
    )
    assert await command("purge", "--where", "error=Value*", "--limit", "2", "--yes") == (
        "2 deleted\n"
    )
    assert (await command("list")).splitlines()[0].startswith("1  ")
    assert await command("purge", "--yes") == "1 deleted\n"
    assert await command("list") == ""
