"""A bus that declares nothing, and a user who may configure nothing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest

from gestalt.amq import (
    Binding,
    Bus,
    BusMessage,
    DeadlineExceeded,
    NoResponder,
    Permissions,
    Queue,
    Request,
    Retry,
    TopologyError,
    connect,
)
from tests.support.collector import Collector
from tests.support.rabbitmq import RabbitMQNode
from tests.support.waiting import QUICK, until

SOON = Retry(attempts=2, delay=0.05)


class User(NamedTuple):
    """A user of the private node, and what sets its permissions."""

    url: str
    name: str
    node: RabbitMQNode

    async def permit(self, permissions: Permissions) -> None:
        patterns = permissions.configure, permissions.write, permissions.read
        command = ("set_permissions", "-p", "/", self.name, *patterns)
        await asyncio.to_thread(self.node.control, *command)


_users: dict[RabbitMQNode, User] = {}


@pytest.fixture
def user(rabbitmq_node: RabbitMQNode, unique: str) -> User:
    """Made once: the broker's command takes seconds."""
    node = rabbitmq_node
    if node not in _users:
        node.control("add_user", unique, "secret")
        _users[node] = User(f"amqp://{unique}:secret@127.0.0.1:{node.port}/", unique, node)
    return _users[node]


async def locate(request: Request[str]) -> str:
    return request.body * 2


class Service:
    """What an application is made of: it publishes, subscribes, asks and answers."""

    def __init__(self, bus: Bus, name: str) -> None:
        self.bus = bus
        self.name = name
        self.good = Collector()
        self.attempts: list[int] = []
        self.publisher = bus.publisher(name, mandatory=True)
        self.requester = bus.requester(name, timeout=10.0)
        self.subscription = bus.subscription(name, "job.*", self.handle, queue=name, retry=SOON)
        bus.service(name, locate)

    def handle(self, message: BusMessage[Any]) -> None:
        if message.body == "poison":
            self.attempts.append(message.attempt)
            raise ValueError("poison")
        self.good(message)

    async def prove(self) -> None:
        """Use all of it."""
        await self.publisher.publish("poison", "job.1")
        await self.publisher.publish("good", "job.2")
        await self.good.wait(1)
        subscription = self.subscription.consumer
        assert subscription is not None
        await until(lambda: subscription.stats.parked == 1)
        assert self.attempts == [1, 2]
        assert [each.body for each in await self.bus.parked(self.name).list()] == ["poison"]
        assert await self.requester.request("ab") == "abab"
        assert self.bus.ready


async def test_a_bus_that_declares_nothing_works_once_everything_was_applied(
    broker_url: str, unique: str
) -> None:
    bus = connect(broker_url, declare=False, backoff=QUICK)
    service = Service(bus, unique)
    with pytest.raises(TopologyError) as caught:
        await bus.start()
    for name in (unique, f"{unique}.retry.50", f"{unique}.parked", f"{unique}.requests"):
        assert f"{name!r}" in str(caught.value)
    assert "topology apply" in str(caught.value)
    # It has declared nothing, and applying twice is applying once.
    assert {each.problem for each in await bus.topology.verify()} == {"missing"}
    for _ in range(2):
        await bus.topology.apply()
    assert await bus.topology.verify() == []
    async with bus:
        await service.prove()


