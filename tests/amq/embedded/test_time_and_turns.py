"""Times to live, expiry, prefetch and turns, where RabbitMQ's answer is not what one expects first.

Each test runs on the embedded broker and on RabbitMQ alike.
"""

import socket
import time

import pytest

from gestalt.amq.wire import PROTOCOL_HEADER, Long, read_properties
from gestalt.amq.wire import methods as m
from gestalt.amq.wire.codec import method_frame
from gestalt.amq.wire.decoder import Decoder
from tests.support.wire_client import ClosedError


def declare(client, name="", **arguments):
    named = {"x-" + key.replace("_", "-"): value for key, value in arguments.items()}
    method = m.QueueDeclare(0, name, exclusive=not name, auto_delete=bool(name), arguments=named)
    return client.call(1, method).queue


def confirmed(client, queue, body=b"body", **properties):
    client.publish(1, "", queue, body, **properties)
    client.receive(m.BasicAck)


def ready(client, queue):
    return client.call(1, m.QueueDeclare(0, queue, True)).message_count


@pytest.fixture
def publisher(client):
    client.call(1, m.ConfirmSelect())
    return client


# No time to live at all


def test_a_message_that_has_no_time_is_gone_when_it_is_confirmed_and_nobody_waits(publisher):
    by_queue, by_message = declare(publisher, message_ttl=0), declare(publisher)
    confirmed(publisher, by_queue)
    confirmed(publisher, by_message, expiration="0")
    assert (ready(publisher, by_queue), ready(publisher, by_message)) == (0, 0)


def test_a_message_that_has_no_time_dies_by_expiry(publisher):
    dead = declare(publisher)
    queue = declare(publisher, message_ttl=0, dead_letter_exchange="", dead_letter_routing_key=dead)
    confirmed(publisher, queue)
    publisher.call(1, m.BasicConsume(0, dead, "", no_ack=True))
    headers = read_properties(publisher.receive(m.BasicDeliver).content.header).headers
    assert headers["x-first-death-reason"] == "expired"


def test_a_message_that_has_no_time_reaches_who_waits_and_does_not_come_back(publisher):
    queue = declare(publisher, message_ttl=0)
    publisher.call(1, m.BasicConsume(0, queue, "me"))
    publisher.publish(1, "", queue)
    delivery = publisher.receive(m.BasicDeliver).method
    publisher.send(1, m.BasicReject(delivery.delivery_tag, True))
    assert ready(publisher, queue) == 0
    confirmed(publisher, queue, b"next")
    assert publisher.receive(m.BasicDeliver).content.body == b"next"


def test_a_message_that_has_no_time_waits_behind_others_that_have(publisher):
    queue = declare(publisher)
    confirmed(publisher, queue, b"stays")
    confirmed(publisher, queue, b"waits", expiration="0")
    assert ready(publisher, queue) == 2


# Expiry of what comes back


def test_what_was_consumed_in_time_expires_when_it_comes_back_late(client):
    queue = declare(client, message_ttl=150)
    client.channel(2)
    client.call(2, m.BasicConsume(0, queue, "me"))
    client.publish(1, "", queue)
    client.receive(m.BasicDeliver)
    time.sleep(0.25)
    client.call(2, m.ChannelClose(200, "", 0, 0))
    assert isinstance(client.get(1, queue).method, m.BasicGetEmpty)


def test_what_comes_back_in_time_keeps_its_first_deadline(client):
    queue = declare(client, message_ttl=1500)
    client.publish(1, "", queue)
    time.sleep(0.7)
    got = client.get(1, queue, no_ack=False).method
    client.send(1, m.BasicReject(got.delivery_tag, True))
    # RabbitMQ may answer before it has put it back.
    deadline = time.monotonic() + 0.4
    while ready(client, queue) == 0:
        assert time.monotonic() < deadline, "it did not come back"
    time.sleep(1.1)
    assert ready(client, queue) == 0


# Expiry of a queue


def test_each_use_of_a_queue_begins_the_time_anew_in_which_it_expires(client, unique):
    arguments = {"x-expires": 1200}

    def declared(use):
        client.call(1, m.QueueDeclare(0, unique + use, arguments=arguments, durable=True))

    uses = {
        "declare": declared,
        "passive": lambda use: ready(client, unique + use),
        "get": lambda use: client.get(1, unique + use),
        "consume": lambda use: client.call(1, m.BasicConsume(0, unique + use, use)),
    }
    for use in uses:
        declared(use)
    time.sleep(0.8)
    for use, act in uses.items():
        act(use)
    client.call(1, m.BasicCancel("consume"))
    time.sleep(0.8)
    # They are there; and this is a use as well.
    assert [ready(client, unique + use) for use in uses] == [0] * 4
    time.sleep(1.8)
    for number, use in enumerate(uses, 2):
        client.channel(number)
        with pytest.raises(ClosedError, match="NOT_FOUND"):
            client.call(number, m.QueueDeclare(0, unique + use, True))


