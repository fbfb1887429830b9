"""A handler decides what becomes of its message, or leaves it to the policy."""

import asyncio
import logging

import pytest

from gestalt.amq import Bus, BusMessage, ParkedMessage, Retry
from gestalt.core import Discard, Outcome, Park, RetryLater
from tests.support.collector import Collector
from tests.support.waiting import until

SOON = Retry(attempts=3, delay=0.02, factor=1)


class InvalidError(ValueError):
    pass


class StrangeInvalidError(InvalidError):
    pass


async def parked(bus: Bus, queue: str, count: int = 1) -> list[ParkedMessage]:
    async with asyncio.timeout(15):
        while len(found := await bus.parked(queue).list()) < count:
            await asyncio.sleep(0.05)
    return found


def raising(errors: list[Exception], attempts: list[int]) -> object:
    """A handler that raises one error after the other, and then none."""

    def handle(message: BusMessage[object]) -> None:
        attempts.append(message.attempt)
        if errors:
            raise errors.pop(0)

    return handle


async def test_a_handler_parks_its_message_with_its_reason_at_the_first_attempt(
    bus: Bus, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    attempts: list[int] = []
    handle = raising([Park("the account is closed")], attempts)
    subscription = await bus.subscribe(unique, "#", handle, queue=unique, retry=SOON)  # type: ignore[arg-type]
    await bus.publisher(unique).publish("a", "some.key", message_id="the-id")
    (message,) = await parked(bus, unique)
    assert (message.error, message.reason) == ("Park", "the account is closed")
    assert attempts == [1]
    assert subscription.stats.parked == 1
    (line,) = [each for each in caplog.messages if "the account is closed" in each]
    assert "message id 'the-id'" in line
    assert "routing key 'some.key'" in line
    assert "attempt 1" in line


async def test_a_handler_discards_its_message_which_is_counted_and_no_error(
    bus: Bus, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "gestalt.amq")
    attempts: list[int] = []
    handle = raising([Discard("not for us")], attempts)
    subscription = await bus.subscribe(unique, "#", handle, queue=unique, retry=SOON)  # type: ignore[arg-type]
    publisher = bus.publisher(unique)
    await publisher.publish("a")
    await publisher.publish("b")
    await until(lambda: subscription.stats.handled == 1)
    assert subscription.stats.discarded == 1
    assert subscription.reported == 0
    assert attempts == [1, 1]
    (line,) = [each for each in caplog.records if "not for us" in each.message]
    assert line.levelno == logging.DEBUG
    await subscription.stop()
    assert await bus.parked(unique).list() == []


@pytest.mark.parametrize("private", [False, True])
async def test_a_handler_has_its_message_again_after_its_own_delay_and_attempts_count(
    bus: Bus, unique: str, private: bool
) -> None:
    loop = asyncio.get_running_loop()
    times: list[float] = []
    attempts: list[int] = []

    def handle(message: BusMessage[str]) -> None:
        times.append(loop.time())
        attempts.append(message.attempt)
        if message.attempt == 1:
            raise RetryLater(1.25, "busy")

    queue = None if private else unique
    subscription = await bus.subscribe(unique, "#", handle, queue=queue)
    await bus.publisher(unique).publish("a")
    await until(lambda: subscription.stats.handled == 1)
    assert attempts == [1, 2]
    # The first such message of all waits until its ladder of queues is made.
    assert 1.24 <= times[1] - times[0] < 5
    assert subscription.stats.retried == 1


async def test_waits_of_different_lengths_do_not_hold_up_one_another(bus: Bus, unique: str) -> None:
    done: list[str] = []

    def handle(message: BusMessage[str]) -> None:
        if message.attempt == 1:
            raise RetryLater({"long": 60.0, "short": 0.1, "middle": 0.4}[message.body])
        done.append(message.body)

    subscription = await bus.subscribe(unique, "#", handle, queue=unique)
    publisher = bus.publisher(unique)
    for body in ("long", "middle", "short"):
        await publisher.publish(body)
    await until(lambda: len(done) == 2)
    assert done == ["short", "middle"]
    assert subscription.stats.retried == 3


async def test_a_message_comes_back_as_it_was_and_its_next_delay_is_its_own(
    bus: Bus, unique: str
) -> None:
    loop = asyncio.get_running_loop()
    times: list[float] = []
    got = Collector()

    def handle(message: BusMessage[str]) -> None:
        times.append(loop.time())
        got(message)
        if message.attempt < 4:
            raise RetryLater({1: 0.3, 2: 0.7, 3: 0.1}[message.attempt])

    subscription = await bus.subscribe(unique, "#", handle, queue=unique)
    await bus.publisher(unique).publish("a", "some.key", headers={"mine": 1}, message_id="id")
    await until(lambda: subscription.stats.handled == 1)
    last = got.messages[-1]
    assert (last.attempt, last.routing_key, last.exchange) == (4, "some.key", unique)
    assert (last.headers["mine"], last.properties.message_id) == (1, "id")
    # Each on time, but for the first, whose ladder of queues has to be made.
    assert times[1] - times[0] >= 0.29
    assert 0.69 <= times[2] - times[1] < 1.7
    assert 0.09 <= times[3] - times[2] < 1.1
    (levels,) = [{name for name in last.headers if name.startswith("gestalt-delay-0")}]
    assert len(levels) < 4


async def test_a_handler_that_wants_its_message_later_for_ever_is_bound_by_the_policy(
    bus: Bus, unique: str
) -> None:
    attempts: list[int] = []
    handle = raising([RetryLater(0.01) for _ in range(10)], attempts)
    await bus.subscribe(unique, "#", handle, queue=unique, retry=SOON)  # type: ignore[arg-type]
    await bus.publisher(unique).publish("a")
    (message,) = await parked(bus, unique)
    assert (message.error, message.attempts) == ("RetryLater", 3)
    assert attempts == [1, 2, 3]


async def test_without_a_policy_later_is_never(bus: Bus, unique: str) -> None:
    attempts: list[int] = []
    handle = raising([RetryLater(0.01)], attempts)
    await bus.subscribe(unique, "#", handle, queue=unique, retry=None)  # type: ignore[arg-type]
    await bus.publisher(unique).publish("a")
    assert (await parked(bus, unique))[0].error == "RetryLater"
    assert attempts == [1]


async def test_an_error_that_will_not_go_away_is_parked_at_once(bus: Bus, unique: str) -> None:
    attempts: list[int] = []
    errors: list[Exception] = [StrangeInvalidError("no"), OSError(), OSError()]
    retry = Retry(attempts=3, delay=0.02, factor=1, unless=(InvalidError,))
    subscription = await bus.subscribe(
        unique,
        "#",
        raising(errors, attempts),  # type: ignore[arg-type]
        queue=unique,
        retry=retry,
    )
    publisher = bus.publisher(unique)
    await publisher.publish("a")
    assert (await parked(bus, unique))[0].error == "StrangeInvalidError"
    await publisher.publish("b")
    await until(lambda: subscription.stats.handled == 1)
    assert attempts == [1, 1, 2, 3]


async def test_each_class_of_errors_may_have_its_own_policy(bus: Bus, unique: str) -> None:
    attempts: list[int] = []
    errors: list[Exception] = [ConnectionResetError() for _ in range(4)]
    retry = Retry(
        attempts=1,
        by_error={
            OSError: Retry(attempts=2, delay=60),
            ConnectionError: Retry(attempts=5, delay=0.01, factor=1),
        },
    )
    subscription = await bus.subscribe(
        unique,
        "#",
        raising(errors, attempts),  # type: ignore[arg-type]
        queue=unique,
        retry=retry,
    )
    await bus.publisher(unique).publish("a")
    await until(lambda: subscription.stats.handled == 1)
    assert attempts == [1, 2, 3, 4, 5]


def test_of_several_classes_the_nearest_counts() -> None:
    slow, quick = Retry(attempts=2), Retry(attempts=9)
    retry = Retry(unless=(LookupError,), by_error={Exception: slow, KeyError: quick})
    assert retry.after(KeyError()) is quick
    assert retry.after(IndexError()) is None
    assert retry.after(ValueError()) is slow
    assert retry.after(KeyboardInterrupt()) is retry
    assert list(Retry(attempts=3, by_error={OSError: Retry(attempts=3, delay=7.0)}).delays()) == [
        1.0,
        4.0,
        7.0,
        28.0,
    ]
    assert list(Retry(attempts=2, by_error={OSError: Retry(attempts=2)}).delays()) == [1.0]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"unless": ValueError}, TypeError, "tuple of classes"),
        ({"unless": ("ValueError",)}, TypeError, "got an object of type str"),
        ({"by_error": {int: Retry()}}, TypeError, "the class int"),
        ({"by_error": {OSError: None}}, TypeError, "None"),
        ({"by_error": {OSError: Retry(unless=(ValueError,))}}, ValueError, "OSError"),
        ({"unless": (OSError,), "by_error": {OSError: Retry()}}, ValueError, "both"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(
    options: dict[str, object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        Retry(**options)  # type: ignore[arg-type]


async def test_a_decision_may_have_a_cause_and_shows_it(
    bus: Bus, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    def handle(_: BusMessage[str]) -> None:
        try:
            raise KeyError("missing")
        except KeyError as error:
            raise Park("incomplete") from error

    await bus.subscribe(unique, "#", handle, queue=unique)
    await bus.publisher(unique).publish("a")
    await parked(bus, unique)
    (record,) = [each for each in caplog.records if "incomplete" in each.message]
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], Outcome)
    assert "missing" in caplog.text


async def test_in_a_private_queue_what_is_parked_is_dropped(bus: Bus, unique: str) -> None:
    got = Collector()

    def handle(message: BusMessage[str]) -> None:
        got(message)
        raise Park("nowhere to")

    subscription = await bus.subscribe(unique, "#", handle)
    await bus.publisher(unique).publish("a")
    await until(lambda: subscription.stats.dropped == 1)
    assert len(got.bodies) == 1
