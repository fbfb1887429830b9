"""Asking an application that runs."""

import contextlib
import json
import re
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gestalt.core.masking import masked
from gestalt.runner.errors import InspectionError
from gestalt.runner.output import harmless

from . import places

TIMEOUT = 12.0
"""How long an answer may take, in seconds."""

LONGEST_ANSWER = 16 * 1024 * 1024

_TARGET = re.compile(r"(\d{1,10})(?:\.(\d{1,4}))?")


class Client:
    """A connection with an application that runs, for one request after another.

    Args:
        path: its socket.

    Raises:
        InspectionError: nobody answers there.
    """

    def __init__(self, path: Path, *, timeout: float = TIMEOUT) -> None:
        self.path = path
        self._timeout = timeout
        self._rest = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(timeout)
            with places.reachable(path.parent, path.name) as short:
                self._connect(short)
        except OSError as error:
            self._socket.close()
            raise InspectionError(f"{path} does not answer: {error.strerror or error}") from error
        except InspectionError:  # pragma: no cover - systems without /proc
            self._socket.close()
            raise

    def ask(self, name: str, **details: Any) -> Any:
        """Ask, and wait for the answer.

        Raises:
            InspectionError: the application says why there is none, has ended, or takes too long.
        """
        until = time.monotonic() + self._timeout
        try:
            self._socket.settimeout(self._timeout)
            with contextlib.suppress(BrokenPipeError):
                # One that refuses us says why before it closes.
                self._socket.sendall(json.dumps({"ask": name, **details}).encode() + b"\n")
            answer = _printable(json.loads(self._line(until)))
        except TimeoutError as error:
            raise InspectionError(f"no answer within {self._timeout:g} s") from error
        except (OSError, ValueError) as error:
            raise ApplicationEnded("the application has ended") from error
        if "answer" not in answer:
            raise InspectionError(str(answer.get("error", "no answer")))
        return answer["answer"]

    def close(self) -> None:
        """Close the connection; from any thread: who waits for an answer is told."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _connect(self, path: str) -> None:
        until = time.monotonic() + self._timeout
        while True:
            try:
                self._socket.connect(path)
            except BlockingIOError:  # pragma: no cover - hundreds at once
                # Too many connect at once; there is nothing to wait for but time.
                if time.monotonic() > until:
                    raise
                time.sleep(0.01)
            else:
                return

    def _line(self, until: float) -> bytes:
        parts = [self._rest]
        size = len(self._rest)
        while b"\n" not in parts[-1]:
            self._socket.settimeout(max(0.001, until - time.monotonic()))
            data = self._socket.recv(262_144)
            if not data:
                raise ConnectionError("closed")
            parts.append(data)
            size += len(data)
            if size > LONGEST_ANSWER:
                raise ConnectionError("too long")  # pragma: no cover - ours answer with half
        line, _, self._rest = b"".join(parts).partition(b"\n")
        return line


def _printable(value: Any) -> Any:
    """Without characters that a terminal obeys: a peer may have had them logged."""
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, list):
        return [_printable(each) for each in value]
    if isinstance(value, dict):
        return {_printable(key): _printable(each) for key, each in value.items()}
    return value


class ApplicationEnded(InspectionError):
    """The application has ended meanwhile."""


def running() -> list[dict[str, Any]]:
    """The applications of this user that run, each with its `path` and what it says of itself.

    Raises:
        InspectionError: there are no unix sockets here.
    """
    _check_supported()
    found = []
    for path in places.find():
        with contextlib.suppress(InspectionError), Client(path, timeout=2.0) as client:
            found.append({"path": str(path), **client.ask("application")})
    return sorted(found, key=lambda each: (each["pid"], each["path"]))


def connect(target: str) -> Client:
    """Connect with an application.

    Args:
        target: its process identifier; with ".2" for the second of the process, and so on.

    Raises:
        InspectionError: there is none; the error says which there are.
    """
    _check_supported()
    match = _TARGET.fullmatch(target)
    if match is None:
        raise InspectionError(
            f"a process identifier is a number such as 1234, not {masked(target)}"
        )
    wanted = f"{match[1]}.{match[2]}.sock" if match[2] else f"{match[1]}.sock"
    for path in places.find(int(match[1])):
        if path.name == wanted:
            return Client(path)
    raise InspectionError(_missing(target, int(match[1])))


def reach(target: str) -> Client:
    """Connect with an application; where the target is empty, with the only one that runs.

    Raises:
        InspectionError: there is none, or there are several.
    """
    return connect(target) if target else only()


def only() -> Client:
    """Connect with the application that runs, where there is one alone.

    Raises:
        InspectionError: there is none, or there are several, which the error names.
    """
    found = running()
    if len(found) == 1:
        return Client(Path(found[0]["path"]))
    if not found:
        raise InspectionError("no application runs here; 'gestalt run' starts one")
    lines = "\n".join(f"  {Path(each['path']).stem:>8}  {each['command']}" for each in found)
    raise InspectionError(f"several applications run: name one of them\n{lines}")


def _check_supported() -> None:
    if not places.supported():  # pragma: no cover - Windows
        raise InspectionError("this system has no unix sockets, by which applications are reached")


def _missing(target: str, pid: int) -> str:
    if not places.lives(pid):
        why = f"there is no process {target}"
    else:
        why = (
            f"process {target} cannot be inspected: it is no application of this user that was "
            "started by gestalt run, or with inspect=True, or its temporary folder is another one"
        )
    others = ", ".join(Path(each["path"]).stem for each in running())
    return f"{why}; there are: {others}" if others else f"{why}; no application runs here"
