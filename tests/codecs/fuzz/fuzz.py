"""Fuzzes decoding, guided by coverage, until it finds what is no DecodeError or is stopped.

    pip install atheris gestalt-codecs[all]
    python tests/codecs/fuzz/fuzz.py json|avro|avro-evolved|deflate|... [libFuzzer's options]

Options such as -max_total_time=60 and a folder for the corpus go to libFuzzer as they are.
"""

import contextlib
import sys

import atheris

with atheris.instrument_imports(include=["gestalt", "yaml"]):
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


def main(name: str) -> None:
    declared: dict[str, str] = {}
    prefix = b""
    if name in CODING_TAGS:
        codec, declared = Codec("bytes", accept=[name]), {"content_encoding": name}
    elif name in ("avro", "avro-evolved"):
        from gestalt.codecs.serializers.avro import fingerprint_of

        prefix = b"\xc3\x01" + fingerprint_of(SCHEMA)
        types = MessageTypes()
        types.add(1, Avro(SCHEMA) if name == "avro" else Avro(READER, accepts=[SCHEMA]))
        codec = Codec("avro", types=types)
    elif name == "protobuf":
        from google.protobuf.struct_pb2 import Struct

        types = MessageTypes()
        types.add(1, Struct)
        codec = Codec("protobuf", types=types)
    else:
        codec = Codec(name)

    def one(data: bytes) -> None:
        with contextlib.suppress(DecodeError):
            codec.decode(prefix + data, **declared)  # type: ignore[arg-type]

    atheris.Setup([sys.argv[0], *sys.argv[2:]], one)
    atheris.Fuzz()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1])
