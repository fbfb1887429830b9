"""What a test needs and the machine may lack: it is told loudly, and in CI it is a failure."""

import os
from typing import NoReturn

import pytest

reasons = pytest.StashKey[list[str]]()


def without(config: pytest.Config, reason: str) -> NoReturn:
    """Skip the test, to be told at the end of the run; in CI, where nobody reads it, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    config.stash.setdefault(reasons, []).append(reason)
    pytest.skip(reason)
