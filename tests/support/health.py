"""What tests of health share: a client, and attendants' view of an application that runs here."""

import asyncio
import http.client
import json
import socket
from collections.abc import Coroutine
from typing import Any, Literal

from gestalt.core import Component


class Client(http.client.HTTPConnection):
    """Asks a health endpoint at a port, or at a unix socket."""

    def __init__(self, address: str) -> None:
        super().__init__("health" if address.startswith("unix:") else address, timeout=10)
        self._path = address.removeprefix("unix:") if address.startswith("unix:") else ""

    def connect(self) -> None:
        if not self._path:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self._path)

    def ask(self, target: str, method: str = "GET") -> tuple[int, Any]:
        self.request(method, target)
        response = self.getresponse()
        body = response.read()
        return response.status, json.loads(body) if body else None


def ask(address: str, target: str, method: str = "GET") -> tuple[int, Any]:
    """Ask once, by a connection of its own."""
    client = Client(address)
    try:
        return client.ask(target, method)
    finally:
        client.close()


class Running:
    """An application that runs in the event loop of the test."""

    def __init__(self, *components: Component) -> None:
        self.state: Literal["starting", "running", "stopping"] = "running"
        self.components = list(components)
        self.errors: list[BaseException] = []
        self.loop = asyncio.get_running_loop()

    def attend(self, coro: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return asyncio.create_task(coro, name=name)
