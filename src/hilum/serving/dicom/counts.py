"""The DICOM side's counts for Prometheus, read when they are asked for.

Where they are shown with all others is `hilum.serving.metrics`'s business. No label holds anything
of a film: states, and reasons from lists of this program's and of the standard's codes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from hilum.serving.dicom.service import Status


class DicomCounts(Collector):
    """Gauges of what `status` tells."""

    def __init__(self, status: Callable[[], Status]) -> None:
        self._status = status

    def collect(self) -> Iterable[GaugeMetricFamily]:
        status = self._status()
        yield _gauge(
            "hilum_dicom_films",
            "Films by state: waiting at present; the others since the queue's folder was made.",
            "state",
            {
                "received": status["received"],
                "duplicate": status["duplicates"],
                "conflict": status["conflicts"],
                "waiting": status["waiting"],
                "answered": status["answered"],
                "refused": sum(status["refused"].values()),
            },
        )
        yield _gauge(
            "hilum_dicom_refused", "Films without an answer, by reason.", "reason",
            status["refused"],
        )  # fmt: skip
        yield _gauge(
            "hilum_dicom_objects", "Reports and pictures by state: sending at present; sent.",
            "state", {"sending": status["sending"], "sent": status["sent"]},
        )  # fmt: skip
        yield _gauge(
            "hilum_dicom_set_aside",
            "Reports and pictures that the destination refused for good, by reason.",
            "reason",
            status["set_aside"],
        )
        yield GaugeMetricFamily(
            "hilum_dicom_oldest_seconds",
            "Age of the oldest film that is not delivered; 0 without one.",
            value=status["oldest_s"] or 0.0,
        )
        yield GaugeMetricFamily(
            "hilum_dicom_destination_up",
            "Whether the destination took what was sent last.",
            value=float(status["destination"] == "ok"),
        )


def _gauge(name: str, meaning: str, label: str, counts: Mapping[str, int]) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(name, meaning, labels=[label])
    for word, count in sorted(counts.items()):
        gauge.add_metric([word], count)
    return gauge
