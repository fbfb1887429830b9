"""Bytes that are no AMQP are refused by one kind of error, whichever function reads them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from gestalt.amq.wire import Properties
from gestalt.amq.wire.codec import decode_method, encode_method
from gestalt.amq.wire.errors import FieldError, WireError
from gestalt.amq.wire.methods import BasicPublish, ChannelOpen
from gestalt.amq.wire.properties import decode_properties, encode_properties, split_headers
from gestalt.amq.wire.raw import RawValue, split_array, split_table
from gestalt.amq.wire.strings import decode_long_string
from gestalt.amq.wire.tables import decode_table, decode_value, encode_table

TABLE = encode_table({"key": 1, "text": "abc"})
# Its size ends within the last value.
SHORT = (len(TABLE) - 5).to_bytes(4, "big") + TABLE[4:]
HEADERS = encode_properties(Properties(content_type="text/plain", headers={"key": 1}))
PUBLISH = encode_method(BasicPublish(0, "exchange", "key", False, False))


@pytest.mark.parametrize(
    ("function", "argument", "said"),
    [
        (decode_table, SHORT, "ends within a value"),
        (decode_table, b"\0\0\0\x02\x01k", "cut short"),
        (split_table, SHORT, "ends within a value"),
        (split_table, b"\0\0\0\x03\x01kZ", "type"),
        (split_array, RawValue(b"A\0\0\0\x02I\0\0\0\0"), "cut short|ends within a value"),
        (split_array, RawValue(b"A\0\0\0\x01S"), "an array is cut short"),
        (decode_value, RawValue(b"I\0"), "a value is cut short"),
        (decode_value, RawValue(b"I\0\0\0\0\0"), "another size than it says"),
        (lambda data: decode_long_string(data, 0), b"\0\0", "ends within a string"),
        (lambda data: decode_long_string(data, 0), b"\0\0\0\x05abc", "ends within a string"),
        (decode_properties, b"", "cut short"),
        (decode_properties, b"\0\1", "more properties"),
        (decode_properties, HEADERS[:-1], "cut short|ends within a property"),
        (decode_properties, HEADERS + b"x", "1 bytes too long"),
        (split_headers, HEADERS[:2], "cut short"),
        (decode_method, PUBLISH + b"x", "basic.publish has the wrong length"),
        (decode_method, encode_method(ChannelOpen()) + b"xy", "2 bytes are left over"),
        (encode_table, {"when": datetime(1960, 1, 1, tzinfo=UTC)}, "no moments before 1970"),
    ],
)
def test_what_is_malformed_is_refused(
    function: Callable[[Any], object], argument: Any, said: str
) -> None:
    with pytest.raises((FieldError, WireError), match=said):
        function(argument)


def test_a_raw_value_shows_what_it_is_and_nothing_of_what_it_holds() -> None:
    assert repr(RawValue(b"S\0\0\0\x06secret")) == "<longstr of 11 bytes>"
