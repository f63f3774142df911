"""Observing: predictions with what else one pass over the films shows, for those who ask why.

Pooled features and appearance come from the very images and the very run that gave the answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.bundle import Bundle
from hilum.data.appearance import ATTRIBUTES, appearance
from hilum.data.cohort import Cohort
from hilum.data.reading import Quarantine
from hilum.engines import Engine
from hilum.evaluation.predictions import Predictions
from hilum.predict import Answer, predict


@dataclass(frozen=True)
class Observed:
    """What a bundle made of films, row for row.

    feature_nd: the last feature map, averaged over its cells, which the head is linear in
    appearance: a column for each of ATTRIBUTES, of the image that the network was given
    """

    predictions: Predictions
    feature_nd: NDArray[np.float32]
    appearance: pd.DataFrame


def observe(
    bundle: Bundle,
    cohort: Cohort,
    *,
    engine: Engine | None = None,
    quarantine: Quarantine | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Observed:
    """Predict, and keep features and appearance; rows as in the predictions.

    engine: as for `predict`
    Raises what `predict` raises.
    """
    features: list[NDArray[np.float32]] = []
    looks: list[dict[str, NDArray[np.float64]]] = []

    def look(answer: Answer) -> None:
        features.append(answer.feature_nd)
        looks.append(appearance(answer.image_nchw[:, 0]))

    predictions = predict(
        bundle, cohort, engine=engine, quarantine=quarantine, progress=progress, look=look
    )
    columns = {name: np.concatenate([each[name] for each in looks]) for name in ATTRIBUTES}
    return Observed(predictions, np.concatenate(features), pd.DataFrame(columns))
