"""What the parts say to each other."""

from dataclasses import dataclass

from gestalt.codecs import Codec, MessageTypes
from gestalt.net import Mti, Wire

types = MessageTypes()


@dataclass(kw_only=True)
class Sample:
    """A reading of one host.

    Attributes:
        host: the name of the host.
        agent: tells this run of an agent from every other.
        sequence: counts the samples of the agent, from 1.
        time: when it was taken, in seconds since the epoch.
    """

    host: str
    agent: str
    sequence: int
    time: float


@types.add(1)
@dataclass(kw_only=True)
class Cpu(Sample):
    """How busy the processors are, in percent, and the load of the last minute."""

    percent: float
    load: float


@types.add(2)
@dataclass(kw_only=True)
class Memory(Sample):
    """In bytes."""

    used: int
    total: int


@types.add(3)
@dataclass(kw_only=True)
class Network(Sample):
    """In bytes since the host has started, over all interfaces."""

    received: int
    sent: int


@types.add(4)
@dataclass(kw_only=True)
class Disk(Sample):
    """In bytes since the host has started, over all disks."""

    read: int
    written: int


@types.add(16)
@dataclass
class Ack:
    """The collector has every sample of the agent up to this one."""

    sequence: int


@types.add(32)
@dataclass
class Query:
    """A question about the last seconds.

    Attributes:
        what: "cpu", "memory", "received", "sent", "read" or "written".
        last: how many seconds, up to 60.
    """

    what: str
    last: float


@dataclass
class HostStatistics:
    """What one host's samples came to."""

    host: str
    count: int
    minimum: float
    mean: float
    maximum: float
    latest: float


@types.add(33)
@dataclass
class Statistics:
    """The answer to a query."""

    unit: str
    hosts: list[HostStatistics]


codec = Codec("msgpack", types=types)
wire = Wire(Mti(), codec)

EXCHANGE = "telemetry"
"""The topic that samples are published on."""

BROKER_TIMEOUT = 5.0
"""How long a part that starts looks for the broker, in seconds."""

SERVICE = "telemetry.collector"
"""The service that answers queries."""


def routing_key(sample: Sample) -> str:
    """`<host>.<kind>`, such as gateway.cpu."""
    host = sample.host.replace(".", "-")
    return f"{host}.{type(sample).__name__.lower()}"
