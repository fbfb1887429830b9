"""Typed messages by a codec, one by one and many at a time, beside their library alone."""

import gc
import time
from collections.abc import Callable
from typing import Any

from benchmarks.codecs.typed_json import TRACK, Fix, Track
from benchmarks.harness import Benchmark, Contender, Measured, Run, Stopwatch

SMALL = Fix(-34.9285, 138.6007, 12.5, "vehicle 42")
MANY = 128
"""How many messages are encoded, or decoded, by one call."""

Many = Callable[[list[Any]], Any]


def library(run: Run) -> Measured:
    """A loop over calls of the library."""
    if run.options["format"] == "json":
        import msgspec

        encode = msgspec.json.Encoder().encode
        decode = msgspec.json.Decoder(type(_value(run))).decode
    else:
        import msgpack

        encode, decode = msgpack.packb, msgpack.unpackb
    return _measure(
        run, lambda values: [encode(value) for value in values], lambda data: [*map(decode, data)]
    )


def one_by_one(run: Run) -> Measured:
    """A loop over calls of the codec."""
    codec, type_id = _codec(run)
    return _measure(
        run,
        lambda values: [codec.encode(value).body for value in values],
        lambda data: [codec.decode(body, type_id=type_id) for body in data],
    )


def together(run: Run) -> Measured:
    """One call of the codec for all of them."""
    codec, type_id = _codec(run)

    def encode(values: list[Any]) -> list[bytes]:
        bodies: list[bytes] = []
        codec.encode_alike(values, bodies)
        return bodies

    def decode(data: list[bytes]) -> list[Any]:
        values: list[Any] = []
        codec.decode_alike(data, type_id, values)
        return values

    return _measure(run, encode, decode)


def _codec(run: Run) -> tuple[Any, int | None]:
    from gestalt.codecs import Codec, MessageTypes

    if run.options["format"] == "msgpack":
        return Codec("msgpack"), None
    types = MessageTypes()
    types.add(1, Track)
    types.add(2, Fix)
    return Codec("json", types=types), 1 if run.options["size"] == "2 KiB" else 2


def _value(run: Run) -> Any:
    if run.options["format"] == "msgpack":
        return {"lat": SMALL.lat, "lon": SMALL.lon, "speed": SMALL.speed, "label": SMALL.label}
    return TRACK if run.options["size"] == "2 KiB" else SMALL


def _measure(run: Run, encode: Many, decode: Many) -> Measured:
    values = [_value(run)] * MANY
    data = encode(values)
    if decode(data) != values:
        raise AssertionError("the values did not come back")
    function, argument = (encode, values) if run.options["way"] == "encode" else (decode, data)
    end = time.perf_counter() + run.seconds
    # A collection looks at all that the process holds: a third of the time of decoding 2 KiB, and
    # more for whoever has imported more.
    gc.disable()
    try:
        watch, count = Stopwatch(), 0
        while time.perf_counter() < end:
            function(argument)
            count += MANY
        return watch.stop(count, {"bytes": len(data[0])})
    finally:
        gc.enable()


BENCHMARK = Benchmark(
    title="Messages by a codec beside its library alone",
    unit="message",
    reference="library alone",
    note="Without collections of garbage, of which there is none.",
    quick_seconds=0.3,
    cases={
        f"{name} of {size}, {way}": {"format": name.split()[-1].lower(), "size": size, "way": way}
        for name, size in (("typed JSON", "64 B"), ("typed JSON", "2 KiB"), ("msgpack", "64 B"))
        for way in ("encode", "decode")
    },
    contenders=[
        Contender(
            name="library alone",
            bare=True,
            run=library,
            work="msgspec or msgpack in a loop",
            guarantees="validated where it is typed",
            package="msgspec",
        ),
        Contender(
            name="gestalt.codecs, one by one",
            run=one_by_one,
            work="Codec.encode or decode in a loop",
            guarantees="bounded size and depth, one family of errors, declared content",
            package="gestalt-codecs",
        ),
        Contender(
            name="gestalt.codecs, many at a time",
            run=together,
            work="Codec.encode_alike or decode_alike",
            guarantees="bounded size and depth, one family of errors",
            package="gestalt-codecs",
        ),
    ],
)
