"""What a codec adds to a call of the library that it uses, for messages of 100 bytes."""

import time
from collections.abc import Callable
from typing import Any

from benchmarks.harness import Benchmark, Contender, Measured, Run, Stopwatch

VALUE = {"name": "vehicle 42", "lat": -34.9285, "lon": 138.6007, "tags": ["a"], "note": "x" * 24}
BATCH = 2_000


def json(run: Run) -> Measured:
    import msgspec

    return _compare(run, "json", msgspec.json.Encoder().encode, msgspec.json.Decoder().decode)


def msgpack(run: Run) -> Measured:
    import msgpack

    return _compare(run, "msgpack", msgpack.packb, msgpack.unpackb)


def _compare(
    run: Run, name: str, dumps: Callable[[Any], bytes], loads: Callable[[bytes], Any]
) -> Measured:
    from gestalt.codecs import Codec

    codec = Codec(name)
    data = dumps(VALUE)
    pairs: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], Any]] = {
        "encode": (dumps, codec.encode, VALUE),
        "decode": (loads, codec.decode, data),
    }
    best = {(side, which): float("inf") for side in pairs for which in (0, 1)}
    end = time.perf_counter() + run.seconds
    watch, count = Stopwatch(), 0
    while time.perf_counter() < end:
        for side, (direct, bound, argument) in pairs.items():
            for which, function in enumerate((direct, bound)):
                best[side, which] = min(best[side, which], _seconds(function, argument))
        count += BATCH
    extra = {f"{side} µs": (best[side, 1] - best[side, 0]) * 1e6 for side in pairs}
    return watch.stop(count, {"bytes": len(data), **extra})


def _seconds(function: Callable[[Any], Any], argument: Any) -> float:
    started = time.perf_counter()
    for _ in range(BATCH):
        function(argument)
    return (time.perf_counter() - started) / BATCH


BENCHMARK = Benchmark(
    title="What a codec adds to its library, 100-byte messages",
    unit="message",
    reference="json",
    plot="",
    seconds=2.0,
    contenders=[
        Contender(
            name=name,
            run=function,
            work="encode and decode, directly and by Codec in turns; the µs are the difference",
            guarantees="bounded size and depth, one family of errors, declared content",
        )
        for name, function in (("json", json), ("msgpack", msgpack))
    ],
)
