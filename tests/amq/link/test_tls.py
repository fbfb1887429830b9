"""amqps:// with certificates of an authority of the tests' own."""

import asyncio
import base64
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from gestalt.amq import AccessRefused, ConnectError, connect
from gestalt.amq.embedded import Settings, ThreadedBroker
from gestalt.core import Backoff


@pytest.fixture
def embedded_tls_port(authority: trustme.CA) -> Iterator[int]:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(tls)
    authority.configure_trust(tls)
    tls.verify_mode = ssl.CERT_OPTIONAL
    with ThreadedBroker(settings=Settings(tls=tls), stop_timeout=0) as broker:
        yield broker.port


@pytest.fixture(params=["embedded", "rabbitmq"])
def tls_port(request: pytest.FixtureRequest) -> int:
    port: int = request.getfixturevalue(f"{request.param}_tls_port")
    return port


def context(authority: trustme.CA) -> ssl.SSLContext:
    made = ssl.create_default_context()
    authority.configure_trust(made)
    return made


async def publish_one(
    url: str, tls: ssl.SSLContext | None, unique: str, start_timeout: float = 10
) -> None:
    async with connect(url, tls=tls, start_timeout=start_timeout) as bus:
        got: asyncio.Queue[int] = asyncio.Queue()
        await bus.subscribe(unique, "#", lambda message: got.put_nowait(message.body))
        await bus.publisher(unique, mandatory=True).publish(1)
        async with asyncio.timeout(5):
            assert await got.get() == 1


async def test_tls_with_a_password(tls_port: int, authority: trustme.CA, unique: str) -> None:
    url = f"amqps://guest:guest@localhost:{tls_port}/"
    await publish_one(url, context(authority), unique)


async def test_a_certificate_in_place_of_a_password(
    tls_port: int, authority: trustme.CA, unique: str
) -> None:
    tls = context(authority)
    authority.issue_cert("guest@example.org", common_name="guest").configure_cert(tls)
    await publish_one(f"amqps://localhost:{tls_port}/?auth=external", tls, unique)


async def test_a_certificate_goes_before_a_user_that_the_url_names_without_a_password(
    tls_port: int, authority: trustme.CA, unique: str
) -> None:
    tls = context(authority)
    authority.issue_cert("guest@example.org", common_name="guest").configure_cert(tls)
    await publish_one(f"amqps://another@localhost:{tls_port}/?auth=external", tls, unique)


async def test_a_certificate_of_nobody_is_refused(
    tls_port: int, authority: trustme.CA, unique: str
) -> None:
    tls = context(authority)
    authority.issue_cert("x@example.org", common_name="stranger").configure_cert(tls)
    with pytest.raises(AccessRefused):
        await publish_one(f"amqps://localhost:{tls_port}/?auth=external", tls, unique)


async def test_a_broker_that_nobody_vouches_for_is_not_trusted(tls_port: int, unique: str) -> None:
    with pytest.raises(ConnectError, match="certificate"):
        await publish_one(f"amqps://guest:guest@localhost:{tls_port}/", None, unique, 1)


@pytest.fixture
def files(authority: trustme.CA, tmp_path: Path) -> Path:
    """Files of the authority, of a client's certificate and of its key, as others have them."""
    mine = authority.issue_cert("guest@example.org", common_name="guest")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    mine.cert_chain_pems[0].write_to_path(str(tmp_path / "client.pem"))
    mine.private_key_pem.write_to_path(str(tmp_path / "client.key"))
    return tmp_path


async def test_certificates_by_the_parameters_of_the_url(
    tls_port: int, files: Path, unique: str
) -> None:
    where = f"guest:guest@localhost:{tls_port}/"
    await publish_one(f"amqps://{where}?cacertfile={files}/ca.pem", None, unique)
    data = base64.b64encode((files / "ca.pem").read_bytes()).decode()
    await publish_one(f"amqps://{where}?cadata={data}", None, unique)
    await publish_one(f"amqps://{where}?verify=verify_none", None, unique)
    own = f"certfile={files}/client.pem&keyfile={files}/client.key"
    url = f"amqps://localhost:{tls_port}/?auth=external&cafile={files}/ca.pem&{own}"
    await publish_one(url, None, unique)


async def test_another_name_may_stand_in_the_broker_s_certificate(
    tls_port: int, files: Path, unique: str
) -> None:
    url = f"amqps://guest:guest@127.0.0.1:{tls_port}/?cacertfile={files}/ca.pem"
    with pytest.raises(ConnectError, match="certificate"):
        await publish_one(url, None, unique, 1)
    await publish_one(f"{url}&server_name_indication=localhost", None, unique)


async def test_the_files_are_read_again_at_each_connection(
    tls_port: int, files: Path, unique: str
) -> None:
    good = (files / "ca.pem").read_bytes()
    trustme.CA().cert_pem.write_to_path(str(files / "ca.pem"))
    url = f"amqps://guest:guest@localhost:{tls_port}/?cacertfile={files}/ca.pem"
    bus = connect(url, start_timeout=10, backoff=Backoff(initial=0.05, maximum=0.1))
    with pytest.raises(ConnectError, match="certificate"):
        await publish_one(url, None, unique, 1.5)
    starting = asyncio.create_task(bus.start())
    await asyncio.wait({starting}, timeout=0.3)
    (files / "ca.pem").write_bytes(good)
    async with asyncio.timeout(8):
        await starting
    await bus.stop()


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ("cacertfile={files}/none.pem", "none.pem"),
        ("cacertfile={files}/ca.pem&certfile={files}/none.pem", "none.pem"),
        ("certfile={files}/client.pem&keyfile={files}/encrypted.key", "the key is encrypted"),
    ],
)
async def test_files_that_cannot_be_used_are_named_and_ask_for_nothing(
    tls_port: int, files: Path, unique: str, parameters: str, problem: str
) -> None:
    key = serialization.load_pem_private_key((files / "client.key").read_bytes(), None)
    (files / "encrypted.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    url = f"amqps://guest:guest@localhost:{tls_port}/?{parameters.format(files=files)}"
    async with asyncio.timeout(5):
        with pytest.raises(ConnectError, match=problem):
            await publish_one(url, None, unique, 1.5)


def test_certificates_are_given_once() -> None:
    with pytest.raises(ValueError, match="not both"):
        connect("amqps://localhost/?verify=verify_none", tls=ssl.create_default_context())
