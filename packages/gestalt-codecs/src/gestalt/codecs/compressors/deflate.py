"""Deflate in its three wrappings, by zlib."""

import zlib
from collections.abc import Iterator
from typing import ClassVar

from gestalt.codecs.compressor import CHUNK, Compressor, trailing, truncated


class Deflate(Compressor):
    """The zlib format (RFC 1950), which HTTP calls deflate (RFC 9110, section 8.4.1.2)."""

    levels = range(10)
    default_level = 6
    write_bits: ClassVar[int] = zlib.MAX_WBITS
    read_bits: ClassVar[int] = zlib.MAX_WBITS

    def compress(self, data: bytes) -> bytes:
        compressor = zlib.compressobj(self.level, wbits=self.write_bits)
        return compressor.compress(data) + compressor.flush()

    def chunks(self, data: bytes) -> Iterator[bytes]:
        decompressor = zlib.decompressobj(self.read_bits)
        view = memoryview(data)
        for start in range(0, len(view), CHUNK):
            chunk = decompressor.decompress(view[start : start + CHUNK], CHUNK)
            yield chunk
            # A full chunk may leave output behind, with or without input.
            while not decompressor.eof and (decompressor.unconsumed_tail or len(chunk) == CHUNK):
                chunk = decompressor.decompress(decompressor.unconsumed_tail, CHUNK)
                yield chunk
            if decompressor.eof:
                if decompressor.unused_data or start + CHUNK < len(view):
                    raise trailing(self.name, data)
                return
        raise truncated(self.name, data)


class RawDeflate(Deflate):
    """Deflate without any wrapping (RFC 1951): no checksum, so that damage may go unnoticed."""

    write_bits = read_bits = -zlib.MAX_WBITS


class Gzip(Deflate):
    """The gzip format (RFC 1952), one member; the zlib format is read, too: kombu calls it gzip."""

    write_bits = zlib.MAX_WBITS | 16
    read_bits = zlib.MAX_WBITS | 32
