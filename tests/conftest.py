"""What all tests share: collections of garbage that are quick, and word of what was not tested."""

import gc
import signal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.missing import reasons

# A busy machine is no failure. What lands is judged by the same examples each time; everybody else
# looks for new ones.
settings.register_profile("busy", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("busy")


@given(st.none())
def begin_hypothesis(_: None) -> None:
    """Let Hypothesis register its generator, whose referrers its older versions look for."""


def pytest_sessionstart() -> None:
    """Let no signal be ignored in processes that tests start, wherever they are run.

    What a shell runs in its background ignores Ctrl-C, and what nohup runs SIGHUP: that is
    inherited. Of a handler, the default action is.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda number, frame: None)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave all that is there by now out of collections: many tests ask for one, to show leaks."""
    begin_hypothesis()
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if told := config.stash.get(reasons, []):
        terminalreporter.write_line(
            f"!!! {len(told)} TESTS DID NOT RUN: {'; '.join(sorted(set(told)))}",
            red=True,
            bold=True,
        )
