"""The page of metrics of this process: nothing is loaded for it before somebody asks."""


async def own_page() -> bytes:
    """The page for Prometheus.

    Raises:
        ExtraNotInstalled: prometheus-client is missing.
    """
    from .exporters import prometheus_page

    return await prometheus_page()
