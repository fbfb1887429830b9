"""What may go with a message, and what is refused by name before anything is sent."""

import asyncio
import datetime
import decimal
import struct
import uuid
from collections.abc import Mapping
from typing import Any

import pytest

from gestalt.amq import Bus, NotSent, Unsendable, UnsendableType, connect
from gestalt.amq.wire import Properties, encode_properties
from tests.support.collector import Collector

DEEP: dict[str, Any] = {}
for _ in range(40):
    DEEP = {"a": DEEP}
CIRCLE: dict[str, Any] = {}
CIRCLE["a"] = [CIRCLE]

OPTIONS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"message_id": 5}, TypeError, "message_id"),
    ({"message_id": "x" * 256}, ValueError, "message_id"),
    ({"message_id": "\ud800"}, ValueError, "message_id"),
    ({"correlation_id": b"x"}, TypeError, "correlation_id"),
    ({"reply_to": 3}, TypeError, "reply_to"),
    ({"reply_to": uuid.uuid4()}, TypeError, "reply_to"),
    ({"app_id": ["x"]}, TypeError, "app_id"),
    ({"app_id": "é" * 128}, ValueError, "app_id"),
    ({"user_id": 1}, TypeError, "user_id"),
    ({"user_id": "u" * 256}, ValueError, "user_id"),
    ({"priority": "high"}, TypeError, "priority"),
    ({"priority": 1.5}, TypeError, "priority"),
    ({"priority": True}, TypeError, "priority"),
    ({"priority": 256}, ValueError, "priority"),
    ({"priority": -1}, ValueError, "priority"),
    ({"priority": 10**5000}, ValueError, "priority"),
    ({"timestamp": 10**5000}, ValueError, "timestamp"),
    ({"expiration": 10**5000}, ValueError, "expiration"),
    ({"message_id": 10**5000}, TypeError, "message_id"),
    ({"expiration": "5"}, TypeError, "expiration"),
    ({"expiration": -1}, ValueError, "expiration"),
    ({"expiration": float("nan")}, ValueError, "expiration"),
    ({"expiration": float("inf")}, ValueError, "expiration"),
    ({"expiration": 5_000_000}, ValueError, "expiration"),
    ({"expiration": datetime.timedelta(seconds=-1)}, ValueError, "expiration"),
    ({"timestamp": "now"}, TypeError, "timestamp"),
    ({"timestamp": -1}, ValueError, "timestamp"),
    ({"timestamp": float("nan")}, ValueError, "timestamp"),
    ({"timestamp": 2**64}, ValueError, "timestamp"),
    ({"timestamp": datetime.datetime.min}, ValueError, "timestamp"),
    ({"timestamp": datetime.datetime(1960, 1, 1, tzinfo=datetime.UTC)}, ValueError, "timestamp"),
    ({"headers": [1]}, TypeError, "headers"),
    ({"headers": {5: 1}}, TypeError, "a string, got an object of type int"),
    ({"headers": {"k" * 256: 1}}, ValueError, "255"),
    ({"headers": {"\ud800": 1}}, ValueError, "name cannot be sent"),
    ({"headers": {"bad": "\ud800"}}, ValueError, "'bad'"),
    ({"headers": {"bad": "\udcff"}}, ValueError, "'bad'"),
    ({"headers": {"bad": object()}}, TypeError, "'bad'"),
    ({"headers": {"bad": float("nan")}}, ValueError, "'bad'"),
    ({"headers": {"bad": [{"worse": float("-inf")}]}}, ValueError, "'worse'"),
    ({"headers": {"bad": 2**63}}, ValueError, "'bad'"),
    ({"headers": {"bad": 10**5000}}, ValueError, "'bad'"),
    ({"headers": {"bad": decimal.Decimal("1E+999999999")}}, ValueError, "'bad'"),
    ({"headers": {"bad": decimal.Decimal("1E-300")}}, ValueError, "'bad'"),
    ({"headers": {"bad": datetime.datetime.min}}, ValueError, "'bad'"),
    ({"headers": {"bad": datetime.date(2020, 1, 1)}}, TypeError, "'bad'"),
    ({"headers": {"bad": DEEP}}, ValueError, "levels"),
    ({"headers": {"bad": CIRCLE}}, ValueError, "levels"),
    ({"headers": {"bad": "x" * 131_072}}, ValueError, "properties and headers take"),
    ({"headers": {f"k{number}": "x" * 1000 for number in range(131)}}, ValueError, "headers take"),
    ({"content_type": "x"}, TypeError, "no option 'content_type'"),
    ({"mandatori": True}, TypeError, "no option 'mandatori'"),
]


@pytest.mark.parametrize(("options", "error", "name"), OPTIONS, ids=range(len(OPTIONS)))
async def test_what_cannot_be_sent_is_refused_by_name_and_nothing_is_lost(
    bus: Bus, unique: str, options: dict[str, Any], error: type[Exception], name: str
) -> None:
    got = Collector()
    await bus.subscribe(unique, "#", got)
    publisher = bus.publisher(unique, max_unconfirmed=2)
    beside = [asyncio.create_task(publisher.publish(number)) for number in range(2)]
    for _ in range(3):
        with pytest.raises(error, match=name) as raised:
            await publisher.publish("bad", **options)
        assert isinstance(raised.value, UnsendableType if error is TypeError else Unsendable)
        with pytest.raises(error, match=name):
            await publisher.batch().publish("bad", **options)
    await asyncio.gather(*beside)
    await publisher.publish(2, headers={"good": 1})
    assert await got.wait(3) == [0, 1, 2]


