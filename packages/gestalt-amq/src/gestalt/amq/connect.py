"""How a bus is made."""

import inspect
import ssl
from collections.abc import Callable, Sequence

from gestalt.codecs import Codec
from gestalt.core import Backoff

from .bus import Bus
from .connections import Settings
from .events import Event
from .link.address import MAX_HEARTBEAT, BrokerAddress, parse


def connect(
    urls: str | Sequence[str],
    *,
    codec: Codec | None = None,
    name: str = "gestalt",
    tls: ssl.SSLContext | None = None,
    heartbeat: int = 5,
    connect_timeout: float = 5.0,
    start_timeout: float = 30.0,
    stop_timeout: float = 10.0,
    backoff: Backoff | None = None,
    on_event: Callable[[Event], None] | None = None,
    declare: bool = True,
) -> Bus:
    """A bus on one RabbitMQ, or on the first of several that can be reached.

        async with connect("amqp://localhost") as bus: ...

    Args:
        urls: amqp:// or amqps://user:password@host:port/vhost?parameters, one or a list of
            several. User, password and vhost are percent-encoded. Parameters: heartbeat, in
            seconds; connection_timeout, in milliseconds; name; channel_max and frame_max, below
            those of the broker; auth=external, for the certificate to stand for user and
            password; and for amqps:// cacertfile, capath, cadata, certfile, keyfile, verify and
            server_name_indication. What a URL has goes before the arguments below.
        codec: for all bodies, unless a publisher or subscription has its own; JSON by default.
        name: how the broker's tools show the connections.
        tls: for amqps://; by default what the URL says, or the system's certificates.
        heartbeat: a broker that is silent for twice these seconds is taken for lost; 0 for never.
        connect_timeout: for one attempt at one broker, in seconds.
        start_timeout: how long a start tries to reach a broker, in seconds.
        stop_timeout: how long a stop waits for running handlers and confirmations, in seconds.
        backoff: the waits between attempts to connect.
        on_event: is called with Connected, Disconnected, PublishingBlocked, PublishingUnblocked,
            MovingFailed and MovingResumed.
        declare: declare what is used: exchanges, queues and bindings. With False they must be
            there, by `python -m gestalt.amq topology apply`, and the start tells what is missing.

    Raises:
        ValueError: a URL is not one of AMQP, or has a parameter that is not known, or there is
            none; or another argument is out of its range. It does not quote a URL.
        TypeError: a URL is not a string, or `on_event` is an async function.
    """
    given = [urls] if isinstance(urls, str) else list(urls)
    if not given:
        raise ValueError("at least one broker's URL is needed")
    if not 0 <= heartbeat <= MAX_HEARTBEAT or heartbeat % 1:
        raise ValueError(f"heartbeat is whole seconds from 0 to {MAX_HEARTBEAT}, got {heartbeat!r}")
    for what, seconds in (("connect_timeout", connect_timeout), ("start_timeout", start_timeout)):
        if not seconds > 0:
            raise ValueError(f"{what} must be above 0, got {seconds}")
    if on_event is not None and inspect.iscoroutinefunction(on_event):
        raise TypeError("on_event is called and not awaited: give it a plain function")
    addresses = [_parse(url, number, len(given)) for number, url in enumerate(given, 1)]
    if tls is not None and any(address.certificates for address in addresses):
        raise ValueError("give certificates either by tls= or by the parameters of URLs, not both")
    settings = Settings(
        addresses,
        name=name,
        tls=tls,
        heartbeat=heartbeat,
        connect_timeout=connect_timeout,
        start_timeout=start_timeout,
        backoff=backoff or Backoff(),
    )
    return Bus(
        settings,
        codec or Codec(),
        stop_timeout=stop_timeout,
        on_event=on_event,
        declare=declare,
    )


def _parse(url: str, number: int, count: int) -> BrokerAddress:
    which = "the broker's URL" if count == 1 else f"the broker's URL {number} of {count}"
    try:
        return parse(url)
    except ValueError as error:
        raise ValueError(f"{which} cannot be used: {error}") from None
