"""Unix sockets: who may listen on a path, and what becomes of the file."""

import asyncio
import errno
import fcntl
import multiprocessing
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gestalt.net import (
    AddressError,
    Delimited,
    Mti,
    StreamClient,
    StreamMessage,
    StreamServer,
    Wire,
)
from tests.net.fixtures import Within

WIRE = Wire(Mti())


def server_at(path: Path | str, answer: bytes = b"first") -> StreamServer:
    def reply(message: StreamMessage[bytes]) -> None:
        message.peer.send_nowait(answer)

    url = path if isinstance(path, str) else f"unix://{path}"
    return StreamServer(url, WIRE, on_message=reply)


async def who_answers(url: Any) -> bytes:
    async with StreamClient(url, WIRE) as client:
        await client.send(b"who?")
        async for message in client:
            return bytes(message.body)
    raise AssertionError("the client stopped")


def dead_socket(path: Path) -> None:
    """Leave what a killed server leaves."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()


async def test_a_path_is_not_taken_from_who_listens(within: Within, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    async with server_at(path) as first:
        second = server_at(path, b"second")
        with pytest.raises(OSError, match="somebody listens on it already") as caught:
            await second.start()
        assert caught.value.errno == errno.EADDRINUSE
        assert str(first.address) in str(caught.value)
        await second.stop()
        assert await within(who_answers(first.address)) == b"first"
    assert not path.exists()
    async with second:
        assert await within(who_answers(second.address)) == b"second"
    assert not path.exists()


async def test_a_server_of_another_make_that_has_no_room_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as other, socket.socket(socket.AF_UNIX) as caller:
        other.bind(str(path))
        other.listen(0)
        caller.connect(str(path))
        with pytest.raises(OSError, match="somebody listens on it already"):
            await server_at(path).start()
        assert path.is_socket()


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
async def test_a_socket_of_another_kind_is_left_alone(tmp_path: Path, kind: int) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, kind) as other:
        other.bind(str(path))
        if kind == socket.SOCK_SEQPACKET:
            other.listen()
        with pytest.raises(OSError, match="somebody listens on it already"):
            await server_at(path).start()
        assert path.is_socket()


async def test_the_file_of_a_dead_server_is_replaced(within: Within, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    dead_socket(path)
    async with server_at(path) as server:
        assert await within(who_answers(server.address)) == b"first"
    assert not path.exists()


async def test_a_server_that_was_killed_is_succeeded(within: Within, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    program = f"""
import asyncio
from gestalt.net import *
async def main():
    async with StreamServer("unix://{path}", Wire(Mti()), on_message=print) as server:
        print("ready", flush=True)
        await server.wait_stopped()
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert await within(process.stdout.readline()) == b"ready\n"
    process.kill()
    await within(process.communicate())
    assert path.is_socket()
    async with server_at(path) as server:
        assert await within(who_answers(server.address)) == b"first"


