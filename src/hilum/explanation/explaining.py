"""One method on every film of a cohort: predictions with the maps beside them.

What the maps are drawn as is `pictures`' work; what they are worth, `localisation`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from hilum.bundle import Bundle
from hilum.data.cohort import Cohort
from hilum.data.reading import Quarantine
from hilum.engines import Engine
from hilum.evaluation.predictions import Predictions
from hilum.explanation.saliency import GradCam, Method, Saliency
from hilum.predict import Answer, predict


class Collector(Protocol):
    """Takes what the engine made of each batch, and has the maps in the end."""

    def __call__(self, answer: Answer) -> None: ...

    def saliency(self) -> Saliency: ...


@dataclass(frozen=True)
class Explanation:
    """Predictions and maps, row by row, of the films that could be read.

    cohort: these films
    """

    cohort: Cohort
    predictions: Predictions
    saliency: Saliency


def explain(
    bundle: Bundle,
    cohort: Cohort,
    *,
    method: Method = "grad_cam",
    layer: str | None = None,
    engine: Engine | None = None,
    quarantine: Quarantine | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Explanation:
    """Predict every film and say where its logits come from.

    method, layer: Grad-CAM at the last feature map needs no torch; all else does
    engine, quarantine, progress: as for `predict`
    Raises what `predict` raises, BundleError where the method does not fit the network, ValueError
    for a layer that is not there.
    """
    quarantine = quarantine or Quarantine(len(cohort))
    collector = _collector(bundle, len(cohort), method, layer)
    predictions = predict(
        bundle, cohort, engine=engine, quarantine=quarantine, progress=progress, look=collector
    )
    maps = collector.saliency()
    read_n = quarantine.readable_n
    read = replace(maps, map_nfhw=maps.map_nfhw[read_n])
    return Explanation(cohort.where(read_n), predictions, read)


def _collector(bundle: Bundle, n: int, method: Method, layer: str | None) -> Collector:
    if method == "grad_cam" and layer is None:
        return GradCam(bundle, n)
    from hilum.explanation.gradients import ByTorch  # torch, where it is asked for

    return ByTorch(bundle, n, method, layer)
