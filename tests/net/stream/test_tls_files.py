"""Certificates, keys and authorities in files: renewed while they are in use, or no good."""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from gestalt.core import Backoff
from gestalt.core.reloading import reload_components
from gestalt.net import ConnectFailed, HandshakeFailed, StreamClient, StreamMessage, Tls
from tests.net.fixtures import Connect, Serve, Within

URL = "tls://127.0.0.1:0"
QUICKLY = Backoff(initial=0.01, maximum=0.05)
PASSWORD = b"correct horse"
ENDS = ("server", "client")


class Pki:
    """An authority, and the files of a server and a client, which can be issued again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.ca = self.write("ca.pem", self.authority.cert_pem.bytes())
        self.issue("server", "server-1")
        self.issue("client", "client-1")

    def write(self, name: str, data: bytes) -> Path:
        """Replace a file in one step, as those do that renew certificates."""
        part = self.folder / f"{name}.part"
        part.write_bytes(data)
        return part.replace(self.folder / name)

    def issue(self, end: str, name: str, authority: trustme.CA | None = None) -> None:
        names = ("127.0.0.1",) if end == "server" else ("client@example.org",)
        leaf = (authority or self.authority).issue_cert(*names, common_name=name)
        chain = b"".join(each.bytes() for each in leaf.cert_chain_pems)
        self.write(f"{end}.pem", chain)
        self.write(f"{end}.key", leaf.private_key_pem.bytes())

    def tls(self, end: str, **options: Any) -> Tls:
        settings = {
            "certificate": self.folder / f"{end}.pem",
            "key": self.folder / f"{end}.key",
            "ca": self.ca,
        }
        return Tls(**{**settings, **options})

    def encrypt(self, end: str, password: bytes = PASSWORD) -> None:
        path = self.folder / f"{end}.key"
        key = serialization.load_pem_private_key(path.read_bytes(), None)
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(password),
            )
        )


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


def tell_name(message: StreamMessage[bytes]) -> None:
    """Answer with the common name that the client's certificate has."""
    message.peer.send_nowait(common_name(message.peer).encode())


def common_name(peer: Any) -> str:
    subject = dict(field for part in peer.tls.certificate["subject"] for field in part)
    return str(subject["commonName"])


async def names(client: StreamClient) -> tuple[str, str]:
    """Whom the client sees, and whom the server sees."""
    await client.send(b"who?")
    async for message in client:
        return common_name(message.peer), message.body.decode()
    raise AssertionError("the client stopped")


async def cut(server: Any, client: StreamClient, within: Within) -> None:
    """End all connections, and wait until the client has another one."""
    before = client.peer
    for peer in list(server.peers.values()):
        peer.abort()

    async def another() -> None:
        while client.peer is None or client.peer is before:
            await asyncio.sleep(0.002)

    await within(another())


async def test_a_client_shows_the_certificate_that_is_in_its_file_when_it_connects(
    serve: Serve, connect: Connect, within: Within, pki: Pki
) -> None:
    server = await serve(tell_name, url=URL, tls=pki.tls("server"))
    client = await connect(server, tls=pki.tls("client"), backoff=QUICKLY)
    assert await within(names(client)) == ("server-1", "client-1")
    pki.issue("client", "client-2")
    await cut(server, client, within)
    assert await within(names(client)) == ("server-1", "client-2")


async def test_a_client_trusts_the_authorities_that_are_in_its_file_when_it_connects(
    serve: Serve, connect: Connect, within: Within, pki: Pki
) -> None:
    server = await serve(tell_name, url=URL, tls=pki.tls("server"))
    errors: asyncio.Queue[Any] = asyncio.Queue()
    client = await connect(
        server, tls=pki.tls("client"), backoff=QUICKLY, on_error=errors.put_nowait
    )
    assert await within(names(client)) == ("server-1", "client-1")
    another = trustme.CA()
    pki.issue("server", "server-2", another)
    server.reload_tls()
    for peer in list(server.peers.values()):
        peer.abort()
    error = await within(errors.get())
    assert isinstance(error.__cause__, ssl.SSLCertVerificationError)
    pki.write("ca.pem", pki.ca.read_bytes() + another.cert_pem.bytes())
    assert await within(names(client)) == ("server-2", "client-1")


