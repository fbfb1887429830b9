"""The strings of AMQP 0-9-1: short ones, which are names, and long ones, which are bytes.

Names are UTF-8 by custom only. What is none is read with surrogates, and written as it was.
"""

import struct

from gestalt.core.numbers import kind_of

from .errors import FieldError, FieldTypeError

_SIZE = struct.Struct(">I")
_LARGEST = 255


def encode_short_string(text: str, name: str = "a name") -> bytes:
    """Returns the length in one byte, and the text.

    Args:
        text: The text.
        name: What it is, for the error.

    Raises:
        FieldTypeError: It is no string.
        FieldError: It has more than 255 bytes, or cannot be encoded.
    """
    if not isinstance(text, str):
        raise FieldTypeError(f"{name} is a str, got {kind_of(text)}")
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise FieldError(f"{name} cannot be sent: {error}") from error
    size = len(data)
    if size > _LARGEST:
        raise FieldError(f"{name} has at most 255 bytes, got {size}")
    return b"%c%b" % (size, data)


def decode_short_string(data: bytes, start: int) -> tuple[str, int]:
    """Returns the text at the offset `start`, and the offset after it.

    Raises:
        FieldError: It is cut short.
    """
    stop = start + 1 + data[start] if start < len(data) else start + 1
    if stop > len(data):
        raise FieldError("a frame ends within a string")
    return data[start + 1 : stop].decode("utf-8", "surrogateescape"), stop


def encode_long_string(value: bytes) -> bytes:
    """Returns the length in four bytes, and the bytes."""
    return _SIZE.pack(len(value)) + value


def decode_long_string(data: bytes, start: int) -> tuple[bytes, int]:
    """Returns the bytes at the offset `start`, and the offset after them.

    Raises:
        FieldError: They are cut short.
    """
    if start + 4 > len(data):
        raise FieldError("a frame ends within a string")
    stop = start + 4 + int(_SIZE.unpack_from(data, start)[0])
    if stop > len(data):
        raise FieldError("a frame ends within a string")
    return data[start + 4 : stop], stop
