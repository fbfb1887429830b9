"""The control of a broker from outside its process, by the command and by its socket."""

import asyncio
import json
import re
import socket
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import Future

import pytest

from gestalt.amq.embedded import EmbeddedBroker, Settings
from gestalt.amq.embedded.control import ControlError, ControlSocket, ask, default_path, make_folder
from gestalt.amq.embedded.control.__main__ import main
from gestalt.amq.embedded.control.operations import OPERATIONS
from gestalt.amq.wire import methods as m
from tests.support.wire_client import ClosedError, WireClient

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs unix sockets")

COMMAND = [sys.executable, "-m", "gestalt.amq.embedded", "--port", "0", "--vhost", "/"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "control.sock"


class Controlled:
    """A broker in a thread with its control socket, and the command that controls it."""

    def __init__(self, path, capsys):
        self.path, self._capsys = path, capsys
        self._started = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        self.url, self._stop = self._started.result(10)

    async def _run(self):
        broker = EmbeddedBroker(settings=Settings(virtual_hosts=("/", "other")), stop_timeout=0)
        control = ControlSocket(broker, self.path)
        async with broker:
            await control.open()
            loop = asyncio.get_running_loop()
            self._started.set_result(
                (broker.url, lambda: loop.call_soon_threadsafe(broker.request_stop))
            )
            await broker.wait_stopped()
            await control.close()

    def __call__(self, *arguments, status=0):
        assert main(["--socket", str(self.path), *arguments]) == status
        told = self._capsys.readouterr()
        return told.err if status else told.out

    def rows(self, *arguments):
        return json.loads(self("--formatter", "json", *arguments))

    def end(self):
        self._stop()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def control(path, capsys):
    controlled = Controlled(path, capsys)
    yield controlled
    controlled.end()
    assert not path.exists()


@pytest.fixture
def client(control):
    with WireClient(control.url) as client:
        client.channel(1)
        yield client


def test_the_socket_is_this_users_alone(control):
    assert stat.S_IMODE(control.path.stat().st_mode) == 0o600


def test_what_there_is_can_be_listed(control, client):
    arguments = {"x-max-length": 5, "of-bytes": b"\xff"}
    client.call(1, m.QueueDeclare(0, "q", durable=True, arguments=arguments))
    client.call(1, m.QueueBind(0, "q", "amq.topic", "a.*"))
    client.call(1, m.BasicQos(0, 7))
    client.publish(1, "", "q")
    client.call(1, m.BasicConsume(0, "q", "me"))
    client.receive(m.BasicDeliver)
    client.publish(1, "amq.topic", "a.b")
    client.receive(m.BasicDeliver)
    (queue,) = control.rows("list_queues")
    assert (queue["name"], queue["messages_ready"], queue["messages_unacknowledged"]) == ("q", 0, 2)
    told = {"x-max-length": 5, "of-bytes": "\ufffd"}
    assert (queue["consumers"], queue["arguments"]) == (1, told)
    (binding,) = control.rows("list_bindings")
    assert (binding["source_name"], binding["routing_key"]) == ("amq.topic", "a.*")
    (connection,) = control.rows("list_connections")
    port = client.socket.getsockname()[1]
    assert connection["name"].startswith(f"127.0.0.1:{port} -> 127.0.0.1:")
    assert (connection["user"], connection["vhost"], connection["state"]) == (
        "guest", "/", "running",
    )  # fmt: skip
    (consumer,) = control.rows("list_consumers")
    assert (consumer["queue_name"], consumer["consumer_tag"]) == ("q", "me")
    assert (consumer["connection"], consumer["channel"]) == (connection["name"], 1)
    assert (consumer["prefetch_count"], consumer["messages_unacknowledged"]) == (7, 2)
    assert {"name": "amq.topic", "type": "topic"} in control.rows("list_exchanges")
    (status,) = control.rows("status")
    assert (status["connections"], status["queues"]) == (1, 1)
    assert status["message_memory"] > 0


def test_a_connection_that_only_begins_is_listed_and_has_no_consumers(control, client):
    with socket.create_connection(client.socket.getpeername()) as other:
        other.sendall(b"AMQP\0\0\x09\x01")
        assert other.recv(1)
        states = [row["state"] for row in control.rows("list_connections")]
        assert sorted(states) == ["running", "starting"]
        assert control.rows("list_consumers") == []


def test_a_table_is_for_people_and_names_do_not_move_their_cursor(control, client):
    assert control("list_queues") == ""
    client.call(1, m.QueueDeclare(0, "a\x1b[2Jb", exclusive=True))
    heading, line = control("list_queues").splitlines()
    assert heading.split()[:3] == ["name", "type", "messages_ready"]
    assert line.split()[:3] == ["a?[2Jb", "classic", "0"]


def test_the_waiting_single_active_consumer_is_not_active(control, client):
    client.call(1, m.QueueDeclare(0, "q", arguments={"x-single-active-consumer": True}))
    for tag in ("first", "second"):
        client.call(1, m.BasicConsume(0, "q", tag))
    rows = control.rows("list_consumers")
    assert {row["consumer_tag"]: row["active"] for row in rows} == {"first": True, "second": False}


def test_queues_are_purged_and_deleted_where_they_are(control, client):
    client.call(1, m.QueueDeclare(0, "q"))
    client.call(1, m.ConfirmSelect())
    client.publish(1, "", "q")
    client.receive(m.BasicAck)
    assert control("purge_queue", "q") == "dropped 1 message of the queue 'q'\n"
    assert "no queue 'q' in vhost 'other'" in control("-p", "other", "delete_queue", "q", status=1)
    client.call(1, m.BasicConsume(0, "q", "me"))
    assert control("delete_queue", "q") == "deleted the queue 'q' and 0 messages\n"
    assert client.receive(m.BasicCancel).method.consumer_tag == "me"
    assert control.rows("list_queues") == []


def test_policies_and_operator_policies_are_set_listed_and_cleared(control, client):
    client.call(1, m.QueueDeclare(0, "q"))
    control("set_policy", "a", "^q", '{"max-length": 5}', "--apply-to", "queues", "--priority", "2")
    control("set_operator_policy", "b", "^q", '{"max-length": 1}')
    assert control.rows("list_policies") == [
        {
            "vhost": "/",
            "name": "a",
            "pattern": "^q",
            "apply-to": "queues",
            "definition": {"max-length": 5},
            "priority": 2,
        }
    ]
    (queue,) = control.rows("list_queues")
    assert (queue["policy"], queue["operator_policy"]) == ("a", "b")
    control("clear_policy", "a")
    control("clear_operator_policy", "b")
    assert control.rows("list_policies") == control.rows("list_operator_policies") == []
    refused = control("clear_policy", "a", status=1)
    assert "there is no policy 'a' in the virtual host '/'" in refused
    refused = control("set_operator_policy", "b", "^q", '{"alternate-exchange": "x"}', status=1)
    assert "an operator policy cannot define 'alternate-exchange'" in refused


def test_one_connection_is_closed_by_its_name_and_the_others_stay(control, client):
    (row,) = control.rows("list_connections")
    with WireClient(control.url) as other:
        control("close_connection", row["name"], "go away")
        closed = client.closed()
        assert (closed.code, closed.scope) == (320, "connection")
        assert "reason 'go away'" in closed.text
        other.channel(1)
    assert "there is no connection 'no'" in control("close_connection", "no", "x", status=1)


@pytest.mark.parametrize(
    "operation", [("close_all_connections",), ("close_all_user_connections", "guest")]
)
def test_all_connections_are_closed(control, client, operation):
    assert control(*operation, "bye") == "closed 1 connection\n"
    assert "reason 'bye'" in client.closed().text


def test_a_stopped_broker_refuses_and_a_started_one_has_what_it_had(control, client):
    client.call(1, m.QueueDeclare(0, "q"))
    control("stop_app")
    assert client.closed().code == 320
    with pytest.raises(ConnectionRefusedError):
        WireClient(control.url)
    control("start_app")
    with WireClient(control.url) as again:
        again.channel(1)
        again.call(1, m.QueueDeclare(0, "q", True))


def test_publishers_are_blocked_with_a_reason_and_released(control, client):
    control("block_publishers", "--reason", "out of disk")
    client.publish(1, "", "q")
    assert client.receive(m.ConnectionBlocked).method.reason == "out of disk"
    assert control.rows("list_connections")[0]["state"] == "blocked"
    assert control.rows("status")[0]["publishers_blocked"] == "out of disk"
    control("unblock_publishers")
    client.receive(m.ConnectionUnblocked)


def test_faults_that_tests_make_can_be_made_from_outside(control, client):
    client.call(1, m.ConfirmSelect())
    client.call(1, m.QueueDeclare(0, "q"))
    control("reject_publishes")
    client.publish(1, "", "q")
    client.receive(m.BasicNack)
    control("take_publishes")
    control("freeze")
    client.publish(1, "", "q")
    with pytest.raises(TimeoutError):
        client.receive(m.BasicAck, timeout=0.2)
    control("unfreeze")
    client.receive(m.BasicAck)
    control("drop_connections")
    with pytest.raises(ConnectionError):
        client.closed()


def test_a_quiet_command_prints_tables_alone(control):
    assert control("-q", "close_all_connections", "x") == ""
    assert control("close_all_connections", "-q", "x") == ""
    assert control("-q", "status").startswith("connections")


def test_the_command_explains_each_operation(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    assert all(name in told for name in OPERATIONS)
    with pytest.raises(SystemExit, match="2"):
        main(["set_policy", "a", "b", "{"])
    assert "it is no JSON" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["set_policy", "a", "b", "[1]"])
    assert "it is to be a JSON object" in capsys.readouterr().err


def test_no_broker_is_an_error_that_names_the_socket(path, capsys):
    assert main(["--socket", str(path), "status"]) == 1
    assert capsys.readouterr().err == (
        f"error: no broker is controlled by {path}: No such file or directory\n"
    )


@pytest.mark.parametrize(
    ("request_line", "text"),
    [
        (b"{", "Expecting"),
        (b"3", "a request has an operation that there is"),
        (b'{"operation": "odd"}', "a request has an operation that there is"),
        (b'{"operation": ["status"]}', "a request has an operation that there is"),
        (b'{"operation": "status", "options": 3}', "a request has an operation that there is"),
        (b'{"operation": "status", "options": {"x": 1}}', "status has no parameter 'x'"),
        (
            b'{"operation": "purge_queue"}',
            "purge_queue needs the parameter 'name', of the",
        ),
        (b'{"operation": "purge_queue", "options": {"name": 3}}', "needs the parameter 'name'"),
        (b'{"operation": "list_queues", "options": {"vhost": "no"}}', "vhost no not found"),
        (b"[" * 100_000, ""),
        (b"\xff", ""),
    ],
)
def test_a_bad_request_is_answered_and_the_next_is_served(control, request_line, text):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(control.path))
        answers = client.makefile("rb")
        client.sendall(request_line + b"\n")
        assert text in json.loads(answers.readline())["error"]
        client.sendall(b'{"operation": "status"}\n')
        assert json.loads(answers.readline())["result"][0]["connections"] == 0


