"""Every format and compressor: how small it makes a message of telemetry, and how fast it is."""

import time
from typing import Any

from benchmarks.harness import Benchmark, Contender, Measured, Run, Stopwatch

SCHEMA = {
    "type": "record",
    "name": "Track",
    "fields": [
        {"name": "vehicle", "type": "string"},
        {"name": "sequence", "type": "int"},
        {"name": "speeds", "type": {"type": "array", "items": "double"}},
        {"name": "labels", "type": {"type": "array", "items": "string"}},
    ],
}
VALUE: dict[str, Any] = {
    "vehicle": "vehicle 42",
    "sequence": 7,
    "speeds": [n / 10 for n in range(100)],
    "labels": [f"a label of fix {n}" for n in range(60)],
}
FORMATS = ("json", "msgpack", "yaml", "avro", "protobuf")
COMPRESSORS = ("deflate", "raw-deflate", "gzip", "bzip2", "xz", "br", "snappy", "zstd", "lz4")


def trip(run: Run, format_name: str, compress: str | None) -> Measured:
    from gestalt.codecs import Avro, Codec, MessageTypes

    types: MessageTypes | None = None
    value: Any = VALUE
    if format_name == "avro":
        types = MessageTypes()
        types.add(1, Avro(SCHEMA))
    if format_name == "protobuf":
        from google.protobuf.json_format import ParseDict
        from google.protobuf.struct_pb2 import Struct

        types = MessageTypes()
        types.add(1, Struct)
        value = ParseDict(VALUE, Struct())
    codec = Codec(format_name, compress=compress, types=types)
    encoded = codec.encode(value)
    seconds = [0.0, 0.0]
    end = time.perf_counter() + run.seconds
    watch, count = Stopwatch(), 0
    while (started := time.perf_counter()) < end:
        for _ in range(5):
            codec.encode(value)
        between = time.perf_counter()
        for _ in range(5):
            codec.decode(encoded.body, content_encoding=encoded.content_encoding)
        seconds[0] += between - started
        seconds[1] += time.perf_counter() - between
        count += 5
    extra = {
        "bytes": len(encoded.body),
        "encode µs": seconds[0] / count * 1e6,
        "decode µs": seconds[1] / count * 1e6,
    }
    return watch.stop(count, extra)


def _contender(format_name: str, compress: str | None) -> Contender:
    def run(run: Run) -> Measured:
        return trip(run, format_name, compress)

    # The harness finds a function by its name in its module.
    run.__qualname__ = f"{format_name}_{compress}"
    globals()[run.__qualname__] = run
    return Contender(
        name=f"{format_name}, {compress}" if compress else format_name,
        run=run,
        work="encode and decode",
        guarantees="bounded",
    )


BENCHMARK = Benchmark(
    title="Formats and compressors, one message of telemetry",
    unit="message",
    reference="json",
    plot="",
    seconds=0.5,
    contenders=[
        *(_contender(name, None) for name in FORMATS),
        *(_contender("json", name) for name in COMPRESSORS),
    ],
)
