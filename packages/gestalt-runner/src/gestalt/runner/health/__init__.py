"""Whether an application is alive and ready, told by HTTP from a thread of its own."""

from .address import HealthAddress as HealthAddress
from .attendant import Health as Health
from .verdict import Finding as Finding
from .verdict import Verdict as Verdict
