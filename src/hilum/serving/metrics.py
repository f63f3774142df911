"""What the service counts, for Prometheus; of one worker, or of all where there are several.

No label holds anything of a film or a client; what is counted is told by `watching`.
"""

from __future__ import annotations

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from hilum import __version__
from hilum.serving.watching import Watch

CONTENT_TYPE = CONTENT_TYPE_LATEST
# Where workers of one service share their counts; the library reads it when it is imported.
SHARED = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_FILMS = (1, 2, 4, 8, 16, 24, 32, 48, 64)


class Metrics(Watch):
    """Counts for one service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
        self._requests = Counter(
            "hilum_requests",
            "Requests by route and HTTP status.",
            ("route", "status"),
            registry=registry,
        )
        self._request_seconds = Histogram(
            "hilum_request_seconds",
            "Time of a request.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._films = Counter(
            "hilum_films",
            "Films by outcome, and why.",
            ("outcome", "reason"),
            registry=registry,
        )
        self._stages = Histogram(
            "hilum_stage_seconds",
            "Time of a film in a stage: decode, queue; engine, of its whole batch.",
            ("stage",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._batches = Histogram(
            "hilum_batch_films",
            "Films that the engine took at a time.",
            buckets=_FILMS,
            registry=registry,
        )
        self._held = Gauge(
            "hilum_films_held",
            "Films taken on and not answered yet.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._replaced = Counter(
            "hilum_decoders_replaced",
            "Processes that decode that were ended and replaced.",
            registry=registry,
        )
        self._swaps = Counter(
            "hilum_swaps",
            "New bundles asked for, by outcome.",
            ("outcome",),
            registry=registry,
        )
        self._bundle = Gauge(
            "hilum_bundle_info",
            "Workers that answer by this bundle.",
            ("digest", "name", "engine", "version"),
            multiprocess_mode="livesum",
            registry=registry,
        )

    def request(self, route: str, status: int, seconds: float) -> None:
        self._requests.labels(route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def film(self, outcome: str, reason: str = "") -> None:
        self._films.labels(outcome, reason).inc()

    def stage(self, stage: str, seconds: float) -> None:
        self._stages.labels(stage).observe(seconds)

    def batch(self, films: int, seconds: float) -> None:
        self._batches.observe(films)
        self._stages.labels("engine").observe(seconds)

    def films_held(self, films: int) -> None:
        self._held.set(films)

    def child_replaced(self) -> None:
        self._replaced.inc()

    def bundle(self, digest: str, name: str, engine: str, *, at_work: bool) -> None:
        self._bundle.labels(digest, name, engine, __version__).set(int(at_work))

    def swap(self, outcome: str) -> None:
        self._swaps.labels(outcome).inc()

    def show(self, collector: Collector) -> None:
        """Show what another part of the service counts, where it is the only worker."""
        self._registry.register(collector)

    def exposition(self) -> bytes:
        """All counts in Prometheus' text form; of all workers where they share."""
        if SHARED not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