@pytest.mark.parametrize("kind", ["file", "folder", "link", "pipe"])
async def test_what_is_no_socket_is_never_removed(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "socket"
    if kind == "file":
        path.write_bytes(b"precious")
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        target = tmp_path / "target"
        dead_socket(target)
        path.symlink_to(target)
    before = path.lstat()
    with pytest.raises(FileExistsError, match="that is no socket"):
        await server_at(path).start()
    assert path.lstat().st_ino == before.st_ino
    if kind == "file":
        assert path.read_bytes() == b"precious"


async def test_of_many_that_start_at_once_one_listens(within: Within, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    for dead in (True, False, True):
        if dead:
            dead_socket(path)
        servers = [server_at(path, b"%d" % number) for number in range(8)]
        outcomes = await within(
            asyncio.gather(*(each.start() for each in servers), return_exceptions=True)
        )
        winners = [number for number, outcome in enumerate(outcomes) if outcome is None]
        assert len(winners) == 1
        for outcome in outcomes:
            assert outcome is None or "somebody listens" in str(outcome)
        (winner,) = winners
        assert await within(who_answers(servers[winner].address)) == b"%d" % winner
        await servers[winner].stop()
        assert not path.exists()


async def test_a_start_waits_for_one_that_is_under_way_in_the_folder(
    within: Within, tmp_path: Path
) -> None:
    path = tmp_path / "socket"
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    starting = asyncio.create_task(server_at(path).start())
    with socket.socket(socket.AF_UNIX) as other:
        done, _ = await asyncio.wait({starting}, timeout=0.2)
        assert not done
        other.bind(str(path))
        other.listen()
        os.close(folder)
        with pytest.raises(OSError, match="somebody listens on it already"):
            await within(starting)


async def test_a_lock_that_somebody_keeps_does_not_keep_a_server_from_starting(
    within: Within, tmp_path: Path
) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    async with server_at(tmp_path / "socket") as server:
        assert await within(who_answers(server.address)) == b"first"
    os.close(folder)


def contend(path: str, barrier: Any, results: Any) -> None:
    """Start a server in another process, and say whether it listens and is reached."""

    async def main() -> None:
        server = server_at(f"unix://{path}", b"%d" % os.getpid())
        try:
            await server.start()
        except OSError as error:
            results.put((os.getpid(), str(error)))
            barrier.wait(20)
            return
        results.put((os.getpid(), None))
        # Everybody has tried.
        await asyncio.to_thread(barrier.wait, 20)
        await server.stop()

    barrier.wait(20)
    asyncio.run(main())


def test_of_many_processes_that_start_at_once_one_listens(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    context = multiprocessing.get_context("spawn")
    dead_socket(path)
    barrier, results = context.Barrier(3), context.Queue()
    processes = [
        context.Process(target=contend, args=(str(path), barrier, results)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    outcomes = dict(results.get(timeout=40) for _ in processes)
    for process in processes:
        process.join(20)
    refusals = [reason for reason in outcomes.values() if reason is not None]
    assert len(refusals) == 2
    assert all("somebody listens on it already" in reason for reason in refusals)
    assert not path.exists()


async def test_a_file_that_took_our_files_place_is_left_at_the_stop(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    async with server_at(path):
        path.unlink()
        dead_socket(path)
    assert path.is_socket()


async def test_a_file_that_somebody_has_removed_is_no_error_at_the_stop(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    async with server_at(path) as server:
        path.unlink()
    assert server.stats.handler_errors == 0
    assert not path.exists()


async def test_a_start_that_is_cancelled_in_any_turn_leaves_no_file(
    within: Within, tmp_path: Path
) -> None:
    path = tmp_path / "socket"
    for turns in range(20):
        server = server_at(path)
        starting = asyncio.create_task(server.start())
        for _ in range(turns):
            await asyncio.sleep(0)
        starting.cancel()
        await within(asyncio.wait({starting}))
        await within(server.stop())
        assert not path.exists()


async def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(FileNotFoundError, match=f"{missing}' is no folder"):
        await server_at(missing / "socket").start()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError, match="file' is no folder"):
        await server_at(tmp_path / "file" / "socket").start()
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(OSError, match="cannot be listened on: Too many levels of symbolic links"):
        await server_at(tmp_path / "circle" / "socket").start()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
async def test_a_folder_that_may_not_be_written_to_is_named(tmp_path: Path) -> None:
    for each in (tmp_path, *tmp_path.parents):
        if each.stat().st_uid == 0 and each != Path("/"):
            each.chmod(each.stat().st_mode | 0o011)
    os.seteuid(65534)
    try:
        with pytest.raises(PermissionError, match=f"may not be made in '{tmp_path}'"):
            await server_at(tmp_path / "socket").start()
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
async def test_a_socket_that_may_not_be_asked_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    for each in (folder, *folder.parents):
        if each.stat().st_uid == 0 and each != Path("/"):
            each.chmod(each.stat().st_mode | 0o011)
    folder.chmod(0o777)
    path = folder / "socket"
    dead_socket(path)
    path.chmod(0o600)
    os.seteuid(65534)
    try:
        with pytest.raises(PermissionError, match="cannot be found out"):
            await server_at(path).start()
    finally:
        os.seteuid(0)
    assert path.is_socket()


def test_a_path_that_is_too_long_is_refused_by_both_ends() -> None:
    longest = 107 if sys.platform == "linux" else 103
    at_most = "/" + "é" * ((longest - 1) // 2)
    server_at(f"unix://{at_most}")
    for url in (f"unix://{at_most}éé", "unix:///" + "x" * longest):
        with pytest.raises(AddressError, match=f"{longest} at most"):
            server_at(url)
        with pytest.raises(AddressError, match=f"{longest} at most"):
            StreamClient(url, WIRE)


async def test_the_longest_path_there_is_works(within: Within, tmp_path: Path) -> None:
    longest = 107 if sys.platform == "linux" else 103
    path = tmp_path / ("x" * (longest - len(os.fsencode(tmp_path)) - 1))
    async with server_at(path) as server:
        assert await within(who_answers(server.address)) == b"first"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names without files")
async def test_a_name_without_a_file_is_taken_once(within: Within) -> None:
    url = f"unix://@gestalt/{os.getpid()} é"
    async with server_at(url) as server:
        assert str(server.address) == f"unix://@gestalt/{os.getpid()}%20%C3%A9"
        assert await within(who_answers(server.address)) == b"first"
        assert await within(who_answers(url)) == b"first"
        with pytest.raises(OSError, match="somebody listens on it already"):
            await server_at(url).start()
        assert await within(who_answers(url)) == b"first"
    async with server_at(url, b"again") as server:
        assert await within(who_answers(server.address)) == b"again"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("unix:///%00name", "no null characters"),
        ("unix:///a%00b", "no null characters"),
        ("unix://@", "three slashes"),
        ("unix://name", "three slashes"),
        ("unix://user@host/path", "three slashes"),
        ("unix:///", "three slashes"),
    ],
)
def test_what_is_no_path_is_refused(url: str, reason: str) -> None:
    with pytest.raises(AddressError, match=reason):
        StreamClient(url, Wire(Delimited()))


async def test_a_port_that_is_taken_is_named_with_its_address() -> None:
    async with server_at("tcp://127.0.0.1:0") as server:
        expected = re.escape(f"{server.address} cannot be listened on: Address already in use")
        with pytest.raises(OSError, match=expected) as caught:
            await server_at(str(server.address)).start()
        assert caught.value.errno == errno.EADDRINUSE


async def test_a_host_that_is_not_known_is_named_with_its_address() -> None:
    with pytest.raises(socket.gaierror, match=r"tcp://no\.host\.invalid:9 cannot be listened on"):
        await server_at("tcp://no.host.invalid:9").start()
