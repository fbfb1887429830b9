"""What benchmarks need around their runs, such as a broker; shared by those that ask for one."""

import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from benchmarks.harness.model import Benchmark, Options, Unavailable


class SetupError(Exception):
    """What a benchmark needs around it could not be made."""


class Surroundings:
    """The setup of one benchmark after the other, ended when the next one needs another.

    One at a time: a broker that nobody measures takes the processor from those who are measured.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._setup: Callable[[], AbstractContextManager[Options]] | None = None
        self._given: Options = {}
        self._error: Exception | None = None

    def around(self, benchmark: Benchmark) -> Options:
        """Return what the benchmark's setup yields.

        Raises:
            Unavailable: the benchmark cannot be measured here.
            SetupError: what it needs around it could not be made, or the last one not ended.
        """
        if benchmark.setup is not self._setup:
            self._given, self._error = {}, None
            try:
                self.close()
                self._setup = benchmark.setup
                self._given = self._stack.enter_context(benchmark.setup())
            except (Unavailable, SetupError) as error:
                self._error = error
            except Exception as error:
                self._error = SetupError(f"its setup failed\n{traceback.format_exc()}")
                self._error.__cause__ = error
        if self._error is not None:
            # Whoever asks for the same again waits no second time for what does not start.
            raise self._error
        return self._given

    def close(self) -> None:
        """End the last one.

        Raises:
            SetupError: it does not end as it should.
        """
        self._setup = None
        try:
            self._stack.close()
        except Exception as error:
            raise SetupError(f"a setup did not end\n{traceback.format_exc()}") from error
