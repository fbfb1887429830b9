"""What brokers do, checked on the embedded one and on RabbitMQ alike."""

import time

import pytest

from gestalt.amq.wire import Properties, content_frames, content_header, read_properties
from gestalt.amq.wire import methods as m
from gestalt.amq.wire.codec import encode_method
from gestalt.amq.wire.decoder import Content
from tests.support.wire_client import ClosedError
from tests.support.wire_headers import nested


def declare(client, name="", channel=1, *, exclusive=True, **arguments):
    """Declares a queue; the arguments' names lose their underscores."""
    named = {"x-" + key.replace("_", "-"): value for key, value in arguments.items()}
    answer = client.call(
        channel, m.QueueDeclare(0, name, False, False, exclusive, False, False, named)
    )
    return answer.queue


def bodies(client, count, kind=m.BasicDeliver):
    return [client.receive(kind).content.body for _ in range(count)]


def drain(client, queue, channel=1):
    """Everything that is ready in the queue."""
    found = []
    while True:
        received = client.get(channel, queue)
        if isinstance(received.method, m.BasicGetEmpty):
            return found
        found.append(received)


def drained(client, queue):
    return [received.content.body for received in drain(client, queue)]


def exchange(client, name, kind, **options):
    arguments = options.pop("arguments", {})
    declaration = m.ExchangeDeclare(0, name, kind, auto_delete=True, arguments=arguments, **options)
    client.call(1, declaration)
    return name


