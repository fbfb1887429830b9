"""Measures what peers cost at the default limits; docs/security.md has the numbers.

    ./dev run python tests/project/costs.py [NAME]...

Without names, everything is measured, each in a process of its own, since the highest mark of
memory never falls. Who attacks is another process, on loopback. Linux alone.
"""

import asyncio
import json
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gestalt.codecs import Codec
from gestalt.net import DatagramEndpoint, Mti, Raw, StreamServer, Wire

PEERS = 1000
HEADER = Mti().pack_header

Measured = dict[str, float]
MEASUREMENTS: dict[str, Callable[[], Awaitable[Measured]]] = {}
ATTACKS: dict[str, Callable[[int], None]] = {}


def measurement(function: Callable[[], Awaitable[Measured]]) -> Callable[[], Awaitable[Measured]]:
    """Have a function measured by its name."""
    MEASUREMENTS[function.__name__.replace("_", "-")] = function
    return function


def attack(function: Callable[[int], None]) -> Callable[[int], None]:
    """Have a function called with the port, in a process of its own."""
    ATTACKS[function.__name__] = function
    return function


@contextmanager
def attacked(by: Callable[[int], None], port: int) -> Iterator[None]:
    """Have a server attacked while the block runs."""
    with subprocess.Popen(
        [sys.executable, __file__, "--attack", by.__name__, str(port)]
    ) as process:
        try:
            yield
        finally:
            process.kill()


def memory() -> int:
    """What this process has resident, in bytes."""
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * 4096


async def settled(grown: Callable[[], float]) -> float:
    """A number once it has not grown for two seconds."""
    last, since = grown(), time.monotonic()
    while time.monotonic() - since < 2.0:
        await asyncio.sleep(0.1)
        if (now := grown()) > last * 1.01:
            last, since = now, time.monotonic()
    return last


