"""What a benchmark's file needs; the rest of the harness is for its maintainers."""

from .model import (
    Benchmark,
    Contender,
    Function,
    Measured,
    Options,
    Run,
    Stopwatch,
    Unavailable,
)

__all__ = [
    "Benchmark",
    "Contender",
    "Function",
    "Measured",
    "Options",
    "Run",
    "Stopwatch",
    "Unavailable",
]
