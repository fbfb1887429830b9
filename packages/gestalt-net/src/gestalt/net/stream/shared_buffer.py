"""One buffer for the reads of all connections of an event loop."""

import asyncio
import weakref

READ_SIZE = 64 * 1024
"""How many bytes are read, and handled, at once before it is another peer's turn."""

HEADROOM = 16 * 1024
"""How many bytes of an incomplete message are put before the next read, to save copying that."""

# One buffer for all connections of an event loop: get_buffer and buffer_updated run back to back.
_buffers: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[memoryview, memoryview]]"
_buffers = weakref.WeakKeyDictionary()


def shared_buffer(loop: asyncio.AbstractEventLoop) -> tuple[memoryview, memoryview]:
    """The buffer, and the part of it that is read into."""
    buffers = _buffers.get(loop)
    if buffers is None:
        whole = memoryview(bytearray(HEADROOM + READ_SIZE))
        buffers = _buffers[loop] = whole, whole[HEADROOM:]
    return buffers
