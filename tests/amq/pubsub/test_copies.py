"""A copy can always be written, whatever came."""

import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gestalt.amq.headers import safe_text
from gestalt.amq.pubsub.copies import copy_properties, failure_headers
from gestalt.amq.wire import Delivery, Properties, RawValue, decode_properties, encode_properties

some = st.one_of(st.none(), st.text(alphabet=st.characters(codec="utf-8"), max_size=63))
odd = st.sampled_from(
    [
        RawValue(b"T" + struct.pack(">Q", 2**64 - 1)),
        RawValue(b"D" + struct.pack(">Bi", 255, -(2**31))),
        RawValue(b"l" + struct.pack(">q", 2**63 - 1)),
        RawValue(b"S" + struct.pack(">I", 2) + b"\xff\xfe"),
        RawValue(b"d" + struct.pack(">d", float("nan"))),
    ]
)
values = st.one_of(odd, st.integers(-(2**63), 2**63 - 1), st.text(max_size=20), st.binary())
sizes = st.integers(0, 50_000).map(lambda size: "x" * size)
headers = st.dictionaries(
    st.one_of(
        st.text(alphabet=st.characters(codec="utf-8"), max_size=60),
        st.sampled_from(["CC", "x-death", "x-gestalt-attempts", "x-gestalt-exchange", "x-type-id"]),
    ),
    st.one_of(values, sizes),
    max_size=12,
)


def delivered(properties: Properties) -> Delivery:
    # Others write what we refuse to: whatever it is, by a name that nobody minds.
    given = properties.headers or {}
    headers = {"C\x01" if name == "CC" else name: value for name, value in given.items()}
    data = encode_properties(replace(properties, headers=headers)).replace(b"\x02C\x01", b"\x02CC")
    read, unreadable = decode_properties(data)
    delivery = Delivery(1, False, "exchange", "a.key", read, b"body")
    delivery.header, delivery.unreadable = data, unreadable and str(unreadable)
    return delivery


@example(Properties(headers={"x-gestalt-exchange": "x" * 3911}), "", 4096 - 8, False)
@example(Properties(headers={"x-type-id": "x" * 3911, "CC": "y" * 300}), "", 4096 - 8, False)
@given(
    st.builds(
        Properties,
        headers=headers,
        content_type=some,
        type=some,
        correlation_id=some,
        reply_to=some,
        message_id=some,
        app_id=some,
        user_id=some,
        timestamp=st.integers(0, 2**64 - 1),
    ),
    st.text(max_size=3000),
    st.sampled_from([4096 - 8, 8192 - 8, 131_072 - 8, 2**32]),
    st.booleans(),
)
def test_any_copy_fits_a_frame_and_tells_of_the_failure(
    properties: Properties, reason: str, frame_limit: int, bare: bool
) -> None:
    delivery = delivered(properties)
    ours = failure_headers(delivery, "queue", ValueError(reason), 3)
    copy = copy_properties(delivery, ours, frame_limit, bare=bare)
    data = encode_properties(copy)
    assert 12 + len(data) <= frame_limit
    read, unreadable = decode_properties(data)
    assert unreadable is None
    assert read.headers is not None
    assert read.headers["x-gestalt-attempts"] == 3
    assert read.headers["x-gestalt-error"] == "ValueError"
    assert (read.content_type, read.type) == (properties.content_type, properties.type)
    assert not read.headers.keys() & {"CC", "x-death"}
    assert read.user_id is None


@pytest.mark.parametrize("text", ["bad \ud800", "\udcff", "x" * 10_000, "\u20ac" * 3000, "\0\n"])
def test_any_text_can_be_written(text: str) -> None:
    assert len(safe_text(text).encode()) <= 4 * 2000


def test_the_largest_headers_are_left_out_first_and_named() -> None:
    kept: dict[str, Any] = {"small": "x" * 50_000, "smaller": 1}
    headers = {"largest": "x" * 60_000, "large": "x" * 55_000} | kept
    delivery = delivered(Properties(headers=headers, correlation_id="kept"))
    copy = copy_properties(delivery, {}, 131_072 - 8)
    read, _ = decode_properties(encode_properties(copy))
    assert read.headers is not None
    assert read.headers.keys() >= {"large", *kept}
    assert read.headers["x-gestalt-left-out"] == "largest"
    assert read.correlation_id == "kept"


def test_headers_that_cannot_be_told_apart_are_left_behind() -> None:
    delivery = delivered(Properties(headers={"a": 1}, type="Kind"))
    delivery.header = delivery.header.replace(b"\x01a", b"\xffa")
    copy = copy_properties(delivery, {"x-gestalt-attempts": 1}, 4096)
    assert (copy.headers, copy.type) == ({"x-gestalt-attempts": 1}, "Kind")