def wait_until(condition, timeout=10.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"


# Routing


@pytest.mark.parametrize(
    ("kind", "key", "arguments", "routed"),
    [
        ("direct", "a.b", {}, ["a.b"]),
        ("fanout", "", {}, ["a.b", "a", "", "a.b.c"]),
        ("topic", "a.*", {}, ["a.b"]),
        ("topic", "a.#", {}, ["a.b", "a", "a.b.c"]),
        ("topic", "#", {}, ["a.b", "a", "", "a.b.c"]),
        ("topic", "", {}, [""]),
        ("topic", "*.*.#", {}, ["a.b", "a.b.c"]),
    ],
)
def test_exchanges_route_by_their_type(client, unique, kind, key, arguments, routed):
    queue = declare(client)
    source = exchange(client, unique, kind)
    client.call(1, m.QueueBind(0, queue, source, key, arguments=arguments))
    for routing_key in ("a.b", "a", "", "a.b.c"):
        client.publish(1, source, routing_key, routing_key.encode())
    client.call(1, m.QueueDeclare(0, queue, True))
    assert drained(client, queue) == [item.encode() for item in routed]


@pytest.mark.parametrize(
    ("arguments", "routed"),
    [
        ({"x-match": "all", "a": 1, "b": "x"}, [b"both"]),
        ({"x-match": "any", "a": 1, "b": "x"}, [b"one", b"both"]),
        ({"a": 1}, [b"one", b"both"]),
        ({"x-match": "any"}, []),
        ({}, [b"one", b"both", b"none", b"x"]),
        ({"b": None}, [b"both"]),
        ({"x-y": 1}, [b"one", b"both", b"none", b"x"]),
    ],
)
def test_headers_exchanges_route_by_headers(client, unique, arguments, routed):
    queue = declare(client)
    source = exchange(client, unique, "headers")
    client.call(1, m.QueueBind(0, queue, source, "", arguments=arguments))
    client.publish(1, source, "", b"one", headers={"a": 1})
    client.publish(1, source, "", b"both", headers={"a": 1, "b": "x", "c": "z"})
    client.publish(1, source, "", b"none")
    client.publish(1, source, "", b"x", headers={"x-y": 2})
    assert drained(client, queue) == routed


def test_a_message_reaches_a_queue_once_however_many_ways_lead_there(client, unique):
    queue = declare(client)
    first = exchange(client, unique, "topic")
    second = exchange(client, unique + "2", "fanout")
    client.call(1, m.QueueBind(0, queue, first, "#"))
    client.call(1, m.QueueBind(0, queue, first, "a.*"))
    client.call(1, m.QueueBind(0, queue, second, ""))
    client.call(1, m.ExchangeBind(0, second, first, "a.b"))
    client.call(1, m.ExchangeBind(0, first, second, ""))
    client.publish(1, first, "a.b")
    assert drained(client, queue) == [b"body"]


def test_an_alternate_exchange_takes_what_is_not_routed(client, unique):
    queue = declare(client)
    other = exchange(client, unique + "other", "fanout")
    client.call(1, m.QueueBind(0, queue, other, ""))
    source = exchange(client, unique, "direct", arguments={"alternate-exchange": other})
    client.publish(1, source, "nowhere", mandatory=True)
    assert drained(client, queue) == [b"body"]


def test_cc_and_bcc_are_routed_and_bcc_is_hidden(client):
    queues = [declare(client) for _ in range(3)]
    headers = {"CC": [queues[1]], "BCC": [queues[2]], "other": 1}
    client.publish(1, "", queues[0], headers=headers)
    for queue in queues:
        [received] = drain(client, queue)
        assert received.method.routing_key == queues[0]
        assert read_properties(received.content.header).headers == {"CC": [queues[1]], "other": 1}


def test_headers_keep_every_byte_on_their_way(client):
    queue = declare(client)
    client.publish(1, "", queue, headers={"a": 1, "b": [True, None, {"c": b"\xff"}]}, priority=3)
    [received] = drain(client, queue)
    properties = read_properties(received.content.header)
    assert properties.headers == {"a": 1, "b": [True, None, {"c": b"\xff"}]}
    assert properties.priority == 3


@pytest.mark.parametrize("depth", [40, 2000, 15_000])
def test_headers_may_nest_as_deep_as_a_frame_has_room(client, depth):
    queue = declare(client)
    header = content_header(Properties(headers={"deep": nested(depth), "known": 1}), 4)
    publish = encode_method(m.BasicPublish(0, "", queue))
    client.socket.sendall(content_frames(1, publish, header, b"body", client.frame_max))
    [received] = drain(client, queue)
    assert received.content == Content(header, b"body", 4)


def test_headers_that_nest_deep_keep_every_byte_where_a_message_dies(client):
    dead = declare(client)
    queue = declare(client, max_length=1, dead_letter_exchange="", dead_letter_routing_key=dead)
    deep = nested(2000)
    for _ in range(2):
        client.publish(1, "", queue, headers={"deep": deep, "known": 1})
    wait_until(lambda: client.call(1, m.QueueDeclare(0, dead, True)).message_count == 1)
    [received] = drain(client, dead)
    headers = read_properties(received.content.header).headers
    assert (headers["deep"], headers["known"]) == (deep, 1)
    assert headers["x-death"][0]["queue"] == queue


def test_a_mandatory_message_without_a_route_comes_back_before_its_confirm(client):
    client.call(1, m.ConfirmSelect())
    client.publish(1, "", "no such queue", b"lost", mandatory=True)
    returned = client.receive(m.BasicReturn)
    assert returned.method == m.BasicReturn(312, "NO_ROUTE", "", "no such queue")
    assert returned.content.body == b"lost"
    assert client.receive(m.BasicAck).method.delivery_tag == 1
    assert client.inbox == []


def test_unbinding_what_is_not_there_is_no_error(client, unique):
    queue = declare(client)
    client.call(1, m.QueueUnbind(0, queue, "amq.topic", "never bound"))
    client.call(1, m.QueueUnbind(0, queue, "no.exchange", "key"))
    client.call(1, m.QueueUnbind(0, "no.queue", "amq.topic", "key"))
    client.call(1, m.ExchangeUnbind(0, "no.exchange", "amq.topic", "key"))
    client.call(1, m.ExchangeUnbind(0, "amq.topic", "no.exchange", "key"))


def test_an_auto_delete_exchange_goes_with_its_last_binding(client, unique):
    queue = declare(client)
    source = exchange(client, unique, "fanout")
    client.call(1, m.QueueBind(0, queue, source, ""))
    client.call(1, m.QueueUnbind(0, queue, source, ""))
    with pytest.raises(ClosedError) as caught:
        client.call(1, m.ExchangeDeclare(0, source, "fanout", passive=True))
    assert caught.value.code == 404


# Confirms and settlement


def test_every_publish_is_confirmed_once(client):
    queue = declare(client)
    client.call(1, m.ConfirmSelect())
    for _ in range(50):
        client.publish(1, "", queue)
    confirmed = 0
    while confirmed < 50:
        ack = client.receive(m.BasicAck).method
        assert ack.multiple or ack.delivery_tag == confirmed + 1
        confirmed = ack.delivery_tag
    assert confirmed == 50


def test_deliveries_keep_their_order_through_requeues(client):
    queue = declare(client)
    for number in range(5):
        client.publish(1, "", queue, b"%d" % number)
    tags = [client.get(1, queue, no_ack=False).method.delivery_tag for _ in range(4)]
    client.send(1, m.BasicNack(tags[2], False, True))
    client.send(1, m.BasicReject(tags[0], True))
    client.send(1, m.BasicAck(tags[1]))
    got = drain(client, queue)
    assert [received.content.body for received in got] == [b"0", b"2", b"4"]
    assert [received.method.redelivered for received in got] == [True, True, False]


def test_acknowledging_many_at_once_covers_all_before(client):
    queue = declare(client)
    for number in range(5):
        client.publish(1, "", queue, b"%d" % number)
    client.call(1, m.BasicConsume(0, queue, "tag"))
    assert bodies(client, 5) == [b"0", b"1", b"2", b"3", b"4"]
    client.send(1, m.BasicAck(3, True))
    client.call(1, m.BasicRecover(True))
    again = [client.receive(m.BasicDeliver) for _ in range(2)]
    assert [received.content.body for received in again] == [b"3", b"4"]
    assert all(received.method.redelivered for received in again)


def test_what_a_closed_channel_had_not_acknowledged_is_delivered_again(client):
    queue = declare(client)
    client.publish(1, "", queue)
    client.channel(2)
    client.call(2, m.BasicConsume(0, queue, "tag"))
    assert not client.receive(m.BasicDeliver).method.redelivered
    client.call(2, m.ChannelClose())
    [received] = drain(client, queue)
    assert received.method.redelivered


def test_a_prefetch_limits_each_consumer(client):
    queue = declare(client)
    client.call(1, m.BasicQos(0, 2))
    client.call(1, m.BasicConsume(0, queue, "a"))
    for number in range(3):
        client.publish(1, "", queue, b"%d" % number)
    assert bodies(client, 2) == [b"0", b"1"]
    wait_until(lambda: client.call(1, m.QueueDeclare(0, queue, True)).message_count == 1)
    client.send(1, m.BasicAck(1))
    assert bodies(client, 1) == [b"2"]


def test_a_global_prefetch_limits_the_channel(client):
    if client.version >= (4, 3):
        pytest.skip("there, it counts for each consumer: see test_versions")
    first, second = declare(client), declare(client)
    client.call(1, m.BasicQos(0, 1, True))
    client.call(1, m.BasicConsume(0, first, "a"))
    client.call(1, m.BasicConsume(0, second, "b"))
    client.publish(1, "", first, b"1")
    assert bodies(client, 1) == [b"1"]
    client.publish(1, "", second, b"2")
    wait_until(lambda: client.call(1, m.QueueDeclare(0, second, True)).message_count == 1)
    client.send(1, m.BasicAck(1))
    assert bodies(client, 1) == [b"2"]


def test_consumers_take_turns_and_priorities_come_first(client):
    queue = declare(client)
    client.call(1, m.BasicQos(0, 2))
    client.call(1, m.BasicConsume(0, queue, "low1"))
    client.call(1, m.BasicConsume(0, queue, "high", arguments={"x-priority": 5}))
    client.call(1, m.BasicConsume(0, queue, "low2"))
    for _ in range(5):
        client.publish(1, "", queue)
    got = [client.receive(m.BasicDeliver).method.consumer_tag for _ in range(5)]
    assert got[:2] == ["high", "high"]
    assert sorted(got[2:]) in (["low1", "low1", "low2"], ["low1", "low2", "low2"])


def test_a_single_active_consumer_is_followed_by_the_next(client):
    queue = declare(client, single_active_consumer=True)
    for tag in ("a", "b"):
        client.call(1, m.BasicConsume(0, queue, tag, no_ack=True))
    client.publish(1, "", queue)
    client.publish(1, "", queue)
    assert [client.receive(m.BasicDeliver).method.consumer_tag for _ in range(2)] == ["a", "a"]
    client.call(1, m.BasicCancel("a"))
    client.publish(1, "", queue)
    assert client.receive(m.BasicDeliver).method.consumer_tag == "b"


def test_transactions_take_effect_on_commit_alone(client):
    queue = declare(client)
    client.call(1, m.TxSelect())
    client.publish(1, "", queue, b"rolled back")
    client.call(1, m.TxRollback())
    client.publish(1, "", queue, b"committed")
    assert client.call(1, m.QueueDeclare(0, queue, True)).message_count == 0
    client.call(1, m.TxCommit())
    tag = client.get(1, queue, no_ack=False).method.delivery_tag
    client.send(1, m.BasicAck(tag))
    client.call(1, m.TxRollback())
    client.call(1, m.BasicRecover(True))
    [received] = drain(client, queue)
    assert received.content.body == b"committed"


# Queues and their limits


def test_priorities_order_the_messages(client):
    queue = declare(client, max_priority=5)
    for priority in (0, 9, 3, 5):
        client.publish(1, "", queue, b"%d" % priority, priority=priority)
    assert drained(client, queue) == [b"9", b"5", b"3", b"0"]


def test_a_full_queue_drops_its_head_to_the_dead_letter_exchange(client):
    dead = declare(client)
    queue = declare(client, max_length=2, dead_letter_exchange="", dead_letter_routing_key=dead)
    for number in range(4):
        client.publish(1, "", queue, b"%d" % number)
    wait_until(lambda: client.call(1, m.QueueDeclare(0, dead, True)).message_count == 2)
    assert drained(client, queue) == [b"2", b"3"]
    received = drain(client, dead)
    assert [item.content.body for item in received] == [b"0", b"1"]
    headers = read_properties(received[0].content.header).headers
    [death] = headers.pop("x-death")
    assert death.pop("time")
    assert death == {
        "count": 1,
        "reason": "maxlen",
        "queue": queue,
        "exchange": "",
        "routing-keys": [queue],
    }
    first = {"reason": "maxlen", "queue": queue, "exchange": ""}
    for name, value in first.items():
        assert headers[f"x-first-death-{name}"] == value


def test_a_full_queue_may_refuse_publishes(client):
    queue = declare(client, max_length=1, overflow="reject-publish")
    client.call(1, m.ConfirmSelect())
    client.publish(1, "", queue, b"kept")
    assert client.receive(m.BasicAck).method.delivery_tag == 1
    client.publish(1, "", queue, b"refused")
    assert client.receive(m.BasicNack).method.delivery_tag == 2
    assert drained(client, queue) == [b"kept"]


def test_messages_expire_by_the_queue_and_by_themselves(client):
    dead = declare(client)
    arguments = {"dead_letter_exchange": "", "dead_letter_routing_key": dead}
    by_queue = declare(client, message_ttl=20, **arguments)
    by_message = declare(client, **arguments)
    client.publish(1, "", by_queue, b"queue")
    assert client.call(1, m.QueueDeclare(0, dead, True)).message_count in (0, 1)
    wait_until(lambda: client.call(1, m.QueueDeclare(0, dead, True)).message_count == 1)
    client.publish(1, "", by_message, b"message", expiration="20")
    wait_until(lambda: client.call(1, m.QueueDeclare(0, dead, True)).message_count == 2)
    first, second = drain(client, dead)
    assert (first.content.body, second.content.body) == (b"queue", b"message")
    properties = read_properties(second.content.header)
    assert properties.expiration is None
    assert properties.headers["x-death"][0]["original-expiration"] == "20"
    assert properties.headers["x-death"][0]["reason"] == "expired"


def test_rejected_messages_count_their_deaths(client):
    queue = declare(client)
    dead = declare(client, dead_letter_exchange="", dead_letter_routing_key=queue)
    client.publish(1, "", dead, b"again")
    for _ in range(2):
        client.call(1, m.BasicConsume(0, dead, "tag"))
        tag = client.receive(m.BasicDeliver).method.delivery_tag
        client.send(1, m.BasicReject(tag, False))
        client.call(1, m.BasicCancel("tag"))
        client.call(1, m.BasicConsume(0, queue, "tag", no_ack=True))
        received = client.receive(m.BasicDeliver)
        client.call(1, m.BasicCancel("tag"))
        headers = read_properties(received.content.header).headers
        client.publish(1, "", dead, received.content.body, headers=headers)
    # Since 4.0 a publisher cannot say how often a message has died.
    assert headers["x-death"][0]["count"] == (2 if client.version < (4, 0) else 1)
    assert headers["x-death"][0]["reason"] == "rejected"


def test_an_unused_queue_expires(client, unique):
    declare(client, unique, exclusive=False, expires=30)
    client.channel(2)

    def is_gone():
        try:
            client.call(2, m.QueueDeclare(0, unique, True))
        except ClosedError as error:
            return error.code == 404
        time.sleep(0.1)  # asking is a use, which puts the expiry off
        return False

    wait_until(is_gone)


def test_a_quorum_queue_counts_returns_and_gives_up_at_its_limit(client, unique):
    dead = declare(client)
    arguments = {
        "x-queue-type": "quorum",
        "x-delivery-limit": 1,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead,
    }
    client.call(1, m.QueueDeclare(0, unique, False, True, arguments=arguments))
    try:
        client.publish(1, "", unique)
        client.call(1, m.BasicQos(0, 1))
        client.call(1, m.BasicConsume(0, unique, "tag"))
        first = client.receive(m.BasicDeliver)
        client.send(1, m.BasicReject(first.method.delivery_tag, True))
        second = client.receive(m.BasicDeliver)
        assert read_properties(second.content.header).headers["x-delivery-count"] == 1
        assert second.method.redelivered
        client.send(1, m.BasicReject(second.method.delivery_tag, True))
        wait_until(lambda: client.call(1, m.QueueDeclare(0, dead, True)).message_count == 1)
        [received] = drain(client, dead)
        death = read_properties(received.content.header).headers["x-death"][0]
        assert (death["reason"], death["queue"]) == ("delivery_limit", unique)
    finally:
        client.channel(9)
        client.call(9, m.QueueDelete(0, unique))


# Consumers, ownership and replies


def test_a_consumer_is_told_that_its_queue_is_gone(client):
    queue = declare(client)
    client.call(1, m.BasicConsume(0, queue, "tag"))
    client.call(1, m.QueueDelete(0, queue))
    assert client.receive(m.BasicCancel).method == m.BasicCancel("tag", True)


def test_an_auto_delete_queue_goes_with_its_last_consumer(client, unique):
    client.call(1, m.QueueDeclare(0, unique, auto_delete=True))
    client.call(1, m.BasicConsume(0, unique, "tag"))
    client.call(1, m.BasicCancel("tag"))

    def is_gone():
        client.channel(2)
        try:
            client.call(2, m.QueueDeclare(0, unique, True))
        except ClosedError as error:
            return error.code == 404
        client.call(2, m.ChannelClose())
        return False

    wait_until(is_gone)


def test_an_exclusive_queue_is_its_connections_own_and_goes_with_it(client, connect):
    queue = declare(client)
    other = connect()
    other.channel(1)
    with pytest.raises(ClosedError) as caught:
        other.call(1, m.BasicConsume(0, queue))
    assert (caught.value.code, caught.value.scope) == (405, "channel")
    assert "cannot obtain exclusive access to locked queue" in caught.value.text
    client.call(0, m.ConnectionClose())
    other.channel(2)
    with pytest.raises(ClosedError) as caught:
        other.call(2, m.QueueDeclare(0, queue, True))
    assert caught.value.code == 404


def test_replies_come_directly(client, connect):
    client.call(1, m.BasicConsume(0, "amq.rabbitmq.reply-to", "replies", no_ack=True))
    server = connect()
    server.channel(1)
    queue = declare(server)
    server.call(1, m.BasicConsume(0, queue, "calls", no_ack=True))
    client.publish(1, "", queue, b"call", reply_to="amq.rabbitmq.reply-to")
    received = server.receive(m.BasicDeliver)
    address = read_properties(received.content.header).reply_to
    assert address.startswith("amq.rabbitmq.reply-to.")
    server.call(1, m.QueueDeclare(0, address, True))
    server.publish(1, "", address, b"reply", correlation_id="1")
    reply = client.receive(m.BasicDeliver)
    assert (reply.method.consumer_tag, reply.content.body) == ("replies", b"reply")
    assert read_properties(reply.content.header).correlation_id == "1"


def test_a_large_message_is_split_into_frames_and_joined(client):
    queue = declare(client)
    body = bytes(range(256)) * 4096
    client.publish(1, "", queue, body)
    assert drained(client, queue) == [body]


def test_channels_are_independent(client):
    client.channel(2)
    with pytest.raises(ClosedError):
        client.call(2, m.QueueDeclare(0, "no such queue", True))
    assert declare(client)
    client.channel(2)
    assert declare(client, channel=2)


def test_the_queue_of_direct_replies_can_be_declared_in_any_way(client):
    name = "amq.rabbitmq.reply-to"
    for method in (
        m.QueueDeclare(0, name, True),
        m.QueueDeclare(0, name),
        m.QueueDeclare(0, name, durable=True, auto_delete=True),
    ):
        assert client.call(1, method) == m.QueueDeclareOk(name, 0, 1)


@pytest.mark.parametrize("limit", [-1, -5])
def test_a_negative_delivery_limit_is_taken(client, unique, limit):
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": limit}
    client.call(1, m.QueueDeclare(0, unique, durable=True, arguments=arguments))
    client.call(1, m.QueueDelete(0, unique))
