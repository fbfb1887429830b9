"""What clients share, owe and are spared, on the embedded broker and on RabbitMQ alike."""

import contextlib
import gc
import socket
import time
import tracemalloc

import pytest

from gestalt.amq.embedded import Settings, ThreadedBroker
from gestalt.amq.embedded.model import Queue
from gestalt.amq.wire import (
    Properties,
    WireError,
    content_frames,
    content_header,
    read_properties,
)
from gestalt.amq.wire import methods as m
from gestalt.amq.wire.codec import encode_method, method_frame
from gestalt.amq.wire.decoder import Decoder
from gestalt.amq.wire.frames import PartialBody
from tests.support.wire_client import ClosedError, WireClient


def declare(client, name="", **arguments):
    named = {"x-" + key.replace("_", "-"): value for key, value in arguments.items()}
    declaration = m.QueueDeclare(0, name, False, False, True, False, False, named)
    return client.call(1, declaration).queue


def consume(client, queue, tag, *, no_ack=False):
    client.call(1, m.BasicConsume(0, queue, tag, no_ack=no_ack))


def limit_all(client, count):
    client.call(1, m.BasicQos(0, count, True))


def served(client, count):
    """The consumers that get these many deliveries, each of which is acknowledged."""
    tags = []
    for _ in range(count):
        method = client.receive(m.BasicDeliver).method
        tags.append(method.consumer_tag)
        client.send(1, m.BasicAck(method.delivery_tag))
    return "".join(tags)


# A limit for all consumers of a channel


def shares_limits(client):
    """Whether there is such a limit; to RabbitMQ 4.3 it is one for each consumer."""
    return client.version < (4, 3)


def test_a_limit_for_all_lets_the_consumers_of_a_queue_take_turns(client):
    limit_all(client, 1)
    queue = declare(client)
    for _ in range(10):
        client.publish(1, "", queue)
    consume(client, queue, "a")
    consume(client, queue, "b")
    assert served(client, 8) == ("aabababa" if shares_limits(client) else "abababab")


def test_a_limit_for_all_starves_no_queue(client):
    limit_all(client, 1)
    queues = {tag: declare(client) for tag in "abc"}
    for queue in queues.values():
        for _ in range(40):
            client.publish(1, "", queue)
    for tag, queue in queues.items():
        consume(client, queue, tag)
    tags = served(client, 60)
    # RabbitMQ asks its queues in a random order.
    assert all(tags.count(tag) >= 5 for tag in "abc"), tags


def test_a_consumer_without_acknowledgements_obeys_the_limit_and_does_not_count(client):
    limit_all(client, 1)
    first, second = declare(client), declare(client)
    consume(client, first, "a")
    consume(client, second, "b", no_ack=True)
    for _ in range(2):
        client.publish(1, "", second)
    assert [client.receive(m.BasicDeliver).method.consumer_tag for _ in range(2)] == ["b", "b"]
    client.publish(1, "", first)
    delivered = client.receive(m.BasicDeliver).method
    client.publish(1, "", second)
    if shares_limits(client):
        with pytest.raises(TimeoutError):
            client.receive(m.BasicDeliver, 0.3)
    client.send(1, m.BasicAck(delivered.delivery_tag))
    assert client.receive(m.BasicDeliver).method.consumer_tag == "b"


def test_a_consumer_that_was_cancelled_while_it_waited_is_forgotten(client):
    limit_all(client, 1)
    queue = declare(client)
    keeper = declare(client)
    client.call(1, m.BasicConsume(0, keeper, "keeper"))
    client.publish(1, "", keeper)
    held = client.receive(m.BasicDeliver).method
    for tag in "ab":
        consume(client, queue, tag)
    client.publish(1, "", queue)
    client.call(1, m.BasicCancel("a"))
    client.send(1, m.BasicAck(held.delivery_tag))
    taker = client.receive(m.BasicDeliver).method.consumer_tag
    assert taker == ("b" if shares_limits(client) else "a")


# Times to live


