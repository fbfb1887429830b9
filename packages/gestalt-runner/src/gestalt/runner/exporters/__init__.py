"""What components and the application count, for Prometheus and for OpenTelemetry."""

from .lag import watch_lag
from .prometheus import CONTENT_TYPE, install_collector, prometheus_page, render_prometheus

__all__ = [
    "CONTENT_TYPE",
    "install_collector",
    "prometheus_page",
    "render_prometheus",
    "watch_lag",
]
