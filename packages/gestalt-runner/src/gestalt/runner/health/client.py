"""Asking a health endpoint."""

import http.client
import json
import socket
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
    if address.path and not hasattr(socket, "AF_UNIX"):
        raise OSError("this system has no unix sockets")
    connection = _Connection(address, timeout)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = json.loads(connection.getresponse().read(LONGEST))
    except TimeoutError as error:
        raise TimeoutError(f"{address} does not answer within {timeout:g} s") from error
    except OSError as error:
        raise OSError(f"{address} does not answer: {error.strerror or error}") from error
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(f"{address} is no health endpoint") from error
    finally:
        connection.close()
    if not isinstance(answer, dict):
        raise OSError(f"{address} is no health endpoint")
    return answer


class _Connection(http.client.HTTPConnection):
    def __init__(self, address: HealthAddress, timeout: float) -> None:
        super().__init__(address.host or "localhost", address.port, timeout=timeout)
        self._path = address.path

    def connect(self) -> None:
        if not self._path:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
