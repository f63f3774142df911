"""Labelled: the images that a calibrator may be fitted on, and why they are too few when they are.

What is fitted on them is each calibrator's own business.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hilum.errors import EvaluationError

Floats = NDArray[np.float64]


def labelled(
    logit_n: NDArray[np.floating], y_n: NDArray[np.floating], where: str, *, fewest: int = 1
) -> tuple[Floats, Floats]:
    """Logits and labels of the images whose label is known, each of shape (m,).

    logit_n: raw logits, shape (n,)
    y_n: 1 = finding present, 0 absent, NaN unknown (left out), shape (n,)
    where: what an error names
    fewest: images that each class must have
    Raises EvaluationError on a class with fewer, or a logit that is not finite.
    """
    known_n = ~np.isnan(np.asarray(y_n, dtype=np.float64))
    logit_m: Floats = np.asarray(logit_n, dtype=np.float64)[known_n]
    y_m: Floats = np.asarray(y_n, dtype=np.float64)[known_n]
    present = int((y_m == 1).sum())
    if min(present, len(y_m) - present) < fewest:
        each = "both classes" if fewest == 1 else f"{fewest} or more of each class"
        raise EvaluationError(
            where,
            f"{present} images with the finding among {len(y_m)}",
            expected=f"{each} among the images it is fitted on",
            remedy="give the calibrate role more images",
        )
    if not np.isfinite(logit_m).all():
        raise EvaluationError(where, "a logit that is not finite", expected="raw logits")
    return logit_m, y_m
