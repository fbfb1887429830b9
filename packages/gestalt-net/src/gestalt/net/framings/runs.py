"""Runs of frames of one size, cut by one call: what steady telemetry mostly consists of."""

from functools import lru_cache
from struct import Struct

RUN = 16
"""How many frames make a run. More make long formats, fewer many calls."""

LONGEST = 512
"""The largest payload worth it, in bytes: copying larger ones costs more than the calls do."""


@lru_cache(maxsize=128)
def run_of(header: str, length: int) -> Struct:
    """The struct of a run: RUN times the fields of `header`, then a payload of `length` bytes.

    It takes every length on trust; the caller compares those that were unpacked.
    """
    return Struct(header[0] + f"{header[1:]}{length}s" * RUN)
