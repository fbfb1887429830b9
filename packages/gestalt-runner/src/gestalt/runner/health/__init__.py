"""Whether an application is alive and ready, told by HTTP from a thread of its own."""

from .address import HealthAddress
from .attendant import Health
from .verdict import Finding, Verdict

__all__ = ["Finding", "Health", "HealthAddress", "Verdict"]
