"""The ways to run the broker, its controls, and its plugin for pytest."""

import asyncio
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from gestalt.amq.embedded import EmbeddedBroker, Settings, ThreadedBroker
from gestalt.amq.wire import methods as m
from gestalt.core import State, StateError
from tests.support.wire_client import ClosedError, WireClient

pytest_plugins = ["pytester"]


@pytest.fixture
def client(amqp_url):
    with WireClient(amqp_url) as client:
        client.channel(1)
        yield client


async def test_a_component_starts_serves_and_stops():
    broker = EmbeddedBroker(stop_timeout=0.2)
    with pytest.raises(StateError):
        _ = broker.url
    async with broker:
        client = await asyncio.to_thread(WireClient, broker.url)
        assert broker.connection_count() == 1
    assert broker.state is State.STOPPED
    assert client.closed(0).text.startswith("CONNECTION_FORCED - broker forced connection closure")
    client.socket.close()


async def test_a_broker_starts_again_empty_on_another_port():
    broker = EmbeddedBroker()
    for _ in range(2):
        async with broker:
            with await asyncio.to_thread(WireClient, broker.url) as client:
                await asyncio.to_thread(client.channel, 1)
                await asyncio.to_thread(client.call, 1, m.QueueDeclare(0, "q"))
            assert [queue.name for queue in broker.queues()] == ["q"]


async def test_a_client_that_does_not_answer_cannot_hold_the_stop_back():
    async with EmbeddedBroker(stop_timeout=0.05) as broker:
        client = await asyncio.to_thread(WireClient, broker.url)
    client.socket.close()


async def test_a_port_in_use_is_an_error_of_start():
    async with EmbeddedBroker() as broker:
        second = EmbeddedBroker(port=broker.port)
        with pytest.raises(OSError, match="in use"):
            await second.start()
        assert second.state is State.FAILED
    with ThreadedBroker() as first, pytest.raises(OSError, match="in use"):
        ThreadedBroker(port=first.port).start()


def test_a_thread_runs_a_broker_for_synchronous_code():
    broker = ThreadedBroker()
    with broker, WireClient(broker.url) as client:
        client.channel(1)
        assert broker.connection_count() == 1
    with pytest.raises(StateError):
        broker.connection_count()
    broker.stop()


def test_users_and_virtual_hosts_are_settings():
    settings = Settings(users={"a b": "p@ss/word"}, virtual_hosts=("/one", "two"))
    with ThreadedBroker(settings=settings) as broker:
        for host in settings.virtual_hosts:
            with WireClient(broker.url_for(virtual_host=host)) as client:
                client.channel(1)
                client.call(1, m.QueueDeclare(0, host))
        assert [queue.name for queue in broker.queues("two")] == ["two"]
        with pytest.raises(ClosedError, match="refused"):
            WireClient(broker.url.replace("a%20b", "other"))


def test_connections_are_dropped_without_a_word(amqp_broker, client):
    assert amqp_broker.drop_connections(user="nobody") == 0
    assert amqp_broker.drop_connections() == 1
    with pytest.raises(ConnectionError):
        client.channel(2)


def test_connections_are_closed_as_an_operator_does(amqp_broker, client):
    assert amqp_broker.close_connections(reason="maintenance") == 1
    error = client.closed(0)
    assert (error.code, error.scope) == (320, "connection")
    assert error.text.endswith("closure with reason 'maintenance'")


def test_a_frozen_broker_answers_nothing_until_it_is_unfrozen(amqp_broker, client):
    amqp_broker.freeze()
    client.socket.settimeout(0.05)
    with pytest.raises(TimeoutError):
        client.channel(2)
    with pytest.raises(TimeoutError):
        WireClient(amqp_broker.url, timeout=0.05)
    client.socket.settimeout(10)
    amqp_broker.unfreeze()
    assert isinstance(client.answer(2).method, m.ChannelOpenOk)


def test_connections_are_refused_and_accepted_again(amqp_broker, client):
    port = amqp_broker.port
    amqp_broker.refuse_connections()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1)
    client.channel(2)
    amqp_broker.accept_connections()
    assert amqp_broker.port == port
    with WireClient(amqp_broker.url) as other:
        other.channel(1)


