"""One connection to the health endpoint: requests by HTTP/1.1, and their answers."""

import asyncio
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, NamedTuple

import h11

HEAD_SIZE = 8192
"""The most bytes of a request: its line and its headers."""

HEAD_TIME = 5.0
"""How long the first request of a connection may take to come, in seconds."""

IDLE_TIME = 75.0
"""How long the next one may take: longer than Prometheus waits between two scrapes."""

WRITE_TIME = 10.0
"""How long the client may take to take an answer, in seconds."""

MOST_REQUESTS = 1000
"""How many requests a connection may bring, before another is to be made."""

REST_SIZE = 65_536
REST_TIME = 1.0


class Response(NamedTuple):
    """What is answered.

    Attributes:
        status: the status code.
        body: the content.
        content_type: what it is.
        headers: further ones.
    """

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


Answer = Callable[[str, str], Awaitable[Response]]
"""Makes the answer to a method and a target, such as "GET" and "/readyz?verbose"."""


async def serve(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    answer: Answer,
    *,
    most: int = MOST_REQUESTS,
) -> None:
    """Answer the requests of one connection, until either end closes it or takes too long.

    Args:
        reader, writer: the connection.
        answer: makes the answers.
        most: how many requests it may bring.
    """
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_SIZE)
    try:
        try:
            await _serve(reader, writer, connection, answer, most)
        except h11.RemoteProtocolError as error:
            if connection.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
                return  # pragma: no cover - it closes within its request
            refusal = Response(error.error_status_hint, b"", "text/plain")
            await _send(writer, connection, refusal, with_body=False, last=True)
        await _close(reader, writer)
    except (TimeoutError, OSError):
        # It is slow, or away: what is still to be sent would keep the connection for ever.
        writer.transport.abort()


async def _serve(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    connection: h11.Connection,
    answer: Answer,
    most: int,
) -> None:
    patience = HEAD_TIME
    for number in range(1, most + 1):  # pragma: no branch - the last one closes it
        async with asyncio.timeout(patience):
            request = await _receive(reader, connection)
        if request is None:
            return
        # There is nothing that a body could ask for.
        last = number == most or type(connection.next_event()) is not h11.EndOfMessage
        method = request.method.decode()
        response = await answer(method, request.target.decode())
        await _send(writer, connection, response, with_body=method != "HEAD", last=last)
        if connection.our_state is not h11.DONE:
            return
        connection.start_next_cycle()
        patience = IDLE_TIME


async def _receive(reader: asyncio.StreamReader, connection: h11.Connection) -> h11.Request | None:
    while True:
        event: Any = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(4096))
        else:
            return event if isinstance(event, h11.Request) else None


async def _send(
    writer: asyncio.StreamWriter,
    connection: h11.Connection,
    response: Response,
    *,
    with_body: bool,
    last: bool,
) -> None:
    headers = [
        ("Content-Type", response.content_type),
        # Of an answer to HEAD, how long it would be.
        ("Content-Length", str(len(response.body))),
        ("Cache-Control", "no-store"),
        ("Date", formatdate(usegmt=True)),
        *response.headers,
    ]
    if last:
        headers.append(("Connection", "close"))
    reason = HTTPStatus(response.status).phrase
    head = h11.Response(status_code=response.status, headers=headers, reason=reason)
    events: list[Any] = [head]
    if with_body:
        events.append(h11.Data(data=response.body))
    events.append(h11.EndOfMessage())
    writer.write(b"".join(connection.send(event) or b"" for event in events))
    async with asyncio.timeout(WRITE_TIME):
        await writer.drain()


async def _close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close such that the answer arrives: what is unread makes a close cut the connection."""
    if writer.can_write_eof():  # pragma: no branch - TLS
        writer.write_eof()
    left = REST_SIZE
    async with asyncio.timeout(REST_TIME):
        while left > 0 and (rest := await reader.read(left)):
            left -= len(rest)
