"""All that a broker holds: virtual hosts and users, and how much memory the messages take."""

import time as system_time
from collections.abc import Callable, Iterable, Mapping

from gestalt.amq.wire import AmqpError

from .limits import ResourceLimits, Usage
from .policies import Policy
from .schedule import Schedule
from .versions import DEFAULT_VERSION, Semantics, semantics_of
from .virtualhost import VirtualHost


class BrokerModel:
    """The state of a broker, without any connection.

    Args:
        users: passwords by user name.
        virtual_hosts: the names of the virtual hosts.
        semantics: what holds for the version of RabbitMQ that it is like.
        clock: returns the time in seconds; monotonic, of any origin.
        time: returns the time of day in seconds since 1970.
        limits: how much of everything there may be.
        consumer_timeout: how long a delivery may take that no queue and no consumer says of, in
            seconds; None for any time.
    """

    def __init__(
        self,
        *,
        users: Mapping[str, str],
        virtual_hosts: Iterable[str] = ("/",),
        semantics: Semantics | None = None,
        clock: Callable[[], float] = system_time.monotonic,
        time: Callable[[], float] = system_time.time,
        limits: ResourceLimits | None = None,
        consumer_timeout: float | None = None,
    ) -> None:
        self.users = dict(users)
        self.semantics = semantics or semantics_of(DEFAULT_VERSION)
        self.schedule = Schedule(clock)
        # What the messages in all queues and those not yet acknowledged cost, in bytes.
        self.memory = 0
        usage = Usage(limits or ResourceLimits())
        self.virtual_hosts = {
            name: VirtualHost(
                name, self.schedule, self._account, time, self.semantics, usage, consumer_timeout
            )
            for name in virtual_hosts
        }

    def virtual_host(self, name: str) -> VirtualHost:
        """Return the virtual host. Raises AmqpError when there is none."""
        host = self.virtual_hosts.get(name)
        if host is None:
            raise AmqpError("NOT_ALLOWED", f"vhost {name} not found")
        return host

    def set_policy(self, policy: Policy) -> None:
        """Set a policy in its virtual host. Raises ValueError when there is no such host."""
        host = self.virtual_hosts.get(policy.virtual_host)
        if host is None:
            known = ", ".join(self.virtual_hosts)
            raise ValueError(
                f"the policy {policy.name!r} is for the virtual host {policy.virtual_host!r};"
                f" there are {known}"
            )
        host.set_policy(policy)

    def _account(self, size: int) -> None:
        self.memory += size
