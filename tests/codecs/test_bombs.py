"""Half a GiB from every compressor is refused with no more memory than what is allowed takes."""

from collections.abc import Callable

import pytest

# Each gives the start of a stream of 512 MiB, which is all that a refusal sees.
_BOMBS = """
MiB = 1024 * 1024
zeros = bytes(MiB)

def make(name):
    if name in ("deflate", "raw-deflate", "gzip"):
        import zlib
        bits = {"deflate": 15, "raw-deflate": -15, "gzip": 31}[name]
        compressor = zlib.compressobj(wbits=bits)
        start = compressor.compress(zeros) + compressor.flush(zlib.Z_FULL_FLUSH)
        return start + 511 * (compressor.compress(zeros) + compressor.flush(zlib.Z_FULL_FLUSH))
    if name == "bzip2":
        # Blocks of 5 MiB follow each other at any bit: the first one is repeated.
        import bz2
        stream = bz2.compress(bytes(8 * MiB), 1)
        bits = format(int.from_bytes(stream, "big"), f"0{8 * len(stream)}b")
        second = bits.index(format(0x314159265359, "048b"), 33)
        bits = bits[:32] + bits[32:second] * (512 * MiB // 5_000_000 + 1)
        return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    if name == "xz":
        import lzma
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 8 * MiB}]
        stream = lzma.compress(bytes(16 * MiB), filters=filters)
        end = 12 + 4 * (1 + int.from_bytes(stream[-8:-4], "little"))  # the footer and the index
        return stream[:12] + stream[12:-end] * 32
    if name in ("br", "br-widest"):
        import brotli
        compressor = brotli.Compressor(quality=1, lgwin=24 if name == "br-widest" else 23)
        return b"".join(compressor.process(zeros) for _ in range(512)) + compressor.finish()
    if name == "zstd":
        # A frame of the widest window that is read, 8 MiB, and of blocks that repeat one byte.
        block = (128 * 1024 << 3 | 1 << 1).to_bytes(3, "little") + b"x"
        return bytes.fromhex("28b52ffd 00 68") + block * 4095 + bytes([block[0] | 1]) + block[1:]
    if name == "lz4":
        import lz4.frame
        compressor = lz4.frame.LZ4FrameCompressor(block_size=7)
        start = compressor.begin()
        return start + b"".join(compressor.compress(zeros) for _ in range(512))
    if name == "snappy":
        import snappy
        # The length, one literal, and copies of 64 bytes.
        return bytes.fromhex("8080808002 00 78") + bytes.fromhex("fe0100") * (512 * MiB // 64)
"""
_LIBRARIES = {"br": "brotli", "br-widest": "brotli", "lz4": "lz4.frame", "snappy": "snappy"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["deflate", "raw-deflate", "gzip", "bzip2", "xz", "br", "br-widest", "zstd", "lz4", "snappy"],
)
def test_a_bomb_is_refused_in_little_memory(
    name: str, measured: Callable[[str], list[tuple[str | None, int, float]]]
) -> None:
    if name in _LIBRARIES:
        pytest.importorskip(_LIBRARIES[name])
    found = measured(f"""
{_BOMBS}
from gestalt.codecs import Codec
bomb = make({name!r})
token = {name!r}.partition("-widest")[0]
for size in (MiB, 16 * MiB):
    codec = Codec("bytes", compress=token, min_size=0, max_size=size)
    assert codec.decode(codec.encode(b"x" * 99).body, content_encoding=token) == b"x" * 99
    measure(lambda: codec.decode(bomb, content_encoding=token))
""")
    assert [error for error, _, _ in found] == ["TooLarge", "TooLarge"]
    for size, (_, growth, _) in zip((1, 16), found, strict=True):
        # What is allowed, once more where it moves as it grows, and a window.
        assert growth < (2 * size + 16) * 1024
