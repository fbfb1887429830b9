"""Tells at the end of a run how many tests lacked what they need, and why."""

import pytest

from missing import reasons


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if told := config.stash.get(reasons, []):
        terminalreporter.write_line(
            f"!!! {len(told)} TESTS DID NOT RUN: {'; '.join(sorted(set(told)))}",
            red=True,
            bold=True,
        )
