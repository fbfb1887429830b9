"""What a benchmark and its contenders need; the rest of the harness is for its maintainers."""

from benchmarks.harness.model import (
    Benchmark,
    Contender,
    Function,
    Measured,
    Options,
    Run,
    Stopwatch,
    Unavailable,
)

__all__ = ["Benchmark", "Contender", "Function", "Measured", "Options", "Run", "Stopwatch", "Unavailable"]
