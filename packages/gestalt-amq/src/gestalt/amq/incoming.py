"""From a delivery to a decoded message, whoever wrote it."""

from __future__ import annotations

from typing import Any

from gestalt.codecs import Codec, DecodeError

from .message import BusMessage
from .outgoing import TYPE_ID_HEADER
from .wire import Delivery

# kombu, and gestalt 20 after it, name the compression in a header, and the character set of the
# body in content_encoding. What kombu calls x-gzip is zlib's format.
COMPRESSION_HEADER = "compression"
_COMPRESSIONS = {
    "application/x-gzip": "deflate",
    "gzip": "deflate",
    "zlib": "deflate",
    "deflate": "deflate",
    "application/x-bz2": "bzip2",
    "bzip2": "bzip2",
    "bz2": "bzip2",
    "application/x-lzma": "xz",
    "lzma": "xz",
    "xz": "xz",
    "application/x-brotli": "br",
    "brotli": "br",
    "br": "br",
    "application/zstd": "zstd",
    "zstd": "zstd",
    "snappy": "snappy",
    "application/x-snappy": "snappy",
}
_CHARACTER_SETS = frozenset({"utf-8", "utf8", "us-ascii", "ascii", "binary", "iso-8859-1"})
_GZIP_MAGIC = b"\x1f\x8b"


def decode(codec: Codec, delivery: Delivery) -> BusMessage[Any]:
    """Decode a delivery; errors as those of `decode_body`."""
    return BusMessage(*decode_body(codec, delivery), delivery)


def decode_body(codec: Codec, delivery: Delivery) -> tuple[Any, int | None]:
    """Decode the body of a delivery, and find its type id.

    Raises:
        CodecError: it cannot be decoded, or is not allowed to be.
    """
    if delivery.unreadable is not None:
        raise DecodeError(f"the headers cannot be read: {delivery.unreadable}")
    properties = delivery.properties
    headers = properties.headers
    content_encoding = properties.content_encoding
    type_id: int | None = None
    if content_encoding is not None and content_encoding.lower() in _CHARACTER_SETS:
        content_encoding = None
    if headers:
        compression = headers.get(COMPRESSION_HEADER)
        if content_encoding is None and isinstance(compression, str):
            content_encoding = _COMPRESSIONS.get(compression.lower(), compression)
            if content_encoding == "deflate" and delivery.body.startswith(_GZIP_MAGIC):
                content_encoding = "gzip"
        type_id = headers.get(TYPE_ID_HEADER)
        if not isinstance(type_id, int):
            type_id = None
    body = codec.decode(
        delivery.body,
        type_id=type_id,
        type_name=properties.type,
        content_type=properties.content_type,
        content_encoding=content_encoding,
    )
    if type_id is None and codec.types is not None and properties.type is not None:
        type_id = codec.types.by_name(properties.type).id
    return body, type_id
