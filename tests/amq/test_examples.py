"""The examples of the documentation run as they stand, on both brokers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "amq"


@pytest.mark.parametrize(
    ("example", "output", "said"),
    [
        (
            "publish_subscribe",
            [
                "vehicle.42.position: Position(lat=-34.9, lon=138.6)",
                "nobody is interested in ships",
            ],
            "",
        ),
        ("delays", ["user.42: ready", "user.42: steady", "user.42: go"], ""),
        (
            "topology",
            [
                "queues: archive.parked, archive, boilers.parked, boilers, boilers.retry.1000, "
                "boilers.retry.4000, boilers.retry.16000, boilers.retry.64000",
                "9 things are missing",
                "drift: []",
                "boiler.7: 71.5",
            ],
            "",
        ),
        (
            "idempotent",
            ["order 1 is stored", "order 1 came again", "order 2 is stored"],
            "",
        ),
        (
            "handlers",
            [
                "stored 300 positions",
                "a: in order: True",
                "b: in order: True",
                "parked: position -1 of a",
            ],
            "Park: position -1 of a",
        ),
        (
            "partitions",
            [
                "alone: 4 parts",
                "two of them: 2 and 2 parts",
                "alone again: 4 parts",
                *(f"vehicle.{vehicle}: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]" for vehicle in "abc"),
            ],
            "",
        ),
        (
            "service",
            [
                "Locate(vehicle='42'): Position(vehicle='42', lat=-34.9, lon=138.6)",
                "Forget(vehicle='42'): Position(vehicle='42', lat=-34.9, lon=138.6)",
            ],
            "",
        ),
        (
            "request_reply",
            [
                "Position(lat=-34.7, lon=138.8)",
                "then -34.9",
                "then -34.8",
                "then -34.7",
                "refused: KeyError",
                "tracker 1.0: Locate, Follow",
                "harbour: nobody serves it",
            ],
            "KeyError: '43'",  # the responder's log tells of its handler's failure
        ),
    ],
)
def test_an_example_prints_what_it_promises(
    broker_url: str, example: str, output: list[str], said: str
) -> None:
    done = run(example, broker_url)
    assert sorted(done.stdout.splitlines()) == sorted(output), done.stderr
    assert done.stderr.rstrip().endswith(said)
    assert said or not done.stderr


def test_the_example_of_offsets_reads_on_where_it_has_stopped(broker_url: str) -> None:
    done = run("offsets", broker_url)
    assert done.stdout.splitlines() == [
        "first run: [0, 1, 2]",
        "second run: [3, 4, 5]",
        "saved: 5",
    ], done.stderr
    assert not done.stderr


@pytest.mark.parametrize(
    "example",
    [
        "delays",
        "handlers",
        "idempotent",
        "offsets",
        "partitions",
        "publish_subscribe",
        "request_reply",
        "service",
    ],
)
def test_an_example_names_a_wrong_broker(example: str) -> None:
    ran = run(example, "http://localhost")
    assert ran.returncode == 1
    assert ran.stderr.startswith("GESTALT_AMQP_URL: the broker's URL cannot be used: ")
    assert len(ran.stderr.splitlines()) == 1


def run(example: str, url: str | None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GESTALT_AMQP_URL": url or ""}
    if url is None:
        del environment["GESTALT_AMQP_URL"]
    return subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / f"{example}.py"],
        capture_output=True,
        check=False,
        text=True,
        timeout=30,
        env=environment,
    )
