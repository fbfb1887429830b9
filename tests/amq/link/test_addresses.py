"""Brokers' URLs: what they say is honoured or refused, and their passwords are shown nowhere."""

import asyncio
import logging
from typing import Any
from urllib.parse import quote

import pytest

from gestalt.amq import AccessRefused, Connected, ConnectError, Disconnected, connect
from gestalt.amq.embedded import Settings, ThreadedBroker
from tests.support.rabbitmq import RabbitMQNode
from tests.support.waiting import QUICK


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "does not begin with amqp://"),
        ("localhost", "does not begin with amqp://"),
        ("http://u:secret@h", "does not begin with amqp://"),
        ("amqp://", "names no host"),
        ("amqp://u:secret@", "names no host"),
        ("amqp://u:secret", "port is malformed"),
        ("amqp://u:secret@h:abc", "port is malformed"),
        ("amqp://u:secret@h:65536", "port is malformed"),
        ("amqp://u:secret@h:0", "port is 0"),
        ("amqp://u:sec[ret@h", "malformed"),
        ("amqp://u:secret@[h/", "malformed"),
        ("amqp://u:sec/ret@h/", "percent-encode"),
        ("amqp://u:55/secret@h/", "percent-encode"),
        ("amqp://u:55?secret@h/", "percent-encode"),
        ("amqp://u:sec#ret@h/", "percent-encode"),
        ("amqp://u:sec ret@h/", "white space"),
        ("amqp://u:secret@h/\n", "white space"),
        ("amqp://u:secret@h;amqp://u:secret@i", "several URLs"),
        ("amqp://u:secret@h,u:secret@i/", "several URLs"),
        ("amqp://u:secret@h,i/", "several URLs"),
        ("amqp://u:secret@h/;amqp://u:secret@i/", "several URLs"),
        ("amqp://u:@h/", "password is empty"),
        ("amqp://u@h/", "password is empty"),
        ("amqp://:secret@h/", "user is empty"),
        ("amqp://u:secret%00@h/", "NUL"),
        ("amqp://u:secret%FF@h/", "not UTF-8"),
        ("amqp://u:secret@h/%FF", "not UTF-8"),
        ("amqp://u:secret@a..b/", "no name of a host"),
        ("amqp://u:secret@h/" + "v" * 256, "more than 255 bytes"),
        ("amqp://u:secret@h/?name=" + "n" * 256, "a text of 255 bytes at most"),
        ("amqp://u:secret@h/?name=%FF", "its parameters are malformed, or not UTF-8"),
        ("amqp://u:secret@h/?heartbeat=soon", "heartbeat must be a whole number from 0 to 65535"),
        ("amqp://u:secret@h/?heartbeat=-1", "heartbeat must be"),
        ("amqp://u:secret@h/?heartbeat=1.5", "heartbeat must be"),
        ("amqp://u:secret@h/?heartbeat=", "heartbeat is empty"),
        ("amqp://u:secret@h/?heartbeat=1&heartbeat=2", "the same one twice"),
        ("amqp://u:secret@h/?auth=plain&auth_mechanism=plain", "the same one twice"),
        ("amqp://u:secret@h/?auth=kerberos", "auth must be plain or external"),
        ("amqp://u:secret@h/?connection_timeout=0", "connection_timeout must be"),
        ("amqp://u:secret@h/?frame_max=100", "frame_max must be"),
        ("amqp://u:secret@h/?channel_max=70000", "channel_max must be"),
        ("amqp://u:secret@h/?retry_delay=1", "parameter retry_delay is not known; known are: auth"),
        ("amqp://u:secret@h/?Heartbeat=1", "parameter Heartbeat is not known"),
        ("amqp://u:secret@h/?verify=verify_none", "verify is for amqps:// alone"),
        ("amqps://u:secret@h/?verify=no", "verify must be verify_peer or verify_none"),
        ("amqps://u:secret@h/?keyfile=k", "keyfile needs certfile"),
        ("amqp://u:secret@h:99999/", "the port is a number from 1 to 65535"),
        ("amqps://u:secret@h/?cadata=%%%", "cadata must be"),
        ("amqps://u:secret@h/?cafile=a&cacertfile=b", "the same one twice"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_and_not_quoted(url: str, problem: str) -> None:
    for urls in (url, ["amqp://localhost", url]):
        with pytest.raises(ValueError, match="broker's URL") as caught:
            connect(urls)
        text = str(caught.value)
        assert problem in text
        assert "2 of 2" in text or urls is url
        for piece in ("secret", "sec[", "sec/", "sec#", "sec ", "ret@"):
            assert piece not in text


def test_what_is_no_url_at_all_is_a_type_error() -> None:
    urls: Any = [b"amqp://localhost"]
    with pytest.raises(TypeError, match="bytes"):
        connect(urls)
    with pytest.raises(ValueError, match="at least one"):
        connect([])


def test_other_arguments_are_checked_as_well() -> None:
    heartbeat: Any = 0.5
    for options in (
        {"heartbeat": -1},
        {"heartbeat": heartbeat},
        {"heartbeat": 65_536},
        {"connect_timeout": 0},
        {"start_timeout": float("nan")},
        {"connect_timeout": float("nan")},
        {"stop_timeout": float("nan")},
    ):
        with pytest.raises(ValueError, match=next(iter(options))):
            connect("amqp://localhost", **options)

    async def on_event(event: object) -> None: ...

    wrong: Any = on_event
    with pytest.raises(TypeError, match="on_event"):
        connect("amqp://localhost", on_event=wrong)


@pytest.mark.parametrize(
    "password", ["p@ss:w/o?r#d%20;,[]", "pass word", "ünïcode", "a:b", "a+b%2B"]
)
async def test_a_password_of_any_kind_lets_in_and_is_shown_nowhere(
    password: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[object] = []
    settings = Settings(users={"us@er": password}, virtual_hosts=("a/b c%2F",))
    with ThreadedBroker(settings=settings, stop_timeout=0) as broker:
        async with connect(broker.url, backoff=QUICK, on_event=told.append) as bus:
            await bus.publisher("").publish(1)
            broker.drop_connections()
            async with asyncio.timeout(10):
                while not any(isinstance(event, Disconnected) for event in told):
                    await asyncio.sleep(0.01)
            await bus.publisher("").publish(2)
        wrong = broker.url.replace(quote(password, safe=""), quote(password[::-1], safe=""))
        with pytest.raises(AccessRefused) as refused:
            await connect(wrong).start()
    assert any(isinstance(event, Connected) for event in told)
    for text in [repr(bus), caplog.text, repr(refused.value), *map(repr, told)]:
        for shown in (password, password[::-1]):
            assert shown not in text
            assert quote(shown, safe="") not in text


async def test_a_heartbeat_and_a_name_in_the_url_go_before_the_arguments(
    rabbitmq_node: RabbitMQNode, unique: str
) -> None:
    url = f"{rabbitmq_node.url}?heartbeat=7&name={unique}&channel_max=9&frame_max=8192"
    async with connect(url, heartbeat=30, name="other") as bus:
        await bus.publisher("").publish("x" * 20_000, "nowhere")
        shown = rabbitmq_node.control(
            "list_connections", "timeout", "channel_max", "frame_max", "client_properties"
        )
    (line,) = [line for line in shown.splitlines() if f"{unique} publish" in line]
    assert line.split("\t")[:3] == ["7", "9", "8192"]


async def test_a_connection_timeout_in_the_url_is_in_milliseconds() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        bus = connect(f"amqp://{place}/?connection_timeout=50", start_timeout=0.5, backoff=QUICK)
        with pytest.raises(ConnectError, match=rf"{place} did not answer within 0\.05 s"):
            await bus.start()
