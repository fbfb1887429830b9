"""From the text of an option to its value; ValueError says what it must be."""

import math
import os

from gestalt.core.masking import masked

TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"0", "false", "no", "off"})


def truth(text: str) -> bool:
    """True or false."""
    word = text.strip().lower()
    if word in TRUE or word in FALSE:
        return word in TRUE
    raise ValueError(f"must be true or false, got {masked(text)}")


def seconds(text: str) -> float:
    """A finite time, 0 or more."""
    value = _number(text)
    if not 0 <= value < math.inf:
        raise ValueError(f"must be a number of seconds, 0 or more, got {masked(text)}")
    return value


def interval(text: str) -> float:
    """A time between two looks: a finite one of 0.1 seconds or more."""
    value = _number(text)
    if not 0.1 <= value < math.inf:
        raise ValueError(f"must be a number of seconds, 0.1 or more, got {masked(text)}")
    return value


def count(text: str) -> int:
    """A whole number, 0 or more."""
    if not (text.strip().isascii() and text.strip().isdigit() and len(text) < 10):
        raise ValueError(f"must be a whole number, 0 or more, got {masked(text)}")
    return int(text)


def workers(text: str) -> int:
    """A number of processes, or "auto" for as many as there are processors for this process."""
    if text.strip().lower() == "auto":
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1  # pragma: no cover - systems that tell of the machine alone
    try:
        return count(text)
    except ValueError:
        raise ValueError(
            f"must be a whole number, 0 or more, or auto, got {masked(text)}"
        ) from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
