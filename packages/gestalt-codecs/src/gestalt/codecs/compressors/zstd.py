"""Zstandard (RFC 8878), by Python's own module, backports.zstd or zstandard, whichever there is."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from gestalt.codecs.compressor import Compressor, drain, refuse_skippable

if TYPE_CHECKING:
    from backports import zstd
elif sys.version_info >= (3, 14):  # pragma: no cover - Python 3.14
    from compression import zstd
else:
    try:
        from backports import zstd
    except ImportError:  # pragma: no cover - without backports.zstd
        from . import zstandard as zstd

# Windows above 8 MiB are not for content codings (RFC 9659).
_WINDOW_LOG: Final = 23


class Zstd(Compressor):
    """One frame. Levels above 19 are left out: they take windows that a receiver refuses."""

    levels = range(1, 20)
    default_level = 3

    def __init__(self, *, name: str, level: int | None = None) -> None:
        super().__init__(name=name, level=level)
        # Making a context costs more than compressing a small body. A lock in it keeps threads
        # apart.
        self._compressor = zstd.ZstdCompressor(self.level)

    def compress(self, data: bytes) -> bytes:
        return self._compressor.compress(data, zstd.ZstdCompressor.FLUSH_FRAME)

    def chunks(self, data: bytes) -> Iterator[bytes]:
        refuse_skippable(self.name, data)
        options: dict[Any, int] = {zstd.DecompressionParameter.window_log_max: _WINDOW_LOG}
        return drain(self.name, zstd.ZstdDecompressor(options=options), data)
