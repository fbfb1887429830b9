"""What became of the client library's handshake with a broker, in our errors."""

import asyncio
from typing import Any

import aiormq.exceptions

from gestalt.amq.errors import AccessRefused, AmqError, ConnectError

_CREDENTIALS = (
    aiormq.exceptions.AuthenticationError,
    aiormq.exceptions.ProbableAuthenticationError,
)


def check(connecting: asyncio.Task[Any], place: str, cause: AmqError | None) -> None:
    """Pass if the library has connected.

    Args:
        connecting: its call, which is done.
        place: the broker's host and port.
        cause: why the connection ended, where more is known of that.

    Raises:
        AccessRefused: the broker refused the credentials or the virtual host.
        ConnectError: the handshake failed by anything else.
    """
    if connecting.cancelled():  # pragma: no cover - it ends amid a call of aiormq's
        # aiormq cancels its own calls when the connection ends under them.
        raise ConnectError(f"{place} ended the connection: {cause or 'closed'}")
    error = connecting.exception()
    if error is None:
        return
    if isinstance(error, _CREDENTIALS):
        raise AccessRefused(f"{place} refused the credentials: {error}") from error
    if isinstance(error, aiormq.exceptions.ConnectionNotAllowed):  # pragma: no cover - said by 530
        raise AccessRefused(f"{place} refused: {error}") from error
    if not isinstance(error, Exception):  # pragma: no cover - the program ends
        raise error
    # aiormq reads what a broker says about itself unchecked: this may be anything.
    reason = cause or error
    cls = AccessRefused if isinstance(reason, AccessRefused) else ConnectError
    raise cls(f"{place} cannot be connected to: {str(reason) or type(reason).__name__}") from error
