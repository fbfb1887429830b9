"""Snappy's raw format, by the python-snappy package."""

from collections.abc import Iterator
from typing import cast

import snappy

from gestalt.codecs.compressor import Compressor, truncated
from gestalt.codecs.errors import DecompressError, TooLarge
from gestalt.codecs.showing import size_of


class Snappy(Compressor):
    """One raw block. It has no checksum, so that damage may go unnoticed."""

    def compress(self, data: bytes) -> bytes:
        return cast(bytes, snappy.compress(data))

    def decompress(self, data: bytes, max_size: int) -> bytes:
        size = self._declared_size(data)
        if size > max_size:
            raise TooLarge(f"{self.name}: {size} bytes come out of {size_of(data)}, not {max_size}")
        return super().decompress(data, max_size)

    def chunks(self, data: bytes) -> Iterator[bytes]:
        # The block says its size, and the library holds it to that: one chunk is bounded.
        yield cast(bytes, snappy.uncompress(data))

    def _declared_size(self, data: bytes) -> int:
        size = 0
        for shift, byte in zip(range(0, 35, 7), data, strict=False):
            size |= (byte & 0x7F) << shift
            if byte < 0x80:
                return size
        if len(data) < 5:
            raise truncated(self.name, data)
        raise DecompressError(f"{self.name}: no length at the start of {size_of(data)}")
