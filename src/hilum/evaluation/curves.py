"""Curves of one finding, from its sample and the sample's resamples.

What each curve means is left to `results` and the module that computes it; drawing, to `plots`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hilum.evaluation import discrimination as disc
from hilum.evaluation import likelihood_ratios as ratios
from hilum.evaluation import reliability as rel
from hilum.evaluation import utility
from hilum.evaluation.intervals import ENOUGH
from hilum.evaluation.results import (
    Band,
    Curves,
    DecisionCurve,
    ReliabilityCurve,
    RiskCoverageCurve,
)
from hilum.evaluation.sample import Sample
from hilum.units import Units

Floats = NDArray[np.float64]


def curves_of(
    sample: Sample,
    points: Mapping[str, float],
    data: Mapping[str, Floats],
    resampled: Mapping[str, Floats],
    both: bool,
) -> Curves:
    """Every curve; `both` says whether both classes are there, which some curves need.

    points: threshold by name, "deployed" among them
    data, resampled: the sample's statistics, on all images and per resample
    """
    ranking, units = sample.ranking, sample.units
    prob_n, y_n = ranking.score_n, ranking.y_n
    roc = precision_recall = prevalence = None
    if both:
        roc = replace(
            disc.roc_curve(ranking),
            band_fpr=disc.HUNDREDTHS,
            band=_band(resampled["roc_band"], units),
        )
        precision_recall = replace(
            disc.precision_recall_curve(ranking),
            band_recall=disc.HUNDREDTHS,
            band=_band(resampled["precision_band"], units),
        )
        deployed_n = prob_n >= points["deployed"]
        prevalence = ratios.prevalence_curve(ratios.likelihood_ratios(deployed_n, y_n, units))
    acting_t = np.array(utility.ACTING)
    decision = DecisionCurve(
        utility.ACTING,
        tuple(data["decision_band"][0].tolist()),
        tuple(utility.treat_all(sample.present, sample.n, acting_t).tolist()),
        _band(resampled["decision_band"], units),
    )
    coverage_c = np.array(utility.COVERAGE)
    risk_c = data["generalised_risk"][0]
    risk_coverage = RiskCoverageCurve(
        utility.COVERAGE,
        tuple((risk_c / coverage_c).tolist()),
        tuple(risk_c.tolist()),
        _band(resampled["generalised_risk"] / coverage_c, units),
    )
    raw = None if sample.raw_n is None else rel.reliability_curve(sample.raw_n, y_n, units)
    return Curves(
        roc,
        precision_recall,
        _reliability(sample, resampled),
        raw,
        decision,
        risk_coverage,
        prevalence,
        disc.score_histogram(prob_n, y_n),
        disc.threshold_counts(prob_n, y_n, points.values()),
    )


def _reliability(sample: Sample, resampled: Mapping[str, Floats]) -> ReliabilityCurve:
    prob_n, y_n = sample.ranking.score_n, sample.ranking.y_n
    curve = rel.reliability_curve(prob_n, y_n, sample.units)
    if isinstance(sample.smooth, str):
        return curve
    at_k = np.linspace(prob_n[-1], prob_n[0], 101)
    return replace(
        curve,
        smooth_prob=tuple(at_k.tolist()),
        smooth=tuple(sample.smooth.at(at_k)[0].tolist()),
        band=_band(sample.smooth.at(at_k, resampled["smooth"]), sample.units),
    )


def _band(value_bk: Floats, units: Units) -> Band | None:
    """Pointwise percentiles, where enough resamples have a curve and they differ at all."""
    given_b = ~np.isnan(value_bk).any(axis=1)
    if units.count < 2 or given_b.mean() < ENOUGH:
        return None
    low_k, high_k = np.quantile(value_bk[given_b], (0.025, 0.975), axis=0)
    return Band(tuple(low_k.tolist()), tuple(high_k.tolist()))
