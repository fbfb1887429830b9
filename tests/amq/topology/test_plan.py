"""What a bus needs at the broker, as data: without any broker."""

import re
from typing import Any

import pytest

from gestalt.amq import Binding, Exchange, Plan, PlannedQueue, Queue, Retry, connect


def names(things: Any) -> list[str]:
    return [each.name for each in things]


async def nobody(message: object) -> None:
    raise AssertionError(message)


def test_a_plan_has_all_that_was_told_to_a_bus_before_its_start() -> None:
    bus = connect("amqp://localhost")
    bus.declare(Exchange("alarms", type="fanout"), Binding("telemetry", ["a.*", "b.#"], to="audit"))
    publisher = bus.publisher("orders")
    requester = bus.requester("tracker")
    bus.subscription("telemetry", "vehicle.*", nobody, queue="tracker", retry=Retry(attempts=3))
    bus.service("tracker", nobody)
    plan = bus.topology.plan()
    assert {"alarms", "telemetry", "orders", "gestalt.requests"} <= {*names(plan.exchanges)}
    assert names(plan.queues) == [
        "audit.parked",
        "audit",
        "tracker.parked",
        "tracker",
        "tracker.retry.1000",
        "tracker.retry.4000",
        "tracker.requests",
    ]
    assert [(each.destination, each.key) for each in plan.bindings] == [
        ("audit", "a.*"),
        ("audit", "b.#"),
        ("tracker", "vehicle.*"),
        ("tracker.requests", "tracker"),
    ]
    assert plan.contradictions() == []
    assert publisher.exchange.name == "orders"
    assert requester.service == "tracker"


def test_what_is_named_differently_is_told() -> None:
    bus = connect("amqp://localhost")
    bus.declare(Exchange("telemetry", type="fanout"), Queue("audit", type="classic"))
    bus.declare(Binding("telemetry", "a.*", to=Queue("audit", arguments={"x-max-length": 5})))
    bus.declare(Exchange("telemetry", declare=False), Queue("audit", declare=False))
    assert bus.topology.plan().contradictions() == ["exchange 'telemetry'", "queue 'audit'"]


def test_permissions_are_for_these_names_and_for_no_others() -> None:
    bus = connect("amqp://localhost", declare=False)
    bus.subscription("telemetry", "a.*", nobody, queue="tracker", retry=Retry(attempts=2))
    publisher = bus.publisher("orders")
    plan = bus.topology.plan()
    needed = plan.checked().permissions()
    assert needed.configure == "^$"
    assert re.match(needed.write, "orders")
    assert re.match(needed.write, "amq.default")
    assert not re.match(needed.write, "amqxdefault")
    assert re.match(needed.read, "tracker")
    for pattern in (needed.write, needed.read):
        assert not re.match(pattern, "trackers")
        assert not re.match(pattern, "")
    admin = plan.permanent().permissions()
    for name in ("orders", "telemetry", "tracker", "tracker.parked", "tracker.retry.1000"):
        assert re.match(admin.configure, name)
    assert publisher.exchange.name == "orders"


def test_a_private_queue_needs_a_pattern_for_the_names_that_the_broker_makes_up() -> None:
    bus = connect("amqp://localhost", declare=False)
    bus.subscription("telemetry", "a.*", nobody)
    needed = bus.topology.plan().checked().permissions()
    for pattern in (needed.configure, needed.write, needed.read):
        assert re.match(pattern, "amq.gen-JzTY20BRgKO-HjmUJj0wLg")
        assert re.match(pattern, "gen-JzTY20BRgKO-HjmUJj0wLg.retry.1000")
        assert not re.match(pattern, "amq.generic")
    assert re.match(needed.read, "telemetry")


def test_an_empty_plan_needs_no_permission() -> None:
    needed = Plan().permissions()
    assert (needed.configure, needed.write, needed.read) == ("^$", "^$", "^$")
    assert Plan(queues=(PlannedQueue("a.b"),)).permissions().configure == r"^(a\.b)$"


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Queue("q", arguments={"x-max-lenght": 5}), ValueError, "'x-max-length'?"),
        (lambda: Queue("q", arguments={"x_max_length": 5}), ValueError, "'x-max-length'?"),
        (lambda: Queue("q", arguments={"x-max-length": "5"}), TypeError, "x-max-length"),
        (lambda: Queue("q", arguments={"x-expires": True}), TypeError, "x-expires"),
        (
            lambda: Exchange("e", arguments={"alternate_exchange": "x"}),
            ValueError,
            "'alternate-exchange'?",
        ),
        (
            lambda: Exchange("e", arguments={"alternate-exchange": Exchange("x")}),
            TypeError,
            "alternate-exchange",
        ),
        (lambda: Binding("e", "a", to=Exchange("")), ValueError, "default exchange"),
        (lambda: connect("amqp://x").declare(Binding("e", "a")), ValueError, "to="),
        (lambda: connect("amqp://x").declare("e"), TypeError, "got an object of type str"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(
    make: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=re.escape(words)):
        make()


def test_arguments_of_plugins_and_those_taken_away_are_left_alone() -> None:
    Queue("q", arguments={"x-plugin-thing": object(), "x-delivery-limit": None})
    Exchange("e", type="x-consistent-hash", arguments={"hash-header": "key", "x-odd": 1})
