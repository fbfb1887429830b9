"""One codec, used by several threads at once."""

import random
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import Any

import pytest

from gestalt.codecs import CODING_TAGS, Avro, Codec, CodecNotInstalled, MessageTypes

THREADS = 4


@dataclass
class Reading:
    seed: int
    values: list[float]


SCHEMA = {
    "type": "record",
    "name": "Reading",
    "fields": [
        {"name": "seed", "type": "int"},
        {"name": "values", "type": {"type": "array", "items": "double"}},
    ],
}


@pytest.fixture(autouse=True)
def _frequent_switches() -> Iterator[None]:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


def readings(seed: int) -> list[Reading]:
    # Large bodies let the libraries release the interpreter's lock, small ones do not.
    rng = random.Random(seed)
    return [Reading(seed, [rng.random() for _ in range(size)]) for size in (3, 1000, 30, 300) * 2]


def at_once(trip: Callable[[Reading], Reading]) -> None:
    """Start all threads together; each must get its own values back."""
    barrier = Barrier(THREADS)

    def work(seed: int) -> None:
        values = readings(seed)
        barrier.wait(20)
        assert [trip(value) for value in values] == values

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(work, range(THREADS)))


def made(*arguments: Any, **options: Any) -> Codec:
    try:
        return Codec(*arguments, **options)
    except CodecNotInstalled as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", [name for name in CODING_TAGS if name != "identity"])
def test_a_compressor_serves_threads(name: str) -> None:
    types = MessageTypes()
    types.add(1, Reading)
    codec = made("json", compress=name, min_size=0, types=types)

    def trip(value: Reading) -> Reading:
        encoded = codec.encode(value)
        decoded: Reading = codec.decode(encoded.body, content_encoding=encoded.content_encoding)
        return decoded

    at_once(trip)


@pytest.mark.parametrize("name", ["json", "msgpack", "yaml", "avro"])
def test_a_format_serves_threads_that_meet_a_type_first(name: str) -> None:
    types = MessageTypes()
    types.add(1, Avro(SCHEMA, into=Reading) if name == "avro" else Reading)
    codec = made(name, types=types)
    at_once(lambda value: codec.decode(codec.encode(value).body, type_id=1))


def test_the_stand_in_for_zstd_serves_threads() -> None:
    zstandard = pytest.importorskip("zstandard")
    from gestalt.codecs.compressors.zstandard import ZstdCompressor

    compressor = ZstdCompressor(3)

    def trip(value: Reading) -> Reading:
        data = repr(value.values).encode()
        packed = compressor.compress(data, compressor.FLUSH_FRAME)
        assert zstandard.ZstdDecompressor().decompress(packed) == data
        return value

    at_once(trip)
