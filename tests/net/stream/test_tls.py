"""TLS and mutual TLS, with certificates made for the test."""

import asyncio
import datetime
import ssl
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import trustme

from gestalt.core import Backoff
from gestalt.net import CertificateNames, ConnectFailed, Mti, StreamMessage, StreamServer, Tls, Wire
from tests.net.fixtures import Connect, Serve, Within

URL = "tls://127.0.0.1:0"


class Authority:
    """Certificates in files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ca = trustme.CA()
        self.ca = folder / f"ca-{id(self)}.pem"
        self._ca.cert_pem.write_to_path(str(self.ca))

    def issue(self, *names: str, **options: Any) -> Tls:
        """The settings of an end with a certificate for `names`, in files of their own."""
        number = len(list(self._folder.iterdir()))
        path = self._folder / f"{number}.pem"
        self._ca.issue_cert(*names, **options).private_key_and_cert_chain_pem.write_to_path(
            str(path)
        )
        return Tls(certificate=path)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


async def echo(message: StreamMessage[bytes]) -> None:
    await message.reply(message.body)


async def first(client: Any) -> bytes:
    async for message in client:
        return bytes(message.body)
    raise AssertionError("the client stopped")


async def test_messages_cross_tls_and_the_details_are_told(
    serve: Serve, connect: Connect, within: Within, authority: Authority
) -> None:
    server = await serve(echo, url=URL, tls=authority.issue("127.0.0.1"))
    client = await connect(server, tls=Tls(ca=authority.ca))
    body = bytes(range(256)) * 4000
    sending = asyncio.create_task(client.send(body))
    assert await within(first(client)) == body
    await sending
    details = client.peer.tls
    assert details.version == "TLSv1.3"
    assert details.certificate["subjectAltName"] == (("IP Address", "127.0.0.1"),)
    assert details.names == CertificateNames(addresses=(ip_address("127.0.0.1"),))
    assert details.alpn is None
    (peer,) = server.peers.values()
    assert str(peer.address).startswith("tls://127.0.0.1:")
    assert peer.tls.certificate == {}
    assert peer.tls.names == CertificateNames()


async def test_many_messages_cross_tls_in_order(
    serve: Serve, connect: Connect, within: Within, authority: Authority
) -> None:
    server = await serve(echo, url=URL, tls=authority.issue("127.0.0.1"))
    client = await connect(server, tls=Tls(ca=authority.ca))

    async def send() -> None:
        for number in range(20_000):
            await client.send(b"%d" % number)

    async def receive() -> None:
        number = 0
        async for message in client:
            assert message.body == b"%d" % number
            number += 1
            if number == 20_000:
                break

    await within(asyncio.gather(send(), receive()))


async def test_a_server_with_an_authority_demands_a_certificate_of_its_clients(
    serve: Serve, connect: Connect, within: Within, authority: Authority
) -> None:
    files = authority.issue("127.0.0.1")
    server = await serve(echo, url=URL, tls=Tls(certificate=files.certificate, ca=authority.ca))
    shown = authority.issue("client.example")
    client = await connect(server, tls=Tls(certificate=shown.certificate, ca=authority.ca))
    await client.send(b"hello")
    assert await within(first(client)) == b"hello"
    (peer,) = server.peers.values()
    assert peer.tls.certificate["subjectAltName"] == (("DNS", "client.example"),)
    assert peer.tls.names == CertificateNames(dns=("client.example",))
    stranger = await connect(server, tls=Tls(ca=authority.ca), on_error=lambda error: None)
    # With TLS 1.3 the refusal may come after the client believes that it is connected.
    received = asyncio.create_task(first(stranger))
    await asyncio.sleep(0.3)
    assert not received.done()
    received.cancel()
    await asyncio.wait([received])
    assert [other.id for other in server.peers.values()] == [peer.id]


async def test_a_certificate_that_does_not_fit_is_refused_with_a_clear_error(
    serve: Serve, connect: Connect, within: Within, authority: Authority, tmp_path: Path
) -> None:
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    cases = [
        (authority.issue("127.0.0.1"), Tls(ca=Authority(tmp_path).ca), "unable to get local"),
        (authority.issue("127.0.0.1", not_after=past), Tls(ca=authority.ca), "expired"),
        (authority.issue("other.example"), Tls(ca=authority.ca), "not valid for '127.0.0.1'"),
    ]
    for server_tls, client_tls, reason in cases:
        errors: asyncio.Queue[Any] = asyncio.Queue()
        server = await serve(echo, url=URL, tls=server_tls)
        client = await connect(server, tls=client_tls, on_error=errors.put_nowait)
        error = await within(errors.get())
        assert isinstance(error, ConnectFailed)
        assert isinstance(error.__cause__, ssl.SSLCertVerificationError)
        assert reason in str(error)
        assert str(server.address) in str(error)
        await client.stop()
        assert not server.peers


async def test_a_certificate_is_reloaded_without_a_restart(
    serve: Serve, connect: Connect, within: Within, authority: Authority
) -> None:
    files = authority.issue("127.0.0.1", "old.example")
    server = await serve(echo, url=URL, tls=files)
    before = await connect(server, tls=Tls(ca=authority.ca))
    await within(before.wait_connected())
    path = Path(files.certificate)
    good = path.read_bytes()
    path.write_bytes(b"broken")
    with pytest.raises(ssl.SSLError):
        server.reload_tls()
    path.write_bytes(good)
    path.write_bytes(Path(authority.issue("127.0.0.1", "new.example").certificate).read_bytes())
    server.reload_tls()
    after = await connect(server, tls=Tls(ca=authority.ca))
    await within(after.wait_connected())
    names = [dict(each.peer.tls.certificate["subjectAltName"])["DNS"] for each in (before, after)]
    assert names == ["old.example", "new.example"]


async def test_contexts_of_the_users_own_bring_alpn(
    serve: Serve, connect: Connect, within: Within, authority: Authority
) -> None:
    server_context = authority.issue("127.0.0.1").server_context()
    client_context = Tls(ca=authority.ca).client_context()
    for context in (server_context, client_context):
        context.set_alpn_protocols(["gestalt"])
    server = await serve(echo, url=URL, tls=server_context)
    client = await connect(server, tls=client_context)
    assert (await within(client.wait_connected())).tls.alpn == "gestalt"


async def test_stopping_is_bounded_when_the_other_end_never_answers(
    serve: Serve, within: Within, authority: Authority
) -> None:
    came = asyncio.Event()
    server = await serve(
        echo,
        url=URL,
        tls=authority.issue("127.0.0.1"),
        stop_timeout=0.3,
        on_connected=lambda peer: came.set(),
    )
    context = Tls(ca=authority.ca).client_context()
    _, writer = await asyncio.open_connection("127.0.0.1", server.address.port, ssl=context)
    await within(came.wait())
    # One in the middle of its handshake, and one that reads nothing any more.
    _, mute = await asyncio.open_connection("127.0.0.1", server.address.port)
    writer.transport.pause_reading()
    await within(server.stop(), 4)
    for each in (writer, mute):
        each.transport.abort()
    await asyncio.sleep(0.05)


async def test_a_client_that_never_begins_the_handshake_is_closed(
    serve: Serve, within: Within, authority: Authority
) -> None:
    from gestalt.net import Limits

    server = await serve(
        echo, url=URL, tls=authority.issue("127.0.0.1"), limits=Limits(handshake_timeout=0.2)
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", server.address.port)
    assert await within(reader.read()) == b""
    writer.close()
    assert not server.peers


def test_tls_settings_belong_to_tls_addresses() -> None:
    with pytest.raises(ValueError, match="needs tls="):
        StreamServer(URL, Wire(Mti()), on_message=echo)
    with pytest.raises(ValueError, match="plain"):
        StreamServer("tcp://127.0.0.1:0", Wire(Mti()), on_message=echo, tls=Tls())
    with pytest.raises(ValueError, match="certificate"):
        Tls().server_context()


async def test_a_unix_socket_carries_messages_and_its_file_goes_with_the_server(
    serve: Serve, connect: Connect, within: Within, tmp_path: Path
) -> None:
    path = tmp_path / "socket"
    server = await serve(echo, url=f"unix://{path}")
    assert str(server.address) == f"unix://{path}"
    client = await connect(server, backoff=Backoff())
    await client.send(b"hello")
    assert await within(first(client)) == b"hello"
    assert "unix://" in repr(next(iter(server.peers.values())))
    await server.stop()
    assert not path.exists()