@pytest.mark.parametrize(
    ("arguments", "expiration"), [({"message_ttl": 100}, None), ({}, "100")], ids=["queue", "own"]
)
def test_a_message_that_comes_back_when_its_time_is_over_is_gone(client, arguments, expiration):
    dead = declare(client)
    queue = declare(client, dead_letter_exchange="", dead_letter_routing_key=dead, **arguments)
    consume(client, queue, "a")
    client.publish(1, "", queue, expiration=expiration)
    delivered = client.receive(m.BasicDeliver).method
    time.sleep(0.3)
    client.call(1, m.BasicCancel("a"))
    client.send(1, m.BasicReject(delivered.delivery_tag, True))
    assert isinstance(client.get(1, queue).method, m.BasicGetEmpty)
    buried = client.get(1, dead)
    assert isinstance(buried.method, m.BasicGetOk)
    # Its count has 64 bits, however small it is.
    assert b"\x05countl" in buried.content.header
    assert b"expired" in buried.content.header


def test_the_count_of_returns_has_64_bits(client, unique):
    declaration = m.QueueDeclare(
        0, unique, False, True, False, False, False, {"x-queue-type": "quorum"}
    )
    client.call(1, declaration)
    try:
        client.call(1, m.ConfirmSelect())
        client.publish(1, "", unique)
        client.receive(m.BasicAck)
        got = client.get(1, unique, no_ack=False)
        client.send(1, m.BasicReject(got.method.delivery_tag, True))
        deadline = time.monotonic() + 10
        while isinstance((again := client.get(1, unique)).method, m.BasicGetEmpty):
            assert time.monotonic() < deadline
        assert b"\x10x-delivery-countl" in again.content.header
    finally:
        client.call(1, m.QueueDelete(0, unique))


def test_the_address_of_direct_replies_is_there_for_whoever_asks(client):
    declaration = m.QueueDeclare(0, "amq.rabbitmq.reply-to", passive=True)
    assert client.call(1, declaration) == m.QueueDeclareOk("amq.rabbitmq.reply-to", 0, 1)
    # RabbitMQ 4.3 fails over an address that is none.
    expected = "NOT_FOUND" if client.version < (4, 3) else "NOT_FOUND|INTERNAL_ERROR"
    with pytest.raises(ClosedError, match=expected):
        client.call(1, m.QueueDeclare(0, "amq.rabbitmq.reply-to.nobody", passive=True))


# The ends of connections


def test_whoever_has_closed_the_connection_closes_the_socket(client):
    client.call(0, m.ConnectionClose(200, "bye"))
    queue = encode_method(m.BasicPublish(0, "", "nowhere"))
    late = content_frames(1, queue, content_header(Properties(), 4), b"late", 4096)
    for _ in range(20):
        client.socket.sendall(late)
    client.socket.settimeout(0.5)
    with pytest.raises(TimeoutError):
        client.socket.recv(100)


@pytest.mark.parametrize("wants_to_know", [True, False])
def test_a_login_that_fails_is_told_to_who_wants_to_know_and_has_to_wait(broker_url, wants_to_know):
    url = broker_url.replace("guest:guest", "guest:wrong")
    capabilities = {"authentication_failure_close": True} if wants_to_know else {}
    begun = time.monotonic()
    if wants_to_know:
        with pytest.raises(ClosedError, match="ACCESS_REFUSED"):
            WireClient(url, capabilities=capabilities)
        assert time.monotonic() - begun < 2
    else:
        with pytest.raises(ConnectionError):
            WireClient(url, capabilities=capabilities)
        assert 2 < time.monotonic() - begun < 6


# Clients that do not read


def flood(client, queue, count, size=4096):
    client.call(1, m.ConfirmSelect())
    for _ in range(count):
        client.publish(1, "", queue, bytes(size))
    # Everything is in the queue when the broker answers.
    client.call(1, m.QueueDeclare(0, queue, passive=True))


def read_all(sock):
    while sock.recv(65536):
        pass


def stalled_consumer(connect, queue, **options):
    """A client that consumes and reads nothing."""
    lazy = connect(**options)
    lazy.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    lazy.channel(1)
    lazy.send(1, m.BasicConsume(0, queue, "lazy", no_ack=True))
    return lazy


@pytest.fixture
def shared(client, unique):
    """Queues that several connections use."""
    names = [f"{unique}-{number}" for number in range(2)]
    for name in names:
        client.call(1, m.QueueDeclare(0, name))
    yield names
    for name in names:
        client.call(1, m.QueueDelete(0, name))


def test_what_a_client_publishes_is_taken_although_it_does_not_read(connect, client, shared):
    slow, other = shared
    flood(client, slow, 3000)
    lazy = stalled_consumer(connect, slow)
    for _ in range(100):
        lazy.publish(1, "", other)
    deadline = time.monotonic() + 10
    while client.call(1, m.QueueDeclare(0, other, passive=True)).message_count < 100:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    lazy.socket.close()


