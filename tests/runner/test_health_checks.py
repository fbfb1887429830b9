"""Checks and addresses of the health endpoint that are not as they should be."""

import asyncio
import errno
import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from gestalt.runner.errors import CannotListen
from gestalt.runner.health.address import HealthAddress, listen
from gestalt.runner.health.asking import Question
from gestalt.runner.health.checks import Checks
from gestalt.runner.health.verdict import Finding, Verdict


def spawn(coro: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(coro, name=name)


@pytest.mark.parametrize(
    ("functions", "reason"),
    [
        ([len], "checks must be functions by names, got an object of type list"),
        ({"disk": 5}, "the check 'disk' must be a function, got an object of type int"),
    ],
)
def test_what_is_no_check_is_refused_by_its_name(functions: Any, reason: str) -> None:
    with pytest.raises(TypeError, match=reason):
        Checks(functions, timeout=1.0)


async def test_a_generator_is_no_check() -> None:
    def count() -> Any:
        yield 1

    (found,) = await Checks({"count": count}, timeout=5.0).look(spawn)
    assert found.trouble == "it is a generator, and not a function"


async def test_a_check_that_its_cancellation_does_not_end_is_waited_for_once() -> None:
    go_on = asyncio.Event()

    async def stubborn() -> None:
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                continue

    checks = Checks({"stubborn": stubborn}, timeout=0.01)
    (found,) = await checks.look(spawn)
    assert str(found.trouble).startswith("it still runs after ")
    (found,) = await checks.look(spawn)
    assert str(found.trouble).startswith("it still runs after ")
    go_on.set()


async def test_a_check_that_is_cancelled_with_the_application_says_nothing() -> None:
    tasks: list[asyncio.Task[None]] = []

    def remember(coro: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        tasks.append(spawn(coro, name))
        asyncio.get_running_loop().call_soon(tasks[0].cancel)
        return tasks[0]

    await Checks({"slow": asyncio.Event().wait}, timeout=5.0).look(remember)
    assert tasks[0].cancelled()


class Here:
    """An application whose event loop is that of the test."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.attend = spawn


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (TimeoutError(), 503, "did not answer in time"),
        (RuntimeError("Event loop is closed"), 503, "it is closed"),
        (ImportError("pip install it"), 501, "pip install it"),
    ],
)
async def test_what_cannot_be_asked_is_told_with_a_status(
    error: Exception, status: int, told: str
) -> None:
    responses = pytest.importorskip("gestalt.runner.health.responses", exc_type=ImportError)

    async def fail() -> Any:
        raise error

    question = Question[Any](Here(), fail, name="question", timeout=10.0)
    live = Verdict("alive", (Finding("event loop", None),))
    made = responses.Responses(
        live=lambda: live, refused=lambda: None, ready=question, metrics=question
    )
    first, second = await asyncio.gather(*(made.answer("GET", "/metrics") for _ in range(2)))
    assert first == second
    assert (first.status, told in first.body.decode()) == (status, True)
    if status == 503:
        ready = await made.answer("GET", "/readyz")
        assert (ready.status, told in ready.body.decode()) == (503, True)


def test_an_address_in_brackets_is_one_of_ipv6() -> None:
    address = HealthAddress.parse("[::1]:8080")
    assert (address.host, address.port, str(address)) == ("::1", 8080, "[::1]:8080")


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no unix sockets")
def test_what_cannot_be_listened_on_is_named(tmp_path: Path) -> None:
    for text in (f"unix:{tmp_path}/nowhere/x", f"unix:{tmp_path}", "192.0.2.1:0"):
        with pytest.raises(CannotListen, match="the health endpoint cannot listen on") as refused:
            listen(HealthAddress.parse(text))
        assert refused.value.errno in (errno.ENOENT, errno.EADDRINUSE, errno.EADDRNOTAVAIL)
