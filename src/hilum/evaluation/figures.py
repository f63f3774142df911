"""All figures of one finding, in one pass over the resamples.

What each figure means is left to `discrimination` and `reliability`; findings are put together in
`evaluation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from hilum.estimates import Estimate
from hilum.evaluation import discrimination as disc
from hilum.evaluation import reliability as rel
from hilum.evaluation.discrimination import Confusion, Ranking, RocCurve, ScoreHistogram
from hilum.evaluation.intervals import (
    ENOUGH,
    Units,
    bootstrap_on_logits,
    delong,
    one_class,
    percentile,
    proportion,
    resampled_counts,
)
from hilum.evaluation.reliability import ReliabilityCurve

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PointFigures:
    """What one operating point yields.

    threshold: on calibrated probability; positive is prob >= threshold
    figures: accuracy, sensitivity, specificity, ppv, npv, f1, balanced_accuracy, mcc
    by_class: "absent" and "present", each with precision, recall and f1
    """

    threshold: float
    confusion: Confusion
    figures: Mapping[str, Estimate]
    by_class: Mapping[str, Mapping[str, Estimate]]


@dataclass(frozen=True)
class Curves:
    """Curves with their counts; one that needs what is not there is None."""

    roc: RocCurve | None
    reliability: ReliabilityCurve | None
    scores: ScoreHistogram


@dataclass(frozen=True)
class FindingFigures:
    """Everything `evaluate` says of one finding."""

    figures: Mapping[str, Estimate]
    operating_points: Mapping[str, PointFigures]
    curves: Curves


def finding_figures(
    prob_n: Floats,
    logit_n: Floats,
    y_n: Floats,
    units: Units,
    points: Mapping[str, float],
    rng: np.random.Generator,
    resamples: int,
) -> FindingFigures:
    """Figures of one finding on the images whose label is known, which may be none.

    prob_n: calibrated, in [0, 1]; logit_n: raw, NaN where unknown; y_n: 1 present, 0 absent;
    all of shape (n,)
    points: threshold by name
    """
    sample = _Sample.of(prob_n, logit_n, y_n, units, points.values())
    ranking, units, n, present = sample.ranking, sample.units, sample.n, sample.present
    # Without images there is nothing to resample, and every figure below says so.
    data = sample.statistics(np.ones((1, n), dtype=np.int32)) if n else {}
    chunks = (
        [sample.statistics(count_bn) for count_bn in resampled_counts(units, rng, resamples)]
        if n
        else []
    )
    resampled = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in data}

    def figure(name: str, why_not: str | None, k: int = 0) -> Estimate:
        if n == 0 or why_not is not None:
            return Estimate.missing(why_not or one_class(0, 0), n)
        interval = bootstrap_on_logits if name == "average_precision" else percentile
        return interval(float(data[name][0, k]), resampled[name][:, k], n, units)

    both = one_class(present, n) if present in (0, n) else None
    no_logit = None if sample.logits else "the predictions hold no raw logits"
    figures = {
        "auroc": delong(ranking.rank_n, ranking.y_n, units),
        "average_precision": figure("average_precision", both),
        "brier": figure("brier", None),
        "log_loss": figure("log_loss", None),
        "log_loss_uncalibrated": figure("log_loss_uncalibrated", no_logit),
        "ece": _ece(data, resampled, n, units),
        "calibration_intercept": rel.calibration_intercept(ranking.score_n, ranking.y_n, units),
        "calibration_slope": rel.calibration_slope(ranking.score_n, ranking.y_n, units),
    }
    operating_points = {
        name: _point(sample, threshold, k, figure)
        for k, (name, threshold) in enumerate(points.items())
    }
    curves = Curves(
        None if both else _with_band(disc.roc_curve(ranking), resampled["sensitivity_at"], units),
        rel.reliability_curve(ranking.score_n, ranking.y_n, units) if n else None,
        disc.score_histogram(ranking.score_n, ranking.y_n),
    )
    return FindingFigures(figures, operating_points, curves)


@dataclass(frozen=True)
class _Sample:
    """The images of one finding in descending order of probability, and what no resample changes.

    logits: whether every raw logit is known; where not, their loss is not given
    loss_nl: Brier score, log loss and uncalibrated log loss per image
    first_k: where each reliability bin begins; bins are runs of the descending order
    position_k: how many images each operating point calls positive
    """

    ranking: Ranking
    units: Units
    logits: bool
    loss_nl: Floats
    first_k: NDArray[np.intp]
    position_k: tuple[int, ...]

    @classmethod
    def of(
        cls, prob_n: Floats, logit_n: Floats, y_n: Floats, units: Units, thresholds: Iterable[float]
    ) -> _Sample:
        ranking = Ranking.of(prob_n, y_n, logit_n)
        prob_n, y_n, logit_n = ranking.score_n, ranking.y_n, logit_n[ranking.order_n]
        losses = (
            rel.brier_scores(prob_n, y_n),
            rel.log_losses(prob_n, y_n),
            rel.log_losses_of_logits(np.nan_to_num(logit_n), y_n),
        )
        bin_n = rel.equal_mass_bins(prob_n, rel.bins_for(len(y_n)))
        return cls(
            ranking,
            units.where(ranking.order_n),
            not bool(np.isnan(logit_n).any()),
            np.column_stack(losses),
            np.flatnonzero(np.diff(bin_n, prepend=-1)),
            tuple(ranking.called(threshold) for threshold in thresholds),
        )

    @property
    def n(self) -> int:
        return len(self.ranking.y_n)

    @property
    def present(self) -> int:
        return int(self.ranking.y_n.sum())

    def statistics(self, count_bn: NDArray[np.int32]) -> dict[str, Floats]:
        """Each figure when image n counts `count_bn` times: shape (b, 1), or (b, k) per
        operating point (per false-positive rate for `sensitivity_at`)."""
        called_bn, tp_bn = self.ranking.running(count_bn)
        called_be, tp_be = called_bn[:, self.ranking.end_e], tp_bn[:, self.ranking.end_e]
        total_b, present_b = called_bn[:, -1:], tp_bn[:, -1:]

        called_bk, tp_bk = (_before(running, self.position_k) for running in (called_bn, tp_bn))
        fp_bk, fn_bk = called_bk - tp_bk, present_b - tp_bk
        tn_bk = total_b - called_bk - fn_bk

        weight_bn = count_bn.astype(np.float64)
        mean_bl = weight_bn @ self.loss_nl / total_b
        weighted_bn = np.multiply(weight_bn, self.ranking.score_n, out=weight_bn)
        prob_bk = np.add.reduceat(weighted_bn, self.first_k, axis=1)
        n_bk, present_bk = (
            np.diff(_before(running, (*self.first_k, self.n)), axis=1).astype(np.float64)
            for running in (called_bn, tp_bn)
        )
        return {
            "average_precision": disc.average_precisions(called_be, tp_be)[:, None],
            "brier": mean_bl[:, :1],
            "log_loss": mean_bl[:, 1:2],
            "log_loss_uncalibrated": mean_bl[:, 2:],
            "square_error": rel.debiased_square_errors(n_bk, prob_bk, present_bk)[:, None],
            "f1": disc.f1(tn_bk, fp_bk, fn_bk, tp_bk),
            "f1_absent": disc.f1(tp_bk, fn_bk, fp_bk, tn_bk),
            "balanced_accuracy": disc.balanced_accuracy(tn_bk, fp_bk, fn_bk, tp_bk),
            "mcc": disc.mcc(tn_bk, fp_bk, fn_bk, tp_bk),
            "sensitivity_at": disc.sensitivities_at(np.array(disc.BAND_FPR), called_be, tp_be),
        }


def _before(running_bn: NDArray[np.integer], position_k: Sequence[int]) -> NDArray[np.integer]:
    """The running count over the first `position` images (0 before any), per row and position."""
    padded = np.zeros((len(running_bn), len(position_k)), dtype=running_bn.dtype)
    for k, position in enumerate(position_k):
        if position:
            padded[:, k] = running_bn[:, position - 1]
    return padded


def _point(
    sample: _Sample, threshold: float, k: int, figure: Callable[[str, str | None, int], Estimate]
) -> PointFigures:
    n, present = sample.n, sample.present
    called = sample.position_k[k]
    called_n, present_n = np.arange(n) < called, sample.ranking.y_n == 1

    def share(right_n: NDArray[np.bool_], of_n: NDArray[np.bool_], empty: str) -> Estimate:
        return proportion(right_n[of_n], sample.units.where(of_n), empty)

    everything_n = np.ones(n, dtype=bool)
    no_present, no_absent = (one_class(0, n), one_class(1, n)) if n else (one_class(0, 0),) * 2
    sensitivity = share(called_n, present_n, no_present)
    specificity = share(~called_n, ~present_n, no_absent)
    ppv = share(present_n, called_n, "no image is called positive")
    npv = share(~present_n, ~called_n, "no image is called negative")
    both = no_present if present == 0 else no_absent if present == n else None
    decided = (
        None if 0 < called < n else f"every image is called {'posi' if called else 'nega'}tive"
    )
    f1 = figure("f1", no_present if present == 0 else None, k)
    return PointFigures(
        threshold,
        disc.confusion(sample.ranking.score_n, sample.ranking.y_n, threshold),
        {
            "accuracy": share(called_n == present_n, everything_n, one_class(0, 0)),
            "sensitivity": sensitivity,
            "specificity": specificity,
            "ppv": ppv,
            "npv": npv,
            "f1": f1,
            "balanced_accuracy": figure("balanced_accuracy", both, k),
            "mcc": figure("mcc", both or decided, k),
        },
        {
            "absent": {
                "precision": npv,
                "recall": specificity,
                "f1": figure("f1_absent", no_absent if present == n else None, k),
            },
            "present": {"precision": ppv, "recall": sensitivity, "f1": f1},
        },
    )


def _ece(
    data: Mapping[str, Floats], resampled: Mapping[str, Floats], n: int, units: Units
) -> Estimate:
    """Debiased calibration error with an interval that takes the bootstrap's own bias away.

    Drawing from the data adds their noise a second time, so resamples lie too high by what they
    exceed the estimate on average; the percentiles are moved down by it, in squares.
    Source: Efron & Tibshirani 1993, section 10.2 (bootstrap estimate of bias).
    """
    if n == 0:
        return Estimate.missing(one_class(0, 0), 0)
    square, square_b = float(data["square_error"][0, 0]), resampled["square_error"][:, 0]
    moved = percentile(square, square_b - (square_b.mean() - square), n, units)
    value, low, high = (
        None if part is None else sqrt(max(0.0, part))
        for part in (moved.value, moved.low, moved.high)
    )
    method = f"{moved.method}, moved by their bias" if moved.reason is None else moved.method
    return Estimate(value, low, high, n, method, moved.reason)


def _with_band(curve: RocCurve, sensitivity_bk: Floats, units: Units) -> RocCurve:
    given = ~np.isnan(sensitivity_bk[:, 0])
    if units.count < 2 or given.mean() < ENOUGH:
        return curve
    low_k, high_k = np.quantile(sensitivity_bk[given], (0.025, 0.975), axis=0)
    return replace(
        curve,
        band_fpr=disc.BAND_FPR,
        band_low=tuple(low_k.tolist()),
        band_high=tuple(high_k.tolist()),
    )