async def test_a_server_reloads_the_authorities_of_its_clients_too(
    serve: Serve, connect: Connect, within: Within, pki: Pki
) -> None:
    errors: asyncio.Queue[Any] = asyncio.Queue()
    arrived: asyncio.Queue[Any] = asyncio.Queue()
    clients_ca = pki.write("clients-ca.pem", pki.ca.read_bytes())
    server = await serve(
        tell_name,
        url=URL,
        tls=pki.tls("server", ca=clients_ca),
        on_error=errors.put_nowait,
        on_connected=arrived.put_nowait,
    )
    old = await connect(server, tls=pki.tls("client"))
    assert await within(names(old)) == ("server-1", "client-1")
    await arrived.get()
    another = trustme.CA()
    pki.issue("client", "newcomer", another)
    client = await connect(server, tls=pki.tls("client"), backoff=QUICKLY, on_error=lambda _: None)
    assert isinstance(await within(errors.get()), HandshakeFailed)
    # Clients of the old authority are refused from now on; those that are connected stay.
    clients_ca.write_bytes(another.cert_pem.bytes())
    server.reload_tls()
    await within(arrived.get())
    assert await within(names(client)) == ("server-1", "newcomer")
    assert await within(names(old)) == ("server-1", "client-1")
    pki.issue("client", "client-2")
    while not errors.empty():
        errors.get_nowait()
    await connect(server, tls=pki.tls("client"), backoff=QUICKLY, on_error=lambda _: None)
    assert isinstance(await within(errors.get()), HandshakeFailed)
    assert arrived.empty()


@pytest.mark.parametrize("broken", ["server.pem", "server.key", "ca.pem"])
@pytest.mark.parametrize("how", ["missing", "empty", "garbage"])
async def test_a_reload_of_a_bad_file_names_it_and_changes_nothing(
    serve: Serve, connect: Connect, within: Within, pki: Pki, broken: str, how: str
) -> None:
    server = await serve(tell_name, url=URL, tls=pki.tls("server"))
    own_ca = pki.write("client-ca.pem", pki.ca.read_bytes())
    pki.issue("server", "server-2")
    if how == "missing":
        (pki.folder / broken).unlink()
    else:
        (pki.folder / broken).write_bytes(b"" if how == "empty" else b"-----BEGIN NONSENSE")
    role = {"server.pem": "certificate", "server.key": "key", "ca.pem": "ca"}[broken]
    with pytest.raises(OSError, match=role) as caught:
        server.reload_tls()
    assert str(pki.folder / broken) in str(caught.value)
    client = await connect(server, tls=pki.tls("client", ca=own_ca))
    assert await within(names(client)) == ("server-1", "client-1")


async def test_a_key_that_is_not_the_certificates_changes_nothing(
    serve: Serve, connect: Connect, within: Within, pki: Pki
) -> None:
    server = await serve(tell_name, url=URL, tls=pki.tls("server"))
    old_key = (pki.folder / "server.key").read_bytes()
    pki.issue("server", "server-2")
    (pki.folder / "server.key").write_bytes(old_key)
    with pytest.raises(ssl.SSLError, match=r"key file .*server\.key' is not that of the cert.*pem"):
        server.reload_tls()
    client = await connect(server, tls=pki.tls("client"))
    assert await within(names(client)) == ("server-1", "client-1")


async def test_handshakes_under_way_go_on_while_certificates_are_renewed(
    serve: Serve, connect: Connect, within: Within, pki: Pki
) -> None:
    errors: list[Any] = []
    server = await serve(tell_name, url=URL, tls=pki.tls("server"), on_error=errors.append)
    tls = pki.tls("client")
    seen: set[tuple[str, str]] = set()

    async def come_and_go() -> None:
        for _ in range(5):
            client = await connect(server, tls=tls, backoff=QUICKLY, on_error=errors.append)
            seen.add(await names(client))
            await client.stop()

    async def renew() -> None:
        for number in range(2, 12):
            # A client may read between the two, and finds a key that does not fit.
            pki.issue("server", f"server-{number}")
            server.reload_tls()
            await asyncio.sleep(0.01)

    await within(asyncio.gather(renew(), *(come_and_go() for _ in range(6))))
    assert errors == []
    assert len(seen) > 1


