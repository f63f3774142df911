"""Label shift: how often the finding is present where nobody has labelled it.

It rests on films with the finding looking outside as they do inside; `attributes` asks whether.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hilum.estimates import Estimate
from hilum.evaluation.intervals import Resampling, percentile
from hilum.robustness.shift.exchanging import Exchanges, distances
from hilum.robustness.shift.results import LabelShift
from hilum.robustness.shift.side import Side
from hilum.units import proportion

NEEDED = 0.1  # sensitivity + specificity - 1, below which the confusion matrix is as good as flat
UNLABELLED = "no film has a label"


def label_shift(
    internal: Side, external: Side, *, rng: np.random.Generator, resamples: int, permutations: int
) -> LabelShift:
    """The shift of the classifier's answers, and the prevalence outside that it speaks for.

    The labels of `external` go into `prevalence_external` alone. The test is of the probabilities,
    which move when the share with the finding does: it cannot tell that from films that look
    different (Rabanser et al. 2019).
    """
    exchanges = Exchanges.of(internal.units, external.units, rng, permutations)
    prob_n = np.concatenate([internal.prob_n, external.prob_n])
    distance, p = exchanges.p(distances(prob_n))
    return LabelShift(
        proportion(internal.called_n, internal.units),
        proportion(external.called_n, external.units),
        distance,
        p,
        _prevalence(internal),
        estimated_prevalence(internal, external, rng=rng, resamples=resamples),
        _prevalence(external),
    )


def estimated_prevalence(
    internal: Side, external: Side, *, rng: np.random.Generator, resamples: int
) -> Estimate:
    """Black-box shift estimation of P(finding) outside, from decisions at the deployed point.

    With two classes the confusion matrix is solved by
    (share called outside - false positive rate) / (sensitivity - false positive rate).
    The interval draws patients of both places. Missing where the matrix is near singular, and
    where the share called outside lies beyond what any prevalence gives.
    Source: Lipton et al. 2018, eq. 4; Rogan & Gladen 1978.
    """
    known_n = ~np.isnan(internal.y_n)
    y_n, called_n = internal.y_n[known_n] == 1, internal.called_n[known_n]
    n = len(external)
    if not y_n.any() or y_n.all():
        return Estimate.missing("needs inside films with and without the finding", n)
    sensitivity, false_rate = float(called_n[y_n].mean()), float(called_n[~y_n].mean())
    if sensitivity - false_rate < NEEDED:
        return Estimate.missing(
            f"the confusion matrix is near singular: sensitivity {sensitivity:.3f}, "
            f"false positive rate {false_rate:.3f} inside",
            n,
        )
    value = (float(external.called_n.mean()) - false_rate) / (sensitivity - false_rate)
    present_b, absent_b = _called_b(internal, known_n, y_n, called_n, rng, resamples)
    every_n = np.ones(n, dtype=bool)
    outside_b, _ = _called_b(external, every_n, every_n, external.called_n, rng, resamples)
    with np.errstate(invalid="ignore", divide="ignore"):
        value_b = (outside_b - absent_b) / (present_b - absent_b)
    # A resample of a flat matrix has no figure.
    value_b[~(present_b - absent_b >= NEEDED / 2)] = np.nan
    # With no resample that gives the figure there is nothing to hold it against.
    low, high = (
        np.quantile(value_b[~np.isnan(value_b)], (0.025, 0.975))
        if np.isfinite(value_b).any()
        else (0.0, 1.0)
    )
    if low > 1 or high < 0:
        bound = "less" if high < 0 else "more"
        return Estimate.missing(
            f"the share called outside is {bound} than any prevalence gives: films there do not "
            "look as they do inside",
            n,
        )
    return percentile(float(np.clip(value, 0, 1)), value_b.clip(0, 1), n, external.units)


def _called_b(
    side: Side,
    known_n: NDArray[np.bool_],
    y_n: NDArray[np.bool_],
    called_n: NDArray[np.bool_],
    rng: np.random.Generator,
    resamples: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share called of films with and without the finding, per resample, NaN where there is none."""
    units = side.units.where(known_n)

    def shares(count_bn: NDArray[np.int32]) -> dict[str, NDArray[np.float64]]:
        with np.errstate(invalid="ignore", divide="ignore"):
            return {
                name: (count_bn[:, side_n] @ called_n[side_n]) / count_bn[:, side_n].sum(axis=1)
                for name, side_n in (("present", y_n), ("absent", ~y_n))
            }

    drawn = Resampling.of(units, rng, resamples).over(units.unit_n, shares)
    return drawn["present"], drawn["absent"]


def _prevalence(side: Side) -> Estimate:
    known_n = ~np.isnan(side.y_n)
    return proportion(side.y_n[known_n] == 1, side.units.where(known_n), UNLABELLED)
