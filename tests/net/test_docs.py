"""What the documentation shows is true: its programs run, and its bytes are those on the wire."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gestalt.net import FrameTooLarge, Framing, IncompleteFrame, PayloadError, StreamMessage, Wire

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "net"
README = ROOT / "packages" / "gestalt-net" / "README.md"
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


def test_the_readme_runs() -> None:
    (program,) = blocks(README)
    assert run("-c", program) == ["Position(lat=34.9, lon=-138.6)"]


def test_the_first_program_of_the_guide_runs() -> None:
    assert run("-c", blocks(DOCS / "index.md")[0]) == ["Position(lat=34.9, lon=-138.6)"]


@pytest.mark.parametrize("program", blocks(DOCS / "index.md")[1:])
def test_the_fragments_of_the_guide_compile(program: str) -> None:
    compile(program, "guide", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


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
    made = names["Varint"](max_size=1000)
    assert isinstance(made, Framing)
    return made


def test_a_framing_of_ones_own_gives_its_frames_at_every_split(framing: Framing) -> None:
    payloads = [b"", b"a", b"b" * 127, b"c" * 128, b"d" * 1000]
    stream = b"".join(map(framing.encode, payloads))
    for split in range(len(stream) + 1):
        decoder = framing.decoder()
        frames = decoder.feed(stream[:split]) + decoder.feed(stream[split:])
        assert frames == [(payload, None) for payload in payloads]
        decoder.eof()
    decoder = framing.decoder()
    frames = [frame for byte in stream for frame in decoder.feed(bytes([byte]))]
    assert frames == [(payload, None) for payload in payloads]


def test_a_framing_of_ones_own_refuses_what_it_does_not_carry(framing: Framing) -> None:
    with pytest.raises(PayloadError):
        framing.encode(bytes(1001))
    with pytest.raises(PayloadError):
        framing.encode(b"", 1)
    for stream in (b"\xe9\x07", b"\x80" * 6):
        with pytest.raises(FrameTooLarge):
            framing.decoder().feed(stream)
    decoder = framing.decoder()
    decoder.feed(b"\x02a")
    with pytest.raises(IncompleteFrame):
        decoder.eof()


async def test_a_framing_of_ones_own_serves_a_connection(
    serve: Any, connect: Any, within: Any, framing: Framing
) -> None:
    async def echo(message: StreamMessage[bytes]) -> None:
        await message.reply(message.body)

    client = await connect(await serve(echo, wire=Wire(framing)))
    replies = aiter(client)
    for payload in (b"", b"a" * 200, b"b" * 1000):
        await client.send(payload)
        assert (await within(anext(replies))).body == payload
