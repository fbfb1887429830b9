"""The brokers that suites are run against, each fresh, on the port that the suites expect."""

import contextlib
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from tests.support.rabbitmq import RabbitMQNode

PORT = 5672
"""Peers' tests connect to this port of the loopback interface, and most cannot be told another."""

_START_SECONDS = 20.0


class PortInUseError(Exception):
    """Something else listens on the port that the suites connect to."""


class Broker(Protocol):
    """A kind of broker."""

    name: str

    def running(self, folder: Path) -> contextlib.AbstractContextManager[None]:
        """Run one, with its `rabbitmqctl` and what it logs in the folder."""


class Embedded:
    """The embedded broker, as a process.

    Args:
        compatible: the version of RabbitMQ that it is like.
    """

    def __init__(self, compatible: str) -> None:
        self.name = f"embedded, like {compatible}"
        self._compatible = compatible

    @contextlib.contextmanager
    def running(self, folder: Path) -> Iterator[None]:
        _check_port()
        control = folder / "control.sock"
        _write_rabbitmqctl(
            folder,
            [sys.executable, "-m", "gestalt.amq.embedded.control", "--socket", str(control)],
        )
        command = [
            sys.executable, "-m", "gestalt.amq.embedded", "--port", str(PORT),
            "--compatible", self._compatible, "--control", str(control),
            "--vhost", "/", "--log-level", "warning",
        ]  # fmt: skip
        with (folder / "broker.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            _await_broker(process)
            yield
        finally:
            process.terminate()
            try:
                process.wait(10.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class RabbitMQ:
    """A private node of the RabbitMQ that is installed, or that GESTALT_RABBITMQ names."""

    def __init__(self) -> None:
        self.version = self._version()
        self.name = "RabbitMQ " + ".".join(map(str, self.version))

    @contextlib.contextmanager
    def running(self, folder: Path) -> Iterator[None]:
        _check_port()
        node = RabbitMQNode("peers", port=PORT)
        node.start()
        try:
            _write_rabbitmqctl(folder, node.control_command)
            yield
        finally:
            node.close()

    @staticmethod
    def _version() -> tuple[int, ...]:
        node = RabbitMQNode("peers")
        node.start()
        try:
            return node.version
        finally:
            node.close()


def _write_rabbitmqctl(folder: Path, command: list[str]) -> None:
    script = folder / "rabbitmqctl"
    script.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    script.chmod(0o755)


def _check_port() -> None:
    try:
        with socket.create_server(("127.0.0.1", PORT)):
            return
    except OSError as error:
        raise PortInUseError(
            f"port {PORT} of 127.0.0.1 is not free, and peers' tests connect there: {error}"
        ) from error


def _await_broker(process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with socket.create_connection(("127.0.0.1", PORT), timeout=1.0):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the embedded broker has not started: see broker.log") from None
            time.sleep(0.05)