def test_a_request_without_end_costs_its_own_connection(control):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(control.path))
        with pytest.raises(ConnectionError):
            client.sendall(b"x" * 8_000_000)
    assert control.rows("status")[0]["connections"] == 0


def test_clients_that_are_too_many_are_let_go_and_the_first_are_served(control):
    clients = []
    try:
        for _ in range(17):
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(10)
            client.connect(str(control.path))
            clients.append(client)
        assert clients[16].recv(1) == b""
        clients[0].sendall(b'{"operation": "status"}\n')
        assert b"result" in clients[0].recv(65536)
    finally:
        for client in clients:
            client.close()


async def test_a_broker_does_not_take_the_socket_of_another(control):
    async with EmbeddedBroker() as second:
        with pytest.raises(OSError, match="is the control socket of a broker that runs"):
            await ControlSocket(second, control.path).open()
    assert await asyncio.to_thread(ask, control.path, "status", {})


async def test_a_socket_that_was_left_behind_is_replaced_and_a_file_is_not(path):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    async with EmbeddedBroker() as broker:
        control = ControlSocket(broker, path)
        await control.open()
        assert await asyncio.to_thread(ask, path, "status", {})
        await control.close()
        path.write_text("mine")
        with pytest.raises(FileExistsError, match="is there, and no socket"):
            await control.open()
    assert path.read_text() == "mine"


