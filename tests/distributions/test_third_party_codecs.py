"""A third party's distribution brings a serializer and a compressor: built, installed, used."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# What is not in uv's cache yet is downloaded.
pytestmark = pytest.mark.timeout(300)

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "acme-codecs"
version = "1.0"
dependencies = ["gestalt-codecs"]

[project.entry-points."gestalt.codecs.serializers"]
reverse = "acme_codecs:Reverse"
absent = "acme_absent:Nothing"
missing = "acme_codecs:Missing"
wrong = "json:dumps"

[project.entry-points."gestalt.codecs.compressors"]
halve = "acme_codecs:Halve"
"""
MODULE = """
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


@pytest.fixture(scope="module")
def python(
    wheels: dict[str, Path],
    new_environment: Callable[[Path], Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], str]:
    """Runs a script in a clean environment where the third party's wheel was installed."""
    source, target = tmp_path_factory.mktemp("acme"), tmp_path_factory.mktemp("acme-built")
    (source / "pyproject.toml").write_text(PYPROJECT)
    (source / "acme_codecs.py").write_text(MODULE)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", target]
    subprocess.run(build, cwd=source, check=True, capture_output=True, timeout=120)
    [wheel] = target.glob("acme_codecs-1.0-*.whl")
    environment = new_environment(tmp_path_factory.mktemp("environment") / "acme")
    environment.install(wheels, str(wheel))
    run: Callable[[str], str] = environment.python
    return run


def test_its_serializer_is_found_by_name_and_mime_type(python: Callable[[str], str]) -> None:
    code = """
import sys
from gestalt.codecs import Codec
assert "acme_codecs" not in sys.modules
for name in ("reverse", "Application/X-Reverse; q=1"):
    codec = Codec(name)
    encoded = codec.encode("abc")
    assert encoded[:2] == (b"cba", "application/x-reverse"), encoded
    assert codec.decode(encoded.body, content_type="application/x-reverse") == "abc"
print(codec.serializer)
"""
    assert python(code) == "reverse"


def test_its_compressor_is_bounded_as_all_are(python: Callable[[str], str]) -> None:
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
    assert python(code) == "refused"


def test_broken_entry_points_say_so(python: Callable[[str], str]) -> None:
    code = """
from gestalt.codecs import Codec, CodecError
for name in ("absent", "missing", "wrong", "application/x-unknown"):
    try:
        Codec(name)
    except CodecError as error:
        print(type(error).__name__, error, type(error.__cause__).__name__)
"""
    absent, missing, wrong, unknown = python(code).splitlines()
    assert absent.startswith("CodecNotInstalled")
    assert "acme_absent:Nothing" in absent
    assert missing.startswith("CodecNotInstalled")
    assert "acme_codecs:Missing" in missing
    assert wrong == "CodecError the entry point json:dumps of wrong is not a Serializer NoneType"
    # Which MIME types they would have had cannot be told: the last one's defect is the cause.
    assert unknown.startswith("UnknownCodec")
    assert not unknown.endswith("NoneType")


def test_decoding_never_looks_at_entry_points(python: Callable[[str], str]) -> None:
    code = """
import sys
from gestalt.codecs import Codec, Codecs, DecodeError
codecs = Codecs(Codec("bytes"), Codec("text", accept=["deflate"]))
for declared in ({"content_type": "application/x-reverse"}, {"content_encoding": "halve"}):
    try:
        codecs.decode(b"x", **declared)
    except DecodeError:
        pass
print("acme_codecs" in sys.modules, "importlib.metadata" in sys.modules)
"""
    assert python(code) == "False False"


def test_without_it_neither_is_known(wheels: dict[str, Path], environment: Any) -> None:
    environment.install(wheels, "gestalt-codecs")
    code = """
from gestalt.codecs import Codec, UnknownCodec
for arguments in ({"serializer": "reverse"}, {"compress": "halve"}):
    try:
        Codec(**arguments)
    except UnknownCodec as error:
        print(error)
"""
    unknown = environment.python(code).splitlines()
    assert [line.partition(";")[0] for line in unknown] == [
        "no serializer is called 'reverse'",
        "no compressor is called 'halve'",
    ]
