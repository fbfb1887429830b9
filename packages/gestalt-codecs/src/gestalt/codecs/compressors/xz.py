"""LZMA2 in the xz format, by Python's lzma."""

import lzma
from collections.abc import Iterator
from typing import Final

from gestalt.codecs.compressor import Compressor, drain

# Presets up to 6 have dictionaries up to 8 MiB; larger ones only help with larger data.
_MEMORY_LIMIT: Final = 10 * 1024 * 1024


class Xz(Compressor):
    """One stream, whose dictionary takes no more than 8 MiB."""

    levels = range(7)
    default_level = 6

    def compress(self, data: bytes) -> bytes:
        return lzma.compress(data, preset=self.level)

    def chunks(self, data: bytes) -> Iterator[bytes]:
        decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY_LIMIT)
        return drain(self.name, decompressor, data)
