"""What components and the application count, for Prometheus and for OpenTelemetry."""

from .joining import JoinedPage as JoinedPage
from .lag import watch_lag as watch_lag
from .prometheus import CONTENT_TYPE as CONTENT_TYPE
from .prometheus import install_collector as install_collector
from .prometheus import prometheus_page as prometheus_page
from .prometheus import render_prometheus as render_prometheus
