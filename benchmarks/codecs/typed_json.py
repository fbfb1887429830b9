"""A typed value of 2 KiB through JSON and back."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.harness import Benchmark, Contender, Measured, Run, Stopwatch


@dataclass
class Fix:
    lat: float
    lon: float
    speed: float
    label: str


@dataclass
class Track:
    vehicle: str
    sequence: int
    fixes: list[Fix]


TRACK = Track("vehicle 42", 7, [Fix(-34.9 + n / 1e4, 138.6, n / 10, f"fix {n}") for n in range(30)])


def gestalt(run: Run) -> Measured:
    from gestalt.codecs import Codec, MessageTypes

    types = MessageTypes()
    types.add(1, Track)
    codec = Codec("json", types=types)
    return _measure(run, lambda track: codec.decode(codec.encode(track).body, type_id=1))


def stdlib(run: Run) -> Measured:
    import json

    return _measure(run, lambda track: _track(json.loads(json.dumps(_plain(track)).encode())))


def kombu(run: Run) -> Measured:
    from kombu.serialization import dumps, loads

    def trip(track: Track) -> Track:
        content_type, encoding, body = dumps(_plain(track), "json")
        return _track(loads(body, content_type, encoding))

    return _measure(run, trip)


def predecessor(run: Run) -> Measured:
    from gestalt import serialization  # type: ignore[attr-defined]  # in an environment of its own

    def trip(track: Track) -> Track:
        content_type, encoding, body = serialization.dumps(_plain(track), "json")
        return _track(serialization.loads(body, content_type, encoding))

    return _measure(run, trip)


def _plain(track: Track) -> dict[str, Any]:
    fixes = [{"lat": f.lat, "lon": f.lon, "speed": f.speed, "label": f.label} for f in track.fixes]
    return {"vehicle": track.vehicle, "sequence": track.sequence, "fixes": fixes}


def _track(plain: dict[str, Any]) -> Track:
    fixes = [Fix(f["lat"], f["lon"], f["speed"], f["label"]) for f in plain["fixes"]]
    return Track(plain["vehicle"], plain["sequence"], fixes)


def _measure(run: Run, trip: Callable[[Track], Track]) -> Measured:
    if asdict(trip(TRACK)) != asdict(TRACK):
        raise AssertionError("the value did not come back")
    end = time.perf_counter() + run.seconds
    watch, count = Stopwatch(), 0
    while time.perf_counter() < end:
        for _ in range(100):
            trip(TRACK)
        count += 100
    return watch.stop(count)


_BY_HAND = "dataclasses to dicts and back by hand, no validation"

BENCHMARK = Benchmark(
    title="Typed JSON round trip, 2 KiB",
    unit="message",
    reference="json",
    seconds=2.0,
    contenders=[
        Contender(
            name="gestalt.codecs",
            run=gestalt,
            work="dataclass to JSON and back",
            guarantees="validated, bounded size and depth",
            package="msgspec",
        ),
        Contender(name="json", run=stdlib, work=f"json, {_BY_HAND}", guarantees="well-formed JSON"),
        Contender(
            name="kombu",
            run=kombu,
            work=f"kombu.serialization, {_BY_HAND}",
            guarantees="well-formed JSON",
            package="kombu",
        ),
        Contender(
            name="gestalt 20.1.1",
            run=predecessor,
            work=f"gestalt.serialization, {_BY_HAND}",
            guarantees="well-formed JSON",
            environment="bench-predecessor",
        ),
    ],
)
