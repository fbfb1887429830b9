"""A private RabbitMQ node: own name, own ports, own directory, nothing left behind.

The node shares nothing with a RabbitMQ that the machine may run as a service: not its cookie, not
its port mapper (epmd), not its data. It ends with the process that started it, whatever ends that.
"""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

START_TIMEOUT = 60.0
CONTROL_TIMEOUT = 60.0

# Debian's commands on PATH are wrappers that insist on the system's user and service; the
# scripts that they wrap are here.
_DEBIAN_SCRIPTS = "/usr/lib/rabbitmq/bin"
_ERLANG = "/usr/lib/erlang/bin"
_EPHEMERAL_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


class NoRabbitMQError(Exception):
    """RabbitMQ is not installed, or the node did not start."""


def _find(script: str) -> str:
    folders = [_DEBIAN_SCRIPTS, os.environ.get("PATH", "")]
    if chosen := os.environ.get("GESTALT_RABBITMQ"):
        folders.insert(0, f"{chosen}/bin")
    found = shutil.which(script, path=os.pathsep.join(folders))
    if found is None:
        raise NoRabbitMQError(f"{script} is not on PATH (Debian: apt-get install rabbitmq-server)")
    return found


def _find_erl_call() -> str:
    found = shutil.which("erl_call") or shutil.which("erl_call", path=_ERLANG)
    if found is None:
        raise NoRabbitMQError("erl_call (of Erlang) is not on PATH")
    return found


def _text(value: str) -> str:
    """A binary of Erlang's."""
    return f"<<{','.join(map(str, value.encode()))}>>"


def free_ports(count: int) -> list[int]:
    """Ports that a server finds free now, and again whenever it comes back.

    From those that the system hands out by itself, it could give one away while a node is down,
    and clients of the node would meet the broker of another test in its place.
    """
    found: list[int] = []
    for port in random.sample(range(10_000, _lowest_ephemeral()), 1000):
        if len(found) == count:
            break
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
    return found


def _lowest_ephemeral() -> int:
    try:
        return max(11_000, int(_EPHEMERAL_PORTS.read_text().split()[0]))
    except OSError:
        return 32_768


