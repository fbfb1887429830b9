"""What a line of a log tells: of an exception, and of many things."""

import traceback
from collections.abc import Sequence
from itertools import dropwhile
from types import FrameType
from typing import Final

_BETWEEN: Final = ("gestalt", "asyncio", "concurrent", "contextvars", "ssl")


def said_by(error: BaseException) -> str:
    """Give the class of an exception and what it says, on one line.

    Its arguments stay untold, which its repr would show: those of a UnicodeDecodeError hold all
    that was to be decoded.
    """
    name = type(error).__name__
    try:
        text = str(error)
    except Exception:
        return name
    return f"{name}: {text}" if text else name


def raised_in(error: BaseException) -> str:
    """Give the class of an exception and where it was raised, not what it says, which may hold a
    secret: first the application's line that we had called, then the one that raised it."""
    places = [
        f"{frame.f_code.co_name} ({frame.f_code.co_filename}:{line})"
        for frame, line in dropwhile(_is_between, traceback.walk_tb(error.__traceback__))
    ]
    told = type(error).__name__
    if places:
        told += f" in {places[0]}"
    if len(places) > 1:
        told += f", from {places[-1]}"
    return told


def first_of(names: Sequence[str], most: int = 10) -> str:
    """Give the first of some names, and how many there are besides."""
    text = ", ".join(names[:most])
    return f"{text} and {len(names) - most} more" if len(names) > most else text


def _is_between(step: tuple[FrameType, int]) -> bool:
    """Whether a step of a traceback is one of ours, on the way to the application."""
    return str(step[0].f_globals.get("__name__")).partition(".")[0] in _BETWEEN
