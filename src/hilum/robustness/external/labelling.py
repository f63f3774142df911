"""Labelling: the same answers on the same films, judged by two people's labels.

Labels often differ more than models do, so that a figure is one of both. What a labelling is called
and where it comes from is the caller's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.estimates import Estimate
from hilum.evaluation.discrimination import Ranking, aurocs, share
from hilum.evaluation.intervals import Resampling, delong, percentile
from hilum.units import Units, proportion

Floats = NDArray[np.float64]
Counts = NDArray[np.integer]

FIGURES = ("auroc", "sensitivity", "specificity")
RESAMPLES = 2000


@dataclass(frozen=True)
class Labellings:
    """Two labellings of one finding, on the films that both have a label for.

    names: of both; n: films, units of kind: whose; counts: (first, second) label -> films
    kappa: Cohen's, of the two labellings
    figures: per labelling, of FIGURES, at the deployed point
    difference: second less first, of FIGURES, paired by patient
    """

    names: tuple[str, str]
    n: int
    counts: Mapping[str, int]
    kappa: Estimate
    figures: Mapping[str, Mapping[str, Estimate]]
    difference: Mapping[str, Estimate]


def compare_labellings(
    names: tuple[str, str],
    y_ln: Floats,
    prob_n: Floats,
    threshold: float,
    *,
    units: Units,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Labellings:
    """Judge one set of answers by both labellings, where both have a label.

    y_ln: 1 present, 0 absent, NaN unknown, shape (2, n)
    prob_n: deployed probability, shape (n,); threshold: the deployed point on it
    Source of kappa: Cohen 1960; its interval and the differences' are the bootstrap's by patient.
    """
    known_n = np.asarray(~np.isnan(y_ln).any(axis=0))
    y_ln, prob_n, units = y_ln[:, known_n], prob_n[known_n], units.where(known_n)
    n = int(known_n.sum())
    counts = {
        f"{a}{b}": int(((y_ln[0] == a) & (y_ln[1] == b)).sum()) for a in (0, 1) for b in (0, 1)
    }
    if n == 0:
        missing = Estimate.missing("no film has a label of both", 0)
        none = dict.fromkeys(FIGURES, missing)
        return Labellings(names, 0, counts, missing, dict.fromkeys(names, none), none)
    called_n = prob_n >= threshold
    rankings = [Ranking.of(prob_n, y_n) for y_n in y_ln]

    def statistics(count_bn: Counts) -> dict[str, Floats]:
        columns = [kappas(y_ln, count_bn)]
        for y_n, ranking in zip(y_ln, rankings, strict=True):
            ordered_bn = count_bn[:, ranking.order_n]
            columns.append(aurocs(ranking, ordered_bn, *ranking.running(ordered_bn)))
            for right_n, of_n in ((called_n, y_n == 1), (~called_n, y_n == 0)):
                of_b = count_bn[:, of_n].sum(axis=1)
                columns.append(share(count_bn[:, of_n & right_n].sum(axis=1), of_b))
        return {"all": np.stack(columns, axis=1)}

    whole_k = statistics(np.ones((1, n), dtype=np.int32))["all"][0]
    drawn_bk = Resampling.of(units, rng, resamples).over(units.unit_n, statistics)["all"]

    def estimate(value: float, value_b: Floats, why: str) -> Estimate:
        if not np.isfinite(value):
            return Estimate.missing(why, n)
        return percentile(value, value_b, n, units)

    size = len(FIGURES)
    difference = {
        name: estimate(
            float(whole_k[1 + size + k] - whole_k[1 + k]),
            drawn_bk[:, 1 + size + k] - drawn_bk[:, 1 + k],
            "one of the labellings lacks a class",
        )
        for k, name in enumerate(FIGURES)
    }
    figures = {
        name: _figures(y_n, prob_n, called_n, units) for name, y_n in zip(names, y_ln, strict=True)
    }
    kappa = estimate(float(whole_k[0]), drawn_bk[:, 0], "each labelling gives one answer alone")
    return Labellings(names, n, counts, kappa, figures, difference)


def kappas(y_ln: Floats, count_bn: Counts) -> Floats:
    """Cohen's kappa when film n counts `count_bn` times, shape (b,); NaN where chance agrees."""
    total_b = count_bn.sum(axis=1)
    same_b = count_bn[:, y_ln[0] == y_ln[1]].sum(axis=1) / total_b
    first_b, second_b = (count_bn[:, y_n == 1].sum(axis=1) / total_b for y_n in y_ln)
    chance_b = first_b * second_b + (1 - first_b) * (1 - second_b)
    return share(same_b - chance_b, 1 - chance_b)


def _figures(
    y_n: Floats, prob_n: Floats, called_n: NDArray[np.bool_], units: Units
) -> dict[str, Estimate]:
    with_n = y_n == 1
    return {
        "auroc": delong(prob_n, y_n, units),
        "sensitivity": proportion(called_n[with_n], units.where(with_n), "no film with it"),
        "specificity": proportion(~called_n[~with_n], units.where(~with_n), "no film without it"),
    }
