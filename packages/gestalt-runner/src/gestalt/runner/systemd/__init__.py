"""What systemd is told of an application that it runs: sd_notify(3), without libsystemd."""

from .attendant import Systemd as Systemd
from .attendant import take_systemd as take_systemd
