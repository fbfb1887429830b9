"""Brotli (RFC 7932), by the brotli package."""

from collections.abc import Iterator
from typing import cast

import brotli

from gestalt.codecs.compressor import CHUNK, Compressor, truncated
from gestalt.codecs.errors import TooLarge


class Brotli(Compressor):
    """One stream, whose window takes no more than 8 MiB.

    The package does not tell what follows the end from damage: both are a DecompressError.
    """

    levels = range(12)
    default_level = 4

    def compress(self, data: bytes) -> bytes:
        return cast(bytes, brotli.compress(data, quality=self.level))

    def chunks(self, data: bytes) -> Iterator[bytes]:
        # RFC 7932, section 9.1: these four bits alone mean a window of 16 MiB.
        if data[:1] and data[0] & 0x0F == 0x0F:
            raise TooLarge("br: windows of 16 MiB are refused")
        decompressor = brotli.Decompressor()
        yield decompressor.process(data, output_buffer_limit=CHUNK)
        while not decompressor.is_finished():
            chunk = decompressor.process(b"", output_buffer_limit=CHUNK)
            if not chunk and not decompressor.is_finished():
                raise truncated(self.name, data)
            yield chunk
