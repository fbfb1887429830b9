"""Decoding: whatever comes is a value or a DecodeError."""

import contextlib
from collections.abc import Callable

from gestalt.codecs import CODING_TAGS, Avro, Codec, DecodeError, MessageTypes

SCHEMA = {
    "type": "record",
    "name": "Fuzzed",
    "fields": [
        {"name": "text", "type": "string"},
        {"name": "union", "type": ["null", "long", {"type": "array", "items": "double"}]},
        {"name": "map", "type": {"type": "map", "values": "bytes"}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9}},
    ],
}
# Reading by it skips fields, promotes and fills in.
READER = {
    "type": "record",
    "name": "Fuzzed",
    "fields": [
        {"name": "union", "type": ["null", "double", {"type": "array", "items": "double"}]},
        {"name": "more", "type": "string", "default": ""},
    ],
}

SERIALIZERS = ["json", "msgpack", "yaml", "text", "protobuf", "avro", "avro-evolved"]
NAMES = [*SERIALIZERS, *sorted(CODING_TAGS.keys() - {"identity"})]


def target(name: str) -> Callable[[bytes], None]:
    """Decodes by the serializer or compressor of that name."""
    declared: dict[str, str] = {}
    prefix = b""
    types = MessageTypes()
    if name in CODING_TAGS:
        codec, declared = Codec("bytes", accept=[name]), {"content_encoding": name}
    elif name in ("avro", "avro-evolved"):
        from gestalt.codecs.serializers.avro import fingerprint_of

        prefix = b"\xc3\x01" + fingerprint_of(SCHEMA)
        types.add(1, Avro(SCHEMA) if name == "avro" else Avro(READER, accepts=[SCHEMA]))
        codec = Codec("avro", types=types)
    elif name == "protobuf":
        from google.protobuf.struct_pb2 import Struct

        types.add(1, Struct)
        codec = Codec("protobuf", types=types)
    else:
        codec = Codec(name)

    def decode(data: bytes) -> None:
        with contextlib.suppress(DecodeError):
            codec.decode(prefix + data, **declared)  # type: ignore[arg-type]

    return decode