async def turns(seconds: float, begun: Callable[[], object] = lambda: True) -> Measured:
    """How much CPU time passes meanwhile between two calls of a timer of 1 ms, in milliseconds.

    That is for how long the event loop was held, whatever else the machine does. It
    counts from when something has begun.
    """
    loop = asyncio.get_running_loop()
    held: list[float] = []
    end = loop.time() + seconds
    while loop.time() < end:
        if not begun():
            end = loop.time() + seconds
        before = time.process_time()
        await asyncio.sleep(0.001)
        if begun():
            held.append(1000 * (time.process_time() - before))
    held.sort()
    return {"held ms, median": held[len(held) // 2], "held ms, longest": held[-1]}


def connect(port: int, count: int) -> list[socket.socket]:
    """Connections that stay."""
    return [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]


def stay() -> None:
    """Do nothing more."""
    time.sleep(3600)


# Memory


async def held_by_peers(by: Callable[[int], None], *, hang: bool = False) -> Measured:
    """What the peers of a server with the default limits take, in KiB each."""

    async def handle(_: Any) -> None:
        await asyncio.Event().wait()

    async with StreamServer(
        "tcp://127.0.0.1:0",
        Wire(Mti()),
        on_message=handle if hang else lambda _: None,
        on_error=lambda _: None,
        stop_timeout=0.1,
    ) as server:
        before = memory()
        with attacked(by, server.address.port):
            while len(server.peers) < PEERS:
                await asyncio.sleep(0.01)
            grown = await settled(lambda: memory() - before)
            peers = len(server.peers)
        return {"peers": peers, "MiB": grown / 2**20, "KiB per peer": grown / 1024 / peers}


@attack
def say_nothing(port: int) -> None:
    """Connect, and no more."""
    kept = connect(port, PEERS)
    stay()
    kept.clear()


@attack
def half_messages(port: int) -> None:
    """Begin a message of the largest size, and never end it."""
    message = HEADER(2**20, 1) + bytes(2**20 - 1)
    peers = dict.fromkeys(connect(port, PEERS), 0)
    for sock in peers:
        sock.setblocking(False)
    while True:
        for sock, sent in peers.items():
            if sent < len(message):
                with suppress(BlockingIOError):
                    peers[sock] += sock.send(message[sent : sent + 65_536])
        time.sleep(0.001)


@attack
def short_half_messages(port: int) -> None:
    """Begin messages that are just too short to need room."""
    peers = connect(port, PEERS)
    for sock in peers:
        sock.sendall(HEADER(65_500, 1) + bytes(65_499))
    stay()


@attack
def tiny_messages(port: int) -> None:
    """Send as many messages of two bytes as the server takes."""
    messages = (HEADER(2, 1) + b"xy") * 60_000
    peers = dict.fromkeys(connect(port, PEERS), 0)
    for sock in peers:
        sock.setblocking(False)
    while True:
        for sock, sent in peers.items():
            with suppress(BlockingIOError):
                peers[sock] += sock.send(messages[sent : sent + 65_536])
        time.sleep(0.001)


@measurement
async def silent_peers() -> Measured:
    """Connections that send nothing."""
    return await held_by_peers(say_nothing)


@measurement
async def half_messages_of_1_mib() -> Measured:
    """Each peer sends what it is let of a message of 1 MiB, but its last byte."""
    return await held_by_peers(half_messages)


@measurement
async def half_messages_of_64_kib() -> Measured:
    """Each peer sends all but the last byte of a message that counts for nothing."""
    return await held_by_peers(short_half_messages)


@measurement
async def tiny_messages_to_a_slow_handler() -> Measured:
    """Each peer sends messages of two bytes, and the asynchronous handler never returns."""
    return await held_by_peers(tiny_messages, hang=True)


# Time


@measurement
async def nobody() -> Measured:
    """An event loop that has nothing else to do, for comparison."""
    return await turns(3.0)


@attack
def datagrams(port: int) -> None:
    """Send as many datagrams as one process can."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        datagram = bytes(64)
        while True:
            for _ in range(1000):
                try:
                    sock.send(datagram)
                except ConnectionRefusedError:
                    return


@measurement
async def a_flood_of_datagrams() -> Measured:
    """One process sends datagrams of 64 bytes without a pause to a plain handler."""
    async with DatagramEndpoint(
        "udp://127.0.0.1:0", Wire(Raw()), on_message=lambda _: None
    ) as endpoint:
        with attacked(datagrams, endpoint.address.port):
            while endpoint.stats.received < 1000:
                await asyncio.sleep(0.01)
            before, began = endpoint.stats.received, time.monotonic()
            cpu = time.process_time()
            held = await turns(5.0)
            took = time.monotonic() - began
            return {
                "datagrams/s": (endpoint.stats.received - before) / took,
                "cpu share": (time.process_time() - cpu) / took,
                **held,
            }


def bomb(size: int) -> bytes:
    """Some bytes of brotli that become so many spaces, and then JSON."""
    tagged = Codec("json", compress="br", max_size=2**30).encode(" " * size)
    assert tagged.content_encoding == "br"
    payload = b"\x06" + tagged.body
    return HEADER(len(payload), 0) + payload


async def held_by_messages(by: Callable[[int], None]) -> Measured:
    """How the event loop fares while peers send messages that take time to decode."""
    handled = 0

    def handle(_: Any) -> None:
        nonlocal handled
        handled += 1

    async with StreamServer(
        "tcp://127.0.0.1:0",
        Wire(Mti(), Codec("json", accept=["br"])),
        on_message=handle,
        on_error=lambda _: None,
        stop_timeout=0.1,
    ) as server:
        with attacked(by, server.address.port):
            held = await turns(6.0, lambda: server.stats.connected)
            return {"handled": handled, "refused": server.stats.faults, **held}


@attack
def allowed_bombs(port: int) -> None:
    """Send messages of a few bytes that become just less than the codec's limit."""
    message = bomb(2**24 - 2)
    (sock,) = connect(port, 1)
    while True:
        sock.sendall(message)


@attack
def allowed_bombs_of_20(port: int) -> None:
    """Send such messages on 20 connections."""
    message = bomb(2**24 - 2)
    peers = connect(port, 20)
    while True:
        for sock in peers:
            sock.sendall(message)


@attack
def too_large_bombs(port: int) -> None:
    """Send what becomes more than that: each one costs its connection."""
    message = bomb(2**28)
    while True:
        (sock,) = connect(port, 1)
        with sock:
            try:
                sock.sendall(message)
                sock.recv(1)
            except OSError:
                pass


@attack
def messages_of_100(port: int) -> None:
    """Send small messages on 100 connections, as many as the server takes."""
    payload = b"\x00" + Codec("json").encode([1.5] * 20).body
    messages = (HEADER(len(payload), 0) + payload) * 1000
    peers = dict.fromkeys(connect(port, 100), 0)
    for sock in peers:
        sock.setblocking(False)
    while True:
        for sock, sent in peers.items():
            with suppress(BlockingIOError):
                peers[sock] = (sent + sock.send(messages[sent:])) % len(messages)


@measurement
async def messages_of_100_peers() -> Measured:
    """A hundred peers send messages of 80 bytes of JSON, without a pause."""
    return await held_by_messages(messages_of_100)


@measurement
async def bombs_of_one_peer() -> Measured:
    """A peer sends messages of a few bytes that become 16 MiB, without a pause."""
    return await held_by_messages(allowed_bombs)


@measurement
async def bombs_of_20_peers() -> Measured:
    """Twenty peers do."""
    return await held_by_messages(allowed_bombs_of_20)


@measurement
async def bombs_above_the_limit() -> Measured:
    """What would become 256 MiB, each by a connection of its own."""
    return await held_by_messages(too_large_bombs)


def main(arguments: list[str]) -> None:
    """Attack, measure one thing, or have everything measured."""
    match arguments:
        case ["--attack", name, port]:
            ATTACKS[name](int(port))
        case ["--measure", name]:
            logging.disable()
            print(json.dumps(asyncio.run(MEASUREMENTS[name]())))
        case names:
            for name in names or MEASUREMENTS:
                command = [sys.executable, __file__, "--measure", name]
                measured = json.loads(subprocess.check_output(command))
                numbers = ", ".join(f"{what} {value:,.1f}" for what, value in measured.items())
                print(f"{name}: {numbers}")


if __name__ == "__main__":
    main(sys.argv[1:])
