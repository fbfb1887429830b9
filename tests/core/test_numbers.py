"""Times and factors that make no sense are refused, by an error that names them."""

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from gestalt.core import Backoff, Component, ManualClock


class Idle(Component):
    async def _open(self) -> None: ...
    async def _close(self) -> None: ...


Give = Callable[[Any], object]
GIVEN: dict[str, Give] = {
    "stop_timeout": lambda value: Idle(stop_timeout=value),
    "initial": lambda value: Backoff(initial=value),
    "maximum": lambda value: Backoff(maximum=value),
    "factor": lambda value: Backoff(factor=value),
    "stable_after": lambda value: Backoff(stable_after=value),
    "seconds": lambda value: ManualClock().advance(value),
}
ENDLESS = ("stop_timeout", "stable_after")


@pytest.mark.parametrize("name", GIVEN)
@pytest.mark.parametrize(
    "value", [None, True, "1", b"1", [1], 1j, Decimal(1), Fraction(1, 2)], ids=repr
)
def test_what_is_neither_int_nor_float_is_refused(name: str, value: Any) -> None:
    kind = "None" if value is None else f"an object of type {type(value).__name__}"
    with pytest.raises(TypeError, match=f"{name} must be an int or a float.*, got {kind}"):
        GIVEN[name](value)


@pytest.mark.parametrize("name", GIVEN)
@pytest.mark.parametrize("value", [math.nan, -1, -0.1, -math.inf])
def test_what_is_negative_or_not_a_number_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"{name} must .*, got {value:g}"):
        GIVEN[name](value)


@pytest.mark.parametrize("name", GIVEN)
def test_ints_beyond_every_float_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be finite, got an int of 16610 bits"):
        GIVEN[name](10**5000)


@pytest.mark.parametrize("name", GIVEN)
def test_infinity_is_taken_where_it_stands_for_no_limit(name: str) -> None:
    if name in ENDLESS:
        GIVEN[name](math.inf)
    else:
        with pytest.raises(ValueError, match=rf"{name} must be .*finite.*, got inf"):
            GIVEN[name](math.inf)


@pytest.mark.parametrize("name", GIVEN)
def test_ints_and_floats_are_taken(name: str) -> None:
    for value in (3, 3.5):
        GIVEN[name](value)


async def test_a_drain_without_a_limit_takes_as_long_as_it_takes() -> None:
    async with Idle(stop_timeout=math.inf):
        pass


def test_a_clock_stands_still_when_it_refuses() -> None:
    clock = ManualClock(5.0)
    for value in (-1, math.nan, math.inf):
        with pytest.raises(ValueError, match="seconds"):
            clock.advance(value)
    assert clock.time() == 5.0
