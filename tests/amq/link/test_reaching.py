"""A broker's name with several addresses connects, whatever the first of them does."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from gestalt.amq import ConnectError, connect
from tests.support.addresses import refusing_address, silent_address
from tests.support.waiting import QUICK

NAME = "broker.test"

Resolve = Callable[..., None]


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Gives a name these addresses, in this order."""
    real = socket.getaddrinfo

    def resolve(*addresses: tuple[str, int]) -> None:
        def getaddrinfo(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
            if host not in (NAME, NAME.encode()):
                return real(host, port, *rest, **options)
            return [
                info
                for address in addresses
                for info in real(*address, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
            ]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return resolve


@pytest.fixture
def refusing() -> Iterator[tuple[str, int]]:
    with refusing_address() as address:
        yield address


@pytest.fixture
def black_hole() -> Iterator[tuple[str, int]]:
    with silent_address() as address:
        yield address


@pytest.fixture
def stuck() -> Iterator[tuple[str, int]]:
    """Takes connections, and never says a word."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=100)) as listening:
        yield listening.getsockname()


@pytest.mark.parametrize("kind", ["refusing", "black_hole", "stuck"])
async def test_an_address_that_does_not_answer_does_not_keep_the_bus_from_the_next(
    request: pytest.FixtureRequest, resolve: Resolve, broker_port: int, kind: str, unique: str
) -> None:
    bad = request.getfixturevalue(kind)
    resolve(bad, bad, ("127.0.0.1", broker_port))
    begun = time.monotonic()
    async with (
        asyncio.timeout(10),
        connect(f"amqp://{NAME}/", connect_timeout=0.6, backoff=QUICK) as bus,
    ):
        await bus.publisher(unique).publish(1)
    assert time.monotonic() - begun < 5


async def test_of_both_families_the_one_that_answers_is_taken(
    resolve: Resolve, broker_port: int, unique: str
) -> None:
    for addresses in (
        [("::1", broker_port), ("127.0.0.1", broker_port)],
        [("127.0.0.1", 1), ("::1", 1), ("127.0.0.1", broker_port)],
    ):
        resolve(*addresses)
        async with asyncio.timeout(10), connect(f"amqp://{NAME}/", backoff=QUICK) as bus:
            await bus.publisher(unique).publish(1)


async def test_an_attempt_ends_by_its_deadline_and_names_the_host(
    resolve: Resolve, black_hole: tuple[str, int], refusing: tuple[str, int]
) -> None:
    resolve(black_hole)
    bus = connect(f"amqp://{NAME}:5/", connect_timeout=0.2, start_timeout=0.7, backoff=QUICK)
    with pytest.raises(ConnectError, match=rf"{NAME}:5 did not answer within 0\.2 s"):
        await bus.start()
    resolve(refusing, ("127.0.0.2", refusing[1]))
    with pytest.raises(ConnectError, match=r"127\.0\.0\.1: Connection refused; 127\.0\.0\.2: Con"):
        await bus.start()


async def test_a_name_that_nobody_has_is_said_so() -> None:
    for host in ("nobody.invalid", "x" * 64 + ".invalid"):
        with pytest.raises((ConnectError, ValueError), match=r"[Nn]ame"):
            await connect(f"amqp://{host}/", start_timeout=0.5, backoff=QUICK).start()
