"""Who an application is to the broker, where that changes: tokens and leases that expire."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from gestalt.core.calling import RAISED, is_awaitable, is_own_cancellation
from gestalt.core.numbers import check_number, check_seconds, kind_of
from gestalt.core.telling import raised_in

from .errors import CredentialsError

MAX_USER = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A user and a password, or a token in its place, and for how long they are good.

    Printed, it does not show the password. One of `lifetime` and `expires_at` is enough to have
    the connection's secret renewed in time.

    Args:
        user: its name; brokers that take it from the token allow "".
        password: the password, or the token.
        lifetime: how long they are good from now on, in seconds; as `expires_in` of OAuth 2.0 or
            `lease_duration` of Vault.
        expires_at: when they expire: a datetime with its time zone, or seconds since 1970.

    Raises:
        TypeError: an argument is of another type.
        ValueError: the password is empty, something is out of its range, or there are both a
            lifetime and a time of expiry.
    """

    user: str
    password: str = field(repr=False)
    lifetime: float | None = None
    expires_at: datetime | float | None = None
    # By the monotonic clock, where it is known so: a clock that is set changes no lifetime.
    _until: float | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        for name in ("user", "password"):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise TypeError(f"{name} must be a str, got {kind_of(value)}")
            if "\0" in value:
                raise ValueError(f"the {name} has a NUL character")
        if not self.password:
            raise ValueError("the password is empty")
        if len(self.user.encode()) > MAX_USER:
            raise ValueError(f"the user has more than {MAX_USER} bytes")
        if self.lifetime is not None and self.expires_at is not None:
            raise ValueError("give either lifetime or expires_at, not both")
        if self.lifetime is not None:
            lifetime = check_seconds("lifetime", self.lifetime)
            object.__setattr__(self, "_until", time.monotonic() + lifetime)
        elif isinstance(self.expires_at, datetime):
            if self.expires_at.tzinfo is None:
                raise ValueError("expires_at is a datetime without a time zone: give it one")
        elif self.expires_at is not None and math.isnan(
            check_number("expires_at", self.expires_at, unit="seconds since 1970")
        ):
            raise ValueError("expires_at must be a number, got nan")

    @property
    def left(self) -> float | None:
        """For how many seconds they are good from now on, None if that is not limited."""
        if self._until is not None:
            left = self._until - time.monotonic()
        elif self.expires_at is None:
            return None
        elif isinstance(self.expires_at, datetime):
            left = self.expires_at.timestamp() - time.time()
        else:
            left = self.expires_at - time.time()
        return left if left < math.inf else None


Given: TypeAlias = Credentials | tuple[str, str]
CredentialsSource: TypeAlias = Callable[[], Given | Awaitable[Given]]
"""Gives a user and a password, or `Credentials`; a plain function, which must not block, or an
async one."""


class Login:
    """Asks the application for credentials.

    Args:
        source: gives them.
        timeout: how long it may take, in seconds.
    """

    def __init__(self, source: CredentialsSource, timeout: float) -> None:
        self._source = source
        self._timeout = timeout

    async def obtain(self) -> Credentials:
        """Ask once.

        Raises:
            CredentialsError: the function raised, or took too long, or gave something else; its
                exception is the cause. Told is its class and where it was raised. What it said is
                not: libraries put tokens and answers of servers into it.
        """
        try:
            async with asyncio.timeout(self._timeout) as limit:
                given = self._source()
                given = await given if is_awaitable(given) else given
        except RAISED as error:
            if is_own_cancellation(error):
                raise
            if limit.expired():
                raise CredentialsError(
                    f"the function for credentials took longer than {self._timeout:g} s"
                ) from error
            raise CredentialsError(
                f"the function for credentials raised {raised_in(error)}"
            ) from error
        if isinstance(given, Credentials):
            return given
        if not (isinstance(given, tuple) and len(given) == 2):
            raise CredentialsError(
                "the function for credentials returns a tuple of user and password, or "
                f"Credentials, got {kind_of(given)}"
            )
        try:
            return Credentials(user=given[0], password=given[1])
        except (TypeError, ValueError) as error:
            raise CredentialsError(f"the credentials cannot be used: {error}") from error
