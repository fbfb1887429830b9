"""What a broker counts, for metrics."""

from collections.abc import Iterable, Iterator

from gestalt.amq.embedded.model import VirtualHost
from gestalt.core import vocabulary as words
from gestalt.core.metrics import Metric

from .hub import Client, Hub

MOST_QUEUES = 100
"""How many queues have a label of their own."""

OTHERS = "(others)"
"""The label of all other queues, and of those that come and go with their connections."""


def measure(hub: Hub) -> Iterator[Metric]:
    """The metrics of a running broker; also where it runs in another thread."""
    hosts = list(hub.model.virtual_hosts.values())
    connections = list(hub.connections)
    yield words.PEERS("broker", len(connections))
    yield words.CONNECTED("broker", hub.connected)
    yield words.BLOCKED("broker", int(hub.block_reason is not None))
    yield words.MEMORY("broker", hub.model.memory)
    yield words.RECEIVED("broker", sum(host.received for host in hosts))
    yield words.SENT("broker", _delivered(hosts, connections))
    yield words.QUEUES("broker", sum(len(host.queues) for host in hosts))
    yield from _queues(hosts)


def _delivered(hosts: Iterable[VirtualHost], connections: Iterable[Client]) -> int:
    # Each delivery has the next tag of its channel, which begins with 1.
    sessions = [each.session for each in connections]
    channels = [list(each.channels.values()) for each in sessions if each is not None]
    present = sum(channel.next_tag - 1 for group in channels for channel in group)
    return present + sum(host.delivered for host in hosts)


def _queues(hosts: Iterable[VirtualHost]) -> Iterator[Metric]:
    told = 0
    ready = unacked = consumers = 0
    for queue in [queue for host in hosts for queue in list(host.queues.values())]:
        if queue.owner is not None or told >= MOST_QUEUES:
            ready += queue.count
            unacked += queue.unacked
            consumers += len(queue.consumers)
        else:
            told += 1
            yield from _of_queue(queue.name, queue.count, queue.unacked, len(queue.consumers))
    yield from _of_queue(OTHERS, ready, unacked, consumers)


def _of_queue(name: str, ready: int, unacked: int, consumers: int) -> Iterator[Metric]:
    labels = {"queue": name}
    yield words.BACKLOG("broker", ready, labels)
    yield words.IN_FLIGHT("broker", unacked, labels)
    yield words.CONSUMERS("broker", consumers, labels)
