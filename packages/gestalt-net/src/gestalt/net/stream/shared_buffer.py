"""One buffer for the reads of all connections of an event loop."""

import asyncio
import weakref
from typing import NamedTuple

READ_SIZE = 64 * 1024
"""How many bytes are read, and handled, at once before it is another peer's turn."""

LONG_READ = 112 * 1024
"""How many, where they are few messages, none of which waits for its handler."""

FEW = 128
"""How many messages are few, in one read."""

HEADROOM = 16 * 1024
"""How many bytes of an incomplete message are put before the next read, to save copying that."""


class Views(NamedTuple):
    """The buffer, and the parts of it that are read into."""

    whole: memoryview
    short: memoryview
    long: memoryview


# One buffer for all connections of an event loop: get_buffer and buffer_updated run back to back.
_buffers: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Views]"
_buffers = weakref.WeakKeyDictionary()


def shared_buffer(loop: asyncio.AbstractEventLoop) -> Views:
    """The buffer of an event loop."""
    views = _buffers.get(loop)
    if views is None:
        whole = memoryview(bytearray(HEADROOM + LONG_READ))
        long = whole[HEADROOM:]
        views = _buffers[loop] = Views(whole, long[:READ_SIZE], long)
    return views
