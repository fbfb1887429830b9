"""The zstandard package behind the interface that Python's own module has."""

from collections.abc import Mapping
from enum import Enum
from threading import Lock
from typing import Final

import zstandard

# A block of 4 bytes can hold 128 KiB, and the package inflates all that it is given: 64 bytes make
# 2 MiB.
_SLICE: Final = 64


class DecompressionParameter(Enum):
    """The options that ZstdDecompressor takes."""

    window_log_max = 100


class ZstdCompressor:
    """Makes whole frames."""

    FLUSH_FRAME: Final = 2

    def __init__(self, level: int) -> None:
        self._compressor = zstandard.ZstdCompressor(level)
        self._lock = Lock()

    def compress(self, data: bytes, mode: int) -> bytes:  # noqa: ARG002 - only whole frames
        with self._lock:
            return self._compressor.compress(data)


class ZstdDecompressor:
    """Reads one frame, bounded in what it gives at a time."""

    def __init__(self, *, options: Mapping[DecompressionParameter, int]) -> None:
        largest = 1 << options[DecompressionParameter.window_log_max]
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=largest).decompressobj()
        self._pending = memoryview(b"")

    def decompress(self, data: bytes | memoryview, max_length: int) -> bytes:
        """Give about `max_length` bytes more; take `data` only when the last was used up."""
        if data:  # pragma: no branch - who has more to give is asked for it first
            self._pending = memoryview(data)
        given: list[bytes] = []
        while self._pending and not self.eof and max_length > 0:
            given.append(self._decompressor.decompress(self._pending[:_SLICE]))
            self._pending = self._pending[_SLICE:]
            max_length -= len(given[-1])
        return b"".join(given)

    @property
    def eof(self) -> bool:
        return self._decompressor.eof

    @property
    def needs_input(self) -> bool:
        return not self._pending

    @property
    def unused_data(self) -> bytes:
        return bytes(self._decompressor.unused_data) + self._pending
