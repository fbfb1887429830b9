"""Messages of one key are handled one after the other, in order; others meanwhile."""

import asyncio
import random
from collections import Counter, defaultdict
from typing import Any

import pytest

from gestalt.amq import Bus, BusMessage, ParkedMessage, Queue, Retry, connect
from gestalt.amq.pubsub import flow_control
from gestalt.core import Discard, Park, RetryLater
from tests.support.proxy import Proxy
from tests.support.waiting import QUICK, until
from tests.support.wire_headers import publish_raw

SOON = Retry(attempts=3, delay=0.05, factor=1)


def vehicle(message: BusMessage[Any]) -> Any:
    return message.body["vehicle"]


async def publish(bus: Bus, exchange: str, keys: list[Any], start: int = 0) -> None:
    async with bus.publisher(exchange).batch() as batch:
        for number, key in enumerate(keys, start):
            await batch.publish({"vehicle": key, "n": number})


async def parked(bus: Bus, queue: str, count: int = 1) -> list[ParkedMessage]:
    async with asyncio.timeout(15):
        while len(found := await bus.parked(queue).list()) < count:
            await asyncio.sleep(0.05)
    return found


class Ordered:
    """A handler that takes a while, and knows what runs beside and what came before it."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.by_key: defaultdict[Any, list[int]] = defaultdict(list)
        self.running: Counter[Any] = Counter()
        self.most_at_once = 0
        self.attempts: defaultdict[int, list[int]] = defaultdict(list)
        self._seconds = seconds

    async def __call__(self, message: BusMessage[Any]) -> None:
        key, number = message.body["vehicle"], message.body["n"]
        self.running[key] += 1
        assert self.running[key] == 1
        self.most_at_once = max(self.most_at_once, self.running.total())
        try:
            await asyncio.sleep(self._seconds)
            self.attempts[number].append(message.attempt)
            self.fail(message)
            self.by_key[key].append(number)
        finally:
            self.running[key] -= 1

    def fail(self, message: BusMessage[Any]) -> None:
        pass


async def test_each_key_keeps_its_order_and_keys_go_side_by_side(bus: Bus, unique: str) -> None:
    ordered = Ordered(0.001)
    subscription = await bus.subscribe(
        unique, "#", ordered, queue=unique, concurrency=8, key=vehicle
    )
    rng = random.Random(1)
    keys = [rng.randrange(20) for _ in range(1000)]
    await publish(bus, unique, keys)
    await until(lambda: subscription.stats.handled == 1000)
    for key, numbers in ordered.by_key.items():
        assert numbers == [n for n, each in enumerate(keys) if each == key]
    assert ordered.most_at_once == 8


async def test_plain_handlers_keep_the_order_as_well(bus: Bus, unique: str) -> None:
    got: defaultdict[int, list[int]] = defaultdict(list)
    subscription = await bus.subscribe(
        unique,
        "#",
        lambda message: got[message.body["vehicle"]].append(message.body["n"]),
        concurrency=4,
        key=vehicle,
    )
    await publish(bus, unique, [n % 7 for n in range(500)])
    await until(lambda: subscription.stats.handled == 500)
    assert all(numbers == sorted(numbers) for numbers in got.values())


async def test_what_waits_for_its_retry_holds_back_its_own_key_alone(bus: Bus, unique: str) -> None:
    class Failing(Ordered):
        def fail(self, message: BusMessage[Any]) -> None:
            if message.body["n"] == 0 and message.attempt < 3:
                raise ValueError("not yet")

    ordered = Failing()
    subscription = await bus.subscribe(
        unique,
        "#",
        ordered,
        queue=unique,
        concurrency=4,
        key=vehicle,
        retry=Retry(attempts=3, delay=0.5, factor=1),
    )
    await publish(bus, unique, ["a", "a", "b", "a", "b", "c"])
    await until(lambda: subscription.stats.handled == 3)
    assert dict(ordered.by_key) == {"b": [2, 4], "c": [5]}
    await until(lambda: subscription.stats.handled == 6)
    assert ordered.by_key["a"] == [0, 1, 3]
    assert ordered.attempts[0] == [1, 2, 3]
    assert subscription.stats.retried == 2


async def test_after_a_message_that_is_parked_or_dropped_its_key_goes_on(
    bus: Bus, unique: str
) -> None:
    class Failing(Ordered):
        def fail(self, message: BusMessage[Any]) -> None:
            match message.body["n"]:
                case 0:
                    raise ValueError("always")
                case 1:
                    raise Park("at once")
                case 2:
                    raise Discard("not ours")
                case 3 if message.attempt == 1:
                    raise RetryLater(0.3)

    ordered = Failing()
    subscription = await bus.subscribe(
        unique, "#", ordered, queue=unique, concurrency=4, key=vehicle, retry=SOON
    )
    await publish(bus, unique, ["a"] * 6)
    await until(lambda: subscription.stats.handled == 3)
    assert ordered.by_key["a"] == [3, 4, 5]
    assert ordered.attempts[0] == [1, 2, 3]
    assert {each.reason: each.attempts for each in await parked(bus, unique, 2)} == {
        "always": 3,
        "at once": 1,
    }
    assert subscription.stats.discarded == 1


async def test_keys_that_cannot_be_had_park_their_message_alone(
    bus: Bus, broker_url: str, unique: str
) -> None:
    ordered = Ordered()
    subscription = await bus.subscribe(
        unique, "#", ordered, queue=unique, concurrency=2, key=vehicle
    )
    await publish(bus, unique, ["a", ["unhashable"], "a"])
    await publish_raw(broker_url, unique, b"{no json", {})
    await bus.publisher(unique).publish({"no": "vehicle"})
    await until(lambda: subscription.stats.handled == 2)
    assert {each.error for each in await parked(bus, unique, 3)} == {
        "TypeError",
        "KeyError",
        "DecodeError",
    }
    assert subscription.reported == 3


async def test_a_key_with_many_messages_does_not_starve_the_others(bus: Bus, unique: str) -> None:
    ordered = Ordered(0.02)
    await bus.subscribe(unique, "#", ordered, queue=unique, concurrency=2, key=vehicle)
    await publish(bus, unique, ["hot"] * 60 + ["cold"] * 3)
    await until(lambda: len(ordered.by_key["cold"]) == 3)
    assert len(ordered.by_key["hot"]) < 30


async def test_what_waits_for_its_retry_goes_back_at_a_stop_and_keeps_its_order(
    bus: Bus, unique: str
) -> None:
    class Failing(Ordered):
        def fail(self, message: BusMessage[Any]) -> None:
            raise ValueError("not yet")

    failing = Failing()
    subscription = await bus.subscribe(
        unique, "#", failing, queue=unique, key=vehicle, retry=Retry(attempts=3, delay=60, factor=1)
    )
    await publish(bus, unique, ["a", "a", "a"])
    await until(lambda: failing.attempts)
    await subscription.stop()
    ordered = Ordered()
    again = await bus.subscribe(unique, "#", ordered, queue=unique, key=vehicle)
    await until(lambda: again.stats.handled == 3)
    assert ordered.by_key["a"] == [0, 1, 2]
    assert failing.attempts == {0: [1]}


async def test_attempts_are_counted_on_after_a_lost_connection_and_the_order_is_kept(
    broker_url: str, broker_port: int, unique: str
) -> None:
    class Failing(Ordered):
        def fail(self, message: BusMessage[Any]) -> None:
            if message.body["n"] == 0:
                raise ValueError("always")

    ordered = Failing()
    async with Proxy(broker_port) as proxy:
        url = broker_url.replace(f":{broker_port}", f":{proxy.port}")
        async with connect(url, backoff=QUICK) as bus:
            subscription = await bus.subscribe(
                unique,
                "#",
                ordered,
                queue=unique,
                concurrency=4,
                key=vehicle,
                retry=Retry(attempts=4, delay=0.4, factor=1),
            )
            await publish(bus, unique, ["a", "a", "a"])
            await until(lambda: len(ordered.attempts[0]) == 2)
            await proxy.cut()
            await until(lambda: subscription.stats.handled == 2)
            assert len(await parked(bus, unique)) == 1
    assert ordered.attempts[0] == [1, 2, 3, 4]
    assert ordered.by_key["a"] == [1, 2]


async def test_a_handler_that_outlives_its_connection_still_holds_back_its_key(
    broker_url: str, broker_port: int, unique: str
) -> None:
    go_on = asyncio.Event()
    running: Counter[str] = Counter()
    done: list[tuple[int, bool]] = []

    async def handle(message: BusMessage[Any]) -> None:
        key = vehicle(message)
        running[key] += 1
        assert running[key] == 1
        if key == "a" and not go_on.is_set():
            await go_on.wait()
        done.append((message.body["n"], message.redelivered))
        running[key] -= 1

    async with Proxy(broker_port) as proxy:
        url = broker_url.replace(f":{broker_port}", f":{proxy.port}")
        async with connect(url, backoff=QUICK) as bus:
            subscription = await bus.subscribe(
                unique, "#", handle, queue=unique, concurrency=4, key=vehicle
            )
            await publish(bus, unique, ["a", "a"])
            await until(lambda: running["a"])
            await proxy.cut()
            await until(lambda: not subscription.consuming)
            await until(lambda: subscription.consuming)
            # Behind those that come again.
            await publish(bus, unique, ["b"], start=2)
            await until(lambda: done)
            go_on.set()
            await until(lambda: subscription.stats.handled == 4)
    assert done[:3] == [(2, False), (0, False), (0, True)]
    assert done[3][0] == 1


async def test_a_worker_that_a_library_cancels_lets_its_key_go_on(bus: Bus, unique: str) -> None:
    class Cancelling(Ordered):
        def fail(self, message: BusMessage[Any]) -> None:
            if message.body["n"] == 0 and message.attempt == 1:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()

    ordered = Cancelling()

    async def handle(message: BusMessage[Any]) -> None:
        await ordered(message)
        await asyncio.sleep(0)

    subscription = await bus.subscribe(
        unique, "#", handle, queue=unique, concurrency=1, key=vehicle, retry=SOON
    )
    await publish(bus, unique, ["a", "a", "b"])
    await until(lambda: subscription.stats.handled == 3)
    assert ordered.by_key["a"] == [0, 0, 1]


async def test_what_waits_too_long_for_its_key_is_given_back_in_order(
    bus: Bus, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_control, "LONGEST_WAIT", 0.3)
    first = asyncio.Event()
    ordered = Ordered()

    async def handle(message: BusMessage[Any]) -> None:
        if message.body["n"] == 0:
            await first.wait()
        await ordered(message)

    subscription = await bus.subscribe(
        unique, "#", handle, queue=unique, concurrency=2, key=vehicle
    )
    await publish(bus, unique, ["a"] * 50)
    await until(lambda: subscription.stats.returned >= 49)
    await publish(bus, unique, ["b"] * 5, start=50)
    await until(lambda: len(ordered.by_key["b"]) == 5)
    first.set()
    await until(lambda: subscription.stats.handled == 55)
    assert ordered.by_key["a"] == list(range(50))


async def test_a_wait_beyond_the_patience_of_brokers_parks(bus: Bus, unique: str) -> None:
    class Failing(Ordered):
        def fail(self, message: BusMessage[Any]) -> None:
            if message.body["n"] == 0:
                raise RetryLater(3600, "in an hour")

    ordered = Failing()
    subscription = await bus.subscribe(unique, "#", ordered, queue=unique, key=vehicle)
    await publish(bus, unique, ["a", "a"])
    await until(lambda: subscription.stats.handled == 1)
    assert (await parked(bus, unique))[0].reason == "in an hour"


async def test_a_single_active_consumer_keeps_its_order(bus: Bus, unique: str) -> None:
    ordered = Ordered(0.001)
    queue = Queue(unique, arguments={"x-single-active-consumer": True})
    subscription = await bus.subscribe(
        unique, "#", ordered, queue=queue, concurrency=4, key=vehicle
    )
    await publish(bus, unique, [n % 5 for n in range(200)])
    await until(lambda: subscription.stats.handled == 200)
    assert all(numbers == sorted(numbers) for numbers in ordered.by_key.values())


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"key": "vehicle"}, TypeError, "plain function"),
        ({"key": parked}, TypeError, "plain function"),
        ({"key": vehicle, "retry": Retry(attempts=9, delay=300)}, ValueError, "900 s"),
    ],
)
def test_keys_that_make_no_sense_are_refused(
    options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        connect("amqp://127.0.0.1:1").subscription("e", "#", lambda _: None, **options)
