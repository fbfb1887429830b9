"""Typed, bounded and fast serialization and compression of messages.

What is here, by subject; `help(gestalt.codecs.Codec)` tells all of one name:

- Codecs: `Codec`, `Codecs`, `Encoded`
- Types of messages: `MessageTypes`, `MessageType`, `Avro`
- Formats of your own: `Serializer`, `Functions`, `Compressor`, `CODING_TAGS`
- Errors: their tree is in gestalt.codecs.errors
"""

from .avro import Avro
from .codec import Codec, Encoded
from .codecs import Codecs
from .compressor import Compressor
from .errors import (
    CodecError,
    CodecNotInstalled,
    ContentNotAllowed,
    DecodeError,
    DecompressError,
    EncodeError,
    SchemaError,
    TooDeep,
    TooLarge,
    TrailingData,
    Truncated,
    UnknownCodec,
    UnknownType,
    UnregisteredType,
    ValidationError,
)
from .registry import CODING_TAGS
from .serializer import Functions, Serializer
from .types import MessageType, MessageTypes

__all__ = [
    "CODING_TAGS",
    "Avro",
    "Codec",
    "CodecError",
    "CodecNotInstalled",
    "Codecs",
    "Compressor",
    "ContentNotAllowed",
    "DecodeError",
    "DecompressError",
    "EncodeError",
    "Encoded",
    "Functions",
    "MessageType",
    "MessageTypes",
    "SchemaError",
    "Serializer",
    "TooDeep",
    "TooLarge",
    "TrailingData",
    "Truncated",
    "UnknownCodec",
    "UnknownType",
    "UnregisteredType",
    "ValidationError",
]
