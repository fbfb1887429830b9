"""Credentials that change: asked for before each attempt, renewed before they expire."""

import asyncio
import logging
import math
from datetime import UTC, datetime, timedelta

import pytest

from gestalt.amq import (
    AccessRefused,
    AmqError,
    Connected,
    ConnectFailed,
    Credentials,
    CredentialsError,
    Event,
    LoginRefused,
    SecretUpdateFailed,
    connect,
)
from gestalt.amq.embedded import ThreadedBroker
from gestalt.amq.link.secret_updates import SecretUpdates
from gestalt.core import State
from tests.support.waiting import QUICK, until

SECRET = "guest"
HIDDEN = "not-to-be-shown"


async def test_they_are_asked_for_before_each_attempt(amqp_broker: ThreadedBroker) -> None:
    asked = 0

    def give() -> tuple[str, str]:
        nonlocal asked
        asked += 1
        return "guest", SECRET

    async with connect(amqp_broker.url, credentials=give, backoff=QUICK) as bus:
        await bus.publisher("any").publish(1)
        assert asked == 1
        amqp_broker.drop_connections()
        await until(lambda: asked == 2 and bus.ready)
        await bus.publisher("any").publish(1)


async def test_the_secret_is_renewed_before_it_expires(
    broker_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    asked = 0
    events: list[Event] = []

    async def give() -> Credentials:
        nonlocal asked
        asked += 1
        # The broker's own users need no secret any more, once they are in: any will do.
        password = SECRET if asked == 1 else HIDDEN
        return Credentials(user="guest", password=password, lifetime=0.6)

    async with connect(broker_url, credentials=give, on_event=events.append) as bus:
        await until(lambda: asked >= 3)
        await bus.publisher("any").publish(1)
        assert [type(event) for event in events] == [Connected]
    assert "the secret was renewed" in caplog.text
    assert HIDDEN not in caplog.text


async def test_a_secret_that_cannot_be_renewed_is_told_and_the_connection_lives_on(
    broker_url: str,
) -> None:
    asked = 0
    events: list[Event] = []

    async def give() -> Credentials:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise OSError(HIDDEN)
        user = "guest" if asked <= 3 else "another"
        return Credentials(user=user, password=SECRET, lifetime=0.1)

    async with connect(broker_url, credentials=give, on_event=events.append) as bus:
        await until(lambda: len(events) == 3)
        first, second, third = events
        assert isinstance(first, Connected)
        assert isinstance(second, SecretUpdateFailed)
        assert isinstance(second.reason, CredentialsError)
        told = str(second.reason)
        assert told.startswith("the function for credentials raised OSError in give (")
        assert __file__ in told
        assert isinstance(second.reason.__cause__, OSError)
        assert isinstance(third, SecretUpdateFailed)
        assert "are of 'another', and the connection is one of 'guest'" in str(third.reason)
        await bus.publisher("any").publish(1)
        assert asked == 4


async def test_credentials_that_are_refused_later_are_told_and_tried_again(
    amqp_broker: ThreadedBroker,
) -> None:
    password = SECRET
    events: list[Event] = []
    async with connect(
        amqp_broker.url,
        credentials=lambda: ("guest", password),
        backoff=QUICK,
        on_event=events.append,
    ) as bus:
        await bus.subscribe("any", "#", print)
        password = HIDDEN
        amqp_broker.drop_connections()
        await until(lambda: sum(isinstance(event, LoginRefused) for event in events) >= 2)
        await until(lambda: "refused the credentials" in (bus.trouble or ""))
        assert not bus.ready
        assert HIDDEN not in f"{bus.trouble} {events}"
        password = SECRET
        # The first of the connections that is let in has the other one try again.
        await until(lambda: bus.ready)
        assert bus.trouble is None


async def test_a_start_ends_where_all_brokers_refuse_the_credentials(
    amqp_broker: ThreadedBroker,
) -> None:
    bus = connect(amqp_broker.url, credentials=lambda: ("guest", HIDDEN))
    async with asyncio.timeout(5):
        with pytest.raises(AccessRefused, match="refused the credentials") as caught:
            await bus.start()
    assert HIDDEN not in str(caught.value)


async def raising() -> tuple[str, str]:
    raise LookupError(HIDDEN)


async def hanging() -> tuple[str, str]:
    await asyncio.sleep(60)
    raise AssertionError


async def cancelled() -> tuple[str, str]:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (raising, "raised LookupError"),
        (hanging, "took longer than 0.05 s"),
        (cancelled, "raised CancelledError"),
        (lambda: HIDDEN, "returns a tuple of user and password, or Credentials, got an object of"),
        (lambda: (1, HIDDEN), "user must be a str"),
        (lambda: ("", ""), "the password is empty"),
    ],
)
async def test_what_gives_no_credentials_is_a_failed_attempt(
    amqp_broker: ThreadedBroker, source: object, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[Event] = []
    bus = connect(
        amqp_broker.url,
        credentials=source,  # type: ignore[arg-type]
        connect_timeout=0.05,
        start_timeout=0.4,
        backoff=QUICK,
        on_event=events.append,
    )
    with pytest.raises(OSError, match=text):
        await bus.start()
    assert events
    for event in events:
        assert isinstance(event, ConnectFailed)
        assert isinstance(event.reason, CredentialsError)
        assert text in str(event.reason)
    assert HIDDEN not in caplog.text
    # It says nothing of the broker: another bus is not held up.
    async with connect(amqp_broker.url) as other:
        assert other.ready


async def test_a_start_that_is_cancelled_while_they_are_asked_for_is_cancelled(
    amqp_broker: ThreadedBroker,
) -> None:
    asked, given_up = asyncio.Event(), asyncio.Event()

    async def give() -> tuple[str, str]:
        asked.set()
        try:
            return await hanging()
        finally:
            given_up.set()

    bus = connect(amqp_broker.url, credentials=give)
    starting = asyncio.create_task(bus.start())
    await asked.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert given_up.is_set()
    assert bus.state is State.STOPPED


def test_credentials_are_checked_and_do_not_show_the_password() -> None:
    later = datetime.now(UTC) + timedelta(minutes=1)
    shown = repr(Credentials(user="u", password=HIDDEN, expires_at=later))
    assert "'u'" in shown
    assert HIDDEN not in shown
    for given, left in ((60.0, 60), (math.inf, None), (None, None)):
        found = Credentials(user="u", password="p", lifetime=given).left
        assert (found is None) == (left is None)
        assert found is None or 59 < found <= 60
    soon = Credentials(user="u", password="p", expires_at=later.timestamp()).left
    assert soon is not None
    assert 59 < soon <= 60
    with pytest.raises(ValueError, match="not both"):
        Credentials(user="u", password="p", lifetime=1, expires_at=later)
    with pytest.raises(ValueError, match="without a time zone"):
        Credentials(user="u", password="p", expires_at=datetime(2030, 1, 1))
    with pytest.raises(ValueError, match="lifetime must not be negative, got nan"):
        Credentials(user="u", password="p", lifetime=math.nan)


def test_what_does_not_go_with_credentials_is_refused() -> None:
    with pytest.raises(TypeError, match="credentials must be a function"):
        connect("amqp://localhost", credentials=("guest", SECRET))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="either auth=external"):
        connect("amqps://localhost?auth=external", credentials=lambda: ("guest", SECRET))


async def test_a_secret_that_no_frame_takes_is_refused() -> None:
    lost: asyncio.Future[AmqError] = asyncio.get_running_loop().create_future()
    updates = SecretUpdates(lost, lambda *_, **__: None, lambda _: None)
    with pytest.raises(CredentialsError, match="has 4096 bytes, and a frame 4096 at most"):
        await updates.update("x" * 4096, 4096)