async def test_a_user_who_may_configure_nothing_can_do_everything(
    user: User, rabbitmq_url: str, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    bus = connect(user.url, declare=False, backoff=QUICK)
    service = Service(bus, unique)
    plan = bus.topology.plan()
    await connect(rabbitmq_url).topology.apply(plan)
    needed = plan.checked().permissions()
    assert needed.configure == "^$"

    # Whatever it lacks, the start says which permissions it needs.
    await user.permit(Permissions("^$", "^$", needed.read))
    with pytest.raises(TopologyError, match="access to exchange") as caught:
        await bus.start()
    assert caught.value.code == 403
    assert needed.write in str(caught.value)
    assert "exchange ''" in str(caught.value)

    await user.permit(needed)
    async with bus:
        await service.prove()
        assert "gather, info and cancellations do not reach it" in caplog.text
        stream = service.requester.stream("x")
        await stream.aclose()
    # It may declare nothing, whatever it is told.
    with pytest.raises(TopologyError) as refused:
        await connect(user.url).topology.apply(plan)
    assert refused.value.code == 403
    assert plan.permanent().permissions().configure in str(refused.value)


async def test_a_private_queue_needs_a_permission_that_the_error_names(
    user: User, rabbitmq_url: str, unique: str
) -> None:
    await user.permit(Permissions("^$", ".*", ".*"))
    async with connect(rabbitmq_url) as admin:
        await admin.declare(Binding(unique, "#", to=unique))
    async with connect(user.url, declare=False, backoff=QUICK) as bus:
        got = Collector()
        with pytest.raises(TopologyError, match=r"amq\.gen") as caught:
            await bus.subscribe(unique, "#", got)
        assert caught.value.code == 403
        await user.permit(Permissions(r"^(amq\.)?gen-.*$", ".*", ".*"))

        def fail_once(message: BusMessage[Any]) -> None:
            got(message)
            if message.attempt == 1:
                raise ValueError

        # Permissions that were refused are kept in mind by the broker's channels alone.
        await bus.subscribe(unique, "#", fail_once, retry=SOON)
        await bus.publisher(unique).publish("x", "any")
        assert await got.wait(2) == ["x", "x"]


@contextlib.asynccontextmanager
async def instances(url: str, service: str, count: int) -> AsyncIterator[list[Bus]]:
    async with contextlib.AsyncExitStack() as stack:
        buses = []
        for _ in range(count):
            bus = connect(url, declare=False, backoff=QUICK)
            buses.append(await stack.enter_async_context(bus))
            await bus.respond(service, locate)
        yield buses


async def test_where_the_queue_of_a_service_stays_its_last_instance_leaves_no_request_behind(
    broker_url: str, unique: str
) -> None:
    planned = connect(broker_url, declare=False)
    planned.service(unique, locate)
    await planned.topology.apply()
    async with connect(broker_url, declare=True) as caller:
        requester = caller.requester(unique, timeout=10.0)
        for _ in range(2):
            with pytest.raises(NoResponder):
                await requester.request("ab")
            async with instances(broker_url, unique, 2) as buses:
                assert await requester.request("ab") == "abab"
                # They stop at once, and the last of them knows.
                await asyncio.gather(*(bus.stop() for bus in buses))
            with pytest.raises((NoResponder, DeadlineExceeded)):
                await requester.request("ab", timeout=2.0)


async def test_streams_get_their_credit_and_end_without_a_queue_of_the_instance(
    user: User, rabbitmq_url: str, unique: str
) -> None:
    ended = asyncio.Event()

    async def count(request: Request[int]) -> AsyncIterator[int]:
        try:
            for number in range(request.body):
                yield number
        finally:
            ended.set()

    bus = connect(user.url, declare=False, backoff=QUICK)
    bus.service(unique, count)
    requester = bus.requester(unique)
    await connect(rabbitmq_url).topology.apply(bus.topology.plan())
    await user.permit(bus.topology.plan().checked().permissions())
    async with bus:
        assert [item async for item in requester.stream(50, buffer=4)] == list(range(50))
        ended.clear()
        async with contextlib.aclosing(requester.stream(10_000_000, buffer=4)) as stream:
            assert await anext(stream) == 0
        async with asyncio.timeout(5):
            await ended.wait()


async def test_subscribing_names_everything_that_is_missing_at_once(
    broker_url: str, unique: str
) -> None:
    async with connect(broker_url, declare=False, backoff=QUICK) as bus:
        with pytest.raises(TopologyError, match="refuses 4 things") as caught:
            await bus.subscribe(unique, "#", locate, queue=Queue(unique), retry=SOON)
        for name in (unique, f"{unique}.parked", f"{unique}.retry.50"):
            assert repr(name) in str(caught.value)
        assert caught.value.code == 404
        with pytest.raises(TopologyError, match=f"{unique}.requests"):
            await bus.respond(unique, locate)
        with pytest.raises(TopologyError, match=unique):
            await bus.publisher(unique).publish("x")
