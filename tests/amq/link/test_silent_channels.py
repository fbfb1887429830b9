"""Channels on which the broker answers nothing any more are replaced; connections live on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from gestalt.amq import (
    Bus,
    BusMessage,
    ChannelReplaced,
    Connected,
    DeadlineExceeded,
    Disconnected,
    Event,
    NotSent,
    OutcomeUnknown,
    Publisher,
    Queue,
    Request,
    Retry,
    connect,
)
from gestalt.amq.link import aio_pika_calls, aio_pika_link, watch
from gestalt.amq.link.watch import Watch
from gestalt.amq.pubsub import failures, flow_control, stalls, target_queue
from gestalt.amq.requests import responder
from gestalt.amq.wire import Properties
from gestalt.core.metrics import measure
from tests.support.alarms import Alarm
from tests.support.channel_proxy import CANCEL, ChannelProxy
from tests.support.collector import Collector
from tests.support.waiting import QUICK, until

from .test_reconnect import through

# It is looked twice in this time, whatever the clock of the test says; exact as a float. Seconds.
SILENCE = 0.0625


class Clock:
    """What silence is measured by."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self._patch = patch
        patch.setattr(watch, "monotonic", self)
        self.hurry()

    def __call__(self) -> float:
        return self.now

    def hurry(self) -> None:
        """Channels that are asked hang, and never answer: there is nothing to wait for."""
        self._patch.setattr(aio_pika_calls, "HANGING_TIMEOUT", 0.02)

    def await_answers(self) -> None:
        """Channels that are asked live, and may take their time."""
        self._patch.setattr(aio_pika_calls, "HANGING_TIMEOUT", 20.0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class Looks:
    """Counts how often it is looked whether a channel is silent."""

    def __init__(self) -> None:
        self.count = 0

    async def more(self, count: int) -> None:
        """Wait until it was looked so many times more."""
        enough = self.count + count
        await until(lambda: self.count >= enough)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    looks = Looks()

    def counted(name: str) -> None:
        look = getattr(Watch, name)

        def counting(*args: Any, **options: Any) -> None:
            looks.count += 1
            look(*args, **options)

        monkeypatch.setattr(Watch, name, counting)

    for name in ("look", "excuse"):
        counted(name)
    return looks


BOTH = pytest.mark.parametrize("broker_url", ["embedded", "rabbitmq"], indirect=True)


@pytest.fixture
def broker_url(request: pytest.FixtureRequest) -> str:
    """The embedded broker's URL: it is the proxy that fails. `BOTH` has the others as well."""
    rabbitmq = getattr(request, "param", "embedded") == "rabbitmq"
    url: str = request.getfixturevalue("rabbitmq_url" if rabbitmq else "amqp_url")
    return url


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
        heartbeat=1,
        silence_timeout=SILENCE,
        stop_timeout=0.2,
        backoff=QUICK,
        on_event=told.append,
    ) as bus:
        yield bus


def replaced(bus: Bus) -> int:
    """How many channels of a bus were replaced, since they were silent."""
    found: list[Any] = [each.value for each in measure(bus) if each.name == "replaced"]
    return sum(found)


async def give_up(send: Callable[[], Awaitable[object]]) -> None:
    """Send something for which the time is short, and runs out after it was sent."""
    while True:
        try:
            await send()
        except NotSent:
            continue
        except (OutcomeUnknown, DeadlineExceeded):
            return


async def publish_until_it_hangs(
    bus: Bus, proxy: ChannelProxy, clock: Clock, exchange: str
) -> Publisher[Any]:
    """Publish 0, then 1 and 2 by a channel that hangs, which is given up."""
    publisher = bus.publisher(exchange)
    await publisher.publish(0)
    proxy.break_channel(exchange, "hangs")
    waiting = asyncio.create_task(publisher.publish(1, timeout=60))
    await give_up(lambda: publisher.publish(2, timeout=0.01))
    clock.now += SILENCE
    with pytest.raises(OutcomeUnknown):
        await waiting
    return publisher


def port_of(url: str) -> int:
    return urlsplit(url).port or 5672