async def test_files_that_vanish_between_connections_are_named_and_found_again(
    serve: Serve, connect: Connect, within: Within, pki: Pki
) -> None:
    server = await serve(tell_name, url=URL, tls=pki.tls("server"))
    errors: asyncio.Queue[Any] = asyncio.Queue()
    client = await connect(
        server, tls=pki.tls("client"), backoff=QUICKLY, on_error=errors.put_nowait
    )
    assert await within(names(client)) == ("server-1", "client-1")
    away = pki.folder / "away"
    pki.ca.rename(away)
    for peer in list(server.peers.values()):
        peer.abort()
    error = await within(errors.get())
    assert isinstance(error, ConnectFailed)
    assert isinstance(error.__cause__, FileNotFoundError)
    assert "TLS ca file cannot be read" in str(error)
    assert str(pki.ca) in str(error)
    away.rename(pki.ca)
    assert await within(names(client)) == ("server-1", "client-1")


@pytest.mark.parametrize("role", ["certificate", "key", "ca"])
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "No such file or directory"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.symlink_to(path), "symbolic links"),
        (lambda path: path.write_bytes(b""), "holds no usable"),
        (lambda path: path.write_bytes(b"\xff" * 100), "holds no usable"),
    ],
    ids=["missing", "directory", "loop", "empty", "binary"],
)
async def test_what_is_no_good_is_named_with_its_role_by_both_ends(
    pki: Pki,
    serve: Serve,
    connect: Connect,
    role: str,
    make: Callable[[Path], None],
    reason: str,
) -> None:
    path = pki.folder / "bad.pem"
    make(path)
    with pytest.raises(OSError, match=f"TLS {role} file") as of_server:
        await serve(tell_name, url=URL, tls=pki.tls("server", **{role: path}))
    server = await serve(tell_name, url=URL, tls=pki.tls("server"))
    with pytest.raises(OSError, match=f"TLS {role} file") as of_client:
        await connect(server, tls=pki.tls("client", **{role: path}))
    for caught in (of_server, of_client):
        assert str(path) in str(caught.value)
        assert reason in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "seteuid") or os.geteuid() != 0, reason="needs another user")
async def test_a_file_that_may_not_be_read_is_named(pki: Pki) -> None:
    for each in (pki.folder, *pki.folder.parents):
        if each.stat().st_uid == 0 and each != Path("/"):
            each.chmod(each.stat().st_mode | 0o011)
    (pki.folder / "server.key").chmod(0)
    os.seteuid(65534)
    try:
        with pytest.raises(PermissionError, match=r"TLS key file cannot be read.*server\.key"):
            pki.tls("server", certificate=pki.folder / "server.pem").server_context()
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("password", [PASSWORD.decode(), PASSWORD, lambda: PASSWORD])
async def test_an_encrypted_key_is_read_with_its_password(
    serve: Serve, connect: Connect, within: Within, pki: Pki, end: str, password: Any
) -> None:
    pki.encrypt(end)
    settings = {each: pki.tls(each, password=password if each == end else None) for each in ENDS}
    server = await serve(tell_name, url=URL, tls=settings["server"])
    client = await connect(server, tls=settings["client"])
    assert await within(names(client)) == ("server-1", "client-1")


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    ("password", "reason"),
    [
        (None, r"is encrypted: Tls\(password=\.\.\.\) is needed"),
        ("wrong", "does not decrypt"),
        ("", "does not decrypt"),
        (lambda: "wrong", "does not decrypt"),
    ],
)
def test_without_the_right_password_nobody_is_asked_for_it(
    pki: Pki, end: str, password: Any, reason: str
) -> None:
    pki.encrypt(end)
    tls = pki.tls(end, password=password)
    with pytest.raises(ssl.SSLError, match=rf"key file .*{end}\.key' has a key that.*{reason}"):
        tls.server_context() if end == "server" else tls.client_context()


