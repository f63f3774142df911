"""Balanced means: any figure that is a mean over the films of either class, with its interval.

Balanced accuracy over many conditions is one, and an error relative to somebody else's another:
what each film adds to the figure is worked out by those who ask.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hilum.estimates import Estimate
from hilum.evaluation.intervals import Resampling, percentile
from hilum.units import Units


def balanced_means(
    score_nm: NDArray[np.floating],
    present_n: NDArray[np.bool_],
    units: Units,
    rng: np.random.Generator,
    resamples: int,
) -> list[Estimate]:
    """Of each of m scores the mean over films with and the mean over films without, averaged.

    score_nm: what a film adds to each figure, over all conditions: a resample of patients goes
        through all of them, shape (n, m)
    present_n: whether a film has the finding, shape (n,); units: of the same films
    Returns m estimates, by percentiles of resampled patients; missing where a class has no film.
    """
    n, m = score_nm.shape
    if not present_n.any() or present_n.all():
        return [Estimate.missing("needs films with and without the finding", n)] * m

    def means(count_bn: NDArray[np.int32]) -> NDArray[np.float64]:
        sides = []
        for side_n in (present_n, ~present_n):
            count_b = count_bn[:, side_n].sum(axis=1, keepdims=True)
            with np.errstate(invalid="ignore", divide="ignore"):
                sides.append((count_bn[:, side_n] @ score_nm[side_n]) / count_b)
        return np.asarray(np.mean(sides, axis=0))

    drawn_bm = Resampling.of(units, rng, resamples).over(
        units.unit_n, lambda count_bn: {"mean": means(count_bn)}
    )["mean"]
    (whole_m,) = means(np.ones((1, n), dtype=np.int32))
    return [
        percentile(float(whole), drawn_b, n, units)
        for whole, drawn_b in zip(whole_m, drawn_bm.T, strict=True)
    ]
