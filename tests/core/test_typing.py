"""Type checkers say of a handler whether it fits the messages that it is registered for."""

from pathlib import Path

import pytest

from tests.support.checkers import check_with_mypy, check_with_pyright

SAMPLE = Path(__file__).parent / "typing" / "handlers.py"


@pytest.mark.slow
def test_mypy_finds_these_errors_and_no_other(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    check_with_mypy(request.config, tmp_path, SAMPLE)


@pytest.mark.slow
def test_pyright_finds_these_errors_and_no_other(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    check_with_pyright(request.config, tmp_path, SAMPLE)
