"""Numbers that an application gives, refused where they make no sense."""

import math
from typing import Final

_NAME: Final = type.__dict__["__name__"].__get__
_LONGEST: Final = 60
_MOST_BITS: Final = 128


def check_seconds(name: str, value: object, *, finite: bool = False) -> float:
    """Give a time in seconds that is not negative.

    Args:
        name: what it is called in errors.
        value: what was given.
        finite: whether infinity, which stands for no limit, makes no sense.

    Raises:
        TypeError: it is neither an int nor a float.
        ValueError: it is negative or not a number, or may not be infinite.
    """
    found = check_number(name, value, unit="seconds")
    if not found >= 0 or (finite and found == math.inf):
        needed = "be finite and not negative" if finite else "not be negative"
        raise ValueError(f"{name} must {needed}, got {found:g}")
    return found


def check_number(name: str, value: object, *, unit: str = "") -> float:
    """Give a number as a float, which may be infinite, or not a number.

    Args:
        name: what it is called in errors.
        value: what was given.
        unit: what it is counted in, as it is to be called in errors.

    Raises:
        TypeError: it is neither an int nor a float.
        ValueError: it is an int that no float holds.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        kind = f"int or a float, in {unit}" if unit else "int or a float"
        raise TypeError(f"{name} must be an {kind}, got {kind_of(value)}")
    try:
        return float(value)
    except OverflowError:
        # Such a number takes as long to print as it likes.
        bits = value.bit_length() if isinstance(value, int) else 0
        raise ValueError(f"{name} must be finite, got an int of {bits} bits") from None


def choice_of(value: object) -> str:
    """Say what was given where a number, or one of some words, was wanted: those as they are, cut
    short, and of anything else what it is."""
    if isinstance(value, str):
        word = repr(value[:_LONGEST]) if len(value) <= _LONGEST else f"{value[:_LONGEST]!r}..."
        return word.encode("utf-8", "backslashreplace").decode()
    return amount_of(value)


def amount_of(value: object) -> str:
    """Say what was given where a number was wanted: one as it is, and of anything else what it
    is."""
    if type(value) is int and value.bit_length() > _MOST_BITS:
        return f"an integer of {value.bit_length()} bits"
    return str(value) if type(value) in (int, float, bool) else kind_of(value)


def kind_of(value: object) -> str:
    """Say what a value is, without its contents, which may be secret."""
    # A metaclass may make anything of `__name__`.
    if issubclass(type(value), type):
        return f"the class {_NAME(value)}"
    return "None" if value is None else f"an object of type {_NAME(type(value))}"