def test_publishers_are_blocked_and_consumers_are_not(amqp_broker, client):
    name = client.call(1, m.QueueDeclare(0, "")).queue
    client.call(1, m.ConfirmSelect())
    client.publish(1, "", name, b"before")
    assert client.receive(m.BasicAck)
    with WireClient(amqp_broker.url) as consumer:
        consumer.channel(1)
        amqp_broker.block_publishers("testing")
        client.channel(2)  # what does not publish is not blocked
        client.publish(1, "", name, b"first")
        client.publish(1, "", name, b"second")
        assert client.receive(m.ConnectionBlocked).method == m.ConnectionBlocked("testing")
        client.send(3, m.ChannelOpen())
        consumer.call(1, m.BasicConsume(0, name, "tag", no_ack=True))
        assert consumer.receive(m.BasicDeliver).content.body == b"before"
        assert [queue.ready for queue in amqp_broker.queues()] == [0]
        amqp_broker.unblock_publishers()
        assert [consumer.receive(m.BasicDeliver).content.body for _ in range(2)] == [
            b"first",
            b"second",
        ]
        assert isinstance(client.answer(3).method, m.ChannelOpenOk)
        assert [type(received.method) for received in client.inbox[:2]] == [
            m.ConnectionUnblocked,
            m.BasicAck,
        ]


def test_what_waits_for_publishers_to_be_unblocked_waits_for_the_broker_to_be_unfrozen_too(
    amqp_broker, client
):
    name = client.call(1, m.QueueDeclare(0, "")).queue
    amqp_broker.block_publishers()
    client.publish(1, "", name)
    assert client.receive(m.ConnectionBlocked)
    amqp_broker.freeze()
    amqp_broker.unblock_publishers()
    assert [queue.ready for queue in amqp_broker.queues()] == [0]
    amqp_broker.unfreeze()
    assert [queue.ready for queue in amqp_broker.queues()] == [1]


def test_memory_is_bounded_by_blocking_publishers():
    with (
        ThreadedBroker(settings=Settings(memory_limit=100_000)) as broker,
        WireClient(broker.url) as client,
        WireClient(broker.url) as consumer,
    ):
        client.channel(1)
        consumer.channel(1)
        name = client.call(1, m.QueueDeclare(0, "")).queue
        for _ in range(10):
            client.publish(1, "", name, b"x" * 40_000)
        assert client.receive(m.ConnectionBlocked).method.reason == "low on memory"
        assert 100_000 < broker.memory() < 300_000
        published = consumer.call(1, m.QueuePurge(0, name)).message_count
        assert 3 <= published < 8
        # Each time that there is room, more of it comes.
        while published < 10:
            published += consumer.call(1, m.QueuePurge(0, name)).message_count
        assert client.receive(m.ConnectionUnblocked)
        assert broker.memory() == 0


def test_publishes_are_answered_with_a_nack_on_demand(amqp_broker, client):
    name = client.call(1, m.QueueDeclare(0, "")).queue
    client.call(1, m.ConfirmSelect())
    amqp_broker.reject_publishes()
    client.publish(1, "", name, b"refused")
    assert client.receive(m.BasicNack).method.delivery_tag == 1
    amqp_broker.reject_publishes(False)
    client.publish(1, "", name, b"accepted")
    assert client.receive(m.BasicAck).method.delivery_tag == 2
    assert [message.body for message in amqp_broker.messages(name)] == [b"accepted"]


def test_queues_and_messages_can_be_listed(amqp_broker, client):
    client.call(1, m.QueueDeclare(0, "q", durable=True, arguments={"x-max-length": 5}))
    client.call(1, m.ExchangeDeclare(0, "e", "topic"))
    client.publish(1, "", "q", b"first", correlation_id="1")
    client.publish(1, "", "q", b"second")
    client.get(1, "q", no_ack=False)
    [queue] = amqp_broker.queues()
    assert (queue.name, queue.durable, queue.exclusive) == ("q", True, False)
    assert (queue.ready, queue.unacked, queue.consumers) == (1, 1, 0)
    assert queue.arguments == {"x-max-length": 5}
    [message] = amqp_broker.messages("q")
    assert (message.body, message.routing_key, message.redelivered) == (b"second", "q", False)
    assert amqp_broker.exchanges()["e"] == "topic"


