"""What stream endpoints tell of their peers."""

from gestalt.core import Message
from gestalt.core.details import PeerRow, read
from gestalt.net import Netstring, StreamClient, StreamServer, Wire
from tests.support.waiting import until


async def test_each_peer_is_told_with_what_came_and_went() -> None:
    replies: list[bytes] = []

    async def echo(message: Message[bytes]) -> None:
        await message.reply(message.body)

    server = StreamServer("tcp://127.0.0.1:0", Wire(Netstring()), on_message=echo)
    async with server:
        client = StreamClient(
            str(server.address),
            Wire(Netstring()),
            on_message=lambda message: replies.append(message.body),
        )
        assert read(server) == []
        async with client:
            await client.send(b"four")
            await client.send(b"five!")
            await until(lambda: len(replies) == 2)
            (peer,) = server.peers.values()
            (there,), (here,) = read(server), read(client)
            assert isinstance(there, PeerRow)
            assert isinstance(here, PeerRow)
            assert there.address == str(peer.address)
            assert here.address == str(server.address)
            for row in (there, here):
                assert (row.received, row.sent) == (2, 2)
                # "4:four," and "5:five!,"
                assert (row.bytes_received, row.bytes_sent) == (15, 15)
                assert (row.waiting, row.note) == (0, "")
                assert row.age is not None
                assert 0 <= row.age < 30
        await until(lambda: read(server) == [])
