"""Channels on which the broker answers nothing any more are replaced; connections live on."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from gestalt.amq import (
    Bus,
    ChannelReplaced,
    DeadlineExceeded,
    Disconnected,
    Event,
    OutcomeUnknown,
    Request,
    connect,
)
from gestalt.amq.link import aio_pika_calls, watch
from gestalt.amq.link.watch import MOST_PATIENCE, Progress, Watch
from gestalt.core.metrics import measure
from tests.support.alarms import Alarm
from tests.support.channel_proxy import ChannelProxy
from tests.support.waiting import QUICK, until

from .test_reconnect import through

# It is looked twice in this time, whatever the clock of the test says; in seconds.
SILENCE = 0.1


class Clock:
    """What silence is measured by."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(watch, "monotonic", clock)
    monkeypatch.setattr(aio_pika_calls, "ANSWER_TIMEOUT", 0.4)
    return clock


@pytest.fixture
async def proxy(broker_port: int) -> AsyncIterator[ChannelProxy]:
    async with ChannelProxy(broker_port) as proxy:
        yield proxy


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
async def silent(
    proxy: ChannelProxy, broker_url: str, clock: Clock, told: list[Event]
) -> AsyncIterator[Bus]:
    """A bus by the proxy, which takes channels for hanging as soon as the test's clock says so."""
    async with connect(
        through(proxy, broker_url),
        silence_timeout=SILENCE,
        stop_timeout=0.5,
        backoff=QUICK,
        on_event=told.append,
    ) as bus:
        yield bus


def replaced(bus: Bus, kind: str = "publisher") -> int:
    """How many channels of a bus were replaced, since they were silent."""
    found: list[Any] = [each.value for each in measure(bus) if each.name == "replaced"]
    return sum(found)


async def test_a_channel_that_hangs_is_replaced_and_only_idempotent_messages_are_sent_again(
    silent: Bus, proxy: ChannelProxy, clock: Clock, told: list[Event], unique: str
) -> None:
    publisher = silent.publisher(unique)
    await publisher.publish(0)
    proxy.break_channel(unique, "hangs")
    again = asyncio.create_task(publisher.publish(1, idempotent=True, timeout=60))
    once = asyncio.create_task(publisher.publish(2, timeout=60))
    with pytest.raises(OutcomeUnknown, match="not confirmed in time"):
        await publisher.publish(3, timeout=0.01)
    assert not replaced(silent)
    clock.now += SILENCE
    await until(lambda: replaced(silent) == 1)
    await publisher.publish(4)
    with pytest.raises(OutcomeUnknown, match="the channel hangs in the broker"):
        await once
    await again
    assert silent.ready
    (event,) = (each for each in told if not isinstance(each, type(told[0])))
    assert event == ChannelReplaced("publish", f"exchange {unique!r}", pytest.approx(SILENCE), 3)
