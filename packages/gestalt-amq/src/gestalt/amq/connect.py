"""How a bus is made."""

import inspect
import ssl
from collections.abc import Callable, Sequence
from dataclasses import replace

from gestalt.codecs import Codec, Codecs
from gestalt.core import Backoff
from gestalt.core.numbers import amount_of, check_number, check_seconds, kind_of

from .bus import Bus
from .connections import Settings
from .credentials import CredentialsSource, Login
from .events import Event
from .link.address import MAX_HEARTBEAT, BrokerAddress, parse

# In seconds.
MAX_RECONNECT_DELAY = 5.0
DEFAULT_BACKOFF = Backoff(maximum=MAX_RECONNECT_DELAY)


def connect(
    urls: str | Sequence[str],
    *,
    codec: Codec | Codecs | None = None,
    name: str = "gestalt",
    tls: ssl.SSLContext | None = None,
    credentials: CredentialsSource | None = None,
    heartbeat: int = 5,
    connect_timeout: float = 5.0,
    start_timeout: float = 30.0,
    stop_timeout: float = 10.0,
    silence_timeout: float = 10.0,
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
        credentials: is asked before each attempt for who we are there, in place of what the URLs
            have: a function, plain or async, that returns a user and a password, or `Credentials`,
            whose secret is renewed before they expire. It has `connect_timeout` seconds. A plain
            one must not block: `asyncio.to_thread` does that elsewhere.
        heartbeat: a broker that is silent for twice these seconds is taken for lost; 0 for never.
        connect_timeout: for one attempt at one broker, in seconds.
        start_timeout: how long a start tries to reach a broker, in seconds.
        stop_timeout: how long a stop waits for running handlers and confirmations, in seconds.
        silence_timeout: a channel on which a publish or request has run to its deadline, and that
            has answered nothing for so many seconds, is replaced; 0 for never.
        backoff: the waits between attempts to connect, up to 5 s by default. They end early when
            another connection of the same event loop has found the broker to be back.
        on_event: is called with each `Event`: Connected, Disconnected, ConnectFailed and so on.
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
    check_number("heartbeat", heartbeat, unit="seconds")
    if not 0 <= heartbeat <= MAX_HEARTBEAT or heartbeat % 1:
        raise ValueError(
            f"heartbeat is whole seconds from 0 to {MAX_HEARTBEAT}, got {amount_of(heartbeat)}"
        )
    for what, seconds in (("connect_timeout", connect_timeout), ("start_timeout", start_timeout)):
        if not check_seconds(what, seconds) > 0:
            raise ValueError(f"{what} must be above 0, got {seconds}")
    if on_event is not None and inspect.iscoroutinefunction(on_event):
        raise TypeError("on_event is called and not awaited: give it a plain function")
    addresses = [_parse(url, number, len(given)) for number, url in enumerate(given, 1)]
    if credentials is not None:
        if not callable(credentials):
            raise TypeError(
                "credentials must be a function that returns a user and a password, or "
                f"Credentials, got {kind_of(credentials)}"
            )
        if any(address.auth == "external" for address in addresses):
            raise ValueError("give either auth=external, for a certificate, or credentials=")
        addresses = [replace(address, user="", password="") for address in addresses]
    if tls is not None and any(address.certificates for address in addresses):
        raise ValueError("give certificates either by tls= or by the parameters of URLs, not both")
    settings = Settings(
        addresses,
        name=name,
        tls=tls,
        heartbeat=heartbeat,
        connect_timeout=connect_timeout,
        start_timeout=start_timeout,
        silence_timeout=check_seconds("silence_timeout", silence_timeout),
        backoff=backoff or DEFAULT_BACKOFF,
        login=Login(credentials, connect_timeout) if credentials is not None else None,
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
