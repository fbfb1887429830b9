"""TLS with settings that are not as usual; test_handshakes.py has what fails."""

import ssl
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trustme

from gestalt.net import (
    Limits,
    Mti,
    StreamClient,
    StreamMessage,
    StreamServer,
    Tls,
)
from tests.net.faults.fixtures import Raw
from tests.net.fixtures import Serve, Within

AUTHORITY = trustme.CA()
SERVER = AUTHORITY.issue_cert("127.0.0.1", "localhost", "::1")


class Files:
    """Certificates as files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.authority = self.write("authority.pem", AUTHORITY.cert_pem.bytes())

    def write(self, name: str, data: bytes) -> Path:
        path = self._folder / name
        path.write_bytes(data)
        return path

    def certificate(self, leaf: trustme.LeafCert, name: str) -> Path:
        return self.write(name, leaf.private_key_and_cert_chain_pem.bytes())


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def echo(message: StreamMessage[bytes]) -> None:
    message.peer.send_nowait(message.body)


async def exchange(client: StreamClient) -> None:
    await client.send(b"hello")
    async for message in client:
        assert message.body == b"hello"
        return


def url_of(server: StreamServer, host: str = "127.0.0.1") -> str:
    return f"tls://{host}:{server.address.port}"


async def test_the_name_that_is_expected_may_be_given(
    files: Files, serve: Serve, stack: AsyncExitStack, within: Within
) -> None:
    certificate = AUTHORITY.issue_cert("gateway.example.org")
    tls = Tls(certificate=files.certificate(certificate, "server.pem"))
    server = await serve(echo, url="tls://127.0.0.1:0", tls=tls)
    tls = Tls(ca=files.authority, server_name="gateway.example.org")
    client = StreamClient(url_of(server), server.wire, tls=tls)
    await within(exchange(await stack.enter_async_context(client)))
    details = client.peer.tls
    assert details.version == "TLSv1.3"
    assert details.cipher
    assert ("DNS", "gateway.example.org") in details.certificate["subjectAltName"]


async def test_a_plain_client_of_a_tls_server_costs_itself_only(
    files: Files, serve: Serve, raw: Raw, stack: AsyncExitStack, within: Within
) -> None:
    tls = Tls(certificate=files.certificate(SERVER, "server.pem"))
    server = await serve(
        echo, url="tls://127.0.0.1:0", tls=tls, limits=Limits(handshake_timeout=0.2)
    )
    plain, silent = await raw(server), await raw(server)
    await plain.send(Mti().encode(b"hello"))
    await within(plain.ended())
    # By the time limit of the handshake.
    await within(silent.ended())
    client = StreamClient(url_of(server), server.wire, tls=Tls(ca=files.authority))
    await within(exchange(await stack.enter_async_context(client)))
    assert server.stats.connected == 1


async def test_alpn_and_sni_are_reached_through_an_ssl_context(
    serve: Serve, stack: AsyncExitStack, within: Within
) -> None:
    asked: list[str | None] = []
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    SERVER.configure_cert(server_context)
    server_context.set_alpn_protocols(["gestalt/2", "gestalt/1"])
    server_context.sni_callback = lambda _, name, context: asked.append(name)
    client_context = ssl.create_default_context()
    AUTHORITY.configure_trust(client_context)
    client_context.set_alpn_protocols(["gestalt/1"])
    server = await serve(echo, url="tls://127.0.0.1:0", tls=server_context)
    client = StreamClient(url_of(server, "localhost"), server.wire, tls=client_context)
    await within(exchange(await stack.enter_async_context(client)))
    assert asked == ["localhost"]
    assert client.peer.tls.alpn == "gestalt/1"
    (peer,) = server.peers.values()
    assert peer.tls.alpn == "gestalt/1"


async def test_a_renewed_certificate_is_used_without_a_restart(
    files: Files, serve: Serve, stack: AsyncExitStack, within: Within
) -> None:
    path = files.certificate(SERVER, "server.pem")
    server = await serve(echo, url="tls://127.0.0.1:0", tls=Tls(certificate=path))

    async def connect() -> StreamClient:
        client = StreamClient(url_of(server), server.wire, tls=Tls(ca=files.authority))
        await stack.enter_async_context(client)
        await within(exchange(client))
        return client

    before = await connect()
    path.write_bytes(b"half a certificate")
    with pytest.raises(OSError, match=r"PEM|SSL|no start line"):
        server.reload_tls()
    # A file that is being written does no harm to what is in use.
    await connect()
    files.certificate(AUTHORITY.issue_cert("127.0.0.1"), "server.pem")
    server.reload_tls()
    after = await connect()
    serial = before.peer.tls.certificate["serialNumber"]
    assert after.peer.tls.certificate["serialNumber"] != serial
    await within(exchange(before))
    assert before.stats.connected == 1
