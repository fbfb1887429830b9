"""The files of examples/deploy are right, as far as can be seen without an orchestrator."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gestalt.runner.defaults import BEYOND
from gestalt.runner.options.arguments import given, parser_of
from gestalt.runner.options.resolving import Sources
from gestalt.runner.options.table import (
    DRAIN_DELAY,
    HEALTH_ADDRESS,
    RUN,
    SHUTDOWN,
    TARGETS,
    WORKERS,
)

FOLDER = Path(__file__).parents[2] / "examples" / "deploy"
DOCKERFILE = (FOLDER / "Dockerfile").read_text()
CMD: list[str] = json.loads(re.findall(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)[0])
UNIT = (FOLDER / "echo.service").read_text()


def settings_of(command: list[str]) -> Any:
    """What `gestalt run` makes of a command line."""
    program, subcommand, *arguments = command
    assert (Path(program).name, subcommand) == ("gestalt", "run")
    said = given(parser_of("run", RUN, description=""), arguments)
    return Sources(RUN, said, FOLDER, project=False).read({})


@pytest.fixture(scope="module")
def deployment() -> Any:
    found, service = yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text())
    assert (found["kind"], service["kind"]) == ("Deployment", "Service")
    pod = found["spec"]["template"]
    assert service["spec"]["selector"] == pod["metadata"]["labels"]
    assert found["spec"]["selector"]["matchLabels"] == pod["metadata"]["labels"]
    [container] = pod["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports.keys()
    return pod["spec"] | container | {"named": ports}


def test_the_probes_ask_what_the_application_answers(deployment: Any) -> None:
    settings = settings_of(deployment["args"])
    assert settings[TARGETS] == ("echo:server",)
    port = int(settings[HEALTH_ADDRESS].rpartition(":")[2])
    asked = {
        name: deployment[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")
    }
    assert {name: probe["path"] for name, probe in asked.items()} == {
        "startup": "/readyz",
        "readiness": "/readyz",
        "liveness": "/livez",
    }
    assert {deployment["named"][probe["port"]] for probe in asked.values()} == {port}


def test_the_stop_fits_in_the_time_that_there_is(deployment: Any) -> None:
    settings = settings_of(deployment["args"])
    assert settings[DRAIN_DELAY] < settings[SHUTDOWN]
    assert settings[SHUTDOWN] + BEYOND < deployment["terminationGracePeriodSeconds"]
    [command] = re.findall(r"^ExecStart=(.*)$", UNIT, re.MULTILINE)
    [seconds] = re.findall(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)
    settings = settings_of(shlex.split(command))
    assert settings[WORKERS] == 2
    assert settings[SHUTDOWN] + BEYOND + 0.5 < int(seconds)


def test_the_image_exposes_and_copies_what_there_is(deployment: Any) -> None:
    assert settings_of(CMD)[TARGETS] == ("echo:server",)
    [exposed] = re.findall(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE)
    assert set(map(int, exposed.split())) == set(deployment["named"].values())
    for name in re.findall(r"^COPY (\S+) ", DOCKERFILE, re.MULTILINE):
        assert (FOLDER / name).is_file()


def test_the_units_are_right(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("NOT TESTED: there is no systemd-analyze")
    for name in ("echo.service", "echo.socket"):
        # What it is to run is not installed here.
        text = (FOLDER / name).read_text().replace("/opt/echo/bin/gestalt", "/bin/true")
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / "echo.service"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    told = [line for line in done.stderr.splitlines() if "echo" in line]
    assert (done.returncode, told) == (0, []), done.stderr


def test_the_command_of_the_image_serves_and_stops() -> None:
    command = [word for word in CMD[2:] if word not in ("--health-address", ":8080")]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "gestalt.runner", "run", *command, "--log-level", "debug"],
        cwd=FOLDER,
        env=os.environ
        | {
            "ECHO_ADDRESS": f"tcp://127.0.0.1:{port}",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        answer = ask(port, process)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert answer == b"hello\n"
    assert process.returncode == -signal.SIGTERM, errors
    for line in errors.splitlines():
        json.loads(line)


def ask(port: int, process: "subprocess.Popen[str]") -> bytes:
    while process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
                sock.sendall(b"hello\n")
                return sock.makefile("rb").readline()
        except ConnectionRefusedError:
            continue
    return b""