def connector(broker, stack):
    return lambda **options: stack.enter_context(WireClient(broker.url, **options))


def test_a_client_that_does_not_read_is_cut_and_takes_little_memory():
    settings = Settings(send_timeout=0.5)
    with (
        ThreadedBroker(settings=settings, stop_timeout=0) as broker,
        contextlib.ExitStack() as open_ones,
    ):
        connect = connector(broker, open_ones)
        client = connect()
        client.channel(1)
        client.call(1, m.QueueDeclare(0, "slow"))
        flood(client, "slow", 3000)
        lazy = stalled_consumer(connect, "slow")
        buffered = []
        deadline = time.monotonic() + 10
        while broker.connection_count() == 2:
            assert time.monotonic() < deadline
            buffered.append(broker.control(most_buffered))
            # It is alive, but for reading.
            with contextlib.suppress(OSError):
                lazy.socket.sendall(b"\x08\x00\x00\x00\x00\x00\x00\xce")
            time.sleep(0.02)
        assert 0 < max(buffered) < 1024 * 1024
        # The reset is told once, to whichever call comes first.
        with contextlib.suppress(ConnectionResetError):
            read_all(lazy.socket)
        assert client.call(1, m.QueueDeclare(0, "slow", passive=True)).message_count > 0


def most_buffered(hub):
    return max(each._transport.get_write_buffer_size() for each in hub.connections)


def test_what_a_client_reads_makes_room_on_all_its_channels_together():
    with ThreadedBroker(stop_timeout=0) as broker, contextlib.ExitStack() as open_ones:
        connect = connector(broker, open_ones)
        client = connect()
        client.channel(1)
        lazy = connect()
        for channel in (1, 2, 3):
            client.call(1, m.QueueDeclare(0, f"q{channel}"))
            flood(client, f"q{channel}", 1000)
            lazy.channel(channel)
        for channel in (1, 2, 3):
            lazy.send(channel, m.BasicConsume(0, f"q{channel}", "lazy", no_ack=True))
        buffered = []
        for _ in range(100):
            assert lazy.socket.recv(65_536)
            buffered.append(broker.control(most_buffered))
        assert max(buffered) < 1024 * 1024


def test_whoever_does_not_read_direct_replies_is_cut():
    settings = Settings(max_message_size=1024 * 1024)
    with (
        ThreadedBroker(settings=settings, stop_timeout=0) as broker,
        contextlib.ExitStack() as open_ones,
    ):
        connect = connector(broker, open_ones)
        server = connect()
        server.channel(1)
        server.call(1, m.QueueDeclare(0, "requests"))
        lazy = connect()
        lazy.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        lazy.channel(1)
        lazy.call(1, m.BasicConsume(0, "amq.rabbitmq.reply-to", "lazy", no_ack=True))
        lazy.publish(1, "", "requests", reply_to="amq.rabbitmq.reply-to")
        lazy.call(1, m.QueueDeclare(0, "requests", passive=True))
        address = reply_address(broker)
        most = 0
        for _ in range(1000):
            server.publish(1, "", address, bytes(100_000))
            server.call(1, m.QueueDeclare(0, "requests", passive=True))
            most = max(most, broker.control(most_buffered))
            if broker.connection_count() == 1:
                break
        assert broker.connection_count() == 1
        assert 1024 * 1024 < most < 4 * 1024 * 1024


def reply_address(broker):
    [request] = broker.messages("requests")
    return request.properties.reply_to


def test_a_client_that_asks_and_does_not_read_is_not_answered_without_end():
    with ThreadedBroker(stop_timeout=0) as broker, contextlib.ExitStack() as open_ones:
        client = connector(broker, open_ones)()
        client.channel(1)
        client.call(1, m.QueueDeclare(0, "q" * 200))
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        client.socket.settimeout(1.0)
        ask = method_frame(1, m.QueueDeclare(0, "q" * 200, passive=True)) * 100
        with pytest.raises(TimeoutError):
            client.socket.sendall(ask * 5000)
        assert broker.control(most_buffered) < 4 * 1024 * 1024


