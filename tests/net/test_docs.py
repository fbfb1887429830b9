"""What the documentation shows is true: its programs run, and its bytes are those on the wire."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gestalt.net import FrameTooLarge, Framing, IncompleteFrame, PayloadError, StreamMessage, Wire
from tests.net.fixtures import Connect, Serve, Within

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "net"
DEADLINE = 30.0

OUTPUT = {
    "raw": ["BYTES IN ORDER, WITHOUT BORDERS"],
    "delimited": ["*IDN? Example,Thermometer,1", "MEAS:TEMP? 21.5", "MEAS:WIND? ERROR"],
    "netstring": ["{'sum': 42}"],
    "length_prefix": ["Reading(sensor='roof', values=[20.5])"],
    "mti": ["1 Position(lat=34.5, lon=-41.5)", "2 Text(text='hello, world')"],
}


def blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


def run(*command: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", *command], capture_output=True, text=True, timeout=DEADLINE
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", OUTPUT)
def test_an_example_runs_and_prints(name: str) -> None:
    assert run(str(ROOT / "examples" / "net" / f"{name}.py")) == OUTPUT[name]


def test_the_bytes_of_the_wire_formats_are_those_on_the_wire() -> None:
    page = DOCS / "wire-formats.md"
    (program,) = blocks(page)
    exec(program, names := {})
    shown = re.findall(r"^\| `(\w+\(\))` .*`([0-9a-f ]+)` \|$", page.read_text(), re.MULTILINE)
    assert len(shown) == 5
    for framing, octets in shown:
        made = eval(framing, names)
        type_id = 7 if made.carries_type_id else None
        assert made.encode(b"hello", type_id).hex(" ") == octets
    tags = re.findall(r"^\| (\d+) \| `?([\w-]+)`?", page.read_text(), re.MULTILINE)
    assert {token: int(tag) for tag, token in tags} == dict(names["CODING_TAGS"])


@pytest.fixture
def framing() -> Framing:
    (program,) = blocks(DOCS / "framing-of-your-own.md")
    # A module of its own, which dataclasses look up.
    exec(program, names := {"__name__": __name__})
    made = names["PostgreSql"](max_size=1000)
    assert isinstance(made, Framing)
    return made


def test_a_framing_of_ones_own_takes_about_twenty_lines() -> None:
    (program,) = blocks(DOCS / "framing-of-your-own.md")
    (made,) = (node for node in ast.parse(program).body if isinstance(node, ast.ClassDef))
    assert made.end_lineno is not None
    assert made.end_lineno - made.lineno <= 22


def test_a_framing_of_ones_own_gives_its_frames_at_every_split(framing: Framing) -> None:
    frames = [(b"", 0), (b"SELECT 1\0", ord("Q")), (b"\xff" * 1000, 255)]
    stream = b"".join(framing.encode(*frame) for frame in frames)
    assert stream.startswith(b"\x00\x00\x00\x00\x04Q\x00\x00\x00\x0dSELECT")
    for split in range(len(stream) + 1):
        decoder = framing.decoder()
        assert [*decoder.feed(stream[:split]), *decoder.feed(stream[split:])] == frames
        decoder.eof()
    decoder = framing.decoder()
    assert [frame for byte in stream for frame in decoder.feed(bytes([byte]))] == frames


def test_a_framing_of_ones_own_refuses_what_it_does_not_carry(framing: Framing) -> None:
    for payload, type_id in ((bytes(1001), 1), (b"", None), (b"", 256)):
        with pytest.raises(PayloadError):
            framing.encode(payload, type_id)
    for stream in (b"Q\x00\x00\x03\xed", b"Q\x00\x00\x00\x03"):
        with pytest.raises(FrameTooLarge):
            framing.decoder().feed(stream)
    decoder = framing.decoder()
    decoder.feed(b"Q\x00\x00\x00\x06a")
    with pytest.raises(IncompleteFrame):
        decoder.eof()


def test_a_framing_that_appends_no_type_identifiers_is_told(framing: Framing) -> None:
    class Forgetful(type(framing)):  # type: ignore[misc]
        def cut(self, data: bytes, payloads: list[bytes], _: list[int]) -> tuple[int, int]:
            return super().cut(data, payloads, [])  # type: ignore[no-any-return]

    with pytest.raises(ValueError, match="shorter"):
        list(Forgetful().decoder().feed(framing.encode(b"", 1)))


async def test_a_framing_of_ones_own_serves_a_connection(
    serve: Serve, connect: Connect, within: Within, framing: Framing
) -> None:
    async def echo(message: StreamMessage[bytes]) -> None:
        await message.reply(message.body, message.type_id)

    client = await connect(await serve(echo, wire=Wire(framing)))
    replies = aiter(client)
    for payload in (b"", b"a" * 200, b"b" * 1000):
        await client.send(payload, 81)
        reply = await within(anext(replies))
        assert (reply.body, reply.type_id) == (payload, 81)
