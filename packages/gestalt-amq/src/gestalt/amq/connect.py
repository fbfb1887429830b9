"""How a bus is made."""

from __future__ import annotations

import ssl as ssl_module
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from gestalt.codecs import Codec
from gestalt.core import Backoff

from .bus import Bus
from .events import Event


def connect(
    urls: str | Sequence[str],
    *,
    codec: Codec | None = None,
    name: str = "gestalt",
    ssl: ssl_module.SSLContext | None = None,
    heartbeat: int = 5,
    connect_timeout: float = 5.0,
    start_timeout: float = 30.0,
    stop_timeout: float = 10.0,
    backoff: Backoff | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Bus:
    """A bus on one RabbitMQ, or on the first of several that can be reached.

        async with connect("amqp://localhost") as bus: ...

    Args:
        urls: amqp:// or amqps://user:password@host:port/vhost, one or several. With
            ?auth=external the certificate of `ssl` stands for user and password.
        codec: for all bodies, unless a publisher or subscription has its own; JSON by default.
        name: how the broker's tools show the connections.
        ssl: for amqps://; the system's certificates by default.
        heartbeat: a broker that is silent for twice these seconds is taken for lost; 0 for never.
        connect_timeout: for one attempt at one broker, in seconds.
        start_timeout: how long a start tries to reach a broker, in seconds.
        stop_timeout: how long a stop waits for running handlers and confirmations, in seconds.
        backoff: the waits between attempts to connect.
        on_event: is called with Connected, Disconnected, PublishingBlocked, PublishingUnblocked.

    Raises:
        ValueError: a URL is not one of AMQP, or there is none; or `heartbeat` is negative.
    """
    if isinstance(urls, str):
        urls = [urls]
    for url in urls:
        if urlsplit(url).scheme not in ("amqp", "amqps"):
            raise ValueError(f"a broker's URL begins with amqp:// or amqps://, got {url!r}")
    if not urls:
        raise ValueError("at least one broker's URL is needed")
    if heartbeat < 0:
        raise ValueError(f"heartbeat must not be negative, got {heartbeat}")
    return Bus(
        urls,
        codec=codec or Codec(),
        name=name,
        ssl=ssl,
        heartbeat=heartbeat,
        connect_timeout=connect_timeout,
        start_timeout=start_timeout,
        stop_timeout=stop_timeout,
        backoff=backoff or Backoff(),
        on_event=on_event,
    )
