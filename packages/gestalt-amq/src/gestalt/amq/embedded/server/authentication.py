"""How a client proves who it is: PLAIN, AMQPLAIN, EXTERNAL with a TLS certificate, ANONYMOUS."""

import hmac
from collections.abc import Callable, Mapping
from typing import Any

from gestalt.amq.wire import AmqpError, FieldError, decode_table

ANONYMOUS_USER = "guest"


def mechanisms(certificate_name: str | None, *, anonymous: bool) -> bytes:
    """Return the mechanisms to offer; EXTERNAL only to a client that has shown a certificate."""
    offered = ["AMQPLAIN", "PLAIN", *(["ANONYMOUS"] if anonymous else [])]
    return " ".join([*(["EXTERNAL"] if certificate_name is not None else []), *offered]).encode()


def common_name(certificate: Mapping[str, Any] | None) -> str | None:
    """Return the common name in a certificate as the ssl module gives it, or None."""
    for names in (certificate or {}).get("subject", ()):
        for key, value in names:
            if key == "commonName":
                return str(value)
    return None


def authenticate(
    mechanism: str,
    response: bytes,
    users: Mapping[str, str],
    certificate_name: str | None,
    *,
    anonymous: bool,
) -> str:
    """Return the name of the user.

    Raises:
        AmqpError: the mechanism is unknown, the response malformed, or the login refused.
    """
    if mechanism == "EXTERNAL" and certificate_name is not None:
        if certificate_name in users:
            return certificate_name
        raise refused(mechanism)
    if mechanism == "ANONYMOUS" and anonymous:
        if ANONYMOUS_USER in users:
            return ANONYMOUS_USER
        raise refused(mechanism)
    read = _RESPONSES.get(mechanism)
    if read is None:
        raise AmqpError("COMMAND_INVALID", f"unknown authentication mechanism '{mechanism}'")
    user, password = read(response)
    expected = users.get(user)
    if expected is None or not hmac.compare_digest(expected.encode(), password.encode()):
        raise refused(mechanism)
    return user


def refused(mechanism: str) -> AmqpError:
    """Return the error of a login that is refused. It closes the connection, always."""
    return AmqpError(
        "ACCESS_REFUSED",
        f"Login was refused using authentication mechanism {mechanism}. For details see the broker"
        " logfile.",
        connection=True,
    )


def _plain(response: bytes) -> tuple[str, str]:
    parts = response.split(b"\0")
    if len(parts) != 3:
        raise AmqpError("SYNTAX_ERROR", "the response of PLAIN is invalid")
    return parts[1].decode("utf-8", "replace"), parts[2].decode("utf-8", "replace")


def _amqplain(response: bytes) -> tuple[str, str]:
    try:
        table, _ = decode_table(len(response).to_bytes(4, "big") + response)
    except FieldError as error:
        raise AmqpError("SYNTAX_ERROR", f"the response of AMQPLAIN is invalid: {error}") from error
    user, password = table.get("LOGIN"), table.get("PASSWORD")
    if not isinstance(user, str) or not isinstance(password, str):
        raise AmqpError("SYNTAX_ERROR", "AMQPLAIN auth info has no LOGIN or no PASSWORD field")
    return user, password


_RESPONSES: dict[str, Callable[[bytes], tuple[str, str]]] = {
    "PLAIN": _plain,
    "AMQPLAIN": _amqplain,
}