@BOTH
async def test_a_channel_that_hangs_is_replaced_and_only_idempotent_messages_are_sent_again(
    silent: Bus, proxy: ChannelProxy, clock: Clock, told: list[Event], unique: str
) -> None:
    publisher = silent.publisher(unique)
    await publisher.publish(0)
    proxy.break_channel(unique, "hangs")
    again = asyncio.create_task(publisher.publish(1, idempotent=True, timeout=60))
    once = asyncio.create_task(publisher.publish(2, timeout=60))
    await give_up(lambda: publisher.publish(3, timeout=0.01))
    clock.now += SILENCE
    await until(lambda: replaced(silent))
    await publisher.publish(4)
    with pytest.raises(OutcomeUnknown, match="the channel hangs in the broker"):
        await once
    await again
    assert silent.ready
    assert [each for each in told if not isinstance(each, Connected)] == [
        ChannelReplaced("publish", f"exchange {unique!r}", pytest.approx(SILENCE), 2)
    ]


@BOTH
async def test_what_waits_on_a_silent_channel_that_lives_may_be_confirmed_late(
    silent: Bus, proxy: ChannelProxy, clock: Clock, told: list[Event], unique: str
) -> None:
    clock.await_answers()
    publisher = silent.publisher(unique)
    await publisher.publish(0)
    patient = []
    for times in (1, 2):
        proxy.break_channel(unique, "confirms nothing")
        patient.append(asyncio.create_task(publisher.publish(1, timeout=60)))
        await give_up(lambda: publisher.publish(2, timeout=0.01))
        clock.now += times * SILENCE
        await until(lambda: replaced(silent) == times)  # noqa: B023 - it is awaited
        await publisher.publish(3)
    assert not any(each.done() for each in patient)
    # Of the second, what waits on the first is no part.
    assert [each.waiting for each in told if isinstance(each, ChannelReplaced)] == [1, 1]
    proxy.mend()
    await asyncio.gather(*patient)
    assert replaced(silent) == 2


async def test_a_former_channel_that_hangs_later_is_found_out(
    silent: Bus, proxy: ChannelProxy, clock: Clock, unique: str
) -> None:
    clock.await_answers()
    publisher = silent.publisher(unique)
    await publisher.publish(0)
    proxy.break_channel(unique, "confirms nothing")
    patient = asyncio.create_task(publisher.publish(1, timeout=60))
    await give_up(lambda: publisher.publish(2, timeout=0.01))
    clock.now += SILENCE
    await until(lambda: proxy.signs)
    clock.hurry()
    proxy.break_channel(unique, "hangs")
    with pytest.raises(OutcomeUnknown, match="the channel hangs in the broker"):
        await patient


async def test_of_a_silent_channel_others_of_its_connection_notice_nothing(
    silent: Bus, proxy: ChannelProxy, clock: Clock, told: list[Event], unique: str
) -> None:
    hanging, other = silent.publisher(unique), silent.publisher(f"{unique}.other")
    await hanging.publish(0)
    await other.publish(0)
    proxy.break_channel(f"{unique}.other", "confirms nothing")
    slow = asyncio.create_task(other.publish(1, timeout=60))
    proxy.break_channel(unique, "hangs")
    while not replaced(silent):
        await give_up(lambda: hanging.publish(1, timeout=0.01))
        clock.now += SILENCE
    await hanging.publish(2)
    proxy.mend()
    await slow
    assert not any(isinstance(each, Disconnected) for each in told)


async def test_a_short_deadline_alone_costs_no_channel(
    silent: Bus, proxy: ChannelProxy, looks: Looks, unique: str
) -> None:
    publisher = silent.publisher(unique)
    await publisher.publish(0)
    proxy.break_channel(unique, "confirms nothing")
    patient = asyncio.create_task(publisher.publish(1, timeout=60))
    await give_up(lambda: publisher.publish(2, timeout=0.01))
    await looks.more(3)
    proxy.mend()
    await patient
    assert not replaced(silent)


@pytest.mark.parametrize("way", ["publish", "request"])
async def test_where_all_callers_are_cancelled_a_silent_channel_is_replaced_as_well(
    silent: Bus, proxy: ChannelProxy, clock: Clock, unique: str, way: str
) -> None:
    if way == "publish":
        send, exchange = silent.publisher(unique).publish, unique
    else:
        await silent.respond(unique, lambda request: request.body)
        send, exchange = silent.requester(unique).request, "gestalt.requests"
    await send(0)
    proxy.break_channel(exchange, "hangs")
    while not replaced(silent):
        with contextlib.suppress(TimeoutError, OutcomeUnknown):
            async with asyncio.timeout(SILENCE):
                await send(1)
        clock.now += SILENCE
    await send(2)


