"""Properties that differ from message to message in a few values alone, encoded in one step."""

import struct
from dataclasses import replace
from functools import lru_cache
from typing import Final

from .properties import Properties, encode_properties
from .strings import encode_short_string
from .tables import Long

_NUMBER: Final = struct.Struct(">q")
_FLAGS_SIZE: Final = 2


class PropertiesTemplate:
    """The properties of many messages, encoded but for what each has of its own.

    That is a correlation id and, where it is asked for, a number in the headers and an expiration.
    It gives the bytes that `encode_properties` gives, in a fifth of the time.

    Args:
        properties: what all of them have.
        number: the name of a header whose value each has, an integer of 64 bits.
        expires: each has an expiration.

    Raises:
        FieldError: the properties cannot be encoded.
    """

    __slots__ = ("_after", "_before", "_between", "_expires", "_middle", "_number")

    def __init__(
        self, properties: Properties, *, number: str | None = None, expires: bool = False
    ) -> None:
        self._number = number is not None
        self._expires = expires
        headers = properties.headers
        if number is not None:
            others = {key: value for key, value in (headers or {}).items() if key != number}
            # The last, so that its value ends what is encoded before the next property.
            headers = {**others, number: Long(0)}
        whole = replace(
            properties, headers=headers, correlation_id="", expiration="" if expires else None
        )
        flags = encode_properties(whole)[:_FLAGS_SIZE]
        before = _values(
            Properties(
                content_type=properties.content_type,
                content_encoding=properties.content_encoding,
                headers=headers,
            )
        )
        self._before = flags + (before[: -_NUMBER.size] if self._number else before)
        self._middle = _values(
            Properties(delivery_mode=properties.delivery_mode, priority=properties.priority)
        )
        self._between = _values(Properties(reply_to=properties.reply_to))
        self._after = _values(
            replace(
                properties,
                content_type=None,
                content_encoding=None,
                headers=None,
                delivery_mode=None,
                priority=None,
                correlation_id=None,
                reply_to=None,
                expiration=None,
            )
        )

    def encode(self, correlation_id: str, *, number: int = 0, expiration: str = "") -> bytes:
        """The properties of one message.

        Args:
            correlation_id: its own.
            number: the value of the header, where there is one.
            expiration: the time to live, in milliseconds, where it has one.

        Raises:
            FieldError: a value does not fit its field.
        """
        return b"%b%b%b%b%b%b%b" % (
            self._before,
            _NUMBER.pack(number) if self._number else b"",
            self._middle,
            encode_short_string(correlation_id, "correlation_id"),
            self._between,
            _expiration(expiration) if self._expires else b"",
            self._after,
        )


@lru_cache(maxsize=256)
def _expiration(text: str) -> bytes:
    # Messages in a row mostly have the same.
    return encode_short_string(text, "expiration")


def _values(properties: Properties) -> bytes:
    return encode_properties(properties)[_FLAGS_SIZE:]
