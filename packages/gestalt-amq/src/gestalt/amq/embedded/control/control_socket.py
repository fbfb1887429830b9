"""The socket by which a broker is controlled: a line of JSON for each request and each answer.

A request names an `operation` and its `options`; the answer has a `result`, or says the `error`.
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
import tempfile
from pathlib import Path
from typing import Any

from gestalt.amq.embedded.server import Controls
from gestalt.amq.wire import AmqpError

from .operations import perform

logger = logging.getLogger("gestalt.amq")

# How many bytes a request may have, how long a client may be silent in seconds, and how many
# clients there may be at once.
_LINE = 256 * 1024
_SILENCE = 60.0
_CLIENTS = 16


class ControlSocket:
    """Lets this user control a broker of this process, for as long as it is open.

    Args:
        controls: the broker.
        path: where the socket is to be. It has the mode 0600, and goes when it is closed.
    """

    def __init__(self, controls: Controls, path: Path) -> None:
        self._controls = controls
        self.path = path
        self._clients: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Make the socket, and answer.

        Raises:
            OSError: there is such a socket which is in use, or the path is not good.
        """
        self._server = await asyncio.start_unix_server(
            self._serve, sock=_listen(self.path), limit=_LINE
        )

    async def close(self) -> None:
        """Answer no more, and remove the socket; does nothing when it is not open."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        with contextlib.suppress(OSError):
            self.path.unlink()
        clients = list(self._clients)
        for task in clients:
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._clients) >= _CLIENTS:
            writer.close()
            return
        self._clients.add(task)
        try:
            # A client that goes, is silent, or sends more than a request can have, is let go.
            with contextlib.suppress(OSError, ValueError, TimeoutError):
                while True:
                    async with asyncio.timeout(_SILENCE):
                        line = await reader.readline()
                        if not line:
                            return
                        writer.write(self._answer(line))
                        await writer.drain()
        except asyncio.CancelledError:
            # The broker stops; asyncio would tell the log of it.
            return
        finally:
            self._clients.discard(task)
            writer.close()

    def _answer(self, line: bytes) -> bytes:
        try:
            answer = {"result": perform(self._controls, json.loads(line))}
        except (ValueError, RecursionError) as error:
            answer = {"error": str(error)}
        except AmqpError as error:
            answer = {"error": error.text}
        except Exception as error:  # pragma: no cover - a fault of the broker itself
            logger.exception("the broker failed in an operation of its control socket")
            answer = {"error": f"the broker failed: {type(error).__name__}"}
        # What the arguments of queues hold may have no JSON.
        return json.dumps(answer, default=_shown).encode() + b"\n"


def _shown(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _listen(path: Path) -> socket.socket:
    """Return a socket that listens at the path, and that was never anybody's but this user's."""
    if _in_use(path):
        raise OSError(f"{path} is the control socket of a broker that runs")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
            made = Path(folder, "s")
            listening.bind(str(made))
            made.chmod(0o600)
            listening.listen()
            if path.exists() and not path.is_socket():
                raise FileExistsError(f"{path} is there, and no socket")
            made.rename(path)
    except OSError as error:
        listening.close()
        if error.errno is None and not isinstance(error, FileExistsError):
            # It may have about 100 bytes, and the system's words do not tell which path it is.
            raise OSError(f"{path} cannot be a socket: {error}") from error
        raise
    listening.setblocking(False)
    return listening


def _in_use(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return False
        return True
