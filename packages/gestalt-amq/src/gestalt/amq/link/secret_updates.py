"""Gives the broker a new secret for a connection that is open: connection.update-secret.

Not by the client library, which writes the frames that it sends into its log.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from gestalt.amq.errors import AmqError, CredentialsError, LinkLost
from gestalt.amq.wire import update_secret_frame

ANSWER_TIMEOUT = 10.0
REASON = "it expires"
# What the frame has besides the secret, and more.
OVERHEAD = 64


class Write(Protocol):
    """Sends bytes on the connection."""

    def __call__(self, data: list[bytes], size: int, *, at_once: bool = False) -> None: ...


class SecretUpdates:
    """Updates the secret of one connection, one after the other.

    Args:
        lost: done when the connection has ended; its result is the reason.
        write: sends bytes.
        cut: ends a connection whose broker does not answer.
    """

    def __init__(
        self, lost: asyncio.Future[AmqError], write: Write, cut: Callable[[AmqError], None]
    ) -> None:
        self._lost = lost
        self._write = write
        self._cut = cut
        self._turn = asyncio.Lock()
        self._updated = asyncio.Event()

    async def update(self, secret: str, frame_max: int) -> None:
        """Send a new secret, and wait for the broker's answer; errors as `Link.update_secret`."""
        data = secret.encode()
        if len(data) + OVERHEAD > frame_max:
            raise CredentialsError(
                f"the new secret has {len(data)} bytes, and a frame {frame_max} at most"
            )
        async with self._turn:
            if not self._lost.done():
                self._updated.clear()
                frame = update_secret_frame(data, REASON)
                self._write([frame], len(frame), at_once=True)
                updated = asyncio.ensure_future(self._updated.wait())
                either: set[asyncio.Future[Any]] = {updated, self._lost}
                try:
                    await asyncio.wait(
                        either, timeout=ANSWER_TIMEOUT, return_when=asyncio.FIRST_COMPLETED
                    )
                finally:
                    updated.cancel()
                if self._updated.is_set():
                    return
                # It may have refused, or not know what it was asked; a fresh connection knows.
                self._cut(  # pragma: no cover - an answer that takes long
                    LinkLost(f"the broker did not take a new secret in {ANSWER_TIMEOUT} s")
                )
        raise LinkLost(str(self._lost.result()))  # pragma: no cover - lost meanwhile

    def note_updated(self) -> None:
        """The broker has taken it."""
        self._updated.set()
