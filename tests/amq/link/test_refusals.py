"""What the broker refuses for good: an error for its publisher, and nothing to anybody else."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import aio_pika
import pytest

from gestalt.amq import (
    BatchError,
    Bus,
    Exchange,
    NotSent,
    Refused,
    Rejected,
    TopologyError,
    Unsendable,
    connect,
)
from gestalt.amq.embedded import EmbeddedBroker, Settings
from gestalt.amq.link.permissions import MANY_ROUTES
from gestalt.amq.link.preflight import Preflight
from gestalt.amq.pubsub.exchange_keeper import HOLDS
from gestalt.codecs import Codec
from tests.support.callers import Hanging
from tests.support.collector import Collector
from tests.support.rabbitmq import RabbitMQNode
from tests.support.waiting import QUICK, until

TASKS = 300
LIMIT = 50_000


class Limited(NamedTuple):
    """A user who may publish to one topic exchange, by keys that begin with "mine."."""

    url: str
    exchange: str


@pytest.fixture
async def limited(rabbitmq_node: RabbitMQNode, unique: str) -> Limited:
    node = rabbitmq_node
    async with connect(node.url) as bus:
        await bus.publisher(unique).publish("declares the exchange")
    url = node.add_user(unique, "secret", configure=".*", write=f"^{unique}$", read=".*")
    node.permit_topics(unique, unique, write=r"^mine\.", read=".*")
    return Limited(url, unique)


@pytest.fixture(params=["embedded", "rabbitmq"])
async def small(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The URL of a broker that takes bodies of at most LIMIT bytes."""
    if request.param == "embedded":
        async with EmbeddedBroker(settings=Settings(max_message_size=LIMIT)) as broker:
            yield broker.url
        return
    node: RabbitMQNode = request.getfixturevalue("rabbitmq_node")
    before = node.evaluate("application:get_env(rabbit, max_message_size, 134217728)")
    node.evaluate(_set_limit.format(LIMIT))
    yield node.url
    node.evaluate(_set_limit.format(before))


# Where it is kept: with RabbitMQ 3 in the first place, with 4 in the second one.
_set_limit = (
    "begin application:set_env(rabbit, max_message_size, {0}), "
    "persistent_term:put(max_message_size, {0}) end"
)


async def outcomes(*publishes: Any) -> Counter[str]:
    results = await asyncio.gather(*publishes, return_exceptions=True)
    return Counter(type(each).__name__ for each in results)


@pytest.mark.parametrize("keys", ["one", "each its own"])
@pytest.mark.parametrize("warm", [False, True], ids=["fresh", "used before"])
async def test_a_key_that_is_not_allowed_costs_nobody_else_anything(
    rabbitmq_url: str, limited: Limited, keys: str, warm: bool
) -> None:
    got = Collector()
    async with connect(rabbitmq_url) as theirs, connect(limited.url) as bus:
        await theirs.subscribe(limited.exchange, "#", got)
        publisher = bus.publisher(limited.exchange)
        if warm:
            await publisher.publish("warm", "mine.0")
            await got.wait(1)

        async def publish(number: int) -> None:
            key = "mine.0" if keys == "one" else f"mine.{number}"
            await publisher.publish(number, "other.0" if number == 150 else key)

        results = await asyncio.gather(*map(publish, range(TASKS)), return_exceptions=True)
        (error,) = (each for each in results if each is not None)
        assert isinstance(error, Refused)
        assert isinstance(error, Rejected)
        assert error.code == 403
        assert "other.0" in str(error)
        assert results[150] is error
        expected = [*(["warm"] * warm), *(each for each in range(TASKS) if each != 150)]
        assert await got.wait(len(expected)) == expected
        await theirs.publisher(limited.exchange).publish("end")
        assert (await got.wait(len(expected) + 1))[-1] == "end"


async def test_a_body_that_is_too_large_costs_nobody_else_anything(small: str, unique: str) -> None:
    got = Collector()
    async with connect(small, codec=Codec("bytes"), backoff=QUICK) as bus:
        await bus.subscribe(unique, "#", got)
        publisher = bus.publisher(unique)
        bodies = [b"%d" % number for number in range(TASKS)]
        large = [bytes(LIMIT + 1 + number) for number in range(3)]
        results = await asyncio.gather(
            *(publisher.publish(body) for body in [*bodies[:150], *large, *bodies[150:]]),
            return_exceptions=True,
        )
        errors = [each for each in results if each is not None]
        assert [type(each) for each in errors] == [Refused] * 3
        assert {each.code for each in errors if isinstance(each, Refused)} == {406}
        assert str(LIMIT) in str(errors[0])
        assert await got.wait(TASKS) == bodies
        await publisher.publish(bytes(LIMIT))
        assert (await got.wait(TASKS + 1))[-1] == bytes(LIMIT)


async def test_a_request_that_is_too_large_costs_no_other_call_anything(
    small: str, unique: str
) -> None:
    async with connect(small, codec=Codec("bytes"), backoff=QUICK) as bus:
        hanging = Hanging()
        await bus.respond(unique, hanging)
        requester = bus.requester(unique)
        running = [asyncio.create_task(requester.request(b"%d" % number)) for number in range(50)]
        await until(lambda: len(hanging.begun) == 50)
        for _ in range(3):
            with pytest.raises(Refused, match=str(LIMIT)):
                await bus.requester(unique).request(bytes(LIMIT + 1))
            with pytest.raises(Refused, match=str(LIMIT)):
                await anext(requester.stream(bytes(LIMIT + 1)))
        hanging.finish.set()
        assert await asyncio.gather(*running) == [b"%d" % number for number in range(50)]
        assert await requester.request(bytes(1000)) == bytes(1000)


