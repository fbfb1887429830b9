"""Whatever a client sends: the right error or a closed connection, and the broker lives on."""

import contextlib
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gestalt.amq.embedded import Settings, ThreadedBroker
from gestalt.amq.wire import (
    PROTOCOL_HEADER,
    Properties,
    content_frames,
    content_header,
)
from gestalt.amq.wire import methods as m
from gestalt.amq.wire.codec import encode_method, method_frame
from tests.support.wire_client import ClosedError, WireClient

HANDSHAKE = (
    PROTOCOL_HEADER
    + method_frame(0, m.ConnectionStartOk({}, "PLAIN", b"\0guest\0guest"))
    + method_frame(0, m.ConnectionTuneOk(2047, 131_072, 0))
    + method_frame(0, m.ConnectionOpen("/"))
)
CONVERSATION = (
    HANDSHAKE
    + method_frame(1, m.ChannelOpen())
    + method_frame(1, m.ConfirmSelect())
    + method_frame(1, m.QueueDeclare(0, "q", arguments={"x-max-length": 3}))
    + method_frame(1, m.BasicConsume(0, "q", "tag"))
    + content_frames(
        1,
        encode_method(m.BasicPublish(0, "", "q", True)),
        content_header(Properties(headers={"a": [1, "x"]}, expiration="5", priority=2), 4),
        b"body",
        4096,
    )
    + method_frame(1, m.BasicAck(1))
    + method_frame(0, m.ConnectionClose())
)


@pytest.fixture(scope="module")
def broker():
    errors = []
    with ThreadedBroker(settings=Settings(handshake_timeout=0.2, close_timeout=0.2)) as broker:
        broker.control(lambda hub: hub.loop.set_exception_handler(lambda _, c: errors.append(c)))
        yield broker
        assert errors == [], "the broker itself failed"


def send(broker, data):
    """Sends the bytes and hangs up for writing; returns all that the broker answers."""
    answer = b""
    address = ("127.0.0.1", broker.port)
    with socket.create_connection(address, 10) as client, contextlib.suppress(ConnectionError):
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        while chunk := client.recv(65536):
            answer += chunk
    return answer


def assert_alive(broker):
    with WireClient(broker.url) as client:
        client.channel(1)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=300), st.integers(0, len(CONVERSATION)))
def test_junk_at_any_point_ends_the_connection_alone(broker, junk, position):
    send(broker, CONVERSATION[:position] + junk)
    assert_alive(broker)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, len(CONVERSATION) - 1), st.integers(1, 255))
def test_a_damaged_octet_ends_the_connection_alone(broker, position, change):
    damaged = bytearray(CONVERSATION)
    damaged[position] ^= change
    send(broker, bytes(damaged))
    assert_alive(broker)


SAMPLES = {
    "bit": st.booleans(),
    "octet": st.integers(0, 255),
    "short": st.sampled_from([0, 1, 2**16 - 1]),
    "long": st.sampled_from([0, 1, 2**32 - 1]),
    "longlong": st.sampled_from([0, 1, 2, 2**64 - 1]),
    "shortstr": st.sampled_from(["", "q", "amq.topic", "direct", "topic", "\udcff", "x" * 255]),
    "longstr": st.binary(max_size=8),
    "table": st.sampled_from(
        [{}, {"x-max-length": 2**62}, {"x-max-priority": 255}, {"x-expires": 1}, {"CC": [None]}]
    ),
}


def samples(cls):
    kinds = [cls.__annotations__[field].__metadata__[0] for field in cls._fields]
    return st.tuples(*[SAMPLES[kind] for kind in kinds]).map(cls._make)


any_method = st.sampled_from(list(m.INDEX)).flatmap(samples)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from([0, 1, 1, 1, 2]), any_method), max_size=12))
def test_methods_in_any_order_with_any_values_never_break_the_broker(broker, sequence):
    data = b"".join(method_frame(channel, method) for channel, method in sequence)
    answer = send(broker, HANDSHAKE + method_frame(1, m.ChannelOpen()) + data)
    assert b"INTERNAL_ERROR" not in answer
    assert_alive(broker)


def test_another_protocol_is_told_which_one_is_spoken(broker):
    assert send(broker, b"GET / HTTP/1.1\r\n\r\n") == PROTOCOL_HEADER
    assert send(broker, b"AMQP\x00\x01\x00\x00") == PROTOCOL_HEADER


def test_a_client_that_says_nothing_is_cut(broker):
    address = ("127.0.0.1", broker.port)
    with socket.create_connection(address, 10) as client, contextlib.suppress(ConnectionError):
        assert client.recv(1) == b""


def test_a_frame_larger_than_agreed_closes_the_connection(broker):
    with WireClient(broker.url) as client:
        client.socket.sendall(b"\x01\x00\x01\x7f\xff\xff\xff")
        client.socket.sendall(b"\x00")
        error = client.closed()
        assert (error.code, error.scope) == (501, "connection")


def test_a_message_larger_than_allowed_closes_the_channel():
    with (
        ThreadedBroker(settings=Settings(max_message_size=1000)) as broker,
        WireClient(broker.url) as client,
    ):
        client.channel(1)
        client.publish(1, "", "q", b"x" * 1001)
        error = client.closed()
        assert (error.code, error.scope) == (406, "channel")
        assert "message size 1001 is larger than configured max size 1000" in error.text


def test_more_channels_than_agreed_close_the_connection():
    with (
        ThreadedBroker(settings=Settings(channel_max=2)) as broker,
        WireClient(broker.url) as client,
    ):
        client.channel(1)
        client.channel(2)
        with pytest.raises(ClosedError, match="channel_max") as caught:
            client.channel(3)
        assert (caught.value.code, caught.value.scope) == (530, "connection")


def test_a_client_that_does_not_read_costs_bounded_memory_and_nobody_else_waits():
    with (
        ThreadedBroker() as broker,
        WireClient(broker.url) as slow,
        WireClient(broker.url) as other,
    ):
        slow.channel(1)
        other.channel(1)
        slow.call(1, m.QueueDeclare(0, "q"))
        slow.call(1, m.BasicConsume(0, "q", "tag", no_ack=True))
        for _ in range(400):
            other.publish(1, "", "q", b"x" * 100_000)
        other.call(1, m.ConfirmSelect())
        [queue] = broker.queues()
        assert queue.ready > 200, "what the client does not read waits in the queue"
        for _ in range(400):
            assert slow.receive(m.BasicDeliver).content.size == 100_000