async def test_silence_alone_costs_no_channel_and_is_told_until_it_ends(
    silent: Bus, proxy: ChannelProxy, clock: Clock, looks: Looks, unique: str
) -> None:
    publisher = silent.publisher(unique)
    await publisher.publish(0)
    proxy.break_channel(unique, "confirms nothing")
    patient = asyncio.create_task(publisher.publish(1, timeout=60))
    await looks.more(1)
    assert silent.ready
    clock.now += 12
    assert not silent.ready
    trouble = f"gestalt publish: exchange {unique!r}: nothing was answered for 12 s"
    assert silent.trouble == trouble
    await looks.more(2)
    proxy.mend()
    await patient
    assert silent.ready
    assert not replaced(silent)


async def test_while_the_broker_blocks_the_connection_silence_means_nothing(
    alarm: Alarm, clock: Clock, looks: Looks, unique: str
) -> None:
    async with (
        ChannelProxy(port_of(alarm.url)) as proxy,
        connect(through(proxy, alarm.url), silence_timeout=SILENCE, backoff=QUICK) as bus,
    ):
        publisher = bus.publisher(unique)
        await publisher.publish(0)
        proxy.break_channel(unique, "confirms nothing")
        patient = asyncio.create_task(publisher.publish(1, timeout=60))
        await give_up(lambda: publisher.publish(2, timeout=0.01))
        await asyncio.to_thread(alarm.begin)
        # By which the broker notices that this connection publishes.
        unread = asyncio.create_task(publisher.publish(3, timeout=60))
        try:
            await until(lambda: not bus.ready)
            clock.now += 3600
            await looks.more(2)
        finally:
            await asyncio.to_thread(alarm.end)
        await until(lambda: bus.ready)
        await looks.more(2)
        proxy.mend()
        await asyncio.gather(patient, unread)
        assert not replaced(bus)


async def test_of_a_connection_only_some_channels_may_hang(
    silent: Bus,
    proxy: ChannelProxy,
    clock: Clock,
    told: list[Event],
    unique: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aio_pika_calls, "MOST_HANGING", 0)
    publisher = await publish_until_it_hangs(silent, proxy, clock, unique)
    await publisher.publish(3)
    (lost,) = (each for each in told if isinstance(each, Disconnected))
    assert str(lost.reason) == "1 of its channels hang in the broker"


@BOTH
async def test_one_that_wakes_up_does_what_it_was_given_and_is_let_go_of(
    silent: Bus, proxy: ChannelProxy, clock: Clock, told: list[Event], unique: str
) -> None:
    got: list[int] = []
    # A quorum queue may drop what is not confirmed yet of a channel that is closed.
    queue = Queue(unique, type="classic")
    await silent.subscribe(unique, "#", lambda message: got.append(message.body), queue=queue)
    publisher = await publish_until_it_hangs(silent, proxy, clock, unique)
    await publisher.publish(3)
    proxy.mend()
    await until(lambda: sorted(got) == [0, 1, 2, 3])
    # Its number is free again, and of use.
    for _ in range(3):
        async with silent.channel() as channel:
            await channel.declare_queue(exclusive=True)
    await publisher.publish(4)
    assert not any(isinstance(each, Disconnected) for each in told)


@pytest.mark.parametrize("answer_timeout", [0.05, 10], ids=["asked in vain", "cut short"])
async def test_what_a_consumer_has_whose_channel_hangs_goes_to_the_next(
    silent: Bus,
    proxy: ChannelProxy,
    unique: str,
    monkeypatch: pytest.MonkeyPatch,
    answer_timeout: float,
) -> None:
    monkeypatch.setattr(aio_pika_link, "RELEASE_TIMEOUT", 0.05)
    held, second = list[int](), Collector()

    async def hold(message: BusMessage[int]) -> None:
        held.append(message.body)
        await asyncio.sleep(3600)

    hanging = await silent.subscribe(unique, "#", hold, queue=unique, prefetch=10, concurrency=10)
    async with silent.publisher(unique).batch() as batch:
        for number in range(10):
            await batch.publish(number)
    await until(lambda: len(held) == 10)
    monkeypatch.setattr(aio_pika_calls, "ANSWER_TIMEOUT", answer_timeout)
    proxy.hang_consumer(unique)
    await hanging.stop()
    monkeypatch.setattr(aio_pika_calls, "ANSWER_TIMEOUT", 10)
    await silent.subscribe(unique, "#", second, queue=unique)
    # The broker has sent them to the first, and does not know that it has stopped.
    assert sorted(await second.wait(10)) == list(range(10))


