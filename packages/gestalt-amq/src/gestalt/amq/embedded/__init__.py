"""An AMQP 0-9-1 broker on loopback, with the semantics of RabbitMQ, for development and tests.

    async with EmbeddedBroker() as broker:
        connection = await aio_pika.connect(broker.url)

Not for production: it keeps everything in memory, in one process. In production, use RabbitMQ.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gestalt.amq.wire import AmqpError

    from .model import Policy, ResourceLimits, read_policies
    from .server import (
        BindingInfo,
        ConnectionInfo,
        ConsumerInfo,
        Controls,
        EmbeddedBroker,
        MessageInfo,
        QueueInfo,
        Settings,
        ThreadedBroker,
    )

__all__ = [
    "AmqpError",
    "BindingInfo",
    "ConnectionInfo",
    "ConsumerInfo",
    "Controls",
    "EmbeddedBroker",
    "MessageInfo",
    "Policy",
    "QueueInfo",
    "ResourceLimits",
    "Settings",
    "ThreadedBroker",
    "read_policies",
]


def __getattr__(name: str) -> object:
    # The pytest plugin is imported in every run of pytest: nothing is loaded before it is used.
    if name == "AmqpError":
        from gestalt.amq.wire import AmqpError

        return AmqpError
    if name in ("Policy", "ResourceLimits", "read_policies"):
        from . import model

        return getattr(model, name)
    if name in __all__:
        from . import server

        return getattr(server, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