class PortMapper:
    """An epmd of our own, which nodes of one cluster share."""

    def __init__(self) -> None:
        epmd = shutil.which("epmd")
        if epmd is None:
            raise NoRabbitMQError("epmd (Erlang's port mapper) is not on PATH")
        (self.port,) = free_ports(1)
        self._process = subprocess.Popen(
            [epmd, "-port", str(self.port), "-address", "127.0.0.1"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"]},
        )
        self.pid = self._process.pid

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


class RabbitMQNode:
    """One node of RabbitMQ, and the controls that fault tests need.

    Args:
        name: the part of the node's name before the @.
        config: lines of rabbitmq.conf, on top of the node's own.
        plugins: the names of plugins to enable.
        application: settings of the node's application that rabbitmq.conf has no name for.
        mapper: the port mapper of a cluster; without one the node has its own.
        cookie: the shared secret of a cluster.
        port: the port for clients; one that is free by default.
    """

    def __init__(
        self,
        name: str = "gestalt",
        *,
        config: Mapping[str, str] | None = None,
        plugins: tuple[str, ...] = (),
        application: Mapping[str, int] | None = None,
        mapper: PortMapper | None = None,
        cookie: str = "gestalt-tests",
        port: int | None = None,
    ) -> None:
        self._server = _find("rabbitmq-server")
        self._control = _find("rabbitmqctl")
        self.name = f"{name}@localhost"
        self._cookie = cookie
        self.directory = Path(tempfile.mkdtemp(prefix=f"rabbitmq-{name}-"))
        free, distribution_port = free_ports(2)
        self.port = free if port is None else port
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._own_mapper = PortMapper() if mapper is None else None
        self._mapper = mapper or self._own_mapper
        assert self._mapper is not None

        cookie_file = self.directory / ".erlang.cookie"
        cookie_file.write_text(cookie)
        cookie_file.chmod(0o400)
        settings = {
            # The default reserve of disk and memory is for production machines.
            "disk_free_limit.absolute": "1MB",
            "vm_memory_high_watermark.absolute": "1GB",
            "log.console": "false",
            "log.file": str(self.directory / "node.log"),
            **(config or {}),
        }
        (self.directory / "rabbitmq.conf").write_text(
            "".join(f"{key} = {value}\n" for key, value in settings.items())
        )
        (self.directory / "plugins").write_text(f"[{','.join(plugins)}].")
        here = str(self.directory)
        self._environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": here,
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(distribution_port),
            "ERL_EPMD_PORT": str(self._mapper.port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_BASE": here,
            "RABBITMQ_MNESIA_BASE": f"{here}/data",
            "RABBITMQ_LOG_BASE": f"{here}/log",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{here}/plugins",
            "RABBITMQ_CONFIG_FILE": f"{here}/rabbitmq",
            "RABBITMQ_GENERATED_CONFIG_DIR": f"{here}/generated",
            "RABBITMQ_FEATURE_FLAGS_FILE": f"{here}/feature_flags",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            # With input allowed the start script becomes the node, instead of waiting for it.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": " ".join(
                [
                    "-noinput",
                    *(f"-rabbit {key} {value}" for key, value in (application or {}).items()),
                ]
            ),
        }

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the node, also again after kill or stop, and wait until it takes connections."""
        assert self._process is None
        assert self._mapper is not None
        with (self.directory / "output.log").open("ab") as output:
            self._process = subprocess.Popen(
                [self._server],
                env=self._environment,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        # Its input ends when this process does, even by SIGKILL; then it ends the node.
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", 'cat; kill -9 "$@"', "guard", str(self.pid), str(self._mapper.pid)],
            stdin=subprocess.PIPE,
        )
        deadline = time.monotonic() + START_TIMEOUT
        while not self._accepts():
            status = self._process.poll()
            if status is not None or time.monotonic() > deadline:
                self.close(keep_directory=True)
                raise NoRabbitMQError(
                    f"the private node {self.name} did not start (exit status {status}): "
                    f"see {self.directory}/output.log and node.log"
                )
            time.sleep(0.02)

    def _accepts(self) -> bool:
        # A listening socket alone is not yet a broker: ask for the protocol's first answer.
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5.0) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return connection.recv(1) == b"\x01"
        except OSError:
            return False

    def kill(self) -> None:
        """End the node as a power failure would."""
        self._end(signal.SIGKILL)

    def has_noted(self, queue: str) -> bool:
        """Whether a quorum queue outlasts a kill: its name is on the disk.

        That is so up to a second after its declaration was answered.
        """
        name = f"%2F_{queue}".encode()
        atom = bytes([len(name)]) + name
        return any(
            atom in noted.read_bytes()
            for noted in self.directory.glob("data/*/quorum/*/names.dets")
        )

    def stop(self) -> None:
        """End the node in its orderly way."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._guard is not None:
            self._guard.kill()
            self._guard.wait()
            assert self._guard.stdin is not None
            self._guard.stdin.close()
            self._guard = None
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(CONTROL_TIMEOUT)
            self._process = None

    @property
    def control_command(self) -> list[str]:
        """What rabbitmqctl for this node is called by."""
        variables = [f"{key}={value}" for key, value in self._environment.items()]
        return ["env", "-i", "-C", str(self.directory), *variables, self._control]

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl on this node and return what it prints."""
        done = subprocess.run(
            [self._control, "--quiet", *arguments],
            env=self._environment,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CONTROL_TIMEOUT,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"rabbitmqctl {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def evaluate(self, expression: str) -> str:
        """Run an Erlang expression on this node and return its value, as Erlang writes it.

        It takes milliseconds, where `control` takes a second.
        """
        # A name at random: nodes refuse one that they have not seen go yet.
        command = [_find_erl_call(), "-r", "-c", self._cookie, "-n", self.name, "-e"]
        until = time.monotonic() + START_TIMEOUT
        while True:
            done = subprocess.run(
                command,
                input=f"{expression}.\n",
                env=self._environment,
                cwd=self.directory,
                capture_output=True,
                text=True,
                timeout=CONTROL_TIMEOUT,
                check=False,
            )
            value = done.stdout.strip()
            if value.startswith("{ok, "):
                return value.removeprefix("{ok, ").removesuffix("}")
            if "failed to connect" not in done.stderr or time.monotonic() > until:
                raise RuntimeError(f"{expression}: {value}{done.stderr}")
            time.sleep(0.05)

    @cached_property
    def version(self) -> tuple[int, ...]:
        """The version that the running node tells of itself: (4, 3, 6)."""
        told = self.evaluate("rabbit_misc:version()").strip('"')
        return tuple(map(int, told.split("-")[0].split(".")))

    def add_user(
        self, name: str, password: str, *, configure: str = "", write: str = "", read: str = ""
    ) -> str:
        """Add a user with permissions, each a pattern of names; return the URL to connect by."""
        user = _text(name)
        self.evaluate(
            f'rabbit_auth_backend_internal:add_user({user}, {_text(password)}, <<"tests">>)'
        )
        self.evaluate(
            f'rabbit_auth_backend_internal:set_permissions({user}, <<"/">>, '
            f'{_text(configure)}, {_text(write)}, {_text(read)}, <<"tests">>)'
        )
        return f"amqp://{name}:{password}@127.0.0.1:{self.port}/"

    def permit_topics(self, name: str, exchange: str, *, write: str, read: str) -> None:
        """Restrict a user's routing keys of one exchange that exists, each to a pattern."""
        self.evaluate(
            f'rabbit_auth_backend_internal:set_topic_permissions({_text(name)}, <<"/">>, '
            f'{_text(exchange)}, {_text(write)}, {_text(read)}, <<"tests">>)'
        )

    def raise_memory_alarm(self) -> None:
        """Make the broker block every connection that publishes."""
        self.evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.00001)")
        self._await_alarms(lambda alarms: alarms != "[]")

    def clear_memory_alarm(self) -> None:
        self.evaluate("vm_memory_monitor:set_vm_memory_high_watermark({absolute, 1000000000})")
        self._await_alarms(lambda alarms: alarms == "[]")

    def _await_alarms(self, condition: Callable[[str], bool]) -> None:
        # What the node has told its connections when it answers.
        deadline = time.monotonic() + CONTROL_TIMEOUT
        while not condition(alarms := self.evaluate("rabbit_alarm:get_alarms()")):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the alarms of the node {self.name} are still {alarms}")
            time.sleep(0.01)

    def close(self, *, keep_directory: bool = False) -> None:
        """End the node and its port mapper, and remove the directory."""
        self.kill()
        if self._own_mapper is not None:
            self._own_mapper.close()
        if not keep_directory:
            shutil.rmtree(self.directory, ignore_errors=True)
