import asyncio
from dataclasses import dataclass

import aio_pika
import pytest

from gestalt.amq import (
    BatchError,
    Bus,
    BusMessage,
    Exchange,
    Queue,
    Rejected,
    TopologyError,
    Unroutable,
    connect,
)
from gestalt.codecs import Codec, MessageTypes
from gestalt.core import Handlers
from tests.support.collector import Collector


async def test_a_message_reaches_the_subscriber_whose_pattern_matches(
    bus: Bus, unique: str
) -> None:
    got, other = Collector(), Collector()
    await bus.subscribe(unique, "vehicle.*.position", got)
    await bus.subscribe(unique, "vehicle.#", other)
    publisher = bus.publisher(unique)
    await publisher.publish({"lat": 1}, "vehicle.42.position")
    await publisher.publish({"rpm": 2}, "vehicle.42.engine")
    assert await other.wait(2) == [{"lat": 1}, {"rpm": 2}]
    assert await got.wait(1) == [{"lat": 1}]
    message = got.messages[0]
    assert message.source == message.routing_key == "vehicle.42.position"
    assert message.exchange == unique
    assert message.attempt == 1
    assert not message.redelivered


async def test_subscribers_of_a_shared_queue_share_its_messages(bus: Bus, unique: str) -> None:
    first, second = Collector(), Collector()
    await bus.subscribe(unique, "#", first, queue=unique, prefetch=1)
    await bus.subscribe(unique, "#", second, queue=unique, prefetch=1)
    async with bus.publisher(unique).batch() as batch:
        for number in range(50):
            await batch.publish(number)
    async with asyncio.timeout(10):
        while len(first.messages) + len(second.messages) < 50:
            await asyncio.sleep(0.01)
    assert sorted(first.bodies + second.bodies) == list(range(50))
    assert first.bodies
    assert second.bodies


async def test_messages_wait_in_a_shared_queue_for_a_subscriber(bus: Bus, unique: str) -> None:
    ignored = Collector()
    subscription = await bus.subscribe(unique, "#", ignored, queue=unique)
    await subscription.stop()
    await bus.publisher(unique, mandatory=True).publish("kept")
    got = Collector()
    await bus.subscribe(unique, "#", got, queue=unique)
    assert await got.wait(1) == ["kept"]
    assert ignored.messages == []


async def test_one_worker_handles_in_order(bus: Bus, unique: str) -> None:
    got = Collector()

    async def slow_at_times(message: BusMessage[int]) -> None:
        if message.body % 10 == 0:
            await asyncio.sleep(0.002)
        got(message)

    await bus.subscribe(unique, "#", slow_at_times)
    async with bus.publisher(unique).batch() as batch:
        for number in range(300):
            await batch.publish(number)
    assert await got.wait(300) == list(range(300))


async def test_concurrent_workers_run_at_once(bus: Bus, unique: str) -> None:
    together = asyncio.Barrier(4)
    got = Collector()

    async def meet(message: BusMessage[int]) -> None:
        await together.wait()
        got(message)

    await bus.subscribe(unique, "#", meet, concurrency=4)
    publisher = bus.publisher(unique)
    await asyncio.gather(*(publisher.publish(number) for number in range(4)))
    assert sorted(await got.wait(4)) == [0, 1, 2, 3]


async def test_typed_bodies_and_handlers(bus: Bus, unique: str) -> None:
    types = MessageTypes()

    @types.add(1)
    @dataclass
    class Position:
        lat: float
        lon: float

    @types.add(2)
    @dataclass
    class Alarm:
        text: str

    got: list[object] = []
    done = asyncio.Event()
    handlers = Handlers()

    @handlers.on(Position)
    async def position(message: BusMessage[Position]) -> None:
        got.append(message.body)

    @handlers.on(Alarm)
    def alarm(message: BusMessage[Alarm]) -> None:
        got.append(message.body)
        done.set()

    codec = Codec("json", types=types)
    await bus.subscribe(unique, "#", handlers, codec=codec)
    publisher = bus.publisher(unique, codec=codec)
    await publisher.publish(Position(1.5, 2.5))
    await publisher.publish(Alarm("hot"))
    async with asyncio.timeout(5):
        await done.wait()
    assert got == [Position(1.5, 2.5), Alarm("hot")]


