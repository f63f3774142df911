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
from hilum.engines import Engine, carried_engine
from hilum.errors import BundleError
from hilum.evaluation.predictions import Predictions
from hilum.explanation.head import head_of
from hilum.explanation.occlusion import ByEngine
from hilum.explanation.saliency import GradCam, Method, Saliency
from hilum.openvino_runtime import CORE
from hilum.predict import Answer, predict

WITHOUT_TORCH: tuple[Method, ...] = ("grad_cam", "occlusion")  # at the last map, on the input


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

    method, layer: Grad-CAM at the last feature map and occlusion need no torch; all else does
    engine, quarantine, progress: as for `predict`
    Raises what `predict` raises, BundleError where the method does not fit the network, ValueError
    for a layer that is not there.
    """
    quarantine = quarantine or Quarantine(len(cohort))
    engine = engine or carried_engine(bundle)
    collector = _collector(bundle, engine, len(cohort), method, layer)
    predictions = predict(
        bundle, cohort, engine=engine, quarantine=quarantine, progress=progress, look=collector
    )
    maps = collector.saliency()
    read_n = quarantine.readable_n
    read = replace(maps, map_nfhw=maps.map_nfhw[read_n])
    return Explanation(cohort.where(read_n), predictions, read)


def default_method(bundle: Bundle) -> Method:
    """Grad-CAM where the network's ending allows it without gradients, else occlusion."""
    output = CORE.read_model(*bundle.engine).output("feature_nchw")
    try:
        head_of(bundle, output.get_partial_shape()[1].get_length())
    except BundleError:
        return "occlusion"
    return "grad_cam"


def _collector(
    bundle: Bundle, engine: Engine, n: int, method: Method, layer: str | None
) -> Collector:
    if method == "grad_cam" and layer is None:
        return GradCam(bundle, n)
    if method == "occlusion" and layer is None:
        return ByEngine(bundle, engine, n)
    if bundle.foreign:
        raise BundleError(
            bundle.folder,
            f"{method}{f' at {layer}' if layer else ''} needs layers to differentiate, and a model "
            "made elsewhere has none that can be reached",
            expected="occlusion, or grad_cam at the last map",
        )
    from hilum.explanation.gradients import ByTorch  # torch, where it is asked for

    return ByTorch(bundle, n, method, layer)
