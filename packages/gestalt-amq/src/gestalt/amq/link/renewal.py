"""Keeps the secret of a connection fresh, where it expires: connection.update-secret.

Source: the AMQP 0-9-1 extension of RabbitMQ, methods 10,70 and 10,71.
"""

import logging
from collections.abc import Callable

from gestalt.amq.credentials import Credentials, Login
from gestalt.amq.errors import AmqError, CredentialsError
from gestalt.amq.events import SecretUpdateFailed
from gestalt.core import Backoff

from .interface import Link, wait_unless_lost

logger = logging.getLogger("gestalt.amq")

# Of the lifetime, this part passes before new ones are asked for.
WHEN = 0.8
# Credentials that come with next to no lifetime are not asked for more often than this, in seconds.
LEAST = 0.5
PAUSES = Backoff(initial=1.0, maximum=15.0)


async def keep_fresh(
    link: Link,
    login: Login,
    credentials: Credentials,
    *,
    name: str,
    purpose: str,
    tell: Callable[[SecretUpdateFailed], None],
) -> None:
    """Renew the secret before it expires, again and again, until the link is lost.

    What fails is told and tried again. Credentials of another user are of no use to a connection:
    the broker ends it when those that it has expire, and it is made again with the new ones.

    Args:
        link: the connection.
        login: gives new credentials.
        credentials: those that it was opened with.
        name: how the connection is called in messages.
        purpose: which one it is, as events have it.
        tell: is told of each failure.
    """
    delays = PAUSES.delays()
    wait = _wait(credentials)
    while wait is not None:  # pragma: no branch - new ones that last for ever
        await wait_unless_lost(link, max(LEAST, wait))
        if link.lost.done():  # pragma: no cover - lost while it waits
            return
        try:
            fresh = await login.obtain()
            if fresh.user == credentials.user:
                await link.update_secret(fresh.password)
        except AmqError as error:
            if link.lost.done():  # pragma: no cover - lost while it is renewed
                return
            logger.warning("%s: the secret was not renewed: %s", name, error)
            tell(SecretUpdateFailed(purpose, link.address, error))
            wait = delays.next()
            continue
        if fresh.user != credentials.user:
            reason = CredentialsError(
                f"the new credentials are of {fresh.user!r}, and the connection is one of "
                f"{credentials.user!r}: it goes on until the broker ends it"
            )
            logger.warning("%s: the secret was not renewed: %s", name, reason)
            tell(SecretUpdateFailed(purpose, link.address, reason))
            return
        logger.info("%s: the secret was renewed", name)
        credentials, wait, delays = fresh, _wait(fresh), PAUSES.delays()


def _wait(credentials: Credentials) -> float | None:
    left = credentials.left
    return None if left is None else WHEN * left
