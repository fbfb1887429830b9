"""Methods to bytes and back.

One reader and one writer for each field type, chosen from the annotations of a method class when it
is first used. basic.publish, basic.deliver and basic.ack come for every message, and have code of
their own.
"""

import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

from gestalt.core.numbers import amount_of

from .errors import FieldError, WireError
from .frames import METHOD, frame
from .methods import INDEX, BasicAck, BasicDeliver, BasicPublish, Method
from .strings import (
    decode_long_string,
    decode_short_string,
    encode_long_string,
    encode_short_string,
)
from .tables import decode_arguments, encode_table

# Reads one field, or the bits of one byte: (data, offset) -> (values, offset after them).
_Reader: TypeAlias = Callable[[bytes, int], tuple[tuple[Any, ...], int]]
# Writes the same values.
_Writer: TypeAlias = Callable[[tuple[Any, ...]], bytes]

_INDEX = struct.Struct(">I")
_METHODS: dict[int, type[Method]] = {index: cls for cls, index in INDEX.items()}
_INTEGERS = {
    "octet": struct.Struct(">B"),
    "short": struct.Struct(">H"),
    "long": struct.Struct(">I"),
    "longlong": struct.Struct(">Q"),
}
_BITS_PER_BYTE = 8

_PUBLISH = _INDEX.pack(INDEX[BasicPublish])
_ACK = struct.Struct(">IQB")
_ACK_INDEX = INDEX[BasicAck]
_ACK_PREFIX = _INDEX.pack(_ACK_INDEX)
_TAG = struct.Struct(">QB")


def method_numbers(method: type[Method]) -> tuple[int, int]:
    """Returns the class and the method number, as a close method names what it closes for."""
    index = INDEX[method]
    return index >> 16, index & 0xFFFF


def method_frame(channel: int, method: Method) -> bytes:
    """Returns the frame of a method; errors as `encode_method`."""
    return frame(METHOD, channel, encode_method(method))


def encode_method(method: Method) -> bytes:
    """Returns the payload of the method's frame.

    Raises:
        FieldError: A value does not fit its field.
    """
    cls = type(method)
    parts = [_INDEX.pack(INDEX[cls])]
    position = 0
    for count, _, write in _layout(cls):
        parts.append(write(method[position : position + count]))
        position += count
    return b"".join(parts)


def decode_method(payload: bytes) -> Method:
    """Returns the method that a method frame's payload holds.

    Raises:
        WireError: It is cut short, too long, or no method of AMQP.
    """
    try:
        prefix = payload[:4]
        if prefix == _PUBLISH:
            return _decode_publish(payload)
        if prefix == _ACK_PREFIX and len(payload) == _ACK.size:
            _, tag, multiple = _ACK.unpack(payload)
            return BasicAck(tag, multiple & 1 == 1)
        return _decode(payload)
    except (FieldError, struct.error, IndexError) as error:
        raise WireError("SYNTAX_ERROR", f"a method's fields are malformed: {error}") from error


def deliver_prefix(consumer_tag: str) -> bytes:
    """Returns the beginning of every basic.deliver to this consumer."""
    return _INDEX.pack(INDEX[BasicDeliver]) + encode_short_string(consumer_tag)


def encode_deliver(prefix: bytes, delivery_tag: int, redelivered: bool, address: bytes) -> bytes:
    """Returns the payload of a basic.deliver.

    Args:
        prefix: What `deliver_prefix` returned for the consumer.
        delivery_tag: The delivery's number on its channel.
        redelivered: It may have been delivered before.
        address: The exchange and the routing key, both as short strings.
    """
    return b"%b%b%b" % (prefix, _TAG.pack(delivery_tag, redelivered), address)


# Messages in a row mostly have the same address.
@lru_cache(maxsize=1024)
def _decode_publish(payload: bytes) -> BasicPublish:
    exchange_end = 7 + payload[6]
    key_end = exchange_end + 1 + payload[exchange_end]
    if key_end + 1 != len(payload):
        raise FieldError("basic.publish has the wrong length")
    bits = payload[key_end]
    return BasicPublish(
        (payload[4] << 8) | payload[5],
        payload[7:exchange_end].decode("utf-8", "surrogateescape"),
        payload[exchange_end + 1 : key_end].decode("utf-8", "surrogateescape"),
        bits & 1 == 1,
        bits & 2 == 2,
    )


def _decode(payload: bytes) -> Method:
    (index,) = _INDEX.unpack_from(payload)
    cls = _METHODS.get(index)
    if cls is None:
        raise WireError(
            "COMMAND_INVALID", f"there is no method {index & 0xFFFF} of class {index >> 16}"
        )
    values: list[Any] = []
    position = _INDEX.size
    for _, read, _ in _layout(cls):
        fields, position = read(payload, position)
        values += fields
    if position != len(payload):
        raise FieldError(f"{len(payload) - position} bytes are left over")
    return cls._make(values)


# For each class: how many fields one step covers, and how to read and to write them.
_layouts: dict[type[Method], list[tuple[int, _Reader, _Writer]]] = {}


def _layout(cls: type[Method]) -> list[tuple[int, _Reader, _Writer]]:
    layout = _layouts.get(cls)
    if layout is None:
        layout = _layouts[cls] = _build_layout(cls)
    return layout


def _build_layout(cls: type[Method]) -> list[tuple[int, _Reader, _Writer]]:
    annotations = cls.__annotations__
    kinds = [annotations[field].__metadata__[0] for field in cls._fields]
    layout: list[tuple[int, _Reader, _Writer]] = []
    while kinds:
        bits = 0
        while bits < min(len(kinds), _BITS_PER_BYTE) and kinds[bits] == "bit":
            bits += 1
        if bits:
            layout.append((bits, _bits_reader(bits), _write_bits))
            del kinds[:bits]
            continue
        kind = kinds.pop(0)
        if kind in _INTEGERS:
            layout.append((1, *_integer(_INTEGERS[kind])))
        else:
            layout.append((1, *_OTHERS[kind]))
    return layout


def _bits_reader(count: int) -> _Reader:
    masks = [1 << position for position in range(count)]

    def read(data: bytes, offset: int) -> tuple[tuple[Any, ...], int]:
        byte = data[offset]
        return tuple([byte & mask != 0 for mask in masks]), offset + 1

    return read


def _write_bits(values: tuple[Any, ...]) -> bytes:
    return bytes([sum(1 << position for position, bit in enumerate(values) if bit)])


def _integer(number: struct.Struct) -> tuple[_Reader, _Writer]:
    def read(data: bytes, offset: int) -> tuple[tuple[Any, ...], int]:
        return number.unpack_from(data, offset), offset + number.size

    def write(values: tuple[Any, ...]) -> bytes:
        try:
            return number.pack(*values)
        except struct.error as error:
            raise FieldError(
                f"{amount_of(values[0])} does not fit in {number.size} bytes"
            ) from error

    return read, write


def _of_one_value(
    decode: Callable[[bytes, int], tuple[Any, int]], encode: Callable[[Any], bytes]
) -> tuple[_Reader, _Writer]:
    def read(data: bytes, offset: int) -> tuple[tuple[Any, ...], int]:
        value, end = decode(data, offset)
        return (value,), end

    def write(values: tuple[Any, ...]) -> bytes:
        return encode(values[0])

    return read, write


_OTHERS = {
    "shortstr": _of_one_value(decode_short_string, encode_short_string),
    "longstr": _of_one_value(decode_long_string, encode_long_string),
    "table": _of_one_value(decode_arguments, encode_table),
}