def test_a_key_within_the_certificates_file_is_asked_for_its_password_too(pki: Pki) -> None:
    pki.encrypt("server")
    both = pki.folder / "both.pem"
    both.write_bytes(
        (pki.folder / "server.key").read_bytes() + (pki.folder / "server.pem").read_bytes()
    )
    with pytest.raises(ssl.SSLError, match=r"certificate file .*both\.pem' has a key that is encr"):
        Tls(certificate=both).server_context()
    Tls(certificate=both, password=PASSWORD).server_context()


def test_a_password_is_not_shown() -> None:
    assert "horse" not in repr(Tls(certificate="x", password=PASSWORD.decode()))


async def test_a_password_that_cannot_be_had_now_is_asked_for_at_the_next_attempt(
    serve: Serve, connect: Connect, within: Within, pki: Pki
) -> None:
    pki.encrypt("client")
    answers: list[Any] = [PASSWORD, RuntimeError("the vault is sealed"), PASSWORD]

    def password() -> bytes:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return bytes(answer)

    server = await serve(tell_name, url=URL, tls=pki.tls("server"))
    errors: asyncio.Queue[Any] = asyncio.Queue()
    client = await connect(
        server,
        tls=pki.tls("client", password=password),
        backoff=QUICKLY,
        on_error=errors.put_nowait,
    )
    error = await within(errors.get())
    assert isinstance(error, ConnectFailed)
    # What it said may hold a secret: it is told to whoever looks for it.
    assert "RuntimeError in password" in str(error)
    assert "the vault is sealed" not in str(error)
    causes = [error]
    while (cause := causes[-1].__cause__) is not None:
        causes.append(cause)
    assert any("the vault is sealed" in str(each) for each in causes[1:])
    assert await within(names(client)) == ("server-1", "client-1")


async def test_one_context_serves_several_servers(
    serve: Serve, connect: Connect, within: Within, pki: Pki
) -> None:
    context = pki.tls("server").server_context()
    servers = [await serve(tell_name, url=URL, tls=context) for _ in range(3)]
    await servers[0].stop()
    for server in servers[1:]:
        client = await connect(server, tls=pki.tls("client"))
        assert await within(names(client)) == ("server-1", "client-1")


def test_a_key_without_a_certificate_is_refused(pki: Pki) -> None:
    with pytest.raises(ValueError, match="lacks its certificate"):
        Tls(key=pki.folder / "client.key").client_context()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_key_may_come_through_a_pipe(pki: Pki) -> None:
    ends = os.pipe()
    os.write(ends[1], (pki.folder / "server.key").read_bytes())
    os.close(ends[1])
    try:
        pki.tls("server", key=f"/dev/fd/{ends[0]}").server_context()
    finally:
        os.close(ends[0])


async def test_tls_crosses_ipv6_alone(
    serve: Serve, connect: Connect, within: Within, pki: Pki
) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("needs IPv6")
    server = await serve(tell_name, url="tls://[::1]:0", tls=pki.tls("server"))
    client = await connect(server, tls=pki.tls("client", server_name="127.0.0.1"))
    assert await within(names(client)) == ("server-1", "client-1")
    assert str(client.peer.address).startswith("tls://[::1]:")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_a_pipe_held_is_not_looked_for_again(pki: Pki) -> None:
    ends = os.pipe()
    os.write(ends[1], b"neither certificate nor key")
    os.close(ends[1])
    pipe = f"/dev/fd/{ends[0]}"
    try:
        with pytest.raises(ssl.SSLError, match=f"certificate file '{pipe}' holds no usable"):
            Tls(certificate=pipe).server_context()
    finally:
        os.close(ends[0])


async def test_a_server_without_tls_files_has_none_to_reload(
    serve: Serve, pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    await serve(tell_name)
    await serve(tell_name, url=URL, tls=pki.tls("server").server_context())
    await reload_components()
    assert caplog.messages == []
