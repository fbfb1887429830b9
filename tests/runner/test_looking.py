"""What the commands print that look into a running application, and to whom."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import DEADLINE, ENVIRONMENT, PYTHON

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no unix sockets")

APP = """
import asyncio
async def wait():
    print("waiting", flush=True)
    await asyncio.Event().wait()
"""


@pytest.fixture
def environment(tmp_path):
    return ENVIRONMENT | {
        "XDG_RUNTIME_DIR": str(tmp_path),
        "TMPDIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }


@pytest.fixture
def gestalt(environment, tmp_path):
    """Run a command of `gestalt` to its end."""

    def gestalt(command, stdout=subprocess.PIPE):
        return subprocess.run(
            [*PYTHON, "-m", "gestalt.runner", *command.split()],
            env=environment,
            cwd=tmp_path,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    return gestalt


@pytest.fixture
def application(launch, environment, tmp_path):
    """Run an application, with these options."""
    (tmp_path / "app.py").write_text(APP)

    def application(*options):
        process = launch(
            *("-m", "gestalt.runner", "run", "app:wait", "--loop", "asyncio", *options),
            environment=environment,
        )
        process.wait_for("waiting")
        return process

    return application


def test_metrics_are_printed_without_any_endpoint(application, gestalt):
    parser = pytest.importorskip("prometheus_client.parser")
    process = application()
    for command in ("metrics", f"metrics {process.pid}"):
        result = gestalt(command)
        assert (result.returncode, result.stderr) == (0, "")
        families = {
            each.name: each for each in parser.text_string_to_metric_families(result.stdout)
        }
        assert families["gestalt_process_unmeasured"].samples[0].value == 0


def test_metrics_of_workers_are_printed_by_the_process_that_was_started(application, gestalt):
    pytest.importorskip("prometheus_client")
    process = application("--workers", "1")
    process.wait_for_error("all workers are ready")
    assert 'gestalt_worker_answered{worker="1"} 1.0' in gestalt(f"metrics {process.pid}").stdout


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("metrics", "gestalt metrics: no application runs here; 'gestalt run' starts one\n"),
        ("metrics x", "gestalt metrics: a process identifier is a number such as 1234, not 'x'\n"),
    ],
)
def test_metrics_of_nothing_are_a_sentence(gestalt, command, sentence):
    result = gestalt(command)
    assert (result.returncode, result.stdout, result.stderr) == (1, "", sentence)


def test_without_prometheus_client_it_says_what_to_install(launch, environment, tmp_path):
    (tmp_path / "app.py").write_text("import sys\nsys.modules['prometheus_client'] = None\n" + APP)
    process = launch("-m", "gestalt.runner", "run", "app:wait", environment=environment)
    process.wait_for("waiting")
    command = launch("-m", "gestalt.runner", "metrics", environment=environment)
    assert command.end() == 1
    assert "pip install 'gestalt-runner[metrics]'" in command.errors
    assert "Traceback" not in command.errors


COMMANDS = (
    *("stacks", "top --once --interval 0.1", "health"),
    *("completion bash", "--help", "run --help", "--version"),
)


def test_where_nobody_reads_any_more_nothing_is_said(application, gestalt):
    application()
    reader, writer = os.pipe()
    os.close(reader)
    for command in COMMANDS:
        result = gestalt(command, writer)
        # As a shell tells of a death by SIGPIPE.
        assert (result.returncode, result.stderr) == (141, ""), command
    os.close(writer)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_what_cannot_be_written_is_a_sentence_and_status_1(application, gestalt):
    application()
    with Path("/dev/full").open("w") as full:
        for command in COMMANDS:
            result = gestalt(command, full)
            assert (result.returncode, result.stderr) == (
                1,
                "gestalt: what is to be told cannot be written: No space left on device\n",
            ), command


def test_the_version_of_what_is_not_installed_is_told_by_its_place(launch):
    sources = [path for path in sys.path if Path(path, "gestalt").is_dir()]
    own = [path for path in sources if not list(Path(path).glob("gestalt_runner-*.dist-info"))]
    if not own:
        pytest.skip("it is installed")
    process = launch(
        "-S", "-m", "gestalt.runner", "--version", environment={"PYTHONPATH": os.pathsep.join(own)}
    )
    assert process.end() == 0, process.errors
    [line] = process.lines
    assert line.startswith("gestalt-runner, not installed, from /")
    assert line.endswith("runner")


def test_json_of_each_command_is_one_value(application, gestalt):
    application()
    for command in ("stacks", "top --interval 0.1", "health"):
        assert json.loads(gestalt(f"{command} --json").stdout)


def test_an_option_that_is_none_is_told_with_the_one_that_was_meant(gestalt):
    for command, meant in (
        ("run app:wait --wrkers 2", "--wrkers; did you mean '--workers'?"),
        ("run --no-debgu=1", "--no-debgu; did you mean '--no-debug'?"),
        ("top --everything", "--everything"),
    ):
        result = gestalt(command)
        assert result.returncode == 2
        assert result.stderr.endswith(f"error: unrecognized arguments: {meant}\n"), result.stderr


@pytest.mark.parametrize("options", [(), ("--workers", "1")])
def test_a_health_address_in_use_is_a_sentence(launch, tmp_path, options):
    pytest.importorskip("h11")
    (tmp_path / "app.py").write_text(APP)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        process = launch(
            *("-m", "gestalt.runner", "run", "app:wait", "--health-address", address, *options)
        )
        assert process.end() == 1
    assert process.errors.endswith(
        "ERROR gestalt.runner: Health did not start:\n"
        f"  the health endpoint cannot listen on {address}: Address already in use\n"
    )
    assert "Traceback" not in process.errors
