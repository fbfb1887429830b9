"""Three nodes, a quorum queue on all of them, and the end of its leader.

Too slow for every run, and so run by its name: `./dev test tests/amq/cluster.py`. CI does that.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from gestalt.amq import BusMessage, NotSent, OutcomeUnknown, Rejected, connect
from gestalt.core import Backoff
from tests.support.rabbitmq import PortMapper, RabbitMQNode

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def cluster(rabbitmq_node: RabbitMQNode) -> Iterator[list[RabbitMQNode]]:
    # Asking for the run's own node skips this where there is no RabbitMQ.
    mapper = PortMapper()
    nodes = [RabbitMQNode(f"node{number}", mapper=mapper) for number in range(3)]
    try:
        for node in nodes:
            node.start()
        for node in nodes[1:]:
            node.control("stop_app")
            node.control("join_cluster", nodes[0].name)
            node.control("start_app")
        yield nodes
    finally:
        for node in nodes:
            node.close()
        mapper.close()


async def test_the_end_of_a_quorum_queues_leader_loses_no_confirmed_message(
    cluster: list[RabbitMQNode], unique: str
) -> None:
    handled: Counter[int] = Counter()
    confirmed: set[int] = set()
    unknown: set[int] = set()
    stop = asyncio.Event()
    longest = 0.0

    def handle(message: BusMessage[int]) -> None:
        handled[message.body] += 1

    async with connect(
        [node.url for node in cluster], backoff=Backoff(initial=0.05, maximum=0.5)
    ) as bus:
        await bus.subscribe(unique, "#", handle, queue=unique)
        publisher = bus.publisher(unique, mandatory=True, timeout=20)

        async def publish(first: int) -> None:
            nonlocal longest
            number = first
            while not stop.is_set():
                begun = time.monotonic()
                try:
                    await publisher.publish(number)
                except (OutcomeUnknown, NotSent, Rejected):
                    # A queue without a leader rejects; what it took before that it may keep.
                    unknown.add(number)
                    await asyncio.sleep(0.01)
                else:
                    confirmed.add(number)
                longest = max(longest, time.monotonic() - begun)
                number += 4

        async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
            for first in range(4):
                tasks.create_task(publish(first))
            while len(confirmed) < 200:
                await asyncio.sleep(0.05)
            # RabbitMQ does not recover a quorum queue that was made in its last second.
            await asyncio.sleep(1.5)
            # The queue was declared through the first node, which is its leader.
            await asyncio.to_thread(cluster[0].kill)
            before = len(confirmed)
            while len(confirmed) < before + 200:
                await asyncio.sleep(0.05)
            stop.set()
        async with asyncio.timeout(60):
            while not confirmed <= handled.keys():
                await asyncio.sleep(0.05)
    assert not set(handled) - confirmed - unknown
    assert longest < 21
