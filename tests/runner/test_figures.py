"""How numbers read in the live view."""

from collections.abc import Callable

import pytest

from gestalt.runner.top import figures


@pytest.mark.parametrize(
    ("function", "value", "expected"),
    [
        (figures.count, None, "-"),
        (figures.count, 9999, "9999"),
        (figures.count, 10_000, "10.0k"),
        (figures.count, -2_500_000, "-2.5M"),
        (figures.count, 3e9, "3.0G"),
        (figures.rate, None, "-"),
        (figures.rate, 0, "0"),
        (figures.rate, 0.25, "0.2"),
        (figures.rate, 12_345, "12.3k"),
        (figures.size, None, "-"),
        (figures.size, 999, "999 B"),
        (figures.size, 1500, "1.5 kB"),
        (figures.size, 2e9, "2.0 GB"),
        (figures.seconds, None, "-"),
        (figures.seconds, 0.00001, "10 µs"),
        (figures.seconds, 0.002, "2.0 ms"),
        (figures.seconds, 0.02, "20 ms"),
        (figures.seconds, 59.94, "59.9 s"),
        (figures.seconds, 59.97, "1m00s"),
        (figures.seconds, 61.4, "1m01s"),
        (figures.seconds, 3725, "1h02m"),
        (figures.seconds, 90_000, "1d01h"),
        (figures.share, None, "-"),
        (figures.share, 0.256, "26%"),
    ],
)
def test_a_number_takes_few_characters(
    function: Callable[[float | None], str], value: float | None, expected: str
) -> None:
    assert function(value) == expected