# Declared again


@pytest.mark.parametrize("key", ["x-message-ttl", "x-expires", "x-max-length", "x-max-priority"])
@pytest.mark.parametrize(
    ("again", "taken"), [(60, True), (2**33, False), (60.0, False), ("60", False)]
)
def test_a_number_of_another_type_is_the_same_if_it_is_whole(client, unique, key, again, taken):
    def declared(value):
        arguments = {key: value}
        client.call(1, m.QueueDeclare(0, unique, durable=True, arguments=arguments))

    declared(60)
    try:
        if taken:
            declared(Long(again))
        else:
            with pytest.raises(ClosedError, match=f"PRECONDITION_FAILED - .*'{key}'"):
                declared(again)
    finally:
        client.channel(3)
        client.call(3, m.QueueDelete(0, unique))


# Turns and limits on one channel


def test_queues_of_one_channel_take_turns_under_a_limit_of_the_channel(publisher):
    if publisher.version >= (4, 3):
        pytest.skip("4.3 has no limit for a channel")
    publisher.call(1, m.BasicQos(0, 1, True))
    queues = [declare(publisher) for _ in range(3)]
    for queue in queues:
        publisher.call(1, m.QueueBind(0, queue, "amq.fanout"))
    for queue in queues:
        publisher.call(1, m.BasicConsume(0, queue, queue))
    for _ in range(20):
        publisher.publish(1, "amq.fanout", "")
    for _ in range(59):
        delivery = publisher.receive(m.BasicDeliver).method
        publisher.send(1, m.BasicAck(delivery.delivery_tag))
    assert all(ready(publisher, queue) < 20 for queue in queues)


def test_consumers_of_one_queue_take_turns_under_a_limit_of_the_channel(client):
    client.call(1, m.BasicQos(0, 1, True))
    queue = declare(client)
    for tag in ("first", "second"):
        client.call(1, m.BasicConsume(0, queue, tag))
    served = []
    for _ in range(10):
        client.publish(1, "", queue)
    for _ in range(10):
        delivery = client.receive(m.BasicDeliver).method
        served.append(delivery.consumer_tag)
        client.send(1, m.BasicAck(delivery.delivery_tag))
    assert set(served) == {"first", "second"}


def test_who_does_not_acknowledge_is_not_counted_by_a_limit(client):
    queue = declare(client)
    client.call(1, m.BasicConsume(0, queue, "me", no_ack=True))
    client.call(1, m.BasicQos(0, 1, True))
    for _ in range(3):
        client.publish(1, "", queue)
    for _ in range(3):
        client.receive(m.BasicDeliver)


def test_who_does_not_acknowledge_waits_for_the_limit_of_the_channel(client):
    limited = client.version < (4, 3)
    client.call(1, m.BasicQos(0, 1, True))
    first, second = declare(client), declare(client)
    client.call(1, m.BasicConsume(0, first, "acks"))
    client.publish(1, "", first)
    held = client.receive(m.BasicDeliver).method
    client.call(1, m.BasicConsume(0, second, "takes", no_ack=True))
    client.publish(1, "", second)
    # The answer comes after what may be delivered.
    ready(client, second)
    if limited:
        with pytest.raises(TimeoutError):
            client.receive(m.BasicDeliver, timeout=0.3)
        client.send(1, m.BasicAck(held.delivery_tag))
    assert client.receive(m.BasicDeliver).method.consumer_tag == "takes"


# Who is refused


@pytest.mark.parametrize("told", [True, False])
def test_a_wrong_password_is_told_to_a_client_that_wants_to_know(broker_port, told):
    """Without the capability the socket is closed without a word, after a while."""
    properties = {"capabilities": {"authentication_failure_close": told}}
    with socket.create_connection(("127.0.0.1", broker_port), 10) as client:
        client.sendall(PROTOCOL_HEADER)
        decoder = Decoder(expect_header=False)
        received = []
        while not received:
            received += decoder.feed(client.recv(65536))
        login = m.ConnectionStartOk(properties, "PLAIN", b"\0guest\0wrong")
        client.sendall(method_frame(0, login))
        rest = []
        while data := _received(client):
            rest += decoder.feed(data)
    if told:
        close = rest[0][1]
        assert isinstance(close, m.ConnectionClose)
        assert (close.reply_code, close.class_id, close.method_id) == (403, 0, 0)
    else:
        assert rest == []


def _received(client):
    try:
        return client.recv(65536)
    except ConnectionResetError:
        return b""
