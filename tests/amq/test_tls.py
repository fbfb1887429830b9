"""amqps:// with certificates of an authority of the tests' own."""

import asyncio
import ssl
from collections.abc import Iterator

import pytest
import trustme

from gestalt.amq import AccessRefused, ConnectError, connect
from gestalt.amq.embedded import Settings, ThreadedBroker


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
    async with connect(url, ssl=tls, start_timeout=start_timeout) as bus:
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
