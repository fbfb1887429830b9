"""What is checked before anything is sent."""

import datetime
import inspect

import pytest

from gestalt.amq import Exchange, Queue, Retry, connect
from gestalt.amq.encoding import make_properties
from gestalt.codecs import Codec
from gestalt.core import StateError


def test_delays_grow_to_their_maximum() -> None:
    retry = Retry(attempts=9, delay=1, factor=4, maximum=30)
    assert [retry.delay_after(attempt) for attempt in range(1, 6)] == [1, 4, 16, 30, 30]
    assert Retry(factor=10.0).delay_after(10_000) == 300


@pytest.mark.parametrize(
    "arguments",
    [{"attempts": 0}, {"delay": 0}, {"delay": 2, "maximum": 1}, {"factor": 0.5}],
)
def test_a_retry_out_of_range_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        Retry(**arguments)  # type: ignore[arg-type]  # what the test is about


def test_names_over_255_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="255"):
        Queue("q" * 256)
    with pytest.raises(ValueError, match="255"):
        Exchange("é" * 128)


def test_queue_arguments_can_be_added_and_taken_away() -> None:
    queue = Queue("q", arguments={"x-max-length": 5, "x-delivery-limit": None})
    arguments = queue.all_arguments()
    assert arguments["x-max-length"] == 5
    assert "x-delivery-limit" not in arguments
    assert arguments["x-dead-letter-routing-key"] == "q.parked"


@pytest.mark.parametrize("urls", ["http://localhost", "localhost:5672", []])
def test_what_is_no_amqp_url_is_refused(urls: str | list[str]) -> None:
    with pytest.raises(ValueError):
        connect(urls)


async def test_subscribing_needs_a_running_bus() -> None:
    with pytest.raises(StateError, match="not running"):
        await connect("amqp://localhost").subscribe("x", "#", print)


def test_options_become_properties() -> None:
    moment = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    properties = make_properties(
        Codec("json").encode(1), 2, {"expiration": 1.5, "timestamp": moment, "priority": 9}
    )
    assert properties.expiration == "1500"
    assert properties.timestamp == int(moment.timestamp())
    with pytest.raises(ValueError, match="priority"):
        make_properties(Codec("json").encode(1), 2, {"priority": 256})
    with pytest.raises(ValueError, match="expiration"):
        make_properties(Codec("json").encode(1), 2, {"expiration": -1})


def test_a_dead_link_is_noticed_within_15_seconds_by_default() -> None:
    # After two heartbeats' time: `test_a_dead_link_is_noticed_and_replaced`.
    heartbeat = inspect.signature(connect).parameters["heartbeat"].default
    assert 0 < 2 * heartbeat <= 15
