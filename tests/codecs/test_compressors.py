"""Each compressor: the way there and back, its end at every byte, and its bounds."""

import contextlib
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt.codecs import (
    CODING_TAGS,
    Codec,
    CodecError,
    DecodeError,
    DecompressError,
    TooLarge,
    TrailingData,
    Truncated,
)

LIBRARIES = {"br": "brotli", "snappy": "snappy", "lz4": "lz4.frame"}
# These say of what is wrong only that something is.
VAGUE = {"br", "snappy"}
TEXT = b"the quick brown fox jumps over the lazy dog; " * 30


@pytest.fixture(params=[name for name in CODING_TAGS if name != "identity"])
def name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name in LIBRARIES:
        pytest.importorskip(LIBRARIES[name])
    return name


@pytest.fixture
def codec(name: str) -> Codec:
    return Codec("bytes", compress=name, min_size=0)


def compress(codec: Codec, data: bytes) -> bytes:
    encoded = codec.encode(data)
    assert encoded.content_encoding == codec.compress
    return encoded.body


@pytest.mark.parametrize("size", [200, 65_535, 65_536, 65_537, 3_000_000])
def test_data_of_any_size_comes_back(codec: Codec, size: int) -> None:
    # Half noise: neither all chunks of output nor all of input are full.
    noise = random.Random(size).randbytes(size // 2)
    data = noise + bytes(size - len(noise))
    assert codec.decode(compress(codec, data), content_encoding=codec.compress) == data


def test_every_level_reads_back(name: str) -> None:
    levels = {"deflate": range(10), "zstd": range(1, 20), "xz": range(7), "br": range(12)}
    for level in levels.get(name, ()):
        codec = Codec("bytes", compress=name, level=level)
        assert codec.decode(codec.encode(TEXT).body, content_encoding=_coding(codec)) == TEXT


def _coding(codec: Codec) -> str | None:
    return codec.encode(TEXT).content_encoding


def test_levels_out_of_range_are_refused(name: str) -> None:
    with pytest.raises(CodecError, match="level"):
        Codec(compress=name, level=99)


def test_truncation_at_every_byte_is_an_error(codec: Codec, name: str) -> None:
    body = compress(codec, TEXT)
    expected = DecodeError if name in VAGUE else Truncated
    for end in range(len(body)):
        with pytest.raises(expected):
            codec.decode(body[:end], content_encoding=name)


def test_whatever_follows_the_end_is_an_error(codec: Codec, name: str) -> None:
    body = compress(codec, TEXT)
    expected = DecompressError if name in VAGUE else TrailingData
    for junk in (b"\x00", b"\xff", b"junk" * 20_000, body):
        with pytest.raises(expected):
            codec.decode(body + junk, content_encoding=name)


def test_the_limit_is_exact(name: str) -> None:
    body = compress(Codec("bytes", compress=name, min_size=0), bytes(70_000))
    exact = Codec("bytes", accept=[name], max_size=70_000)
    assert exact.decode(body, content_encoding=name) == bytes(70_000)
    with pytest.raises(TooLarge):
        Codec("bytes", accept=[name], max_size=69_999).decode(body, content_encoding=name)


def test_random_bytes_raise_nothing_but_decode_errors(codec: Codec, name: str) -> None:
    @given(st.binary(max_size=300))
    def check(data: bytes) -> None:
        with contextlib.suppress(DecodeError):
            codec.decode(data, content_encoding=name)

    check()


def test_every_flipped_bit_is_an_error_or_gives_bounded_data(codec: Codec, name: str) -> None:
    body = compress(codec, TEXT[:300])
    small = Codec("bytes", accept=[name], max_size=4096)
    for bit in range(len(body) * 8):
        damaged = bytearray(body)
        damaged[bit // 8] ^= 1 << bit % 8
        with contextlib.suppress(DecodeError):
            assert len(small.decode(damaged, content_encoding=name)) <= 4096


@pytest.mark.parametrize("kind", range(16))
@pytest.mark.parametrize("size", [0, 4, 200_000])
@pytest.mark.parametrize("name", ["zstd", "lz4"])
def test_skippable_frames_are_refused_by_name(name: str, size: int, kind: int) -> None:
    if name in LIBRARIES:
        pytest.importorskip(LIBRARIES[name])
    codec = Codec("bytes", compress=name, min_size=0)
    skipped = struct.pack("<II", 0x184D2A50 + kind, size) + bytes(size)
    body = compress(codec, TEXT)
    for data in (skipped, skipped + body, skipped * 2, skipped[:-1], skipped[:4]):
        with pytest.raises(DecompressError, match="skippable frame"):
            codec.decode(data, content_encoding=name)
    with pytest.raises(TrailingData):
        codec.decode(body + skipped, content_encoding=name)
    with pytest.raises(Truncated):
        codec.decode(skipped[:3], content_encoding=name)


def test_frames_that_are_empty_or_follow_another_are_told_apart(codec: Codec, name: str) -> None:
    from gestalt.codecs.registry import find_compressor

    empty = find_compressor(name).make(None).compress(b"")
    body = compress(codec, TEXT)
    assert codec.decode(empty, content_encoding=name) == b""
    for several in (empty + empty, empty + body, body + empty, body + body):
        with pytest.raises(DecompressError if name in VAGUE else TrailingData):
            codec.decode(several, content_encoding=name)
    with pytest.raises(DecodeError):
        codec.decode(b"", content_encoding=name)


def test_gzip_reads_the_zlib_format_too() -> None:
    body = Codec("text", compress="deflate", min_size=0).encode("x" * 100).body
    codec = Codec("text", accept=["gzip"])
    assert codec.decode(body, content_encoding="application/x-gzip") == "x" * 100
    with pytest.raises(TrailingData):
        codec.decode(body + b"x", content_encoding="gzip")


def test_zstandard_stands_in_where_backports_zstd_is_absent() -> None:
    pytest.importorskip("zstandard")
    from gestalt.codecs.compressor import drain
    from gestalt.codecs.compressors import zstandard as adapter

    data = random.Random(1).randbytes(200_000) + bytes(200_000)
    body = adapter.ZstdCompressor(3).compress(data, adapter.ZstdCompressor.FLUSH_FRAME)

    def read(body: bytes) -> bytes:
        options = {adapter.DecompressionParameter.window_log_max: 23}
        return b"".join(drain("zstd", adapter.ZstdDecompressor(options=options), body))

    assert read(body) == data
    for end in (0, 3, 10, len(body) // 2, len(body) - 1):
        with pytest.raises(Truncated):
            read(body[:end])
    with pytest.raises(TrailingData):
        read(body + b"\x00")