async def test_another_user_costs_nobody_else_anything(bus: Bus, unique: str) -> None:
    got = Collector()
    await bus.subscribe(unique, "#", got)
    publisher = bus.publisher(unique)
    results = await asyncio.gather(
        *(publisher.publish(number) for number in range(150)),
        publisher.publish("forged", user_id="somebody"),
        publisher.publish("mine", user_id="guest"),
        *(publisher.publish(number) for number in range(150, 300)),
        return_exceptions=True,
    )
    (error,) = (each for each in results if each is not None)
    assert results[150] is error
    assert isinstance(error, Refused)
    assert error.code == 406
    assert "somebody" in str(error)
    assert await got.wait(301) == [*range(150), "mine", *range(150, 300)]


async def test_copies_without_a_list_of_keys_are_refused_by_name(bus: Bus, unique: str) -> None:
    got = Collector()
    await bus.subscribe(unique, "#", got)
    publisher = bus.publisher(unique)
    for header in ("CC", "BCC"):
        for value in (5, "key", [1], {"a": 1}):
            with pytest.raises(TypeError, match=f"'{header}'"):
                await publisher.publish(0, headers={header: value})
    await publisher.publish(1, "a", headers={"CC": ["b"]})
    assert await got.wait(1) == [1]


async def test_replies_to_the_channel_of_a_publisher_are_refused_and_cost_nobody_else_anything(
    bus: Bus, unique: str
) -> None:
    got = Collector()
    await bus.subscribe(unique, "#", got)
    publisher = bus.publisher(unique)
    await publisher.publish(0)
    results = await asyncio.gather(
        *(publisher.publish(number) for number in range(1, 50)),
        publisher.publish("a question", reply_to="amq.rabbitmq.reply-to"),
        *(publisher.publish(number, reply_to="a queue") for number in range(50, 100)),
        return_exceptions=True,
    )
    (error,) = (each for each in results if each is not None)
    assert isinstance(error, Unsendable)
    assert "name a queue, or send a request" in str(error)
    assert await got.wait(100) == [*range(100)]


async def test_a_user_who_may_not_write_is_told_at_each_publish(
    rabbitmq_url: str, limited: Limited, unique: str
) -> None:
    closed = f"{unique}-closed"
    async with connect(rabbitmq_url) as theirs, connect(limited.url, backoff=QUICK) as bus:
        await theirs.publisher(closed).publish(0)
        publisher = bus.publisher(Exchange(closed, declare=False))
        counts = await outcomes(*(publisher.publish(each, f"mine.{each}") for each in range(100)))
        assert counts == {"Refused": 100}
        with pytest.raises(Refused, match="refused for user"):
            await publisher.publish(0, "mine.1", mandatory=True)
        batch = publisher.batch()
        for number in range(5):
            await batch.publish(number, "mine.1")
        with pytest.raises(BatchError) as raised:
            await batch.__aexit__(None, None, None)
        assert [type(each) for each in raised.value.exceptions] == [Refused] * 5
        # Who may not send requests is told so as well.
        with pytest.raises(Refused, match=r"gestalt\.requests"):
            await bus.requester(unique).request(1)
        # What he may do goes on.
        await bus.publisher(limited.exchange).publish(1, "mine.1")


async def test_an_exchange_that_does_not_exist_is_told(bus: Bus, unique: str) -> None:
    with pytest.raises(TopologyError, match="no exchange"):
        await bus.publisher(Exchange(unique, declare=False)).publish(1)


async def test_an_exchange_that_was_deleted_is_made_again_or_told(
    bus: Bus, broker_url: str, unique: str
) -> None:
    made = bus.publisher(unique)
    await made.publish(0)
    given = bus.publisher(Exchange(unique, declare=False))
    await given.publish(0)
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        await channel.exchange_delete(unique)
        # One message under way is certainly the one that is refused.
        with pytest.raises(Refused, match="no exchange") as raised:
            await given.publish(1)
        assert raised.value.code == 404
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(Refused):
                    await made.publish(2)
                    break
        await channel.exchange_delete(unique)
        # After a pause the first of many goes by itself, and costs the others nothing.
        await asyncio.sleep(HOLDS + 0.1)
        results = await asyncio.gather(
            *(made.publish(number) for number in range(TASKS)), return_exceptions=True
        )
        assert isinstance(results[0], Refused)
        assert results[0].code == 404
        assert results[1:] == [None] * (TASKS - 1)


async def test_many_keys_are_taken_for_all_unless_one_was_refused(
    rabbitmq_url: str, unique: str
) -> None:
    got = Collector()
    async with connect(rabbitmq_url) as bus:
        await bus.subscribe(unique, "#", got)
        publisher = bus.publisher(unique)
        numbers = range(3 * MANY_ROUTES)
        async with publisher.batch() as batch:
            for number in numbers:
                await batch.publish(number, f"key.{number}")
        assert await got.wait(len(numbers)) == list(numbers)


async def test_what_waits_for_the_answer_of_the_broker_ends_by_its_deadline(
    bus: Bus, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = bus.publisher(unique)
    await publisher.publish(0, "a")
    asked = asyncio.Event()
    go_on = asyncio.Event()
    ask = Preflight.ask

    async def slow(*arguments: Any) -> Any:
        asked.set()
        await go_on.wait()
        return await ask(*arguments)

    monkeypatch.setattr(Preflight, "ask", slow)
    waiting = asyncio.create_task(publisher.publish(1, "b", timeout=0.1))
    behind = asyncio.create_task(publisher.publish(2, "a"))
    await asked.wait()
    with pytest.raises(NotSent):
        await waiting
    go_on.set()
    await behind
