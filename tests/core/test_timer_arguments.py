"""What a timer refuses at its construction, and how it says so."""

from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

import pytest

from gestalt.core import Timer


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"interval": 0}, "interval must be positive and finite, got 0"),
        ({"interval": float("nan")}, "interval must be positive and finite, got nan"),
        ({"interval": float("inf")}, "interval must be positive and finite, got inf"),
        ({"interval": 1, "times": 0}, "times must be at least 1, or None for ever, got 0"),
        ({"interval": 1, "delay": -1}, "delay must be finite and not negative, got -1"),
        ({"interval": 1, "jitter": -1}, "jitter must be finite and not negative, got -1"),
        ({"interval": 1, "overlap": "drop"}, 'overlap must be "skip", "queue" or "cancel"'),
    ],
)
def test_values_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Timer.every(func=int, **options)


class Floatable:
    """As the numbers of numpy are: floats to arithmetic, and no float."""

    def __float__(self) -> float:
        return 1.0

    def __lt__(self, other: object) -> bool:
        return True

    __gt__ = __le__ = __ge__ = __lt__


@pytest.mark.parametrize("name", ["interval", "delay", "jitter"])
@pytest.mark.parametrize(
    "value", [Fraction(1, 2), Decimal(1), Floatable(), True, "1", b"1", [1], 1j], ids=repr
)
def test_times_that_are_neither_int_nor_float_are_refused_with_their_type(
    name: str, value: Any
) -> None:
    sentence = f"{name} must be an int or a float, in seconds, got an object of type"
    with pytest.raises(TypeError, match=f"{sentence} {type(value).__name__}"):
        Timer.every(**{"interval": 1.0, "func": int, name: value})


@pytest.mark.parametrize("name", ["interval", "delay", "jitter"])
@pytest.mark.parametrize("value", [10**400, 10**5000, -(10**400)], ids=["great", "vast", "low"])
def test_times_beyond_every_float_are_refused(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be finite, got an int of \d+ bits"):
        Timer.every(**{"interval": 1.0, "func": int, name: value})


@pytest.mark.parametrize("value", [1e-320, 5e-324, 1e-300, 1e-9, 9e-7])
def test_an_interval_so_short_that_ticks_overflow_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="interval must be at least 1e-06 s, got"):
        Timer.every(value, int)


@pytest.mark.parametrize("value", [None, "1", True, Fraction(1)])
def test_a_single_shot_needs_a_delay_that_is_a_number(value: Any) -> None:
    with pytest.raises(TypeError, match="delay must be an int or a float, in seconds"):
        Timer.after(value, int)


def test_a_single_shot_has_an_end() -> None:
    with pytest.raises(ValueError, match="delay must be finite and not negative, got inf"):
        Timer.after(float("inf"), int)


def test_a_stop_has_ten_seconds_by_default() -> None:
    assert Timer.every(1.0, int).stop_timeout == Timer.after(1.0, int).stop_timeout == 10.0


@pytest.mark.parametrize("value", [True, 2.0, "3", Fraction(2)])
def test_a_number_of_calls_is_an_int(value: Any) -> None:
    with pytest.raises(TypeError, match="times must be an int, or None for ever, got an object"):
        Timer.every(1.0, int, times=value)


def test_what_cannot_be_called_is_refused() -> None:
    async def handler(error: BaseException) -> None: ...

    class Handler:
        async def __call__(self, error: BaseException) -> None: ...

    options: dict[str, Any] = {}
    with pytest.raises(TypeError, match=r"func must be a function without .*, got .* of type int"):
        Timer.every(1.0, 7, **options)  # type: ignore[arg-type]
    for on_error in (handler, partial(handler), Handler(), "ignore", 7):
        with pytest.raises(TypeError, match="on_error is"):
            Timer.every(1.0, int, on_error=on_error, **options)  # type: ignore[arg-type]


def test_no_refusal_tells_what_an_argument_holds() -> None:
    class Secretive:
        def __repr__(self) -> str:
            return "<password=secret>"

    for name in ("func", "interval", "times", "delay", "jitter", "overlap", "on_error"):
        options: dict[str, Any] = {"interval": 1.0, "func": int, name: Secretive()}
        with pytest.raises((TypeError, ValueError)) as caught:
            Timer.every(**options)
        assert name in str(caught.value)
        assert "secret" not in str(caught.value)