@pytest.mark.parametrize("size", [0, 1, 131_064, 131_065, 500_000])
async def test_bodies_of_any_size(bus: Bus, unique: str, size: int) -> None:
    got = Collector()
    codec = Codec("bytes")
    await bus.subscribe(unique, "#", got, codec=codec)
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    await bus.publisher(unique, codec=codec).publish(body)
    assert await got.wait(1) == [body]


async def test_compressed_bodies_say_so(bus: Bus, unique: str) -> None:
    got = Collector()
    codec = Codec("json", compress="deflate")
    await bus.subscribe(unique, "#", got, codec=codec)
    await bus.publisher(unique, codec=codec).publish(["a"] * 1000)
    assert await got.wait(1) == [["a"] * 1000]
    assert got.messages[0].properties.content_encoding == "deflate"
    assert got.messages[0].properties.content_type == "application/json"


async def test_headers_and_properties_arrive(bus: Bus, unique: str) -> None:
    got = Collector()
    await bus.subscribe(unique, "#", got)
    headers = {"text": "é", "number": -3, "flag": True, "none": None, "nested": {"list": [1, "a"]}}
    await bus.publisher(unique).publish(
        1, headers=headers, priority=3, message_id="m1", correlation_id="c1", expiration=60
    )
    await got.wait(1)
    properties = got.messages[0].properties
    assert properties.headers == headers
    assert (properties.priority, properties.message_id) == (3, "m1")
    assert (properties.correlation_id, properties.expiration) == ("c1", "60000")
    assert properties.delivery_mode == 2


async def test_an_unroutable_mandatory_publish_says_so_and_others_do_not(
    bus: Bus, unique: str
) -> None:
    got = Collector()
    await bus.subscribe(unique, "known", got)
    publisher = bus.publisher(unique)
    await publisher.publish(1, "unknown")
    results = await asyncio.gather(
        *(
            publisher.publish(n, "known" if n % 2 else "unknown", mandatory=True, message_id="same")
            for n in range(20)
        ),
        return_exceptions=True,
    )
    assert [isinstance(result, Unroutable) for result in results] == [n % 2 == 0 for n in range(20)]
    assert await got.wait(10) == [n for n in range(20) if n % 2]


async def test_a_full_queue_rejects(bus: Bus, unique: str) -> None:
    arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
    queue = Queue(unique, type="classic", arguments=arguments)
    subscription = await bus.subscribe(unique, "#", Collector(), queue=queue)
    await subscription.stop()
    publisher = bus.publisher(unique)
    await publisher.publish(1)
    with pytest.raises(Rejected):
        await publisher.publish(2)
    batch = publisher.batch()
    await batch.publish(3)
    with pytest.raises(BatchError) as caught:
        async with batch:
            pass
    assert [type(error) for error in caught.value.exceptions] == [Rejected]


async def test_an_exchange_that_was_deleted_meanwhile_is_declared_again(
    bus: Bus, broker_url: str, unique: str
) -> None:
    publisher = bus.publisher(unique, idempotent=True)
    await publisher.publish(0)
    async with await aio_pika.connect(broker_url) as connection:
        await (await connection.channel()).exchange_delete(unique)
    async with publisher.batch() as batch:
        for number in range(3):
            await batch.publish(number)


async def test_a_batch_whose_block_fails_waits_for_nothing(
    untraced: None, bus: Bus, unique: str
) -> None:
    publisher = bus.publisher(unique, max_unconfirmed=1)
    batch = publisher.batch()
    await batch.publish(1)
    with pytest.raises(ZeroDivisionError):
        async with batch:
            raise ZeroDivisionError
    await publisher.publish(2)


