"""Messages for tests of handlers, without an endpoint."""

from typing import Any

import pytest

from gestalt.codecs import Codec
from gestalt.net import (
    Address,
    ConnectionLost,
    DatagramMessage,
    DatagramMessageBatch,
    Mti,
    PayloadError,
    SendIncomplete,
    StreamBatch,
    StreamMessage,
    Wire,
)
from gestalt.net.testing import (
    RecordingEndpoint,
    RecordingPeer,
    datagram_batch,
    datagram_message,
    stream_batch,
    stream_message,
)


async def test_a_handler_of_a_stream_is_called_alone_and_its_replies_are_seen() -> None:
    async def greet(message: StreamMessage[str]) -> None:
        await message.reply(f"hello {message.body}")
        message.peer.send_nowait("and")
        await message.peer.send_many(["good", "bye"])
        message.peer.state = message.type_id
        await message.peer.close()

    peer = RecordingPeer()
    await greet(stream_message("you", 7, peer=peer))
    assert peer.sent == ["hello you", "and", "good", "bye"]
    assert peer.state == 7
    assert not peer.connected
    assert not peer.aborted
    with pytest.raises(ConnectionLost):
        await peer.send("more")


async def test_a_peer_with_a_wire_refuses_what_it_cannot_carry() -> None:
    peer = RecordingPeer(Wire(Mti(max_size=10), Codec("json")), address="tls://10.0.0.1:9")
    assert peer.address == peer.local_address == Address("tls", "10.0.0.1", 9)
    assert repr(peer) == "<Peer 1 tls://10.0.0.1:9>"
    assert peer.tls is None
    with pytest.raises(PayloadError):
        await peer.send("x" * 20, 1)
    with pytest.raises(SendIncomplete) as caught:
        await peer.send_many(["a", "x" * 20], 1)
    assert caught.value.accepted == 1
    assert peer.sent == ["a"]
    with pytest.raises(TypeError, match="several messages, got one: str"):
        await peer.send_many("abc")
    with pytest.raises(TypeError, match="several messages, got one: str"):
        await RecordingEndpoint().send_many("abc")
    with pytest.raises(SendIncomplete, match=r"^1 messages were accepted") as caught:
        await peer.send_many(each for each in ("b", object()))
    assert caught.value.accepted == 1
    peer.abort()
    assert peer.aborted


async def test_a_batch_of_a_stream() -> None:
    peer = RecordingPeer()
    batch: StreamBatch[int] = stream_batch([1, 2], 3, peer=peer)
    assert [(each.body, each.type_id, each.peer) for each in batch] == [(1, 3, peer), (2, 3, peer)]
    await batch.reply_many(["a", "b"])
    assert peer.sent == ["a", "b"]
    batch.fail(batch[1], ValueError("bad"))
    assert list(batch.failures) == [1]


async def test_datagrams_and_their_replies() -> None:
    endpoint = RecordingEndpoint()
    source = Address("udp", "10.0.0.1", 9)
    message: DatagramMessage[bytes] = datagram_message(b"x", source=source, endpoint=endpoint)
    await message.reply(b"y")
    message.reply_nowait(b"z")
    batch: DatagramMessageBatch[bytes] = datagram_batch(
        [b"1", b"2"], source="udp://10.0.0.2:9", endpoint=endpoint
    )
    await batch.reply_many([b"3", b"4"])
    other = Address("udp", "10.0.0.2", 9)
    expected: list[tuple[Any, Address]] = [(b"y", source), (b"z", source), (b"3", other)]
    assert endpoint.sent == [*expected, (b"4", other)]
