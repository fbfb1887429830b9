"""Codecs that are not installed, that third parties bring, and what importing costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = """
from gestalt.codecs import Compressor, Functions, Serializer

class Reverse(Serializer):
    content_types = ("application/x-reverse",)
    def untyped(self):
        return Functions(lambda text: text.encode()[::-1], lambda data: data[::-1].decode())

class Halve(Compressor):
    def compress(self, data):
        return data[: len(data) // 2]
    def chunks(self, data):
        yield data + data
"""
METADATA = "Metadata-Version: 2.1\nName: {}\nVersion: 1.0\n"
ENTRY_POINTS = """
[gestalt.codecs.serializers]
reverse = gestalt_reverse:Reverse
absent = gestalt_absent:Nothing
wrong = json:dumps
[gestalt.codecs.compressors]
halve = gestalt_reverse:Halve
"""


def run(code: str, *path: Path) -> str:
    """Run code in a new interpreter that finds further packages in `path`."""
    start = f"import sys; sys.path[:0] = {[str(each) for each in path]!r}\n"
    done = subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A distribution as an installer lays it out, with entry points."""
    (tmp_path / "gestalt_reverse.py").write_text(PLUGIN)
    info = tmp_path / "gestalt_reverse-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA.format("gestalt-reverse"))
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return tmp_path


def test_a_serializer_of_a_third_party_is_found_by_name_and_mime_type(plugin: Path) -> None:
    code = """
from gestalt.codecs import Codec
assert "gestalt_reverse" not in sys.modules
for name in ("reverse", "Application/X-Reverse; q=1"):
    codec = Codec(name)
    encoded = codec.encode("abc")
    assert encoded[:2] == (b"cba", "application/x-reverse"), encoded
    assert codec.decode(encoded.body, content_type="application/x-reverse") == "abc"
print(codec.serializer)
"""
    assert run(code, plugin) == "reverse"


def test_a_compressor_of_a_third_party_is_bounded_as_all_are(plugin: Path) -> None:
    code = """
from gestalt.codecs import Codec, TooLarge
codec = Codec("bytes", compress="halve", min_size=4, max_size=8)
encoded = codec.encode(b"abab")
assert encoded[:3] == (b"ab", "application/octet-stream", "halve")
assert codec.decode(b"ab", content_encoding="halve") == b"abab"
try:
    codec.decode(b"abcde", content_encoding="halve")
except TooLarge:
    print("refused")
"""
    assert run(code, plugin) == "refused"


def test_broken_entry_points_say_so(plugin: Path) -> None:
    code = """
from gestalt.codecs import Codec, CodecError
for name in ("absent", "wrong"):
    try:
        Codec(name)
    except CodecError as error:
        print(type(error).__name__, error)
"""
    absent, wrong = run(code, plugin).splitlines()
    assert absent.startswith("CodecNotInstalled")
    assert "gestalt_absent:Nothing" in absent
    assert wrong == "CodecError the entry point json:dumps of wrong is not a Serializer"


@pytest.mark.parametrize(
    ("argument", "library", "extra"),
    [
        ("'msgpack'", "msgpack", "msgpack"),
        ("'yaml'", "yaml", "yaml"),
        ("'avro', types=MessageTypes()", "fastavro", "avro"),
        ("'protobuf', types=MessageTypes()", "google.protobuf", "protobuf"),
        ("compress='brotli'", "brotli", "brotli"),
        ("compress='snappy'", "snappy", "snappy"),
        ("accept=['lz4']", "lz4", "lz4"),
    ],
)
def test_a_missing_library_is_named_with_the_command_that_installs_it(
    argument: str, library: str, extra: str
) -> None:
    code = f"""
sys.modules[{library!r}] = None  # what makes an import fail as if it were not installed
from gestalt.codecs import Codec, CodecNotInstalled, MessageTypes
try:
    Codec({argument})
except CodecNotInstalled as error:
    assert isinstance(error.__cause__, ImportError)
    print(error)
"""
    assert f'pip install "gestalt-codecs[{extra}]"' in run(code)


def test_importing_imports_no_library() -> None:
    code = """
import gestalt.codecs
libraries = "msgspec msgpack yaml fastavro google.protobuf brotli snappy backports.zstd lz4"
print([name for name in libraries.split() if name in sys.modules])
gestalt.codecs.Codec("bytes", compress="deflate")
print([name for name in libraries.split() if name in sys.modules])
gestalt.codecs.Codec("json")
print([name for name in libraries.split() if name in sys.modules])
"""
    assert run(code).splitlines() == ["[]", "[]", "['msgspec']"]


def test_decoding_never_looks_at_entry_points(plugin: Path) -> None:
    code = """
from gestalt.codecs import Codec, Codecs, DecodeError
codecs = Codecs(Codec("bytes"), Codec("text", accept=["deflate"]))
for declared in ({"content_type": "application/x-reverse"}, {"content_encoding": "halve"}):
    try:
        codecs.decode(b"x", **declared)
    except DecodeError:
        pass
print("gestalt_reverse" in sys.modules, "importlib.metadata" in sys.modules)
"""
    assert run(code, plugin) == "False False"