async def test_a_channel_that_was_left_in_a_hurry_and_is_let_go_of_late_costs_no_connection(
    silent: Bus, proxy: ChannelProxy, told: list[Event], unique: str
) -> None:
    got = Collector()
    subscription = await silent.subscribe(unique, "#", got, queue=unique)
    publisher = silent.publisher(unique)
    await publisher.publish(0)
    assert await got.wait(1) == [0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aio_pika_link, "RELEASE_TIMEOUT", 1.0)
        proxy.hang_consumer(unique)
        await subscription.stop()
        proxy.mend()
        # It is looked before this ends, as that began before.
        await asyncio.sleep(1.0)
    await silent.subscribe(unique, "#", got, queue=unique)
    await publisher.publish(1)
    await until(lambda: 1 in got.bodies)
    assert not any(isinstance(each, Disconnected) for each in told)


async def test_a_subscription_whose_look_is_cancelled_by_others_consumes_anew(
    silent: Bus, proxy: ChannelProxy, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aio_pika_link, "RELEASE_TIMEOUT", 0.05)
    finish = asyncio.Event()
    got: set[int] = set()

    async def handle(message: BusMessage[int]) -> None:
        if message.body == 20:
            await finish.wait()
        got.add(message.body)

    subscription = await silent.subscribe(unique, "#", handle, queue=unique)
    async with silent.publisher(unique).batch() as batch:
        for number in range(40):
            await batch.publish(number)
    await until(lambda: len(got) >= 20 and subscription._backlog.waiting)
    proxy.hang_consumer(unique)
    monkeypatch.setattr(flow_control, "PATIENCE", 0.05)
    # It wants what was not begun to be given back, of which the broker hears nothing.
    await until(lambda: proxy.holds(CANCEL))
    (looking,) = (
        task for task in asyncio.all_tasks() if task.get_name().endswith(f"{unique} flow control")
    )
    looking.cancel()
    finish.set()
    await until(lambda: got == set(range(40)))


async def test_what_was_sent_to_a_channel_that_hangs_and_is_left_comes_back(
    silent: Bus,
    proxy: ChannelProxy,
    told: list[Event],
    unique: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stalls, "STALL", 0.05)
    monkeypatch.setattr(aio_pika_calls, "CLOSE_TIMEOUT", 0.05)
    monkeypatch.setattr(aio_pika_link, "RELEASE_TIMEOUT", 0.05)
    # Whoever happens to ask something on that channel must not be first.
    monkeypatch.setattr(aio_pika_calls, "ANSWER_TIMEOUT", 20.0)
    got = Collector()
    subscription = await silent.subscribe(unique, "#", got, queue=unique, prefetch=5)
    await silent.publisher(unique).publish(0)
    assert await got.wait(1) == [0]
    await until(lambda: subscription.consuming)
    proxy.hang_consumer(unique)
    async with silent.publisher(unique).batch() as batch:
        for number in range(1, 20):
            await batch.publish(number)
    await until(lambda: set(got.bodies) == set(range(20)))
    # What it was sent before is still there, until the connection ends.
    await until(lambda: any(isinstance(each, Disconnected) for each in told))
    (lost,) = (each for each in told if isinstance(each, Disconnected))
    assert str(lost.reason) == "the broker did not let go of a channel that consumed"
    await until(lambda: got.bodies.count(0) == 2)


async def test_a_responder_whose_channel_hangs_begins_anew(
    silent: Bus, proxy: ChannelProxy, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responder, "SILENCE", 0.05)
    monkeypatch.setattr(aio_pika_calls, "ANSWER_TIMEOUT", 0.3)
    await silent.respond(unique, lambda request: request.body)
    requester = silent.requester(unique)
    assert await requester.request(0) == 0
    await until(lambda: silent.ready)
    proxy.hang_consumer(f"{unique}.requests")
    # The first request is lost in the channel, and comes back with the end of the connection.
    assert await requester.request(1, timeout=30, idempotent=True) == 1


async def test_a_stop_does_not_wait_for_a_channel_that_hangs(
    silent: Bus, proxy: ChannelProxy, unique: str
) -> None:
    publisher = silent.publisher(unique)
    await publisher.publish(0)
    proxy.break_channel(unique, "hangs")
    waiting = asyncio.create_task(publisher.publish(1, timeout=60))
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await silent.stop()
        with pytest.raises(OutcomeUnknown):
            await waiting