def test_a_client_that_reads_slowly_is_not_cut():
    settings = Settings(send_timeout=1.0)
    with (
        ThreadedBroker(settings=settings, stop_timeout=0) as broker,
        contextlib.ExitStack() as open_ones,
    ):
        connect = connector(broker, open_ones)
        client = connect()
        client.channel(1)
        client.call(1, m.QueueDeclare(0, "slow"))
        flood(client, "slow", 10_000)
        slow = connect()
        slow.channel(1)
        slow.send(1, m.BasicConsume(0, "slow", "slow", no_ack=True))
        # In all, longer than the time after which it would be cut.
        for _ in range(30):
            for _ in range(15):
                assert slow.socket.recv(65_536)
            time.sleep(0.1)
        assert broker.connection_count() == 2


# Messages that cost more than they weigh


def test_a_count_of_deaths_that_is_full_stays_so(amqp_url):
    with WireClient(amqp_url) as client:
        client.channel(1)
        dead = declare(client)
        queue = declare(client, max_length=1, dead_letter_exchange="", dead_letter_routing_key=dead)
        death = {"queue": queue, "reason": "maxlen", "count": 2**63 - 1}
        for _ in range(2):
            client.publish(1, "", queue, headers={"x-death": [death]})
        consume(client, dead, "dead", no_ack=True)
        received = client.receive(m.BasicDeliver)
    [death] = read_properties(received.content.header).headers["x-death"]
    assert death["count"] == 2**63 - 1


def publish_frame(size):
    return method_frame(1, m.BasicPublish(0, "", "q")) + frame(
        2, content_header(Properties(), size)
    )


def frame(kind, payload):
    return bytes([kind]) + b"\x00\x01" + len(payload).to_bytes(4, "big") + payload + b"\xce"


def test_a_body_of_tiny_frames_is_put_together_and_takes_little_memory():
    body = bytes(number % 251 for number in range(200_000))
    decoder = Decoder(expect_header=False)
    assert decoder.feed(publish_frame(len(body))) == []
    partial = PartialBody(len(body))
    most = 0
    for start in range(0, len(body) - 1, 100):
        tiny = [body[n : n + 1] for n in range(start, min(start + 100, 199_999))]
        assert decoder.feed(b"".join(frame(3, each) for each in [*tiny, b""])) == []
        for each in tiny:
            partial.add(each)
        most = max(most, len(partial))
    (event,) = decoder.feed(frame(3, body[-1:]))
    partial.add(body[-1:])
    assert event[2].body == partial.whole == body
    assert most < 2500


def test_empty_frames_of_a_body_are_not_kept():
    decoder = Decoder(expect_header=False)
    decoder.feed(publish_frame(1))
    partial = PartialBody(1)
    for _ in range(100):
        assert decoder.feed(frame(3, b"") * 100) == []
        partial.add(b"")
    assert len(partial) == 0


def test_the_headers_under_way_on_all_channels_are_bounded():
    decoder = Decoder(expect_header=False)
    decoder.frame_max = 131_072
    header = content_header(Properties(headers={"x": "y" * 100_000}), 10)
    frames = [frame(1, encode_method(m.BasicPublish(0, "", "q"))), frame(2, header)]

    def begin(channel):
        for each in frames:
            decoder.feed(each[:1] + channel.to_bytes(2, "big") + each[3:])

    for channel in range(1, 160):
        begin(channel)
    with pytest.raises(WireError, match="RESOURCE_ERROR"):
        begin_all(begin, range(160, 180))


def begin_all(begin, channels):
    for channel in channels:
        begin(channel)


