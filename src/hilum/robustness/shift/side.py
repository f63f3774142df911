"""Sides: what one classifier made of the films of one place, for one finding.

What is asked of two of them is left to `why` and to the modules that it calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.columns import SUBGROUPS
from hilum.errors import EvaluationError
from hilum.evaluation.discrimination import Ranking
from hilum.observing import Observed
from hilum.units import Units, units_of


@dataclass(frozen=True)
class Side:
    """Films of one place, row for row.

    name: what the place is called in words
    feature_nd: pooled features, shape (n, d)
    prob_n: calibrated P(finding) in [0, 1], shape (n,)
    y_n: 1 present, 0 absent, NaN unknown, shape (n,)
    threshold: of the deployed point; called where prob >= threshold
    attributes: a column of numbers or words each, n rows; a missing value is unknown
    patient_id_n: None where unknown, shape (n,)
    logit_n: parts films of equal probability, NaN or None where nobody knows it
    Raises EvaluationError where the rows do not match or there is none.
    """

    name: str
    feature_nd: NDArray[np.floating]
    prob_n: NDArray[np.float64]
    y_n: NDArray[np.float64]
    threshold: float
    attributes: pd.DataFrame
    patient_id_n: NDArray[np.object_]
    logit_n: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        n = len(self.prob_n)
        if n == 0:
            raise EvaluationError(self.name, "no film", expected="one or more")
        rows = {
            "feature_nd": len(self.feature_nd),
            "y_n": len(self.y_n),
            "attributes": len(self.attributes),
            "patient_id_n": len(self.patient_id_n),
        }
        for name, found in rows.items():
            if found != n:
                raise EvaluationError(
                    self.name, f"{found} rows in {name}", expected=f"{n}, as in prob_n"
                )
        if not np.isfinite(self.feature_nd).all():
            raise EvaluationError(self.name, "a feature is not finite", expected="numbers")

    def __len__(self) -> int:
        return len(self.prob_n)

    @cached_property
    def units(self) -> Units:
        return units_of(self.patient_id_n)

    @property
    def called_n(self) -> NDArray[np.bool_]:
        """Whether the deployed point calls the finding, shape (n,)."""
        return np.asarray(self.prob_n >= self.threshold)

    @cached_property
    def score_n(self) -> NDArray[np.float64]:
        """Ranks as probability does, and as the logit where probabilities tie, shape (n,)."""
        ranking = Ranking.of(self.prob_n, np.zeros(len(self)), self.logit_n)
        score_n = np.empty(len(self))
        score_n[ranking.order_n] = ranking.rank_n
        return score_n

    @classmethod
    def of(
        cls, observed: Observed, finding: str, threshold: float, *, name: str = "these films"
    ) -> Side:
        """A side from what a bundle made of a cohort.

        threshold: the deployed one of that finding, `bundle.thresholds()[finding]["deployed"]`
        Its attributes are the appearance of each film, and view, age and sex where known.
        """
        predictions = observed.predictions
        known = [each for each in SUBGROUPS if each in predictions.table and each != "site"]
        attributes = observed.appearance.reset_index(drop=True).join(
            predictions.table[known].reset_index(drop=True)
        )
        return cls(
            name,
            observed.feature_nd,
            predictions.prob(finding),
            predictions.label(finding),
            threshold,
            attributes,
            predictions.patient_id_n,
            predictions.logit(finding),
        )
