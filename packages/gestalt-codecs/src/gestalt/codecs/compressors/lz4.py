"""The LZ4 frame format, by the lz4 package."""

from collections.abc import Iterator
from typing import cast

import lz4.frame

from gestalt.codecs.compressor import Compressor, drain, refuse_skippable


class Lz4(Compressor):
    """One frame, with a checksum of its content."""

    levels = range(13)
    default_level = 0

    def compress(self, data: bytes) -> bytes:
        frame = lz4.frame.compress(data, compression_level=self.level, content_checksum=True)
        return cast(bytes, frame)

    def chunks(self, data: bytes) -> Iterator[bytes]:
        refuse_skippable(self.name, data)
        return drain(self.name, lz4.frame.LZ4FrameDecompressor(), data)
