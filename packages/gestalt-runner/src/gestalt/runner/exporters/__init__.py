"""What components and the application count, for Prometheus and for OpenTelemetry."""

from .joining import JoinedPage
from .lag import watch_lag
from .prometheus import CONTENT_TYPE, install_collector, prometheus_page, render_prometheus

__all__ = [
    "CONTENT_TYPE",
    "JoinedPage",
    "install_collector",
    "prometheus_page",
    "render_prometheus",
    "watch_lag",
]
