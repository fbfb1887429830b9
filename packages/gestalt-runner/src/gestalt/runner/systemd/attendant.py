"""Tells systemd of each step in an application's life, and that its event loop is alive."""

import asyncio
import os
import socket
import time
from collections import deque

from gestalt.runner.attendants import Attendant, View
from gestalt.runner.defaults import BEYOND
from gestalt.runner.report import logger

from . import protocol

RETRY = 0.05
"""After how many seconds a message is sent again that systemd had no room for."""

LAST_TRIES = 10
"""How often that is tried at the end, when nobody may hear any more."""

MOST = 64
"""How many messages wait for that; the oldest ones are given up."""


class Systemd(Attendant):
    """Tells systemd what it is to know of a service of Type=notify or notify-reload.

    READY when all parts run, STOPPING with the time that the stop may take, RELOADING and READY
    around a reload, a line of status, and WATCHDOG twice in the time that WatchdogSec= gives, for
    as long as the event loop turns.

    A message that cannot be sent ends nothing: it is logged.

    Args:
        service: what systemd has told of itself.
    """

    def __init__(self, service: protocol.Service) -> None:
        self._service = service
        self._view: View | None = None
        self._socket: socket.socket | None = None
        self._waiting: deque[bytes] = deque(maxlen=MOST)
        self._retry: asyncio.TimerHandle | None = None

    async def begin(self, view: View) -> None:
        self._view = view
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._send(protocol.status("starting"))
        if self._service.watchdog:
            view.attend(self._stay_alive(), "systemd watchdog")

    def started(self) -> None:
        self._send(protocol.ready("running"))

    def stopping(self, seconds: float) -> None:
        failed = f"failed by {self._failure()}, " if self._failure() else ""
        self._send(protocol.stopping(f"{failed}stopping", seconds + BEYOND))

    def reloading(self) -> None:
        self._send(protocol.reloading(time.monotonic()))

    def reloaded(self) -> None:
        if self._view is not None and self._view.state == "running":  # pragma: no branch - it stops
            self._send(protocol.ready("running"))

    async def end(self) -> None:
        self._send(protocol.status(f"failed by {self._failure()}" if self._failure() else "ended"))
        for _ in range(LAST_TRIES):
            if self._waiting:
                await asyncio.sleep(RETRY)  # pragma: no cover - it is slow
        if self._retry is not None:
            self._retry.cancel()  # pragma: no cover - it is slow
        if self._socket is not None:  # pragma: no branch - for type checkers
            self._socket.close()
            self._socket = None

    async def _stay_alive(self) -> None:
        while True:
            self._send(protocol.alive())
            await asyncio.sleep(self._service.watchdog / 2)

    def _failure(self) -> str:
        """What the application failed by: its kind alone, since the text may hold secrets."""
        errors = self._view.errors if self._view is not None else []
        return type(errors[0]).__name__ if errors else ""

    def _send(self, message: bytes) -> None:
        self._waiting.append(message)
        if self._retry is None:  # pragma: no branch - it is slow
            self._flush()

    def _flush(self) -> None:
        self._retry = None
        while self._waiting and self._socket is not None:
            try:
                self._socket.sendto(self._waiting[0], self._service.address)
            except (BlockingIOError, InterruptedError):  # pragma: no cover - it is slow
                self._retry = asyncio.get_running_loop().call_later(RETRY, self._flush)
                return
            except OSError as error:
                logger.warning("systemd cannot be notified: %s", error)
            self._waiting.popleft()


def take_systemd() -> Systemd | None:
    """What notifies systemd, where that wants to be; children are not told of it."""
    try:
        service = protocol.take_service(os.environ, os.getpid())
    except ValueError as error:
        logger.warning("systemd is not notified: %s", error)
        return None
    return None if service is None else Systemd(service)
