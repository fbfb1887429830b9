"""What one hostile message costs at most, at the default limits: seconds and memory for each KB.

Each row decodes the worst data that is known for a format or a compressor. Formats are measured on
data that is just allowed, since what is refused costs less, but for pydantic, which tells of each
error; compressors on 16 MiB of zeros.
"""

import gc
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.harness import Benchmark, Contender, Measured, Run, Unavailable

if TYPE_CHECKING:
    from gestalt.codecs import Codec

MiB = 1024 * 1024
MOST = 249_000
"""Almost max_values."""


@dataclass
class Item:
    """The smallest message, which an empty object decodes to."""

    number: int = 0


class Case(NamedTuple):
    """Data, and what decodes it."""

    codec: "Codec"
    data: bytes
    content_encoding: str | None = None


def _typed(name: str, cls: Any, **options: Any) -> "Codec":
    from gestalt.codecs import Codec, MessageTypes

    types = MessageTypes()
    types.add(1, cls)
    return Codec(name, types=types, **options)


def _plain(name: str) -> "Codec":
    from gestalt.codecs import Codec

    return Codec(name)


def _items(name: str) -> bytes:
    if name == "json":
        return b"[" + b"{}," * MOST + b"{}]"
    return b"\xdd" + MOST.to_bytes(4, "big") + b"\x80" * MOST


def _model() -> Any:
    from pydantic import RootModel, create_model

    model = create_model("Model", number=(int, 0))
    return RootModel[list[model]]  # type: ignore[valid-type]


def _wide() -> bytes:
    # One character beyond the basic plane makes a string of four bytes a character.
    return b"x" * (16 * MiB - 4) + "\U0001f600".encode()