async def test_more_than_the_network_takes_at_once_waits_for_it(bus: Bus, unique: str) -> None:
    got = Collector()
    await bus.subscribe(unique, "#", got)
    publisher = bus.publisher(unique)
    large = "x" * 4_000_000
    async with publisher.batch() as batch:
        for _ in range(4):
            await batch.publish(large)
            # What is sent leaves at the end of a turn.
            await asyncio.sleep(0)
    assert await got.wait(4) == [large] * 4


async def test_a_batch_tells_which_failed(bus: Bus, unique: str) -> None:
    async def publish() -> None:
        async with bus.publisher(unique, mandatory=True).batch() as batch:
            for number in range(3):
                await batch.publish(number, "nowhere")

    with pytest.raises(BatchError) as caught:
        await publish()
    assert [type(error) for error in caught.value.exceptions] == [Unroutable] * 3


async def test_a_batch_larger_than_the_window_goes_through(bus: Bus, unique: str) -> None:
    got = Collector()
    await bus.subscribe(unique, "#", got)
    async with bus.publisher(unique, max_unconfirmed=7).batch() as batch:
        for number in range(200):
            await batch.publish(number)
    assert await got.wait(200) == list(range(200))


async def test_other_arguments_for_a_queue_are_a_clear_error_and_harm_no_other(
    bus: Bus, unique: str
) -> None:
    got = Collector()
    await bus.subscribe(unique, "#", got, queue=unique)
    with pytest.raises(TopologyError, match=rf"(?s){unique}.*x-max-length.*exists") as caught:
        await bus.subscribe(unique, "#", got, queue=Queue(unique, arguments={"x-max-length": 5}))
    assert caught.value.code == 406
    await bus.publisher(unique).publish("still here")
    assert await got.wait(1) == ["still here"]


async def test_another_type_for_an_exchange_fails_its_publishes_alone(
    bus: Bus, unique: str
) -> None:
    await bus.subscribe(unique, "#", Collector())
    with pytest.raises(TopologyError, match=unique):
        await bus.publisher(Exchange(unique, type="fanout")).publish(1)
    await bus.publisher(unique).publish(1)


async def test_stop_lets_running_handlers_finish_and_gives_the_rest_back(
    broker_url: str, unique: str
) -> None:
    started, finish = asyncio.Event(), asyncio.Event()
    finished: list[int] = []

    async def handle(message: BusMessage[int]) -> None:
        started.set()
        await finish.wait()
        finished.append(message.body)

    async with connect(broker_url) as bus:
        await bus.subscribe(unique, "#", handle, queue=unique)
        async with bus.publisher(unique).batch() as batch:
            for number in range(5):
                await batch.publish(number)
        await started.wait()
        stopping = asyncio.create_task(bus.stop())
        asyncio.get_running_loop().call_later(0.1, finish.set)
        async with asyncio.timeout(5):
            await stopping
    assert finished == [0]
    got = Collector()
    async with connect(broker_url) as bus:
        await bus.subscribe(unique, "#", got, queue=unique)
        assert sorted(await got.wait(4)) == [1, 2, 3, 4]


async def test_a_handler_that_never_ends_is_cut_by_the_stop_and_its_message_goes_back(
    broker_url: str, unique: str
) -> None:
    started = asyncio.Event()

    async def hang(message: BusMessage[int]) -> None:
        started.set()
        await asyncio.Event().wait()

    async with connect(broker_url, stop_timeout=0.2) as bus:
        await bus.subscribe(unique, "#", hang, queue=unique)
        await bus.publisher(unique).publish(1)
        await started.wait()
        async with asyncio.timeout(5):
            await bus.stop()
    got = Collector()
    async with connect(broker_url) as bus:
        await bus.subscribe(unique, "#", got, queue=unique)
        assert await got.wait(1) == [1]
