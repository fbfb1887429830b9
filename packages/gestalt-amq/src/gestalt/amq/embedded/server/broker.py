"""The broker as a component of an asyncio application."""

import time
from collections.abc import Callable, Iterable
from typing import TypeVar
from urllib.parse import quote

from gestalt.amq.embedded.model import DEFAULT_VERSION, BrokerModel, semantics_of
from gestalt.amq.wire import AmqpError
from gestalt.core import Component, StateError
from gestalt.core.details import PeerRow, QueueRow, details
from gestalt.core.metrics import Metric, measures

from .connection import Connection
from .controls import Controls
from .hub import Hub
from .listener import Listener
from .measured import measure
from .settings import Settings

T = TypeVar("T")


def broker_url(
    settings: Settings, host: str, port: int, user: str | None, virtual_host: str | None
) -> str:
    """Return the URL by which a client connects."""
    name = user if user is not None else next(iter(settings.users))
    path = virtual_host if virtual_host is not None else settings.virtual_hosts[0]
    scheme = "amqp" if settings.tls is None else "amqps"
    address = f"[{host}]" if ":" in host else host
    login = f"{quote(name, safe='')}:{quote(settings.users[name], safe='')}"
    return f"{scheme}://{login}@{address}:{port}/{quote(path, safe='')}"


class EmbeddedBroker(Component, Controls):
    """An AMQP 0-9-1 broker in this process, with the semantics of RabbitMQ.

        async with EmbeddedBroker() as broker:
            connection = await aio_pika.connect(broker.url)

    It keeps everything in memory, and starts empty each time. It is for development, tests and
    demos; in production, use RabbitMQ.

    Args:
        host: the address to listen on.
        port: the port; 0 lets the system choose one.
        settings: users, limits and all else.
        compatible: the version of RabbitMQ that it is like: `4.3`, `4.0` or `3.10`.
        name: how the component is called in messages.
        stop_timeout: how long a stop may wait for clients to close their connections, in seconds.

    Raises:
        ValueError: there can be no such port, stop_timeout is negative, or the version or a feature
            that the settings permit is not known. When it is started: a policy is for a virtual
            host that is not there.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        settings: Settings | None = None,
        *,
        compatible: str = DEFAULT_VERSION,
        name: str | None = None,
        stop_timeout: float = 2.0,
    ) -> None:
        super().__init__(name=name, stop_timeout=stop_timeout)
        if not 0 <= port <= 65_535:
            raise ValueError(f"port must be from 0 to 65535, got {port}")
        self.settings = settings or Settings()
        self._semantics = semantics_of(compatible, self.settings.permit)
        self._host = host
        self._port = port
        self._hub: Hub | None = None

    @property
    def port(self) -> int:
        """The port that it listens on. Raises StateError when it is not running."""
        return self._running().listener.port

    @property
    def url(self) -> str:
        """The URL for the first user and virtual host. Raises StateError when it is not running."""
        return self.url_for()

    def url_for(self, user: str | None = None, virtual_host: str | None = None) -> str:
        """Return the URL for a user and a virtual host.

        Raises:
            StateError: the broker is not running.
            KeyError: there is no such user.
        """
        return broker_url(self.settings, self._host, self.port, user, virtual_host)

    @details
    def _clients(self) -> Iterable[PeerRow]:
        for client in self._hub.connections if self._hub is not None else ():
            yield PeerRow(client.name, note=client.state)

    @details
    def _queues(self) -> Iterable[QueueRow]:
        hosts = self._hub.model.virtual_hosts.values() if self._hub is not None else ()
        for queue in (queue for host in hosts for queue in host.queues.values()):
            yield QueueRow(queue.name, waiting=queue.count, active=queue.unacked)

    @measures
    def _metrics(self) -> Iterable[Metric]:
        return () if self._hub is None else measure(self._hub)

    async def _open(self) -> None:
        settings = self.settings
        model = BrokerModel(
            users=settings.users,
            virtual_hosts=settings.virtual_hosts,
            semantics=self._semantics,
            clock=time.monotonic,
            limits=settings.limits,
            consumer_timeout=settings.consumer_timeout,
        )
        for policy in settings.policies:
            model.set_policy(policy)
        hub = Hub(model, settings)
        hub.listener = Listener(
            self._host, self._port, settings, lambda: Connection(hub), self._spawn
        )
        self._hub = hub
        hub.listener.open()

    async def _drain(self) -> None:
        hub = self._running()
        hub.listener.close()
        hub.close(
            AmqpError(
                "CONNECTION_FORCED", "broker forced connection closure with reason 'shutdown'"
            )
        )
        await hub.wait_empty()

    async def _close(self) -> None:
        hub, self._hub = self._hub, None
        if hub is None:
            return
        hub.listener.close()
        hub.abort()
        await hub.wait_empty()

    def control(self, action: Callable[[Hub], T]) -> T:
        return action(self._running())

    def _running(self) -> Hub:
        if self._hub is None:
            raise StateError(f"{self!r} is not running")
        return self._hub
