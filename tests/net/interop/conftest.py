"""Other implementations of the framings, each in a process of its own for the whole run."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PREDECESSOR = "gestalt==20.1.1"

_reasons = pytest.StashKey[list[str]]()


class ForeignPeer:
    """A process that echoes what it receives.

    Args:
        ports: of its servers, by protocol.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._commands = process.stdin
        self.ports: dict[str, int] = json.loads(process.stdout.readline())

    def connect(self, protocol: str, port: int) -> None:
        """Have it connect to a port, and begin with the message "hello"."""
        self._commands.write(f"{protocol} {port}\n")
        self._commands.flush()


@contextmanager
def _running(python: str | Path, script: str) -> Iterator[ForeignPeer]:
    with subprocess.Popen(
        [python, HERE / script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield ForeignPeer(process)
        finally:
            process.kill()


@pytest.fixture(scope="session")
def twisted() -> Iterator[ForeignPeer]:
    with _running(sys.executable, "twisted_peer.py") as peer:
        yield peer


@pytest.fixture(scope="session")
def _predecessor(tmp_path_factory: pytest.TempPathFactory) -> Path | str:
    """The Python of an environment with gestalt 20.1.1, or why there is none."""
    environment = tmp_path_factory.mktemp("predecessor")
    uv = os.environ.get("HATCH_UV") or shutil.which("uv") or "uv"
    python = environment / "bin" / "python"
    # What leads back to another environment, or changes what is installed, stays out.
    left_out = ("PYTHONPATH", "VIRTUAL_ENV", "UV_RESOLUTION", "UV_CONSTRAINT")
    variables = {key: value for key, value in os.environ.items() if key not in left_out}
    for command in (
        [uv, "venv", "-q", "--python", sys.executable, environment],
        [uv, "pip", "install", "-q", "--python", python, PREDECESSOR],
    ):
        try:
            subprocess.run(
                command, check=True, capture_output=True, env=variables, text=True, timeout=50
            )
        except subprocess.CalledProcessError as error:
            return f"{PREDECESSOR} cannot be installed: {error.stderr.strip()}"
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{PREDECESSOR} cannot be installed: {error}"
    return python


@pytest.fixture(scope="session")
def _predecessor_peer(_predecessor: Path | str) -> Iterator[ForeignPeer | str]:
    if isinstance(_predecessor, str):
        yield _predecessor
        return
    with _running(_predecessor, "predecessor_peer.py") as peer:
        yield peer


@pytest.fixture
def predecessor(
    request: pytest.FixtureRequest, _predecessor_peer: ForeignPeer | str
) -> ForeignPeer:
    if isinstance(_predecessor_peer, str):
        _without(request.config, _predecessor_peer)
    assert isinstance(_predecessor_peer, ForeignPeer)
    return _predecessor_peer


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_reasons] = []


def _without(config: pytest.Config, reason: str) -> None:
    """Skip the test, to be told at the end of the run; in CI, where nobody reads it, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    config.stash[_reasons].append(reason)
    pytest.skip(reason)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    reasons = config.stash.get(_reasons, [])
    if reasons:
        terminalreporter.write_line(
            f"!!! {len(reasons)} INTEROPERABILITY TESTS DID NOT RUN: "
            f"{'; '.join(sorted(set(reasons)))}",
            red=True,
            bold=True,
        )
