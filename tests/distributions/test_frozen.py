"""An application that PyInstaller made one folder finds its codecs, ours and those of others."""

import shutil
import subprocess
import sys
import sysconfig
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gestalt.codecs.registry import COMPRESSORS, SERIALIZERS
from tests.support.missing import without

# It downloads what uv's cache lacks, and follows every import of every codec's library.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WORKSPACE = Path(__file__).parents[2] / "pyproject.toml"
PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "acme-frozen"
version = "1.0"
dependencies = ["gestalt-codecs"]

[project.entry-points."gestalt.codecs.serializers"]
reverse = "acme_frozen.reverse:Reverse"

[project.entry-points."gestalt.codecs.compressors"]
halve = "acme_frozen.halve:Halve"
"""
REVERSE = """
from gestalt.codecs import Functions, Serializer

class Reverse(Serializer):
    content_types = ("application/x-reverse",)
    def untyped(self):
        return Functions(lambda text: text.encode()[::-1], lambda data: data[::-1].decode())
"""
HALVE = """
from gestalt.codecs import Compressor

class Halve(Compressor):
    def compress(self, data):
        return data[: len(data) // 2]
    def chunks(self, data):
        yield data + data
"""
# It names no codec's module, as applications do.
APPLICATION = """
import sys
from dataclasses import dataclass
from gestalt.codecs import Avro, Codec, MessageTypes

@dataclass
class Reading:
    sensor: str

SCHEMA = {"type": "record", "name": "Reading", "fields": [{"name": "sensor", "type": "string"}]}

def serialize(name):
    types = None
    value = "smörgås"
    if name == "bytes":
        value = b"x"
    elif name == "avro":
        types, value = MessageTypes(), Reading("boiler")
        types.add(1, Avro(SCHEMA, into=Reading))
    elif name == "protobuf":
        from google.protobuf.timestamp_pb2 import Timestamp
        types, value = MessageTypes(), Timestamp(seconds=5)
        types.add(1, Timestamp)
    codec = Codec(name, types=types)
    assert codec.decode(codec.encode(value).body) == value

def compress(name):
    codec = Codec("bytes", compress=name, min_size=0)
    encoded = codec.encode(b"ab" * 99 if name != "halve" else b"abab")
    assert encoded.content_encoding == name
    codec.decode(encoded.body, content_encoding=name)

def model():
    from pydantic import BaseModel
    class Position(BaseModel):
        lat: float
    types = MessageTypes(tag="type")
    types.add(1, Position)
    codec = Codec("json", types=types)
    assert codec.decode(codec.encode(Position(lat=1.5)).body) == Position(lat=1.5)

assert getattr(sys, "frozen", False)
for argument in sys.argv[1:]:
    kind, _, name = argument.partition(":")
    try:
        {"serializer": serialize, "compressor": compress, "model": lambda _: model()}[kind](name)
        print(argument, "works")
    except Exception as error:
        print(argument, repr(error), repr(error.__cause__))
"""


@pytest.fixture(scope="module")
def found(
    wheels: dict[str, Path],
    new_environment: Callable[[Path], Any],
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> dict[str, str]:
    """What the frozen application says of each codec."""
    if sys.platform.startswith("linux") and not sysconfig.get_config_var("Py_ENABLE_SHARED"):
        without(request.config, "PyInstaller needs a Python with a shared library")
    if sys.platform.startswith("linux") and shutil.which("objdump") is None:
        without(request.config, "PyInstaller needs objdump")
    folder = tmp_path_factory.mktemp("frozen")
    package = folder / "acme" / "acme_frozen"
    package.mkdir(parents=True)
    (folder / "acme" / "pyproject.toml").write_text(PYPROJECT)
    for name, text in (("__init__", ""), ("reverse", REVERSE), ("halve", HALVE)):
        (package / f"{name}.py").write_text(text)
    environment = new_environment(folder / "environment")
    environment.install(wheels, "gestalt-codecs[all]", str(folder / "acme"))
    try:
        environment.uv("install", "--group", f"{WORKSPACE}:freeze")
    except (AssertionError, subprocess.TimeoutExpired) as error:
        without(request.config, f"PyInstaller cannot be had: {error}")
    (folder / "application.py").write_text(textwrap.dedent(APPLICATION))
    folders = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
    python = folder / "environment" / folders
    made = subprocess.run(
        [python, "-m", "PyInstaller", "--onedir", "--noconfirm", "--log-level=WARN",
         "--workpath", folder / "work", "--distpath", folder / "dist", "application.py"],
        cwd=folder, capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    codecs = [f"serializer:{entry.name}" for entry in SERIALIZERS]
    codecs += [f"compressor:{entry.name}" for entry in COMPRESSORS]
    codecs += ["serializer:reverse", "serializer:application/x-reverse", "compressor:halve"]
    done = subprocess.run(
        [folder / "dist" / "application" / "application", *codecs, "model:"],
        cwd=folder / "dist", capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = (line.partition(" ") for line in done.stdout.splitlines())
    return {codec: outcome for codec, _, outcome in lines}


@pytest.mark.parametrize("entry", SERIALIZERS, ids=lambda entry: entry.name)
def test_a_frozen_application_finds_each_serializer(found: dict[str, str], entry: Any) -> None:
    assert found[f"serializer:{entry.name}"] == "works"


@pytest.mark.parametrize("entry", COMPRESSORS, ids=lambda entry: entry.name)
def test_a_frozen_application_finds_each_compressor(found: dict[str, str], entry: Any) -> None:
    assert found[f"compressor:{entry.name}"] == "works"


@pytest.mark.parametrize(
    "codec", ["serializer:reverse", "serializer:application/x-reverse", "compressor:halve"]
)
def test_a_frozen_application_finds_the_codecs_of_others(found: dict[str, str], codec: str) -> None:
    assert found[codec] == "works"


def test_a_frozen_application_has_pydantic_models(found: dict[str, str]) -> None:
    assert found["model:"] == "works"
