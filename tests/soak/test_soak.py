"""The soak finds what stays behind, and nothing in a short run of the real loads."""

import asyncio
import socket

import pytest

from tests.soak.__main__ import soak
from tests.soak.census import Census, verdict
from tests.soak.loads import Application


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_nothing_grows_in_a_few_rounds(capsys: pytest.CaptureFixture[str]) -> None:
    assert await soak(0.0) == []
    assert len(capsys.readouterr().out.splitlines()) == 5


async def test_a_descriptor_that_stays_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[socket.socket] = []
    monkeypatch.setattr("tests.soak.census.SETTLING", 0.1)

    async def leak(_: Application) -> None:
        kept.append(socket.socket())

    found = await soak(0.0, [leak])
    for each in kept:
        each.close()
    assert len(found) == 1
    assert found[0].startswith("descriptors grew from ")


async def test_a_task_that_stays_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[asyncio.Task[bool]] = []
    monkeypatch.setattr("tests.soak.census.SETTLING", 0.1)

    async def leak(_: Application) -> None:
        kept.append(asyncio.create_task(asyncio.Event().wait()))

    found = await soak(0.0, [leak])
    for each in kept:
        each.cancel()
    assert len(found) == 1
    assert found[0].startswith("tasks grew from ")


def test_memory_that_grows_is_found_and_noise_is_not() -> None:
    assert verdict([Census(2, 9, 40.0 + number % 2) for number in range(20)]) == []
    assert verdict([Census(2, 9, 40.0 + number) for number in range(20)]) == [
        "memory grew from 45.0 to 54.5 MiB"
    ]