async def test_a_path_that_is_too_long_is_named(tmp_path):
    long = tmp_path / ("x" * 100) / "s"
    long.parent.mkdir()
    async with EmbeddedBroker() as broker:
        with pytest.raises(OSError, match="x/s cannot be a socket: AF_UNIX path too long"):
            await ControlSocket(broker, long).open()


def test_a_process_is_controlled_by_the_path_that_it_is_given(path):
    process = subprocess.Popen(
        [*COMMAND, "--control", str(path)], stderr=subprocess.PIPE, text=True
    )
    try:
        assert "listening on" in process.stderr.readline()
        assert process.stderr.readline().rstrip().endswith(f"controlled by {path}")
        command = [sys.executable, "-m", "gestalt.amq.embedded.control", "--socket", str(path)]
        assert b"connections" in subprocess.check_output([*command, "status"])
        # Another one does not take it.
        second = subprocess.run(
            [*COMMAND, "--control", str(path)], capture_output=True, text=True, check=False
        )
        assert second.returncode == 1
        assert f"{path} is the control socket of a broker that runs" in second.stderr
    finally:
        process.terminate()
        process.communicate()
    assert not path.exists()


def test_the_usual_socket_is_in_a_folder_of_this_users_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    path = default_path(5672)
    assert path == tmp_path / "gestalt" / "amq-5672.sock"
    make_folder(path)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.parent.chmod(0o755)
    with pytest.raises(PermissionError, match="is not this user's alone"):
        make_folder(path)


