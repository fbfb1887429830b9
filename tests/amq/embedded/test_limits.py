"""How much there may be in the broker, and that one who wants too much costs nobody else."""

import contextlib
import socket

import pytest

from gestalt.amq.embedded import ResourceLimits, Settings, ThreadedBroker
from gestalt.amq.wire import methods as m
from tests.support.wire_client import ClosedError, WireClient


@contextlib.contextmanager
def broker_with(**limits):
    settings = Settings(limits=ResourceLimits(**limits))
    with ThreadedBroker(settings=settings, stop_timeout=0) as broker:
        yield broker


def refused(call):
    with pytest.raises(ClosedError) as refusal:
        call()
    return refusal.value.code, refusal.value.scope, refusal.value.text


def declare(client, name, **named):
    return lambda: client.call(1, m.QueueDeclare(0, name, durable=True, **named))


# The first three texts are those of RabbitMQ 4.3.


def test_one_queue_too_many_costs_the_channel_and_a_deleted_one_makes_room():
    with broker_with(queues=2) as broker, WireClient(broker.url) as client:
        client.channel(1)
        declare(client, "a")()
        declare(client, "b", exclusive=True)()
        declare(client, "a")()
        assert refused(declare(client, "c")) == (
            406,
            "channel",
            "PRECONDITION_FAILED - cannot declare queue 'c': queue limit in vhost '/' (2) is"
            " reached",
        )
        client.channel(1)
        client.call(1, m.QueueDelete(0, "a"))
        declare(client, "c")()
        with WireClient(broker.url) as other:
            other.channel(1)
            assert refused(declare(other, "d"))[0] == 406
            client.socket.close()
            other.channel(1)
            # The exclusive queue has gone with its connection.
            broker.control(lambda hub: None)
            declare(other, "d")()


def test_one_exchange_too_many_costs_the_channel():
    with broker_with(exchanges=1) as broker, WireClient(broker.url) as client:
        client.channel(1)
        client.call(1, m.ExchangeDeclare(0, "a", "topic"))
        client.call(1, m.ExchangeDeclare(0, "a", "topic"))
        assert refused(lambda: client.call(1, m.ExchangeDeclare(0, "b", "topic"))) == (
            406,
            "channel",
            "PRECONDITION_FAILED - cannot declare exchange 'b' in vhost '/': exchange limit of 1 is"
            " reached",
        )
        client.channel(1)
        client.call(1, m.ExchangeDelete(0, "a"))
        client.call(1, m.ExchangeDeclare(0, "b", "topic"))


def test_one_consumer_too_many_costs_the_connection():
    with broker_with(consumers=2) as broker, WireClient(broker.url) as client:
        client.channel(1)
        declare(client, "q")()
        client.call(1, m.BasicConsume(0, "q", "one"))
        client.call(1, m.BasicConsume(0, "q", "two"))
        client.call(1, m.BasicCancel("one"))
        client.call(1, m.BasicConsume(0, "q", "three"))
        assert refused(lambda: client.call(1, m.BasicConsume(0, "q", "four"))) == (
            530,
            "connection",
            "NOT_ALLOWED - reached maximum (2) of consumers per channel",
        )


def test_one_binding_too_many_costs_the_channel_and_what_is_bound_already_is_none():
    with broker_with(bindings=2) as broker, WireClient(broker.url) as client:
        client.channel(1)
        declare(client, "q")()

        def bind(key):
            return lambda: client.call(1, m.QueueBind(0, "q", "amq.topic", key))

        for key in ("a", "b", "a"):
            bind(key)()
        code, scope, text = refused(bind("c"))
        assert (code, scope) == (406, "channel")
        assert "cannot bind 'q' in vhost '/': binding limit of 2 is reached" in text
        client.channel(1)
        client.call(1, m.QueueUnbind(0, "q", "amq.topic", "a"))
        bind("c")()
        client.call(1, m.QueueDelete(0, "q"))
        declare(client, "q")()
        bind("a")()
        bind("b")()


def test_one_connection_too_many_is_refused_and_one_that_ends_makes_room():
    with broker_with(connections=1) as broker:
        with WireClient(broker.url):
            assert refused(lambda: WireClient(broker.url)) == (
                530,
                "connection",
                "NOT_ALLOWED - access to vhost '/' refused for user 'guest': connection limit (1)"
                " is reached",
            )
        until_room(broker)


def until_room(broker):
    """Connect, which is refused until the broker has seen the end of the one before."""
    for _ in range(1000):
        try:
            WireClient(broker.url).socket.close()
        except ClosedError:
            continue
        return
    raise AssertionError("there is never room")


def test_connections_that_say_nothing_are_no_more_than_twice_the_limit():
    with broker_with(connections=3) as broker, contextlib.ExitStack() as open_ones:
        silent = [
            open_ones.enter_context(socket.create_connection(("127.0.0.1", broker.port), 10.0))
            for _ in range(7)
        ]
        # One of them is cut; which, depends on the order in which they are accepted.
        assert b"" in {last_word(each) for each in silent[-1:]}
        assert broker.connection_count() == 6


def last_word(connection):
    try:
        return connection.recv(1)
    except ConnectionResetError:
        return b""


def test_one_channel_too_many_costs_the_connection_that_wants_it_alone():
    with (
        broker_with(channels=2) as broker,
        WireClient(broker.url) as first,
        WireClient(broker.url) as second,
    ):
        first.channel(1)
        second.channel(1)
        code, scope, text = refused(lambda: second.channel(2))
        assert (code, scope) == (530, "connection")
        assert "has reached the maximum allowed limit of (2)" in text
        declare(first, "q")()
        # Those of the connection that was closed are free again.
        first.channel(2)


def test_arguments_cannot_fill_the_memory():
    with broker_with(definitions=1_000_000) as broker, WireClient(broker.url) as client:
        client.channel(1)
        declare(client, "q")()
        large = {f"{number}": "x" * 1000 for number in range(100)}

        def bind(key, arguments):
            return lambda: client.call(1, m.QueueBind(0, "q", "amq.headers", key, False, arguments))

        bind("1", large)()
        bind("2", large)()
        code, _, text = refused(bind("3", large))
        assert code == 406
        assert "definitions limit of 1000000 bytes is reached" in text
        client.channel(1)
        bind("3", {})()
        client.call(1, m.QueueUnbind(0, "q", "amq.headers", "1", large))
        bind("4", large)()
