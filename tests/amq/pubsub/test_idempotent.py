"""Messages that may be sent twice: sent again when the connection is lost, known by one id."""

import asyncio
import uuid
from collections import Counter
from typing import Any

import pytest

from gestalt.amq import (
    BatchError,
    Bus,
    BusMessage,
    NotSent,
    OutcomeUnknown,
    Publisher,
    Refused,
    connect,
)
from gestalt.amq.embedded import ThreadedBroker
from tests.support.proxy import Proxy
from tests.support.waiting import QUICK, until


def through(proxy: Proxy, url: str) -> str:
    """The broker's URL, by way of the proxy."""
    credentials = url.partition("://")[2].rpartition("@")[0] or "guest:guest"
    return f"amqp://{credentials}@127.0.0.1:{proxy.port}/"


async def publish_all(publisher: Publisher[Any], count: int) -> None:
    await asyncio.gather(*(publisher.publish(number, "a") for number in range(count)))


async def publish_batch(publisher: Publisher[Any], count: int) -> None:
    async with publisher.batch() as batch:
        for number in range(count):
            await batch.publish(number, "a")


@pytest.mark.parametrize("publish", [publish_all, publish_batch], ids=["each", "batch"])
async def test_what_is_in_doubt_is_sent_again_with_its_id(
    broker_url: str,
    broker_port: int,
    unique: str,
    publish: object,
) -> None:
    ids: dict[int, set[str | None]] = {}
    counts: Counter[int] = Counter()

    def take(message: BusMessage[int]) -> None:
        ids.setdefault(message.body, set()).add(message.properties.message_id)
        counts[message.body] += 1

    async with (
        Proxy(broker_port) as proxy,
        connect(broker_url, backoff=QUICK) as direct,
        connect(through(proxy, broker_url), backoff=QUICK) as bus,
    ):
        await direct.subscribe(unique, "#", take)
        publisher = bus.publisher(unique, mandatory=True, idempotent=True, timeout=20)
        await publisher.publish(-1, "a")
        # What is sent arrives, and no confirmation comes back.
        proxy.lose("down")
        publishing = asyncio.create_task(publish(publisher, 50))  # type: ignore[operator]
        await until(lambda: len(counts) == 51)
        proxy.lose()
        await proxy.cut()
        await publishing
        await until(lambda: all(counts[number] >= 2 for number in range(50)))
    assert all(len(found) == 1 and None not in found for found in ids.values())
    assert len({each for found in ids.values() for each in found}) == 51


async def test_the_id_that_is_given_is_kept_and_a_publish_may_differ_from_its_publisher(
    bus: Bus, unique: str
) -> None:
    got: list[str | None] = []
    await bus.subscribe(unique, "#", lambda m: got.append(m.properties.message_id))
    given = uuid.uuid4()
    publisher = bus.publisher(unique, idempotent=True)
    await publisher.publish(1, message_id=given)
    await publisher.publish(2, idempotent=False)
    await bus.publisher(unique).publish(3, idempotent=True)
    await until(lambda: len(got) == 3)
    first, second, third = got
    assert first == str(given)
    assert second is None
    assert third is not None


async def test_the_outcome_is_unknown_only_at_the_deadline(
    broker_url: str, broker_port: int, unique: str
) -> None:
    async with (
        Proxy(broker_port) as proxy,
        connect(through(proxy, broker_url), backoff=QUICK, stop_timeout=1) as bus,
    ):
        publisher = bus.publisher(unique, idempotent=True, timeout=0.8)
        await publisher.publish(0, "a")
        proxy.freeze()
        begun = asyncio.get_running_loop().time()
        each = asyncio.create_task(publisher.publish(1, "a"))
        batch = asyncio.create_task(publish_batch(publisher, 2))
        await asyncio.sleep(0.1)
        await proxy.cut()
        with pytest.raises(OutcomeUnknown, match="could not be sent again"):
            await each
        assert asyncio.get_running_loop().time() - begun >= 0.75
        with pytest.raises(BatchError) as caught:
            await batch
        assert {type(error) for error in caught.value.exceptions} == {OutcomeUnknown}
        # One that was never sent is not in doubt.
        with pytest.raises(NotSent):
            await publisher.publish(2, timeout=0.1)


async def test_a_stop_ends_what_would_be_sent_again(amqp_broker: ThreadedBroker) -> None:
    bus = connect(amqp_broker.url, backoff=QUICK, stop_timeout=0.1)
    await bus.start()
    publisher = bus.publisher("any", idempotent=True)
    await publisher.publish(0)
    amqp_broker.refuse_connections()
    publishing = asyncio.create_task(publisher.publish(1))
    # It is sent in this turn, and the connection ends before the confirmation is read.
    await asyncio.sleep(0)
    amqp_broker.drop_connections()
    await until(lambda: not bus.ready)
    await bus.stop()
    async with asyncio.timeout(2):
        result = (await asyncio.gather(publishing, return_exceptions=True))[0]
    assert result is None or isinstance(result, OutcomeUnknown)


async def test_what_is_refused_is_not_sent_again_and_again(broker_url: str, unique: str) -> None:
    async with connect(broker_url, backoff=QUICK) as bus:
        publisher = bus.publisher(unique, idempotent=True)
        async with asyncio.timeout(5):
            with pytest.raises(Refused, match="user_id"):
                await publisher.publish(1, user_id="somebody")