def test_a_broker_whose_usual_socket_cannot_be_serves_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "no" / "such"))
    process = subprocess.Popen(COMMAND, stderr=subprocess.PIPE, text=True)
    try:
        url = re.search(r"listening on (\S+);", process.stderr.readline())[1]
        assert "it cannot be controlled from outside" in process.stderr.readline()
        with WireClient(url) as client:
            client.channel(1)
    finally:
        process.terminate()
        process.communicate()


def test_a_broker_that_is_not_to_be_controlled_has_no_socket(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    process = subprocess.Popen([*COMMAND, "--no-control"], stderr=subprocess.PIPE, text=True)
    try:
        url = re.search(r"listening on (\S+);", process.stderr.readline())[1]
        with WireClient(url):
            assert list(tmp_path.iterdir()) == []
    finally:
        process.terminate()
        process.communicate()


def test_a_broker_that_does_not_answer_is_an_error_after_a_time(path):
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        began = time.monotonic()
        with pytest.raises(ControlError, match=r"has not answered within 0\.1 s"):
            ask(path, "status", {}, timeout=0.1)
        assert time.monotonic() - began < 5


# Within the process, by the same controls


@pytest.fixture
def inside(amqp_broker):
    with WireClient(amqp_broker.url) as client:
        client.channel(1)
        yield amqp_broker, client


def test_the_controls_of_a_broker_tell_and_do_the_same(inside):
    broker, client = inside
    client.call(1, m.QueueDeclare(0, "q"))
    client.call(1, m.ExchangeDeclare(0, "e", "fanout"))
    client.call(1, m.ExchangeBind(0, "e", "amq.direct", "k"))
    client.call(1, m.BasicConsume(0, "q", "me"))
    (connection,) = broker.connections()
    assert (connection.user, connection.state, connection.channels) == ("guest", "running", 1)
    (consumer,) = broker.consumers()
    assert (consumer.queue, consumer.tag, consumer.connection) == ("q", "me", connection.name)
    (binding,) = broker.bindings()
    assert (binding.source, binding.destination, binding.destination_kind) == (
        "amq.direct", "e", "exchange",
    )  # fmt: skip
    assert broker.delete_queue("q") == 0
    assert client.receive(m.BasicCancel).method.consumer_tag == "me"
    assert not broker.close_connection("no")
    assert broker.close_connection(connection.name)
    with pytest.raises(ClosedError):
        client.call(1, m.QueueDeclare(0, "q"))
