"""Formats and compressors that other distributions bring."""

import zlib
from pathlib import Path

import pytest

from gestalt.codecs import Codec, CodecError, CodecNotInstalled, UnknownCodec
from gestalt.codecs.freezing import hook_folders

MODULE = """
import zlib
from gestalt.codecs import Compressor, Functions, Serializer

class Reversed(Serializer):
    content_types = ("application/x-reversed",)

    def untyped(self):
        return Functions(lambda text: text.encode()[::-1], lambda data: bytes(data)[::-1].decode())

class Zipped(Compressor):
    levels = range(10)
    default_level = 9

    def compress(self, data):
        return zlib.compress(data, self.level)

    def chunks(self, data):
        yield zlib.decompress(data)

NUMBER = 5
"""
POINTS = """
[gestalt.codecs.serializers]
broken = entry_point_plugs.nowhere:Missing
reversed = entry_point_plugs:Reversed
number = entry_point_plugs:NUMBER

[gestalt.codecs.compressors]
zipped = entry_point_plugs:Zipped
"""


@pytest.fixture(autouse=True)
def plugs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution as an installer leaves it."""
    (tmp_path / "entry_point_plugs.py").write_text(MODULE)
    about = tmp_path / "entry_point_plugs-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: entry-point-plugs\nVersion: 1.0\n"
    )
    (about / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize("name", ["reversed", "application/x-reversed"])
def test_a_format_is_found_by_its_name_and_by_its_type(name: str) -> None:
    codec = Codec(name, compress="zipped", min_size=1)
    encoded = codec.encode("some text" * 100)
    assert zlib.decompress(encoded.body) == b"txet emos" * 100
    assert encoded.content_type == "application/x-reversed"
    assert codec.decode(encoded.body, content_encoding="zipped") == "some text" * 100


def test_what_is_declared_and_is_not_there_is_named() -> None:
    with pytest.raises(
        CodecNotInstalled, match="broken is declared by the entry point entry_point"
    ):
        Codec("broken")
    with pytest.raises(CodecError, match="entry_point_plugs:NUMBER of number is not a Serializer"):
        Codec("number")


def test_what_nobody_has_is_unknown_and_another_ones_defect_is_its_cause() -> None:
    with pytest.raises(
        UnknownCodec, match="no serializer is called 'application/x-none'"
    ) as caught:
        Codec("application/x-none")
    assert isinstance(caught.value.__cause__, CodecError)
    with pytest.raises(UnknownCodec, match="no compressor is called 'none-such'"):
        Codec("json", compress="none-such")


def test_pyinstaller_is_told_where_the_hooks_are() -> None:
    (folder,) = hook_folders()
    assert Path(folder, "hook-gestalt.codecs.py").is_file()