def _avro() -> Case:
    from gestalt.codecs import Avro

    nulls = [{"name": f"n{n}", "type": "null"} for n in range(98)]
    item = {"type": "record", "name": "Item", "fields": [*nulls, {"name": "b", "type": "boolean"}]}
    items = {"name": "items", "type": {"type": "array", "items": item}}
    codec = _typed("avro", Avro({"type": "record", "name": "Worst", "fields": [items]}))
    value = {"items": [{"b": True} | dict.fromkeys(f"n{n}" for n in range(98))] * (MOST // 101)}
    return Case(codec, codec.encode(value).body)


def _protobuf(width: int) -> Case:
    """A list of empty messages, whose type has that many fields."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name=f"worst{width}.proto", package="worst")
    wide = file.message_type.add(name=f"Wide{width}")
    for number in range(1, width + 1):
        wide.field.add(name=f"f{number}", number=number, label=1, type=9)
    many = file.message_type.add(name=f"Many{width}")
    many.field.add(name="wide", number=1, label=3, type=11, type_name=f".worst.Wide{width}")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    cls = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"worst.Many{width}"))
    return Case(_typed("protobuf", cls), b"\x0a\x00" * (MOST // (2 + width // 16)))


def _packed() -> Case:
    from google.protobuf.descriptor_pb2 import SourceCodeInfo

    numbers = 16 * MiB - 5
    head = b"\x0a" + bytes([numbers & 127 | 128, numbers >> 7 & 127 | 128])
    head += bytes([numbers >> 14 & 127 | 128, numbers >> 21])
    return Case(_typed("protobuf", SourceCodeInfo.Location), head + bytes(numbers))


def _keys() -> Case:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="keys.proto", package="worst")
    keys = file.message_type.add(name="Keys")
    entry = keys.nested_type.add(name="KeysEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=1, type=3)
    entry.field.add(name="value", number=2, label=1, type=8)
    keys.field.add(name="keys", number=1, label=3, type=11, type_name=".worst.Keys.KeysEntry")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    cls = message_factory.GetMessageClass(pool.FindMessageTypeByName("worst.Keys"))
    # Those whose lower bits are equal are found one after another.
    alike = cls(keys={number << 20: True for number in range(4095)})
    return Case(_typed("protobuf", cls), alike.SerializeToString())


def _yaml() -> Case:
    return Case(_plain("yaml"), b"[" + b"a," * MOST + b"a]")


def _zeros(token: str) -> Case:
    from gestalt.codecs import Codec
    from gestalt.codecs.registry import find_compressor

    levels = {"br": 9, "zstd": 19, "lz4": 12, "deflate": 9, "raw-deflate": 9, "gzip": 9}
    compressed = find_compressor(token).make(levels.get(token)).compress(bytes(16 * MiB))
    return Case(Codec("bytes", accept=[token]), compressed, token)


CASES: Mapping[str, Callable[[], Case]] = {
    "bytes": lambda: Case(_plain("bytes"), bytes(16 * MiB)),
    "text, beyond the basic plane": lambda: Case(_plain("text"), _wide()),
    "json, empty objects": lambda: Case(_plain("json"), _items("json")),
    "json, empty objects, dataclasses": lambda: Case(_typed("json", list[Item]), _items("json")),
    "json, empty objects, pydantic": lambda: Case(_typed("json", _model()), _items("json")),
    "json, all wrong, pydantic": lambda: Case(
        _typed("json", _model()), b"[" + b"1," * MOST + b"1]"
    ),
    "json, long integers": lambda: Case(
        _plain("json"), b"[" + (b"9" * 4299 + b",") * (16 * MiB // 4300 - 1) + b"1]"
    ),
    "json, the largest numbers": lambda: Case(_plain("json"), b"[" + b"1e308," * MOST + b"1]"),
    "json, a long string": lambda: Case(_plain("json"), b'"' + _wide()[2:] + b'"'),
    "msgpack, empty maps": lambda: Case(_plain("msgpack"), _items("msgpack")),
    "msgpack, empty maps, dataclasses": lambda: Case(
        _typed("msgpack", list[Item]), _items("msgpack")
    ),
    "yaml, short strings": _yaml,
    "avro, records of nulls": _avro,
    "protobuf, empty messages": lambda: _protobuf(1),
    "protobuf, wide messages": lambda: _protobuf(300),
    "protobuf, packed numbers": _packed,
    "protobuf, keys that collide": _keys,
    **{
        token: (lambda token=token: _zeros(token))  # type: ignore[misc]
        for token in (
            "deflate", "raw-deflate", "gzip", "bzip2", "xz", "br", "snappy", "zstd", "lz4",
        )
    },
}  # fmt: skip


def measure(name: str) -> tuple[int, float, float]:
    """Decode a case once.

    Returns:
        Its bytes, and the CPU seconds and the MiB that decoding it took.
    """
    try:
        codec, data, content_encoding = CASES[name]()
    except LookupError as error:  # CodecNotInstalled
        raise Unavailable(str(error)) from error
    except ImportError as error:
        raise Unavailable(f"{error.name} is not installed") from error
    gc.collect()
    before = _memory("VmRSS", reset=True)
    started = time.process_time()
    value: Any = None
    try:
        value = codec.decode(data, type_id=1, content_encoding=content_encoding)
    except ValueError as error:  # a DecodeError, which holds what it tells of
        value = error
    seconds = time.process_time() - started
    grown = _memory("VmHWM") - before
    del value
    return len(data), seconds, max(0.0, grown)


def _memory(key: str, *, reset: bool = False) -> float:
    if not sys.platform.startswith("linux"):
        raise Unavailable("memory is measured by /proc")
    if reset:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024


def _contender(name: str) -> Contender:
    def run(run: Run) -> Measured:
        size, seconds, grown = measure(name)
        extra = {
            "KB": size / 1024,
            "s": seconds,
            "MiB": grown,
            "s per KB": seconds / size * 1024,
            "MiB per KB": grown / size * 1024,
        }
        return Measured(1, max(seconds, 1e-9), extra=extra)

    # The harness finds a function by its name in its module.
    run.__qualname__ = "decode_" + "".join(each if each.isalnum() else "_" for each in name)
    globals()[run.__qualname__] = run
    return Contender(name=name, run=run, work="decode once", guarantees="bounded")


BENCHMARK = Benchmark(
    title="The worst that is known for each format and compressor, at default limits",
    unit="message",
    reference="bytes",
    plot="",
    seconds=0.1,
    warms_up=False,
    contenders=[_contender(name) for name in CASES],
    note="Formats: what is just allowed. Compressors: 16 MiB of zeros. KB of input, MiB of memory.",
)
