"""Codecs whose library is not installed, and what importing imports."""

import subprocess
import sys

import pytest


def run(code: str) -> str:
    """Run code in a new interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


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
