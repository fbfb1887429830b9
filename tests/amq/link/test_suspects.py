"""Many messages are under way when the broker begins to refuse one: whom it means is found out."""

import asyncio
from collections import Counter
from typing import Any

import aio_pika
import pytest

from gestalt.amq import (
    BatchError,
    Exchange,
    OutcomeUnknown,
    Publisher,
    PublishError,
    Refused,
    connect,
)
from tests.support.proxy import Direction, ProxiedLink, Proxy
from tests.support.rabbitmq import RabbitMQNode
from tests.support.waiting import QUICK, until

COUNT = 20


def through(proxy: Proxy, url: str) -> str:
    """The broker's URL, by way of the proxy."""
    credentials = url.partition("://")[2].rpartition("@")[0] or "guest:guest"
    return f"amqp://{credentials}@127.0.0.1:{proxy.port}/"


async def publish_each(publisher: Publisher[Any], keys: list[str]) -> list[BaseException | None]:
    return await asyncio.gather(
        *(publisher.publish(number, key) for number, key in enumerate(keys)),
        return_exceptions=True,
    )


async def publish_batch(publisher: Publisher[Any], keys: list[str]) -> list[PublishError]:
    async def publish() -> None:
        async with publisher.batch() as batch:
            for number, key in enumerate(keys):
                await batch.publish(number, key)

    with pytest.raises(BatchError) as caught:
        await publish()
    return list(caught.value.exceptions)  # type: ignore[arg-type]


@pytest.mark.parametrize("idempotent", [False, True], ids=["once", "idempotent"])
@pytest.mark.parametrize("publish", [publish_each, publish_batch], ids=["each", "batch"])
async def test_all_that_are_under_way_when_their_exchange_goes_are_refused(
    broker_url: str, broker_port: int, unique: str, publish: object, idempotent: bool
) -> None:
    async with (
        Proxy(broker_port) as proxy,
        await aio_pika.connect(broker_url) as connection,
        connect(through(proxy, broker_url), backoff=QUICK) as bus,
    ):
        channel = await connection.channel()
        await channel.declare_exchange(unique, "topic")
        exchange = Exchange(unique, declare=False)
        publisher = bus.publisher(exchange, idempotent=idempotent, timeout=5)
        await publisher.publish(0, "key")
        proxy.freeze()
        publishing = asyncio.create_task(publish(publisher, ["key"] * COUNT))  # type: ignore[operator]
        await until(lambda: len(publisher._keeper.pending) == COUNT)
        await channel.exchange_delete(unique)
        proxy.thaw()
        results = await publishing
    assert [type(result) for result in results] == [Refused] * COUNT
    assert {result.code for result in results} == {404}
    # The broker takes messages in order: the last one it has certainly not taken.
    assert [result.may_have_arrived for result in results] == [True] * (COUNT - 1) + [False]


class Mistaking(Proxy):
    """Lets the broker read an address of the same length in place of one."""

    def _let_through(self, data: bytes, direction: Direction, link: ProxiedLink) -> bytes:
        return data.replace(b"amq-rabbitmq-reply-to", b"amq.rabbitmq.reply-to")


async def test_for_what_nobody_would_ask_about_nobody_is_blamed(
    broker_url: str, broker_port: int, unique: str
) -> None:
    got: Counter[int] = Counter()
    async with (
        Mistaking(broker_port) as proxy,
        connect(through(proxy, broker_url), backoff=QUICK) as bus,
    ):
        await bus.subscribe(unique, "#", lambda message: got.update([message.body]))
        publisher = bus.publisher(unique)
        await publisher.publish(-1, reply_to="a queue")
        proxy.freeze()
        publishing = asyncio.gather(
            publisher.publish(0),
            publisher.publish(1, reply_to="amq-rabbitmq-reply-to"),
            publisher.publish(2),
            publisher.publish(3, idempotent=True),
            return_exceptions=True,
        )
        await until(lambda: len(publisher._keeper.pending) == 4)
        proxy.thaw()
        first, *others, idempotent = await publishing
        assert {type(each) for each in others} == {OutcomeUnknown}
        assert all("PRECONDITION_FAILED" in str(each) for each in others)
        # The broker may have confirmed it before it saw the next one.
        assert type(first) in (type(None), OutcomeUnknown)
        assert idempotent is None
        await until(lambda: got[0] and got[3])
    assert got == {-1: 1, 0: 1, 3: 1}


@pytest.mark.slow
async def test_those_behind_one_that_is_refused_are_sent_again_and_arrive_once(
    rabbitmq_node: RabbitMQNode, unique: str
) -> None:
    node = rabbitmq_node
    allow = ("set_topic_permissions", "-p", "/", unique, unique)
    node.control("add_user", unique, "secret")
    node.control("set_permissions", "-p", "/", unique, ".*", ".*", ".*")
    got: Counter[int] = Counter()
    async with (
        Proxy(node.port) as proxy,
        connect(node.url, backoff=QUICK) as direct,
        # The broker's command takes long on a busy machine, and nothing is heard meanwhile.
        connect(
            f"amqp://{unique}:secret@127.0.0.1:{proxy.port}/", backoff=QUICK, heartbeat=120
        ) as bus,
    ):
        await direct.subscribe(unique, "mine.#", lambda message: got.update([message.body]))
        publisher = bus.publisher(Exchange(unique, declare=False), timeout=120)
        # The broker's channels remember the last twelve keys that they have looked up.
        for key in ("mine.a", *(f"mine.{n}" for n in range(15)), "mine.b"):
            await publisher.publish(-1, key)
        proxy.freeze()
        keys = ["mine.b", "mine.b", "mine.a", "mine.b", "mine.b"]
        publishing = asyncio.create_task(publish_each(publisher, keys))
        await until(lambda: len(publisher._keeper.pending) == len(keys))
        await asyncio.get_running_loop().run_in_executor(
            None, lambda: node.control(*allow, "^mine\\.[^a]", ".*")
        )
        proxy.thaw()
        first, second, third, *behind = await publishing
        assert {type(first), type(second)} <= {type(None), OutcomeUnknown}
        assert isinstance(third, Refused)
        assert (third.code, third.may_have_arrived) == (403, False)
        assert behind == [None, None]
        await until(lambda: got[3] and got[4])
        assert (got[2], got[3], got[4]) == (0, 1, 1)
