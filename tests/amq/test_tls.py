"""amqps:// against a node with a TLS listener and certificates of its own."""

import ssl
from collections.abc import Iterator

import pytest
import trustme

from gestalt.amq import AccessRefused, ConnectError, connect
from rabbitmq import NoRabbitMQError, RabbitMQNode


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def _tls_node(
    authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory, unused_tcp_port_factory: object
) -> Iterator[tuple[RabbitMQNode, int]]:
    where = tmp_path_factory.mktemp("tls")
    assert callable(unused_tcp_port_factory)
    port: int = unused_tcp_port_factory()
    authority.cert_pem.write_to_path(str(where / "ca.pem"))
    server = authority.issue_cert("localhost")
    server.cert_chain_pems[0].write_to_path(str(where / "server.pem"))
    server.private_key_pem.write_to_path(str(where / "server.key"))
    node = RabbitMQNode(
        "tls",
        plugins=("rabbitmq_auth_mechanism_ssl",),
        config={
            "listeners.ssl.default": str(port),
            "ssl_options.cacertfile": str(where / "ca.pem"),
            "ssl_options.certfile": str(where / "server.pem"),
            "ssl_options.keyfile": str(where / "server.key"),
            "ssl_options.verify": "verify_peer",
            "ssl_options.fail_if_no_peer_cert": "false",
            "auth_mechanisms.1": "PLAIN",
            "auth_mechanisms.2": "EXTERNAL",
            "ssl_cert_login_from": "common_name",
        },
    )
    try:
        node.start()
        node.control("add_user", "robot", "unused")
        node.control("set_permissions", "robot", ".*", ".*", ".*")
        yield node, port
    finally:
        node.close()


@pytest.fixture
def tls_port(rabbitmq_node: RabbitMQNode, request: pytest.FixtureRequest) -> int:
    # Asking for the run's own node skips this where there is no RabbitMQ.
    try:
        port: int = request.getfixturevalue("_tls_node")[1]
    except NoRabbitMQError as error:
        pytest.fail(str(error))
    return port


def context(authority: trustme.CA) -> ssl.SSLContext:
    made = ssl.create_default_context()
    authority.configure_trust(made)
    return made


async def publish_one(url: str, tls: ssl.SSLContext | None, unique: str) -> None:
    async with connect(url, ssl=tls, start_timeout=3) as bus:
        got: list[int] = []
        await bus.subscribe(unique, "#", lambda message: got.append(message.body))
        await bus.publisher(unique, mandatory=True).publish(1)


async def test_tls_with_a_password(tls_port: int, authority: trustme.CA, unique: str) -> None:
    url = f"amqps://guest:guest@localhost:{tls_port}/"
    await publish_one(url, context(authority), unique)


async def test_a_certificate_in_place_of_a_password(
    tls_port: int, authority: trustme.CA, unique: str
) -> None:
    tls = context(authority)
    authority.issue_cert("robot@example.org", common_name="robot").configure_cert(tls)
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
        await publish_one(f"amqps://guest:guest@localhost:{tls_port}/", None, unique)
