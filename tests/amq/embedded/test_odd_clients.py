"""Clients that few are like: how they come in, and what they cannot be told."""

import socket

import pytest

from gestalt.amq import embedded
from gestalt.amq.embedded import Settings, ThreadedBroker
from gestalt.amq.wire import PROTOCOL_HEADER, AmqpError
from gestalt.amq.wire import methods as m
from gestalt.amq.wire.codec import method_frame
from gestalt.core import StateError
from tests.support.rare import declared, on_a_channel
from tests.support.wire_client import WireClient

# The numbers of the class and of the method.
TUNE = b"\0\x0a\0\x1e"


@pytest.fixture
def client(newest):
    with on_a_channel(newest) as client:
        yield client


def test_access_is_granted_to_clients_that_still_ask(client):
    assert isinstance(client.call(1, m.AccessRequest("/")), m.AccessRequestOk)


def test_a_handshake_goes_in_its_order(newest):
    with WireClient(newest) as client:
        client.send(0, m.ConnectionTuneOk(0, 0, 0))
        assert client.closed(0).scope == "connection"


def test_a_client_that_cannot_be_told_waits_and_hears_of_nothing():
    with (
        ThreadedBroker(stop_timeout=0) as broker,
        WireClient(broker.url, capabilities={}) as client,
    ):
        client.channel(1)
        queue = declared(client)
        client.call(1, m.BasicConsume(0, queue))
        client.call(1, m.QueueDelete(0, queue))
        other = declared(client)
        client.call(1, m.ConfirmSelect())
        broker.block_publishers("short of all")
        client.publish(1, "", other)
        with pytest.raises(TimeoutError):
            client.receive(m.BasicAck, timeout=0.05)
        broker.unblock_publishers()
        client.receive(m.BasicAck)
        assert client.inbox == []


def test_a_channel_that_both_close_is_closed(client):
    client.send(1, m.QueuePurge(0, "nowhere"))
    client.send(1, m.ChannelClose(200, "enough", 0, 0))
    assert client.closed().code == 404
    assert isinstance(client.answer(1).method, m.ChannelCloseOk)
    client.channel(1)


@pytest.mark.parametrize(
    ("mechanism", "response", "answer"),
    [
        ("ANONYMOUS", b"", b"Login was refused"),
        ("AMQPLAIN", b"\x05LOGIN", b""),
        ("AMQPLAIN", b"\x05LOGINS\0\0\0\x01u", b""),
    ],
)
def test_a_login_that_is_none_is_refused(mechanism, response, answer):
    settings = Settings(users={"u": "secret"}, close_timeout=0.2)
    told = {"capabilities": {"authentication_failure_close": True}}
    start = method_frame(0, m.ConnectionStartOk(told, mechanism, response))
    with (
        ThreadedBroker(settings=settings, stop_timeout=0, compatible="4.3") as broker,
        socket.create_connection(("127.0.0.1", broker.port), 10) as sock,
    ):
        sock.sendall(PROTOCOL_HEADER + start)
        sock.shutdown(socket.SHUT_WR)
        data = b""
        while chunk := sock.recv(65536):
            data += chunk
    assert answer in data
    assert TUNE not in data


def test_who_needs_no_name_is_let_in(newest):
    port = int(newest.split(":")[-1].split("/")[0])
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.sendall(PROTOCOL_HEADER + method_frame(0, m.ConnectionStartOk({}, "ANONYMOUS", b"")))
        data = b""
        while TUNE not in data:
            chunk = sock.recv(65536)
            assert chunk
            data += chunk


def test_consumers_are_told_with_those_of_streams(client, unique):
    with (
        ThreadedBroker(stop_timeout=0, compatible="4.3") as broker,
        WireClient(broker.url) as client,
    ):
        client.channel(1)
        client.call(1, m.BasicQos(0, 10, False))
        for kind in ("stream", "classic"):
            client.call(1, m.BasicConsume(0, declared(client, queue_type=kind), kind))
        with socket.create_connection(("127.0.0.1", broker.port), 10):
            told = broker.consumers()
        assert {each.tag for each in told if each.active} == {"stream", "classic"}
        with pytest.raises(StateError, match="is running already"):
            broker.start()


def test_errors_of_the_protocol_have_one_class():
    assert embedded.AmqpError is AmqpError


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        ([(2, b"\0\x3c")], "a content header is cut short"),
        ([(2, b"\0\x0a" + bytes(12))], "got one for class 10 instead"),
        ([(2, b"\0\x3c\0\0" + bytes(7) + b"\x01\0\0"), (3, b"two")], "has 2 too many"),
    ],
)
def test_content_that_is_none_ends_the_connection(newest, frames, said):
    with WireClient(newest) as client:
        client.channel(1)
        client.send(1, m.BasicPublish(0, "", "nowhere"))
        for kind, payload in frames:
            size = len(payload).to_bytes(4, "big")
            client.socket.sendall(bytes([kind, 0, 1]) + size + payload + b"\xce")
        error = client.closed(1)
    assert (error.scope, said in error.text) == ("connection", True)
