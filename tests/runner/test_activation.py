"""Sockets that whoever starts the process hands over, as systemd does."""

import signal
import socket

import pytest

from .conftest import DEADLINE, PYTHON

pytest.importorskip("gestalt.net")

APP = """
import asyncio, os, subprocess, sys
from gestalt.core import Group, Timer
from gestalt.net import Delimited, DatagramEndpoint, Raw, StreamServer, Wire

async def shout(message):
    await message.reply(message.body.upper() + f" {os.getpid()}".encode())

server = StreamServer("systemd://web", Wire(Delimited()), on_message=shout, name="web")
by_number = StreamServer("fd://4", Wire(Delimited()), on_message=shout, name="local")
datagrams = DatagramEndpoint("systemd://dns", Wire(Raw()), on_message=shout)

async def tell():
    left = [name for name in os.environ if name.startswith("LISTEN")]
    child = subprocess.run(
        [sys.executable, "-S", "-c", "import os\\nfor n in (3, 4, 5):\\n"
         " try: os.fstat(n); print(n)\\n except OSError: pass"],
        capture_output=True, text=True, close_fds=False)
    print(left, child.stdout.split(), server.addresses[0].scheme, by_number.address.scheme,
          flush=True)
    await asyncio.Event().wait()

nobody = StreamServer("systemd://nobody", Wire(Delimited()), on_message=shout)
"""


@pytest.fixture
def handed(tmp_path):
    """A TCP socket and a unix one that listen, and one for datagrams: at 3, 4 and 5."""
    web = socket.create_server(("127.0.0.1", 0))
    local = socket.socket(socket.AF_UNIX)
    local.bind(str(tmp_path / "socket"))
    dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    dns.bind(("127.0.0.1", 0))
    sockets = [web, local, dns]
    yield sockets
    for each in sockets:
        each.close()


@pytest.fixture
def start(launch, tmp_path, handed):
    (tmp_path / "app.py").write_text(APP)
    # As systemd does it: the numbers from 3 on, and the number of the process itself.
    numbers = [each.fileno() for each in handed]
    script = (
        "import os, sys\n"
        f"copies = [os.dup(number) for number in {numbers}]\n"
        "import fcntl\n"
        "copies = [fcntl.fcntl(copy, fcntl.F_DUPFD, 20) for copy in copies]\n"
        "for index, copy in enumerate(copies): os.dup2(copy, 3 + index)\n"
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='3',"
        " LISTEN_FDNAMES='web:local:dns')\n"
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])\n"
    )

    def start(*arguments):
        command = (*PYTHON[1:], "-m", "gestalt.runner", "run", "--loop", "asyncio")
        return launch("-c", script, *command, *arguments, descriptors=numbers)

    return start


def ask_stream(sock):
    with sock:
        sock.settimeout(DEADLINE)
        sock.sendall(b"hello\n")
        return sock.makefile("rb").readline().split()


def ask(handed, family, kind=socket.SOCK_STREAM):
    web, local, dns = handed
    if kind == socket.SOCK_DGRAM:
        with socket.socket(socket.AF_INET, kind) as sock:
            sock.settimeout(DEADLINE)
            sock.sendto(b"hello", dns.getsockname())
            return sock.recv(100).split()
    sock = socket.socket(family)
    sock.settimeout(DEADLINE)
    sock.connect((web if family == socket.AF_INET else local).getsockname())
    return ask_stream(sock)


def test_servers_take_what_was_handed_over_and_children_do_not_see_it(start, handed):
    process = start("app:server", "app:by_number", "app:datagrams", "app:tell")
    process.wait_for("[] [] tcp unix")
    expected = [b"HELLO", str(process.pid).encode()]
    assert ask(handed, socket.AF_INET) == expected
    assert ask(handed, socket.AF_UNIX) == expected
    assert ask(handed, socket.AF_INET, socket.SOCK_DGRAM) == expected
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM, process.errors
    # It belongs to whoever has handed it over, who may start the next process for it.
    waiting = socket.create_connection(handed[0].getsockname())
    again = start("app:server")
    assert ask_stream(waiting)[0] == b"HELLO"
    again.send(signal.SIGTERM)
    assert again.end() == -signal.SIGTERM, again.errors


def test_workers_share_what_was_handed_over_and_refuse_nobody_when_replaced(start, handed):
    process = start("app:server", "app:datagrams", "--workers", "2")
    process.wait_for_error("all workers are ready")
    first, kind = ask(handed, socket.AF_INET), socket.SOCK_DGRAM
    assert first[0] == b"HELLO"
    assert int(first[1]) != process.pid
    assert ask(handed, socket.AF_INET, kind)[0] == b"HELLO"
    process.send(signal.SIGUSR2)
    answers = unanswered = 0
    while process.errors.count("is ready: process") < 4 or answers < 50:
        try:
            [word, _] = ask(handed, socket.AF_INET)
        except (ConnectionResetError, ValueError):
            # A worker had taken it, and has stopped before it read anything.
            unanswered += 1
        else:
            assert word == b"HELLO"
            answers += 1
    # One of each worker at most: this peer has one connection at a time. None was refused.
    assert unanswered <= 2
    process.wait_for_error("all workers have restarted")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM, process.errors


def test_a_name_that_was_not_handed_over_is_told_with_those_that_were(start):
    process = start("app:nobody")
    assert process.end() == 1
    assert "systemd://nobody names no socket: there are web, local, dns" in process.errors


def test_what_is_meant_for_another_process_is_not_taken(launch, tmp_path):
    (tmp_path / "app.py").write_text(APP)
    told = {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}
    process = launch("-m", "gestalt.runner", "run", "app:server", environment=told)
    assert process.end() == 1
    assert "systemd://web names no socket: none was handed over" in process.errors
