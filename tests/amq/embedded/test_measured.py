"""What the embedded broker counts, as exporters read it."""

import asyncio

from gestalt.amq.embedded import EmbeddedBroker
from gestalt.amq.embedded.server import measured
from gestalt.amq.wire import methods as m
from gestalt.core.metrics import measure
from tests.support.waiting import until
from tests.support.wire_client import WireClient


def metrics(broker):
    return {
        (metric.name, *metric.labels.values()): metric.value
        for metric in measure(broker)
        if metric.subsystem == "broker"
    }


def work(url):
    client = WireClient(url)
    client.channel(1)
    client.call(1, m.QueueDeclare(0, "jobs"))
    client.call(1, m.QueueDeclare(0, "own", exclusive=True))
    client.call(1, m.ConfirmSelect())
    for queue in ("jobs", "jobs", "jobs", "own"):
        client.publish(1, "", queue, b"work")
    # One is taken, and not settled.
    assert client.get(1, "jobs", no_ack=False)
    return client


async def test_queues_messages_and_connections_are_counted():
    async with EmbeddedBroker() as broker:
        client = await asyncio.to_thread(work, broker.url)
        await until(lambda: metrics(broker)["received",] == 4)
        found = metrics(broker)
        assert found.pop(("memory",)) > 0
        assert found == {
            ("peers",): 1,
            ("connected",): 1,
            ("blocked",): 0,
            ("received",): 4,
            ("sent",): 1,
            ("queues",): 2,
            ("backlog", "jobs"): 2,
            ("in_flight", "jobs"): 1,
            ("consumers", "jobs"): 0,
            ("backlog", "(others)"): 1,
            ("in_flight", "(others)"): 0,
            ("consumers", "(others)"): 0,
        }
        await asyncio.to_thread(client.call, 1, m.BasicConsume(0, "jobs", "reader"))
        await until(lambda: metrics(broker)["sent",] == 3)
        assert metrics(broker)["consumers", "jobs"] == 1
        assert metrics(broker)["in_flight", "jobs"] == 3
        client.socket.close()
        # What was sent before stays counted, and what was not settled is back.
        await until(lambda: metrics(broker)["peers",] == 0)
        found = metrics(broker)
        assert (found["connected",], found["received",], found["sent",]) == (1, 4, 3)
        assert (found["backlog", "jobs"], found["in_flight", "jobs"]) == (3, 0)
        assert ("backlog", "own") not in found
    assert metrics(broker) == {}


async def test_there_is_a_bound_on_queues_with_a_label(monkeypatch):
    monkeypatch.setattr(measured, "MOST_QUEUES", 2)

    def declare(url):
        with WireClient(url) as client:
            client.channel(1)
            for number in range(3):
                client.call(1, m.QueueDeclare(0, f"q{number}"))
                client.publish(1, "", f"q{number}", b"")
            # After all that was published before.
            client.call(1, m.QueueDeclare(0, "q0"))

    async with EmbeddedBroker() as broker:
        await asyncio.to_thread(declare, broker.url)
        found = {key[1]: value for key, value in metrics(broker).items() if key[0] == "backlog"}
        assert found == {"q0": 1, "q1": 1, "(others)": 1}
