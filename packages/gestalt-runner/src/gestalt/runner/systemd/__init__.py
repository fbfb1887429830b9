"""What systemd is told of an application that it runs: sd_notify(3), without libsystemd."""

from .attendant import Systemd, take_systemd

__all__ = ["Systemd", "take_systemd"]
