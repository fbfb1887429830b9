"""One page for Prometheus of several processes, read and written by prometheus-client."""

from collections.abc import Iterator, Mapping
from typing import Any

from .prometheus import prometheus_client
from .reading import leave_out


class JoinedPage:
    """Metrics of several pages, those of one name together.

    Raises:
        ExtraNotInstalled: prometheus-client is missing.
    """

    def __init__(self) -> None:
        self._client = prometheus_client()
        self._families: dict[str, Any] = {}

    def add(self, page: str, labels: Mapping[str, str] | None = None) -> None:
        """Add a page.

        Args:
            page: in Prometheus' text format.
            labels: what tells its metrics from those of others. Where one of them has a label of
                such a name already, that becomes `exported_...`, as Prometheus does it.

        Raises:
            ValueError: it is no such page; none of it is added.
        """
        from prometheus_client.parser import text_string_to_metric_families

        for family in list(text_string_to_metric_families(page)):
            known = self._families.get(family.name)
            if known is None:
                known = self._families[family.name] = self._client.Metric(
                    family.name, family.documentation, family.type
                )
            elif known.type != family.type:
                leave_out(
                    f"the {family.type} {family.name} cannot be shown: another one is a "
                    f"{known.type}"
                )
                continue
            known.samples += [
                sample._replace(labels=_labels(sample.labels, labels or {}))
                for sample in family.samples
            ]

    def add_gauge(self, name: str, text: str, label: str, values: Mapping[str, float]) -> None:
        """Add a gauge, with the values of a label and what it is for each."""
        family = self._client.core.GaugeMetricFamily(name, text, labels=[label])
        for value, number in values.items():
            family.add_metric([value], number)
        self._families[name] = family

    def collect(self) -> Iterator[Any]:
        """All of it, as prometheus-client asks for it."""
        return iter(self._families.values())

    def render(self) -> bytes:
        """The page."""
        return bytes(self._client.generate_latest(self))


def _labels(present: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    kept = {f"exported_{name}" if name in added else name: value for name, value in present.items()}
    return {**kept, **added}
