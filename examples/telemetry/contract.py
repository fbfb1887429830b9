"""The parts with fixed addresses: `gestalt schema export examples.telemetry.contract:collector`."""

from gestalt.core import Component

from .agent import Agent
from .alerter import Alerter
from .collector import Collector

BROKER = "amqp://localhost"


def collector() -> Component:
    """What the others talk to."""
    return Collector("tcp://0.0.0.0:9000", BROKER)


def agent() -> Component:
    """What sends samples to it."""
    return Agent("tcp://collector:9000", interval=0.1)


def alerter() -> Component:
    """What reads the samples that it publishes, and asks it."""
    return Alerter(BROKER).bus
