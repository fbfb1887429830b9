"""Lengths of time as the arguments of streams give them: a number and a unit, such as 7D.

https://www.rabbitmq.com/docs/streams#retention
"""

import re

_SECOND = 1000
_DAY = 24 * 60 * 60 * _SECOND
_UNITS = {
    "Y": 365 * _DAY,
    "M": 30 * _DAY,
    "D": _DAY,
    "h": 60 * 60 * _SECOND,
    "m": 60 * _SECOND,
    "s": _SECOND,
}
# More digits than that are no time, whatever they are.
_AGE = re.compile("([0-9]{1,40})[0-9]*([YMDhms])")


def read_age(text: str) -> int | None:
    """Return a length of time in milliseconds; None when it is none, or takes no time."""
    match = _AGE.fullmatch(text)
    if match is None:
        return None
    return int(match[1]) * _UNITS[match[2]] or None
