"""Fuzzes decoding, guided by coverage, until it finds what is no DecodeError or is stopped.

    pip install atheris gestalt-codecs[all]
    python tests/codecs/fuzz/fuzz.py json|msgpack|yaml|avro|deflate|br|... [libFuzzer's options]

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
    ],
}


def main(name: str) -> None:
    declared: dict[str, str] = {}
    prefix = b""
    if name in CODING_TAGS:
        codec, declared = Codec("bytes", accept=[name]), {"content_encoding": name}
    elif name in ("avro", "protobuf"):
        types = MessageTypes()
        codec = Codec(name, types=types)
        if name == "avro":
            types.add(1, Avro(SCHEMA))
            prefix = codec.encode({"text": "", "union": None, "map": {}, "at": 0}).body[:10]
        else:
            from google.protobuf.struct_pb2 import Struct

            types.add(1, Struct)
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