@BOTH
async def test_a_channel_of_requests_that_hangs_is_replaced_and_a_slow_service_is_none(
    silent: Bus, proxy: ChannelProxy, clock: Clock, looks: Looks, told: list[Event], unique: str
) -> None:
    gate = asyncio.Event()

    async def answer(request: Request[Any]) -> object:
        if request.body == "slow":
            await gate.wait()
        return request.body

    clock.await_answers()
    await silent.respond(unique, answer, concurrency=2)
    requester = silent.requester(unique)
    patient = asyncio.create_task(requester.request("slow", timeout=60))
    await until(lambda: silent.ready)
    await looks.more(1)
    clock.now += SILENCE
    assert silent.ready
    await give_up(lambda: requester.request("slow", timeout=0.01))
    clock.now += SILENCE
    await until(lambda: proxy.signs)
    await looks.more(1)
    gate.set()
    assert await patient == "slow"
    assert not replaced(silent)

    clock.hurry()
    proxy.break_channel("gestalt.requests", "hangs")
    waiting = asyncio.create_task(requester.request("lost", timeout=60))
    await give_up(lambda: requester.request("lost", timeout=0.01))
    clock.now += SILENCE
    with pytest.raises(OutcomeUnknown, match="the channel hangs in the broker"):
        await waiting
    assert await requester.request("found") == "found"
    assert replaced(silent) == 1
    assert [each.channel for each in told if isinstance(each, ChannelReplaced)] == ["requests"]


async def test_a_connection_that_is_lost_while_its_channel_is_asked_has_none_replaced(
    silent: Bus, proxy: ChannelProxy, clock: Clock, told: list[Event], unique: str
) -> None:
    clock.await_answers()
    await silent.respond(unique, lambda request: request.body)
    requester = silent.requester(unique)
    assert await requester.request(0) == 0
    proxy.break_channel("gestalt.requests", "hangs")
    await give_up(lambda: requester.request(1, timeout=0.01))
    patient = asyncio.create_task(requester.request(2, timeout=60, idempotent=True))
    clock.now += SILENCE
    await until(lambda: proxy.questions)
    await proxy.cut()
    assert await patient == 2
    assert not replaced(silent)
    assert not any(isinstance(each, ChannelReplaced) for each in told)


async def test_gathers_that_get_nothing_are_no_sign_of_life(
    silent: Bus, proxy: ChannelProxy, clock: Clock, looks: Looks, unique: str
) -> None:
    await silent.respond(unique, lambda request: request.body)
    requester = silent.requester(unique)
    assert await requester.request(0) == 0
    assert len(await requester.gather(0, count=1)) == 1
    proxy.break_channel("gestalt.instances", "hangs")
    while not replaced(silent):
        with contextlib.suppress(NotSent, OutcomeUnknown):
            assert await requester.gather(1, timeout=0.01) == []
        clock.now += SILENCE
    assert await requester.request(2) == 2


async def test_a_channel_of_retries_that_hangs_is_replaced(
    silent: Bus, proxy: ChannelProxy, clock: Clock, told: list[Event], unique: str
) -> None:
    handled: list[int] = []

    def handle(message: BusMessage[int]) -> None:
        if not message.attempt > 1:
            raise ValueError("not yet")
        handled.append(message.body)

    retry = Retry(attempts=3, delay=0.02, factor=1)
    await silent.subscribe(unique, "#", handle, queue=unique, retry=retry)
    publisher = silent.publisher(unique)
    await publisher.publish(0)
    await until(lambda: handled == [0])
    proxy.break_channel("", "hangs")
    await publisher.publish(1)
    while not any(isinstance(each, ChannelReplaced) for each in told):
        clock.now += SILENCE
        await asyncio.sleep(0.01)
    await until(lambda: handled == [0, 1])
    (event,) = (each for each in told if isinstance(each, ChannelReplaced))
    assert (event.channel, event.waiting) == ("failed messages", 1)


async def test_a_copy_that_hangs_on_a_channel_of_its_own_is_not_waited_for(
    silent: Bus, proxy: ChannelProxy, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target_queue, "FIRST_PAUSE", 0.01)
    make = failures.copy_properties
    made = 0

    def fail_and_hang(*args: Any, **options: Any) -> Properties:
        nonlocal made
        made += 1
        if made == 1:
            raise ValueError("the next one gets a channel of its own")
        if made == 2:
            proxy.hang_next("")
        return make(*args, **options)

    monkeypatch.setattr(failures, "copy_properties", fail_and_hang)
    attempts: list[int] = []

    def handle(message: BusMessage[int]) -> None:
        attempts.append(message.attempt)
        if message.attempt == 1:
            raise ValueError("not yet")

    retry = Retry(attempts=3, delay=0.02, factor=1)
    await silent.subscribe(unique, "#", handle, queue=unique, retry=retry)
    await silent.publisher(unique).publish(0)
    await until(lambda: attempts == [1, 2])
