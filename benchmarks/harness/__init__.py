"""What a benchmark's file needs; the rest of the harness is for its maintainers."""

from .in_tasks import in_tasks
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
    "in_tasks",
]