async def test_an_option_of_a_wrong_type_is_refused_without_a_connection() -> None:
    publisher = connect("amqp://localhost").publisher("x")
    with pytest.raises(TypeError, match="message_id"):
        await publisher.publish(1, message_id=5)  # type: ignore[arg-type]  # what the test is about


@pytest.mark.parametrize(
    ("key", "error"),
    [("k" * 256, ValueError), ("\ud800", ValueError), (5, TypeError), (["k"], TypeError)],
    ids=["long", "surrogate", "int", "list"],
)
async def test_a_routing_key_that_cannot_be_sent_is_refused_by_name(
    bus: Bus, unique: str, key: Any, error: type[Exception]
) -> None:
    publisher = bus.publisher(unique)
    for exchange in (publisher, bus.publisher("")):
        for _ in range(2):
            with pytest.raises(error, match="routing_key"):
                await exchange.publish(1, key)
    await publisher.publish(1, "k" * 255)


async def test_headers_that_just_fit_are_sent(bus: Bus, unique: str) -> None:
    got = Collector()
    await bus.subscribe(unique, "#", got)
    publisher = bus.publisher(unique)
    size = 131_072 - 200
    await publisher.publish(1, headers={"large": "x" * size})
    await publisher.publish(2)
    assert await got.wait(2) == [1, 2]
    assert got.messages[0].headers == {"large": "x" * size}


async def test_options_may_be_given_as_python_has_them(bus: Bus, unique: str) -> None:
    got = Collector()
    await bus.subscribe(unique, "#", got)
    publisher = bus.publisher(unique)
    identifier, other = uuid.uuid4(), uuid.uuid4()
    moment = datetime.datetime(2026, 5, 4, 3, 2, 1, tzinfo=datetime.UTC)
    await publisher.publish(
        1,
        message_id=identifier,
        correlation_id=other,
        expiration=datetime.timedelta(minutes=1),
        timestamp=moment,
    )
    await publisher.publish(2, timestamp=5, expiration=60)
    await publisher.publish(3, timestamp=5.9, app_id=None)  # type: ignore[typeddict-item]  # absent
    await got.wait(3)
    first, second, third = (message.properties for message in got.messages)
    assert first.message_id == str(identifier)
    assert first.correlation_id == str(other)
    assert first.expiration == "60000"
    assert first.timestamp == int(moment.timestamp())
    assert (second.timestamp, second.expiration) == (5, "60000")
    assert (third.timestamp, third.app_id) == (5, None)


async def test_headers_of_requests_are_refused_by_name(bus: Bus, unique: str) -> None:
    await bus.respond(unique, lambda request: request.body)
    requester = bus.requester(unique, max_pending=1)
    wrong: list[tuple[Any, type[Exception]]] = [
        ({"bad": float("nan")}, ValueError),
        ({"bad": object()}, TypeError),
        ({"bad": "x" * 140_000}, ValueError),
        ({"CC": 5}, TypeError),
        (["bad"], TypeError),
    ]
    for headers, error in wrong:
        with pytest.raises(error):
            await requester.request(1, headers=headers)
        with pytest.raises(error):
            await anext(requester.stream(1, headers=headers))
        with pytest.raises(error):
            await requester.gather(1, headers=headers)
    assert await requester.request(2) == 2
    assert requester.pending == 0


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
async def test_without_time_nothing_is_sent(bus: Bus, unique: str, timeout: float) -> None:
    got = Collector()
    await bus.subscribe(unique, "#", got)
    publisher = bus.publisher(unique)
    await publisher.publish(0)
    with pytest.raises(NotSent):
        await publisher.publish(1, timeout=timeout)
    with pytest.raises(TypeError, match="timeout"):
        await publisher.publish(1, timeout="5")  # type: ignore[arg-type]  # what the test is about
    await publisher.publish(2)
    assert await got.wait(2) == [0, 2]


@pytest.mark.parametrize(
    ("properties", "error"),
    [
        ({"timestamp": 2**64}, ValueError),
        ({"timestamp": -1}, ValueError),
        ({"timestamp": 1.5}, TypeError),
        ({"priority": 256}, ValueError),
        ({"delivery_mode": "2"}, TypeError),
        ({"expiration": 5}, TypeError),
        ({"type": "t" * 256}, ValueError),
        ({"headers": []}, TypeError),
    ],
)
def test_properties_that_have_no_encoding_are_named(
    properties: Mapping[str, Any], error: type[Exception]
) -> None:
    (name,) = properties
    with pytest.raises(error, match=name):
        encode_properties(Properties(**properties))


@pytest.mark.parametrize("number", ["0E+999999999", "-0", "2147483647", "-2147483648", "1.5E-250"])
def test_decimals_that_fit_are_encoded(number: str) -> None:
    value = decimal.Decimal(number)
    (places, digits) = struct.unpack_from(
        ">Bi", encode_properties(Properties(headers={"d": value})), 2 + 4 + 2 + 1
    )
    assert decimal.Decimal(digits).scaleb(-places) == value
