"""Asking a health endpoint."""

import contextlib
import http.client
import json
import socket
import threading
from typing import Any

from .address import HealthAddress

LONGEST = 1_000_000
"""How many bytes of an answer are read."""


def fetch(address: HealthAddress, path: str, *, timeout: float) -> dict[str, Any]:
    """Ask a health endpoint, and give its answer.

    Args:
        address: where it listens.
        path: such as "/readyz".
        timeout: how long it may take, in seconds.

    Raises:
        OSError: it does not answer, or not as a health endpoint does.
    """
    if address.path and not hasattr(socket, "AF_UNIX"):  # pragma: no cover - Windows
        raise OSError("this system has no unix sockets")
    connection = _Connection(address, timeout)
    # The time is that of the whole answer, and not of each of its pieces.
    late = threading.Event()
    alarm = threading.Timer(timeout, connection.cut, [late])
    alarm.daemon = True
    alarm.start()
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = json.loads(connection.getresponse().read(LONGEST))
    except TimeoutError as error:  # pragma: no cover - the alarm is quicker, mostly
        raise _too_late(address, timeout) from error
    except OSError as error:
        if late.is_set():
            raise _too_late(address, timeout) from error  # pragma: no cover - cut as it asks
        raise OSError(f"{address} does not answer: {error.strerror or error}") from error
    except (http.client.HTTPException, ValueError, RecursionError) as error:
        if late.is_set():
            raise _too_late(address, timeout) from error
        raise OSError(f"{address} is no health endpoint") from error
    finally:
        alarm.cancel()
        connection.close()
    if not _is_answer(answer):
        raise OSError(f"{address} is no health endpoint")
    return dict(answer)


def _too_late(address: HealthAddress, timeout: float) -> TimeoutError:
    return TimeoutError(f"{address} does not answer within {timeout:g} s")


def _is_answer(answer: Any) -> bool:
    if not isinstance(answer, dict) or not isinstance(answer.get("status"), str):
        return False
    failed = answer.get("failed", [])
    return isinstance(failed, list) and all(
        isinstance(each, dict) and {"check", "reason"} <= each.keys() for each in failed
    )


class _Connection(http.client.HTTPConnection):
    def __init__(self, address: HealthAddress, timeout: float) -> None:
        super().__init__(address.host or "localhost", address.port, timeout=timeout)
        self._path = address.path
        # The base gives its own up while an answer is read.
        self._connected: socket.socket | None = None

    def cut(self, late: threading.Event) -> None:
        """End what is under way; from any thread."""
        late.set()
        if self._connected is not None:  # pragma: no branch - it takes that long to connect
            with contextlib.suppress(OSError):
                self._connected.shutdown(socket.SHUT_RDWR)

    def connect(self) -> None:
        if not self._path:
            super().connect()
        else:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(self.timeout)
            self.sock.connect(self._path)
        self._connected = self.sock
