"""What can be set on an embedded broker, shared by all of its connections."""

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gestalt.amq.embedded.model import Policy, ResourceLimits

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a broker; immutable.

    Attributes:
        users: passwords by user name. With client certificates, EXTERNAL takes the common name.
        virtual_hosts: the names of the virtual hosts.
        heartbeat: the interval that is proposed to clients, in seconds; 0 for none.
        frame_max: the size of the largest frame that is proposed, in bytes.
        channel_max: how many channels a connection may have.
        max_message_size: the size of the largest message body, in bytes; None for the default of
            the version that the broker is like: 16 MiB, or 128 MiB for 3.10. A client may keep
            twice as much waiting, in either direction, before it is cut.
        permit: deprecated features that are permitted or not, against the version's default, as by
            `deprecated_features.permit.NAME` in RabbitMQ's configuration: `global_qos`,
            `queue_master_locator`, `transient_nonexcl_queues`.
        memory_limit: how much memory messages may take before publishers are blocked, in bytes.
        handshake_timeout: how long a client may take to open a connection, in seconds.
        close_timeout: how long a client may take to answer connection.close, in seconds.
        refusal_delay: how long a client that is refused before its connection is open has to
            wait until that is cut, in seconds.
        send_timeout: how long a client may read nothing of what waits for it, in seconds.
        consumer_timeout: how long a client may take to acknowledge a delivery where neither the
            queue nor the consumer says other, in seconds; None for any time. What becomes of one
            that takes too long depends on the version.
        policies: what operators set in production, for many queues or exchanges at once.
        limits: how many connections, channels, consumers, queues, exchanges and bindings there
            may be.
        tls: makes the broker speak TLS.
    """

    users: Mapping[str, str] = field(default_factory=lambda: {"guest": "guest"})
    virtual_hosts: tuple[str, ...] = ("/",)
    heartbeat: int = 60
    frame_max: int = 131_072
    channel_max: int = 2047
    max_message_size: int | None = None
    permit: Mapping[str, bool] = field(default_factory=dict)
    memory_limit: int = 512 * MIB
    handshake_timeout: float = 10.0
    close_timeout: float = 2.0
    refusal_delay: float = 3.0
    send_timeout: float = 30.0
    consumer_timeout: float | None = 1800.0
    policies: Sequence[Policy] = ()
    limits: ResourceLimits = field(default_factory=ResourceLimits)
    tls: ssl.SSLContext | None = None
