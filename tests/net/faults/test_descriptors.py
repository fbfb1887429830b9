"""Running out of descriptors costs those who come then, and nobody else."""

import asyncio
import importlib.util
import json
import resource
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gestalt.net import Delimited, Limits, StreamServer, Wire

ROOT = Path(__file__).parents[3]
PROGRAM = "tests.net.faults.exhausted_server"
LOOPS = ["asyncio"] + ["uvloop"] * (importlib.util.find_spec("uvloop") is not None)
CLIENTS = 40
DEADLINE = 20.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="descriptors are read from /proc")


class Exhausted:
    """A server in a process of its own, with room for some ten connections."""

    def __init__(self, loop: str, scheme: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", PROGRAM, loop, f"{scheme}://127.0.0.1:0"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self._tls = None
        if scheme == "tls":
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._tls.check_hostname = False
            self._tls.verify_mode = ssl.CERT_NONE
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())

    def connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self._port), timeout=10)
        if self._tls is not None:
            try:
                return self._tls.wrap_socket(sock)
            except BaseException:
                sock.close()
                raise
        return sock

    def echoes(self, sock: socket.socket) -> bool:
        try:
            sock.sendall(b"hello\n")
            return sock.recv(100) == b"hello\n"
        except OSError:
            return False

    def serves_again(self) -> bool:
        try:
            with closing(self.connect()) as sock:
                return self.echoes(sock)
        except OSError:
            return False

    def stop(self) -> dict[str, Any]:
        out, _ = self._process.communicate("stop\n", timeout=30)
        assert self._process.returncode == 0
        result: dict[str, Any] = json.loads(out)
        return result

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def exhausted(loop: str, scheme: str) -> Iterator[Exhausted]:
    server = Exhausted(loop, scheme)
    try:
        yield server
    finally:
        server.kill()


def connect_many(server: Exhausted, stack: ExitStack) -> list[socket.socket]:
    """Those that came up; the others were closed at once."""
    connected = []
    for _ in range(CLIENTS):
        try:
            sock = stack.enter_context(closing(server.connect()))
        except OSError:
            continue
        connected.append(sock)
    return connected


@pytest.mark.parametrize("scheme", ["tcp", "tls"])
@pytest.mark.parametrize("loop", LOOPS)
def test_without_descriptors_a_server_refuses_counts_and_goes_on_when_there_are_some(
    loop: str, scheme: str
) -> None:
    with exhausted(loop, scheme) as server:
        with ExitStack() as stack:
            served = [sock for sock in connect_many(server, stack) if server.echoes(sock)]
            assert 5 <= len(served) < CLIENTS - 5
            # They stay, and are served.
            assert all(server.echoes(sock) for sock in served)
        until = time.monotonic() + DEADLINE
        while not server.serves_again():
            assert time.monotonic() < until
            time.sleep(0.01)
        result = server.stop()
    assert result["unhandled"] == []
    assert result["refused"] == result["told"] >= CLIENTS - len(served)
    assert 1 <= result["reports"] <= 2 + result["seconds"]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_server_without_descriptors_stops_cleanly(loop: str) -> None:
    with exhausted(loop, "tcp") as server, ExitStack() as stack:
        served = [sock for sock in connect_many(server, stack) if server.echoes(sock)]
        result = server.stop()
    assert result["unhandled"] == []
    assert result["refused"] == result["told"] == CLIENTS - len(served)


def test_a_server_that_can_not_even_refuse_takes_who_waits_when_it_can_again() -> None:
    async def run() -> bytes:
        loop = asyncio.get_running_loop()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        server = StreamServer(
            "tcp://127.0.0.1:0", Wire(Delimited()), on_message=lambda m: m.reply(m.body)
        )
        async with server, asyncio.timeout(DEADLINE):
            with socket.socket() as sock:
                sock.setblocking(False)
                # No new descriptor would have so small a number: the one in reserve helps nobody.
                resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
                try:
                    address = (server.address.host, server.address.port)
                    await loop.sock_connect(sock, address)
                    for _ in range(5):
                        await asyncio.sleep(0)
                    assert (len(server.peers), server.stats.refused) == (0, 0)
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                await loop.sock_sendall(sock, b"hello\n")
                return await loop.sock_recv(sock, 100)

    assert asyncio.run(run()) == b"hello\n"


def test_by_default_there_are_no_more_peers_than_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        for descriptors, peers in ((64, 32), (1000, 875), (30, 1)):
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, hard))
            assert Limits().max_peers == peers
            assert Limits(max_peers=5).max_peers == 5
            assert Limits(max_peers=None).max_peers is None
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        assert Limits().max_peers == min(10_000, hard - hard // 8)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