def test_heartbeats_come_when_nothing_else_does_and_silence_ends_the_connection(amqp_broker):
    address = ("127.0.0.1", amqp_broker.port)
    with WireClient(amqp_broker.url) as quiet, socket.create_connection(address, 10) as beating:
        quiet.channel(1)  # without a heartbeat, silence is no offence
        client = WireClient.__new__(WireClient)
        client.__dict__.update(quiet.__dict__, socket=beating, events=type(quiet.events)())
        beating.sendall(b"AMQP\x00\x00\x09\x01")
        client.answer(0)
        client.send(0, m.ConnectionStartOk({}, "AMQPLAIN", amqplain("guest", "guest")))
        client.answer(0)
        client.send(0, m.ConnectionTuneOk(2047, 131_072, 1))
        client.call(0, m.ConnectionOpen("/"))
        assert beating.recv(100).startswith(b"\x08\x00\x00\x00\x00\x00\x00\xce")
        with pytest.raises(ConnectionResetError):
            read_all(beating)  # until the broker has waited for two of ours
        quiet.channel(2)


def read_all(sock):
    while sock.recv(100):
        pass


def amqplain(user, password):
    from gestalt.amq.wire import encode_table

    return encode_table({"LOGIN": user, "PASSWORD": password})[4:]


def test_the_time_for_an_acknowledgement_is_a_setting():
    settings = Settings(consumer_timeout=0.2)
    with ThreadedBroker(settings=settings, compatible="3.10", stop_timeout=0) as broker:
        with WireClient(broker.url) as client:
            client.channel(1)
            client.call(1, m.QueueDeclare(0, "q"))
            client.publish(1, "", "q")
            client.call(1, m.BasicConsume(0, "q", "slow"))
            client.receive(m.BasicDeliver)
            assert "Timeout value used: 200 ms" in client.closed().text
        assert broker.queues()[0].ready == 1


@pytest.fixture
def process():
    with subprocess.Popen(
        [sys.executable, "-m", "gestalt.amq.embedded", "--port", "0", "--user", "me:secret"],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_serves_until_a_signal_and_ends_cleanly(process, number):
    url = re.search(r"listening on (\S+);", process.stderr.readline())[1]
    assert url.startswith("amqp://me:secret@127.0.0.1:")
    with WireClient(url) as client:
        client.channel(1)
        process.send_signal(number)
        assert client.closed().code == 320
    assert process.wait(10) == 0
    rest = process.stderr.read()
    assert f"{number.name}: closing 1 connections" in rest
    assert rest.rstrip().endswith("stopped")


def test_the_command_explains_itself():
    command = [sys.executable, "-m", "gestalt.amq.embedded"]
    shown = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    assert "in production, use RabbitMQ" in " ".join(shown.stdout.split())
    wrong = subprocess.run([*command, "--user", "x"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "a user is NAME:PASSWORD" in wrong.stderr


def test_a_process_names_an_address_that_it_cannot_use(amqp_broker):
    command = [sys.executable, "-m", "gestalt.amq.embedded", "--port", str(amqp_broker.port)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {amqp_broker.port}" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_plugin_gives_each_test_a_broker_of_its_own(pytester):
    pytester.makepyfile(
        """
        import socket

        def test_first(amqp_broker, amqp_url):
            assert amqp_broker.url == amqp_url
            assert amqp_broker.queues() == []

        def test_second(amqp_url):
            assert amqp_url.startswith("amqp://guest:guest@127.0.0.1:")
        """
    )
    pytester.runpytest_inprocess(
        "-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function"
    ).assert_outcomes(passed=2)


def test_who_does_not_use_the_plugin_does_not_pay_for_it():
    script = (
        "import sys, gestalt.amq.embedded.pytest_plugin\n"
        "loaded = [name for name in sys.modules if name.startswith('gestalt.amq.embedded.')]\n"
        "assert loaded == ['gestalt.amq.embedded.pytest_plugin'], loaded"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_embedded_broker_imports_no_client():
    script = (
        "import sys, gestalt.amq.embedded as e; e.EmbeddedBroker\n"
        "assert not [n for n in sys.modules if n.split('.')[0] in ('aio_pika', 'aiormq', 'pamqp')]"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


async def test_starting_takes_less_than_50_milliseconds():
    times = []
    for _ in range(5):
        start = time.perf_counter()
        async with EmbeddedBroker():
            times.append(time.perf_counter() - start)
    assert min(times) < 0.05
