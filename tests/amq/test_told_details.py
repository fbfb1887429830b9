"""What a bus and an embedded broker tell to those who look into the process."""

from gestalt.amq import Bus, Exchange, Queue, connect
from gestalt.amq.embedded import EmbeddedBroker
from gestalt.core.details import PeerRow, QueueRow, read
from tests.support.waiting import QUICK, until


async def test_each_part_tells_what_waits_there_and_with_whom_it_speaks() -> None:
    async with EmbeddedBroker() as broker, connect(broker.url, backoff=QUICK) as bus:
        subscription = await bus.subscribe("telemetry", "#", lambda _: None, queue="tracker")
        private = await bus.subscribe("telemetry", "#", lambda _: None)
        responder = await bus.respond("locate", lambda request: request.body)
        await bus.publisher("telemetry").publish("x", "a")
        await until(lambda: subscription.stats.handled == private.stats.handled == 1)
        assert (subscription.queue_name, subscription.partitions) == ("tracker", frozenset())
        assert (private.queue_name or "").startswith("amq.gen-")
        (row,) = read(subscription)
        assert isinstance(row, QueueRow)
        assert (row.name, row.waiting, row.active) == ("tracker", 0, 0)
        (row,) = read(responder)
        assert isinstance(row, QueueRow)
        assert (row.name, row.waiting, row.active) == ("locate.requests", 0, 0)
        assert QueueRow("exchange 'telemetry'") in read(bus)
        told = read(broker)
        assert {row.note for row in told if isinstance(row, PeerRow)} == {"running"}
        assert {"tracker", "locate.requests"} <= {
            row.name for row in told if isinstance(row, QueueRow)
        }
    assert read(broker) == []


def test_what_is_declared_shows_what_it_is_and_nothing_else() -> None:
    bus: Bus = connect("amqp://user:secret@localhost")
    declared = bus.subscription("telemetry", "#", lambda _: None, queue=Queue("tracker"))
    assert repr(declared) == "<Declared SubscriptionDeclaration>"


def test_permissions_are_for_alternates_too_and_for_nothing_that_the_broker_has() -> None:
    bus = connect("amqp://localhost")
    bus.declare(Exchange("amq.topic"), Exchange("a", arguments={"alternate-exchange": "b"}))
    needed = bus.topology.plan().permissions()
    assert "amq" not in needed.configure
    assert str(needed) == "configure '^(a)$', write '^(b)$', read '^(a)$'"
