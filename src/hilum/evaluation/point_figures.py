"""What one operating point yields: counts, shares, ratios, net benefit.

Thresholds are chosen on the calibrate role, by `hilum.calibration`; here they are only applied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hilum.estimates import Estimate
from hilum.evaluation import discrimination as disc
from hilum.evaluation import likelihood_ratios as ratios
from hilum.evaluation.intervals import one_class, percentile
from hilum.evaluation.results import PointFigures
from hilum.evaluation.sample import Sample
from hilum.units import proportion

Floats = NDArray[np.float64]

POINT_FIGURES = (
    "accuracy",
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
    "lr_positive",
    "lr_negative",
    "f1",
    "balanced_accuracy",
    "mcc",
    "net_benefit",
)


def point_figures(
    sample: Sample,
    threshold: float,
    k: int,
    rule: str,
    data: Mapping[str, Floats],
    resampled: Mapping[str, Floats],
    prevalences: Sequence[float],
) -> PointFigures:
    """What `threshold`, point number `k` of the sample, yields.

    rule: how it was chosen, in words
    data, resampled: the sample's statistics, on all images and per resample
    prevalences: at which PPV and NPV are given
    """
    n, present, units = sample.n, sample.present, sample.units
    called = sample.called[k]
    called_n, present_n = np.arange(n) < called, sample.ranking.y_n == 1

    def share(right_n: NDArray[np.bool_], of_n: NDArray[np.bool_], empty: str) -> Estimate:
        return proportion(right_n[of_n], units.where(of_n), empty)

    def figure(name: str, why_not: str | None) -> Estimate:
        if why_not is not None:
            return Estimate.missing(why_not, n)
        return percentile(float(data[name][0, k]), resampled[name][:, k], n, units)

    no_present, no_absent = one_class(0, n), one_class(n, n)
    sensitivity = share(called_n, present_n, no_present)
    specificity = share(~called_n, ~present_n, no_absent)
    ppv = share(present_n, called_n, "no image is called positive")
    npv = share(~present_n, ~called_n, "no image is called negative")
    both = no_present if present == 0 else no_absent if present == n else None
    decided = (
        None if 0 < called < n else f"every image is called {'posi' if called else 'nega'}tive"
    )
    f1 = figure("f1", no_present if present == 0 else None)
    odds = ratios.likelihood_ratios(called_n, sample.ranking.y_n, units)
    infinite = "at a threshold of 1 no number of false positives outweighs a miss"
    return PointFigures(
        threshold,
        rule,
        disc.confusion(sample.ranking.score_n, sample.ranking.y_n, threshold),
        {
            "accuracy": share(called_n == present_n, np.ones(n, dtype=bool), one_class(0, 0)),
            "sensitivity": sensitivity,
            "specificity": specificity,
            "ppv": ppv,
            "npv": npv,
            "lr_positive": ratios.as_estimate(odds[0], "no false positive"),
            "lr_negative": ratios.as_estimate(odds[1], "no true negative"),
            "f1": f1,
            "balanced_accuracy": figure("balanced_accuracy", both),
            "mcc": figure("mcc", both or decided),
            "net_benefit": figure("net_benefit", infinite if threshold == 1 else None),
        },
        {
            "absent": {
                "precision": npv,
                "recall": specificity,
                "f1": figure("f1_absent", no_absent if present == n else None),
            },
            "present": {"precision": ppv, "recall": sensitivity, "f1": f1},
        },
        ratios.at_prevalences(odds, prevalences),
    )
