"""What the example's image installs is enough for the command that it runs."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

# What is not in uv's cache yet is downloaded.
pytestmark = pytest.mark.timeout(300)

FOLDER = Path(__file__).parents[2] / "examples" / "deploy"
DOCKERFILE = (FOLDER / "Dockerfile").read_text()


def test_the_image_of_the_example_answers_its_peers_and_its_probes(
    wheels: Any, environment: Any
) -> None:
    [install] = re.findall(r"^RUN pip install (.*)$", DOCKERFILE, re.MULTILINE)
    environment.install(wheels, *(word for word in shlex.split(install) if word[0] != "-"))
    [command] = re.findall(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)
    ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    numbers = [each.getsockname()[1] for each in ports]
    for each in ports:
        each.close()
    words = [word.replace(":8080", f"127.0.0.1:{numbers[1]}") for word in json.loads(command)]
    process = subprocess.Popen(
        [environment.folder / words[0], *words[1:]],
        cwd=FOLDER,
        env={"PATH": os.defpath, "ECHO_ADDRESS": f"tcp://127.0.0.1:{numbers[0]}"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert answer(process, lambda: ask(numbers[0])) == b"hello\n"
        probes = f"http://127.0.0.1:{numbers[1]}"
        for path in ("readyz", "livez"):
            answer(process, lambda path=path: get(f"{probes}/{path}"))
        assert b"# TYPE" in get(f"{probes}/metrics")
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == -signal.SIGTERM, errors


def ask(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(b"hello\n")
        return sock.makefile("rb").readline()


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as page:
        return page.read()


def answer(process: "subprocess.Popen[str]", question: Any) -> Any:
    """Ask until somebody listens, and is ready."""
    while process.poll() is None:
        try:
            return question()
        except (ConnectionRefusedError, urllib.error.HTTPError):
            continue
    pytest.fail(f"it has ended: {process.communicate()[1]}")
