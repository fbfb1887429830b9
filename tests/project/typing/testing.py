"""Tests of handlers as users write them: right ones, and mistakes that end in `# error`."""

import asyncio
from dataclasses import dataclass
from typing import Any, assert_type

from gestalt.amq import BusBatch, BusMessage, Properties, Request
from gestalt.amq.testing import RecordingRequest, batch, message, request
from gestalt.core import ManualClock, Message, MessageBatch, Timer
from gestalt.core.testing import until
from gestalt.net import (
    Address,
    CertificateNames,
    DatagramMessage,
    DatagramMessageBatch,
    StreamBatch,
    StreamMessage,
    TlsDetails,
)
from gestalt.net.testing import (
    RecordingEndpoint,
    RecordingPeer,
    datagram_batch,
    datagram_message,
    stream_batch,
    stream_message,
)


@dataclass
class Position:
    lat: float


@dataclass
class Route:
    length: float


async def of_stream(message: StreamMessage[Position]) -> None:
    await message.reply(Route(message.body.lat))


async def of_bus(message: BusMessage[Position]) -> None: ...


def of_any(message: Message[Position]) -> float:
    return message.body.lat


async def of_any_batch(batch: MessageBatch[Position]) -> None: ...


async def of_stream_batch(batch: StreamBatch[Position]) -> None: ...


async def plan(request: Request[Position]) -> Route:
    return Route(request.body.lat)


async def of_core() -> None:
    clock = ManualClock()
    found: list[int] = []
    async with Timer.every(1.0, lambda: found.append(1), clock=clock) as timer:
        clock.advance(1.0)
        assert_type(await until(lambda: found), list[int])
        assert_type(await until(lambda: timer.stats.fired > 0, timeout=5.0), bool)
    await until(found)  # error
    await until(lambda: found, 5.0, 0.1)  # error
    await until(lambda: found, timeout="5 s")  # error
    until(lambda: found)  # error
    (await until(lambda: found)).add(1)  # error
    await clock.advance(1.0)  # error
    clock.advance("1 s")  # error


async def of_streams() -> None:
    tls = TlsDetails("TLSv1.3", "", {}, None)
    peer = RecordingPeer(address="tcp://192.0.2.7:1", tls=tls)
    received = stream_message(Position(1.0), 7, peer=peer)
    assert_type(received, StreamMessage[Position])
    assert_type(of_any(received), float)
    await of_stream(received)
    assert_type(peer.sent, list[Any])
    assert_type(peer.aborted, bool)
    many = stream_batch([Position(1.0)], peer=peer)
    assert_type(many, StreamBatch[Position])
    assert_type(many[0], StreamMessage[Position])
    assert_type(many.bodies, list[Position])
    await of_any_batch(many)
    await of_stream_batch(many)
    await many.reply_many([Route(1.0)])
    assert_type(tls.names, CertificateNames)
    assert_type(tls.names.dns, tuple[str, ...])
    await of_stream(stream_message(Route(1.0)))  # error
    await of_stream(message(Position(1.0)))  # error
    await of_stream(many)  # error
    await of_stream_batch(received)  # error
    await of_stream_batch(stream_batch([Route(1.0)]))  # error
    stream_message(Position(1.0), peer="tcp://192.0.2.7:1")  # error
    stream_message(Position(1.0), "7")  # error
    stream_batch(Position(1.0))  # error
    RecordingPeer(tls="TLSv1.3")  # error
    RecordingPeer("tcp://192.0.2.7:1")  # error
    many.reply_many([Route(1.0)])  # error
    many.append(received)  # error
    print(tls.names["dns"], tls.names.dns.lower())  # error
    print(received.peer.sent)  # error


async def of_datagrams() -> None:
    endpoint = RecordingEndpoint()
    received = datagram_message(Position(1.0), source="udp://192.0.2.7:1", endpoint=endpoint)
    assert_type(received, DatagramMessage[Position])
    many = datagram_batch([Position(1.0)], 7, endpoint=endpoint)
    assert_type(many, DatagramMessageBatch[Position])
    assert_type(endpoint.sent, list[tuple[Any, Address]])
    await of_any_batch(many)
    await received.reply(Route(1.0))
    await endpoint.send_many([Position(1.0)], to="udp://192.0.2.7:1")
    await of_stream(received)  # error
    datagram_message(Position(1.0), peer=RecordingPeer())  # error
    datagram_message(Position(1.0), endpoint=RecordingPeer())  # error
    datagram_batch([Position(1.0)], source=7)  # error
    print(endpoint.sent[0].lat)  # error


async def of_buses() -> None:
    received = message(Position(1.0), "vehicle.42", headers={"trace": 1}, attempt=3)
    assert_type(received, BusMessage[Position])
    await of_bus(received)
    assert_type(of_any(received), float)
    many = batch([received])
    assert_type(many, BusBatch[Position])
    await of_any_batch(many)
    many.fail(received, ValueError("wrong"))
    assert_type(many.failures[0], BaseException)
    asked = request(Position(1.0), timeout=5.0, properties=Properties(priority=1))
    assert_type(asked, RecordingRequest[Position])
    assert_type(await plan(asked), Route)
    assert_type(asked.replies, list[Any])
    await of_bus(message(Route(1.0)))  # error
    await plan(request(Route(1.0)))  # error
    await plan(received)  # error
    message(Position(1.0), attempt="3")  # error
    message(Position(1.0), headers=["trace"])  # error
    message(Position(1.0), routing="vehicle.42")  # error
    batch(received)  # error
    batch([stream_message(Position(1.0))])  # error
    await of_any_batch(batch([message(Route(1.0))]))  # error
    request(Position(1.0), timeout="5 s")  # error
    many.failures[0] = ValueError()  # error


if __name__ == "__main__":
    asyncio.run(of_core())
