"""The health endpoint against clients that mean no good: they cost themselves only."""

import asyncio
import contextlib
import http.client
import json
import logging
import os
import socket
import threading
from collections.abc import Iterator

import pytest

pytest.importorskip("h11")

from gestalt.runner.health import HealthAddress
from gestalt.runner.health import connection as connection_module
from gestalt.runner.health import server as server_module
from gestalt.runner.health.address import listen
from gestalt.runner.health.connection import HEAD_SIZE, MOST_REQUESTS, Response
from gestalt.runner.health.server import MOST_CONNECTIONS, HealthServer

LARGE = 50_000_000


@pytest.fixture
def server() -> Iterator[HealthServer]:
    async def answer(method: str, target: str) -> Response:
        if target == "/raise":
            asyncio.get_running_loop().call_exception_handler({"message": "a callback failed"})
            raise LookupError("the answer cannot be made")
        body = bytes(LARGE) if target == "/large" else json.dumps([method, target]).encode()
        return Response(200, body)

    server = HealthServer(HealthAddress("127.0.0.1", 0), answer)
    server.start()
    yield server
    server.stop()
    assert not any(each.name == "health endpoint" for each in threading.enumerate())


def connect(server: HealthServer, source: str = "127.0.0.1") -> socket.socket:
    """A connection, from an address that may be another one of this machine."""
    return socket.create_connection(
        ("127.0.0.1", server.address.port), timeout=10, source_address=(source, 0)
    )


def read_all(client: socket.socket) -> bytes:
    found = b""
    while data := client.recv(65536):
        found += data
    return found


def answers(server: HealthServer, source: str = "127.0.0.1") -> bool:
    with connect(server, source) as client:
        client.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        return read_all(client).endswith(b'["GET", "/x"]')


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100) + b"\r\n\r\n", b"400"),
        (b"GET /" + b"x" * 2 * HEAD_SIZE + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 4000, b"431"),
    ],
    ids=["words", "no host", "TLS", "long target", "many headers"],
)
def test_what_is_no_request_is_refused_and_ends_the_connection(
    server: HealthServer, request_: bytes, status: bytes
) -> None:
    with connect(server) as client:
        client.sendall(request_)
        assert read_all(client).split()[1] == status
    assert answers(server)


def test_a_body_is_not_read_and_the_answer_arrives_all_the_same(server: HealthServer) -> None:
    with connect(server) as client:
        head = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n"
        client.sendall(head + bytes(30_000))
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"Connection: close" in answer
    assert answer.endswith(b'["POST", "/x"]')


def test_requests_that_follow_each_other_without_a_wait_are_answered_in_order(
    server: HealthServer,
) -> None:
    with connect(server) as client:
        for name in (b"/a", b"/b"):
            client.sendall(b"GET " + name + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        client.sendall(b"GET /c HTTP/1.0\r\n\r\n")
        answer = read_all(client)
    assert [answer.count(b'["GET", "/%s"]' % name) for name in (b"a", b"b", b"c")] == [1, 1, 1]
    assert answer.index(b"/a") < answer.index(b"/b") < answer.index(b"/c")


def test_a_connection_has_a_bound_of_requests(server: HealthServer) -> None:
    with connect(server) as client:
        request = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
        sending = threading.Thread(target=client.sendall, args=(request * (MOST_REQUESTS + 5),))
        sending.start()
        assert read_all(client).count(b"HTTP/1.1 200 OK") == MOST_REQUESTS
        sending.join(10)


def test_who_takes_all_connections_loses_its_own(server: HealthServer) -> None:
    first = connect(server, "127.0.0.2")
    first.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
    assert first.recv(65536)
    greedy = [connect(server, "127.0.0.3") for _ in range(2 * MOST_CONNECTIONS)]
    assert answers(server, "127.0.0.4")
    # It was there before all of them, and goes on.
    first.sendall(b"GET /y HTTP/1.1\r\nHost: a\r\n\r\n")
    assert first.recv(65536).endswith(b'["GET", "/y"]')
    # The oldest of the greedy one are closed.
    assert greedy[0].recv(1) == b""
    for each in (first, *greedy):
        each.close()


def test_who_sends_or_reads_slowly_is_cut(
    server: HealthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "HEAD_TIME", 0.3)
    monkeypatch.setattr(connection_module, "WRITE_TIME", 0.3)
    with connect(server) as sender, connect(server) as reader:
        sender.sendall(b"GET /x HTT")
        reader.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_all(sender) == b""
        assert answers(server)
        # It has been cut meanwhile, and gets what had left by then.
        assert len(read_all(reader)) < LARGE


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", ""])
def test_a_port_that_is_taken_is_told_whatever_the_host_stands_for(
    server: HealthServer, host: str
) -> None:
    taken = HealthAddress(host, server.address.port)
    with pytest.raises(OSError, match=r"cannot listen on .*: Address already in use"):
        listen(taken)


def test_an_answer_that_cannot_be_made_costs_its_connection_alone(
    server: HealthServer, caplog: pytest.LogCaptureFixture
) -> None:
    client = http.client.HTTPConnection("127.0.0.1", server.address.port, timeout=10)
    client.request("GET", "/raise")
    assert client.getresponse().status == 500
    client.close()
    assert answers(server)
    assert "the answer cannot be made" in caplog.text
    assert "The health endpoint: a callback failed" in caplog.text


def test_a_want_of_descriptors_is_told_by_one_line_and_goes_by(
    server: HealthServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(server_module, "REFUSALS_APART", 3600.0)
    told = threading.Event()

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            # In its next turn: this one has been refused a hundred times by then.
            asyncio.get_running_loop().call_soon(told.set)

    handler = Told()
    logging.getLogger("gestalt.runner").addHandler(handler)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    clients = [socket.socket() for _ in range(3)]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        for client in clients:
            client.connect(("127.0.0.1", server.address.port))
        assert told.wait(10)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        logging.getLogger("gestalt.runner").removeHandler(handler)
        for client in clients:
            client.close()
    assert answers(server)
    (record,) = caplog.records
    assert record.getMessage() == "The health endpoint refuses connections: Too many open files"
    assert record.exc_info is None


@pytest.mark.parametrize("left", [0, 1])
def test_without_descriptors_one_after_another_is_answered(
    server: HealthServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    left: int,
) -> None:
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(asyncio.constants, "ACCEPT_RETRY_DELAY", 0.02)
    assert answers(server)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    clients = [socket.socket() for _ in range(3)]
    taken = [os.open(os.devnull, os.O_RDONLY)]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0] + 30, hard))
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(taken[0]))
        # The last one is taken by who comes first; the event loop asks whether there is another.
        for _ in range(left):
            os.close(taken.pop())
        for client in clients:
            client.settimeout(30)
            client.connect(("127.0.0.1", server.address.port))
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
            # Its descriptor is not to be had until the end.
            client.shutdown(socket.SHUT_RDWR)
    finally:
        for each in taken:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for client in clients:
            client.close()
    assert not caplog.records