def test_headers_are_kept_as_they_came_and_take_what_their_bytes_do():
    with ThreadedBroker(stop_timeout=0) as broker, contextlib.ExitStack() as open_ones:
        client = connector(broker, open_ones)()
        client.channel(1)
        client.call(1, m.QueueDeclare(0, "q"))
        # Decoded, they would take 7 MB each.
        headers = {"x": [{} for _ in range(20_000)]}
        broker.control(lambda hub: tracemalloc.start())
        try:
            for _ in range(20):
                client.publish(1, "", "q", headers=headers)
            client.call(1, m.QueueDeclare(0, "q", passive=True))
            taken = broker.control(lambda hub: tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
        memory = broker.memory()
        assert 20 * 100_000 < memory < 20 * 110_000
        assert taken < memory + 10_000_000
        client.call(1, m.QueuePurge(0, "q"))
        assert broker.memory() == 0


@pytest.mark.parametrize("message_id", [None, "each its own"])
def test_a_message_that_waits_takes_less_than_400_bytes_beyond_its_body(message_id):
    count = 20_000
    body = 100
    with ThreadedBroker(stop_timeout=0) as broker, contextlib.ExitStack() as open_ones:
        client = connector(broker, open_ones)()
        client.channel(1)
        client.call(1, m.QueueDeclare(0, "q"))
        broker.control(lambda hub: tracemalloc.start())
        try:
            before = broker.control(lambda hub: _traced())
            for number in range(count):
                own = f"{number:032}" if message_id else None
                client.publish(1, "", "q", bytes(body), message_id=own)
            client.call(1, m.QueueDeclare(0, "q", passive=True))
            each = (broker.control(lambda hub: _traced()) - before) / count - body
            assert each < (400 if message_id else 300)
            assert each < broker.memory() / count - body
            client.call(1, m.QueuePurge(0, "q"))
            assert broker.control(lambda hub: _traced()) - before < 2_000_000
        finally:
            tracemalloc.stop()


def _traced():
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
def test_what_a_transaction_holds_counts_as_memory(end):
    with ThreadedBroker(stop_timeout=0) as broker, contextlib.ExitStack() as open_ones:
        client = connector(broker, open_ones)()
        client.channel(1)
        client.call(1, m.QueueDeclare(0, "q"))
        client.call(1, m.TxSelect())
        for _ in range(10):
            client.publish(1, "", "q", bytes(100_000))
        client.call(1, m.QueueDeclare(0, "q", passive=True))
        assert broker.control(lambda hub: hub.model.memory) > 1_000_000
        method = {"commit": m.TxCommit(), "rollback": m.TxRollback(), "close": m.ChannelClose()}
        client.call(1, method[end])
        if end == "commit":
            assert client.call(1, m.QueuePurge(0, "q")).message_count == 10
        assert broker.control(lambda hub: hub.model.memory) == 0


# What is over costs nothing


def test_what_was_to_be_done_for_queues_that_are_gone_is_forgotten():
    with ThreadedBroker(stop_timeout=0) as broker, contextlib.ExitStack() as open_ones:
        client = connector(broker, open_ones)()
        client.channel(1)
        for _ in range(500):
            declare(client, "q", expires=10**9)
            client.call(1, m.QueueDelete(0, "q"))
        assert broker.control(lambda hub: len(hub.model.schedule)) < 150


def test_messages_that_are_gone_leave_nothing_to_be_done():
    with ThreadedBroker(stop_timeout=0) as broker, contextlib.ExitStack() as open_ones:
        client = connector(broker, open_ones)()
        client.channel(1)
        declare(client, "q")
        for number in range(500):
            # Each would be looked for sooner than all before.
            client.publish(1, "", "q", expiration=str(10**9 - number * 1000))
            client.get(1, "q")
        assert broker.control(lambda hub: len(hub.model.schedule)) < 150


def test_consumers_of_queues_that_are_gone_are_forgotten():
    with ThreadedBroker(stop_timeout=0) as broker, contextlib.ExitStack() as open_ones:
        client = connector(broker, open_ones)()
        client.channel(1)
        client.call(1, m.BasicQos(0, 1, False))
        before = broker.control(count_queues)
        for _ in range(50):
            declare(client, "q")
            client.publish(1, "", "q")
            client.publish(1, "", "q")
            client.call(1, m.BasicConsume(0, "q", "tag"))
            # The consumer waits now until it may take the second one.
            client.receive(m.BasicDeliver)
            client.call(1, m.QueueDelete(0, "q"))
            client.send(1, m.BasicAck(0, True))
        client.call(1, m.BasicQos(0, 1, False))
        assert broker.control(count_queues) - before < 5


def count_queues(_hub):
    gc.collect()
    return sum(isinstance(each, Queue) for each in gc.get_objects())


def test_settling_nothing_in_a_transaction_is_not_remembered():
    with ThreadedBroker(stop_timeout=0) as broker, contextlib.ExitStack() as open_ones:
        client = connector(broker, open_ones)()
        client.channel(1)
        client.call(1, m.TxSelect())
        client.call(1, m.TxRollback())
        before = broker.control(count_tuples)
        for _ in range(1000):
            client.send(1, m.BasicAck(0, True))
        client.call(1, m.BasicQos(0, 1, False))
        assert broker.control(count_tuples) - before < 500
        client.call(1, m.TxCommit())


def count_tuples(_hub):
    gc.collect()
    return sum(isinstance(each, tuple) for each in gc.get_objects())
