"""Bzip2, by Python's bz2."""

import bz2
from collections.abc import Iterator

from gestalt.codecs.compressor import Compressor, drain


class Bzip2(Compressor):
    """One stream."""

    levels = range(1, 10)
    default_level = 9

    def compress(self, data: bytes) -> bytes:
        return bz2.compress(data, self.level)

    def chunks(self, data: bytes) -> Iterator[bytes]:
        return drain(self.name, bz2.BZ2Decompressor(), data)
