"""Headers as their bytes: such as client libraries do not write, and brokers pass on."""

import struct
from typing import Any

from gestalt.amq.link.address import parse
from gestalt.amq.link.aio_pika_link import connect
from gestalt.amq.wire import Properties, RawValue


def nested(depth: int) -> RawValue:
    """A table within a table, and so on."""
    table = b""
    for _ in range(depth):
        table = b"\x01aF" + struct.pack(">I", len(table)) + table
    return RawValue(b"F" + struct.pack(">I", len(table)) + table)


LONGEST = RawValue(b"l" + struct.pack(">q", 2**63 - 1))
FAR_FUTURE = RawValue(b"T" + struct.pack(">Q", 2**64 - 1))
ODD_HEADERS: dict[str, dict[str, Any]] = {
    "attempts beyond any number": {"x-gestalt-attempts": LONGEST},
    "attempts in a table": {"x-gestalt-attempts": {"a": 1}},
    "a moment beyond any calendar": {"t": FAR_FUTURE},
    "the lowest decimal": {"d": RawValue(b"D" + struct.pack(">Bi", 0, -(2**31)))},
    "a decimal of 255 places": {"d": RawValue(b"D" + struct.pack(">Bi", 255, 2**31 - 1))},
    "a key that is no text": {"\udcff\udcfe": 1},
    "a text that is none": {"s": RawValue(b"S" + struct.pack(">I", 2) + b"\xff\xfe")},
    "a small float": {"f": RawValue(b"f" + struct.pack(">f", 1.5))},
    "moments in an array": {"a": RawValue(b"A" + struct.pack(">I", 9) + FAR_FUTURE.data)},
    "tables in one another": {"n": nested(60)},
    "names that are none": {
        "x-gestalt-exchange": 5,
        "x-gestalt-routing-key": {"a": 1},
        "x-gestalt-reason": 7,
        "x-gestalt-parked-at": "late",
        "x-death": [1],
    },
}


async def publish_raw(
    url: str, queue: str, body: bytes, headers: dict[str, Any], **properties: Any
) -> None:
    """Publish to a queue, whatever the headers are."""
    link = await connect(parse(url), name="raw", heartbeat=0, timeout=10)
    try:
        channel = await link.open_channel(confirms=True)
        await channel.publish(
            "",
            queue,
            Properties(content_type="application/json", headers=headers, **properties),
            body,
            mandatory=True,
        )
    finally:
        await link.close(2.0)
