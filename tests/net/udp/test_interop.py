"""Datagrams of others: gestalt 20.1.1, and a plain socket."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

from gestalt.net import DatagramMessage, Mti, Raw, Wire

PREDECESSOR = "gestalt==20.1.1"
LITTLE = Wire(Mti("little"))


@dataclass(frozen=True)
class Predecessor:
    """A process in which gestalt 20.1.1 echoes."""

    port: int
    commands: IO[str]

    def greet(self, port: int) -> None:
        """Have it send "hello" to a port, and echo what comes back."""
        self.commands.write(f"{port}\n")
        self.commands.flush()


@pytest.fixture(scope="module")
def predecessor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predecessor]:
    environment = tmp_path_factory.mktemp("predecessor")
    uv = os.environ.get("HATCH_UV") or shutil.which("uv") or "uv"
    python = environment / "bin" / "python"
    # What leads back to another environment, or changes what is installed, stays out.
    left_out = ("PYTHONPATH", "VIRTUAL_ENV", "UV_RESOLUTION", "UV_CONSTRAINT")
    variables = {key: value for key, value in os.environ.items() if key not in left_out}
    for command in (
        [uv, "venv", "-q", "--python", sys.executable, environment],
        [uv, "pip", "install", "-q", "--python", python, PREDECESSOR],
    ):
        try:
            subprocess.run(
                command, check=True, capture_output=True, env=variables, text=True, timeout=50
            )
        except (OSError, subprocess.SubprocessError) as error:
            reason = f"{PREDECESSOR} cannot be installed: {getattr(error, 'stderr', '') or error}"
            if os.environ.get("CI") == "true":
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)
    script = Path(__file__).parent / "predecessor_peer.py"
    with subprocess.Popen(
        [python, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            yield Predecessor(int(process.stdout.readline()), process.stdin)
        finally:
            process.kill()


async def test_the_predecessor_echoes_what_we_send(
    endpoint: Any, take: Any, predecessor: Predecessor
) -> None:
    client = await endpoint(None, wire=LITTLE, peer=f"udp://127.0.0.1:{predecessor.port}")
    bodies = [b"x", bytes(range(256)), b"y" * 60_000]
    for number, body in enumerate(bodies):
        type_id = 0x01020304 * (number + 1)
        await client.send(body, type_id)
        (message,) = await take(client)
        assert (message.body, message.type_id) == (body, type_id)


async def test_we_echo_what_the_predecessor_sends(
    endpoint: Any, within: Any, predecessor: Predecessor
) -> None:
    received: asyncio.Queue[Any] = asyncio.Queue()

    async def echo(message: DatagramMessage[bytes]) -> None:
        received.put_nowait((message.body, message.type_id))
        if received.qsize() <= 3:
            await message.reply(message.body + b"!", 10)

    server = await endpoint(wire=LITTLE, on_message=echo)
    predecessor.greet(server.address.port)

    async def four() -> list[Any]:
        while received.qsize() < 4:
            await asyncio.sleep(0.001)
        return [received.get_nowait() for _ in range(4)]

    assert await within(four()) == [
        (b"hello", 9),
        (b"hello!", 10),
        (b"hello!!", 10),
        (b"hello!!!", 10),
    ]


@pytest.mark.parametrize(
    ("wire", "raw"),
    [
        (Wire(Raw()), b"abc"),
        (Wire(Mti()), b"\0\0\0\3\0\0\0\0abc"),
        (LITTLE, b"\3\0\0\0\0\0\0\0abc"),
    ],
    ids=str,
)
async def test_a_plain_socket_reads_and_writes_the_same_bytes(
    endpoint: Any, take: Any, within: Any, plain_socket: Any, wire: Wire, raw: bytes
) -> None:
    ours = await endpoint(wire=wire)
    plain_socket.sendto(raw, ("127.0.0.1", ours.address.port))
    (message,) = await take(ours)
    assert message.body == b"abc"
    await message.reply(b"abc")

    async def answer() -> Any:
        while True:
            try:
                return plain_socket.recvfrom(100)
            except BlockingIOError:
                await asyncio.sleep(0)

    assert await within(answer()) == (raw, ("127.0.0.1", ours.address.port))
