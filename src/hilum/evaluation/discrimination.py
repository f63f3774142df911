"""Discrimination: how well scores tell images with the finding from images without.

Whether the scores mean what they say is left to `reliability`; intervals, to `intervals`.

On images in descending order of score everything here is a running count: how many are called
positive down to a score (`called`), and how many of those have the finding (`tp`). A resample only
changes how often each image counts, so one function gives the figure and all its resamples: arrays
end in `_be`, b resamples (1 for the data themselves) and e distinct scores.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from hilum.errors import EvaluationError

Floats = NDArray[np.float64]
Counts = NDArray[np.integer]

MOST_POINTS = 1000  # of a ROC curve in a file: finer than any screen or printer
BAND_FPR = tuple(round(step / 100, 2) for step in range(101))


@dataclass(frozen=True)
class Confusion:
    """Counts at one threshold; positive is prob >= threshold."""

    tn: int
    fp: int
    fn: int
    tp: int

    @property
    def rows(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """A row per truth (absent, present), a column per decision (negative, positive)."""
        return (self.tn, self.fp), (self.fn, self.tp)

    @property
    def row_shares(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """`rows` as shares of their row, 0 in a row without images."""
        absent, present = max(1, self.tn + self.fp), max(1, self.fn + self.tp)
        return (self.tn / absent, self.fp / absent), (self.fn / present, self.tp / present)


@dataclass(frozen=True)
class RocCurve:
    """Counts per threshold, descending; the origin (nothing called positive) is left out.

    threshold, tp, fp: one entry per point; straight runs keep their ends only
    present, absent: images with and without the finding
    band_fpr, band_low, band_high: pointwise 95 % band of the sensitivity at fixed false-positive
        rates; empty when it cannot be computed
    """

    threshold: tuple[float, ...]
    tp: tuple[int, ...]
    fp: tuple[int, ...]
    present: int
    absent: int
    band_fpr: tuple[float, ...] = ()
    band_low: tuple[float, ...] = ()
    band_high: tuple[float, ...] = ()


@dataclass(frozen=True)
class ScoreHistogram:
    """Images per class and probability bin: `edge` has one entry more than the counts."""

    edge: tuple[float, ...]
    absent: tuple[int, ...]
    present: tuple[int, ...]


@dataclass(frozen=True)
class Ranking:
    """Images in descending order of score.

    order_n: positions in the original arrays
    score_n, y_n: in that order; y 1 = finding present, 0 absent
    end_e: last position of each distinct score
    """

    order_n: NDArray[np.intp]
    score_n: Floats
    y_n: Floats
    end_e: NDArray[np.intp]

    @classmethod
    def of(
        cls,
        score_n: NDArray[np.floating],
        y_n: NDArray[np.floating],
        finer_n: NDArray[np.floating] | None = None,
    ) -> Ranking:
        """finer_n: tells images of equal score apart, such as the logit of a probability that is
        exactly 1 in floating point; NaN where unknown"""
        if not np.isin(y_n, (0, 1)).all():
            raise EvaluationError("labels", "one neither 0 nor 1", expected="0 or 1")
        finer_n = np.zeros(len(score_n)) if finer_n is None else np.nan_to_num(finer_n)
        # Not by row: ties keep no trace of the file's order.
        order_n = np.lexsort((y_n, -finer_n, -score_n))
        key_n2 = np.column_stack([score_n, finer_n])[order_n].astype(np.float64)
        changes_n = (key_n2[1:] != key_n2[:-1]).any(axis=1)
        end_e = np.flatnonzero(np.append(changes_n, [True] * min(1, len(key_n2))))
        return cls(order_n, key_n2[:, 0], y_n[order_n].astype(np.float64), end_e)

    @property
    def rank_n(self) -> Floats:
        """A score that rises with the finding and is equal for ties alone, shape (n,)."""
        return -np.searchsorted(self.end_e, np.arange(len(self.y_n))).astype(np.float64)

    def running(self, count_bn: Counts) -> tuple[Counts, Counts]:
        """Running (called, tp), each of shape (b, n), when image n counts `count_bn` times."""
        called_bn = np.cumsum(count_bn, axis=1, dtype=np.int32)
        tp_bn = np.cumsum(count_bn * self.y_n.astype(np.int32), axis=1, dtype=np.int32)
        return called_bn, tp_bn

    def called(self, threshold: float) -> int:
        """How many images have score >= threshold."""
        return int(np.searchsorted(-self.score_n, -threshold, side="right"))


def confusion(
    prob_n: NDArray[np.floating], y_n: NDArray[np.floating], threshold: float
) -> Confusion:
    """Counts of right and wrong decisions; positive is prob >= threshold.

    prob_n: shape (n,); y_n: 1 = finding present, 0 absent, shape (n,)
    """
    called_n, present_n = np.asarray(prob_n) >= threshold, np.asarray(y_n) == 1
    return Confusion(
        tn=int((~called_n & ~present_n).sum()),
        fp=int((called_n & ~present_n).sum()),
        fn=int((~called_n & present_n).sum()),
        tp=int((called_n & present_n).sum()),
    )


def auroc(score_n: NDArray[np.floating], y_n: NDArray[np.floating]) -> float:
    """Chance that an image with the finding outscores one without, ties counted half.

    score_n: any score that rises with the finding, shape (n,); y_n: 1 present, 0 absent, shape (n,)
    Returns a number in [0, 1], NaN when a class is missing. Source: Mann & Whitney 1947.
    """
    present_n = np.asarray(y_n) == 1
    m, k = int(present_n.sum()), int((~present_n).sum())
    if m == 0 or k == 0:
        return float("nan")
    rank_sum = float(rankdata(np.asarray(score_n, dtype=np.float64))[present_n].sum())
    return (rank_sum - m * (m + 1) / 2) / (m * k)


def average_precision(score_n: NDArray[np.floating], y_n: NDArray[np.floating]) -> float:
    """Mean precision over the images with the finding, each at its own score; no interpolation.

    Arguments as in `auroc`. Returns a number in [0, 1], NaN when no image has the finding.
    Source: Manning et al. 2008, section 8.4; ties enter together, as in scikit-learn.
    """
    ranking = Ranking.of(score_n, y_n)
    if len(ranking.y_n) == 0:
        return float("nan")
    called_bn, tp_bn = ranking.running(np.ones((1, len(ranking.y_n)), dtype=np.int32))
    return float(average_precisions(called_bn[:, ranking.end_e], tp_bn[:, ranking.end_e])[0])


def average_precisions(called_be: Counts, tp_be: Counts) -> Floats:
    """Average precision per row of running counts at distinct scores; NaN with no positives."""
    gained_be = np.diff(tp_be, axis=1, prepend=0)
    with np.errstate(invalid="ignore"):
        precision_be = tp_be / np.maximum(called_be, 1)
        ap_b: Floats = np.einsum("be,be->b", gained_be, precision_be) / tp_be[:, -1]
    return ap_b


def f1(tn: Counts, fp: Counts, fn: Counts, tp: Counts) -> Floats:
    """2 TP / (2 TP + FP + FN) per entry; NaN when nothing is positive and nothing called so."""
    return _ratio(2 * tp, 2 * tp + fp + fn)


def balanced_accuracy(tn: Counts, fp: Counts, fn: Counts, tp: Counts) -> Floats:
    """Mean of sensitivity and specificity per entry; NaN when a class is missing."""
    return (_ratio(tp, tp + fn) + _ratio(tn, tn + fp)) / 2


def mcc(tn: Counts, fp: Counts, fn: Counts, tp: Counts) -> Floats:
    """Matthews correlation of decision and label per entry; NaN when either is constant.

    Source: Matthews 1975.
    """
    tn_, fp_, fn_, tp_ = (np.asarray(count, dtype=np.float64) for count in (tn, fp, fn, tp))
    # In two roots, so that without errors each is a whole number and the figure exactly 1.
    spread = np.sqrt((tp_ + fp_) * (tp_ + fn_)) * np.sqrt((tn_ + fp_) * (tn_ + fn_))
    return _ratio(tp_ * tn_ - fp_ * fn_, spread)


def roc_curve(ranking: Ranking) -> RocCurve:
    """The curve without its band, at most MOST_POINTS points. Raises EvaluationError when a class
    is missing."""
    n = len(ranking.y_n)
    present = int(ranking.y_n.sum())
    if present in (0, n):
        raise EvaluationError(
            "ROC curve", f"{present} positives among {n}", expected="both classes"
        )
    tp_e = np.cumsum(ranking.y_n)[ranking.end_e].astype(np.int64)
    fp_e = ranking.end_e + 1 - tp_e
    keep_e = _corners(tp_e, fp_e)
    if len(keep_e) > MOST_POINTS:  # evenly along the curve, first and last kept
        along_e = tp_e[keep_e] / present + fp_e[keep_e] / (n - present)
        wanted = np.linspace(along_e[0], along_e[-1], MOST_POINTS)
        keep_e = keep_e[np.unique(np.searchsorted(along_e, wanted))]
    return RocCurve(
        tuple(ranking.score_n[ranking.end_e[keep_e]].tolist()),
        tuple(tp_e[keep_e].tolist()),
        tuple(fp_e[keep_e].tolist()),
        present,
        n - present,
    )


def sensitivities_at(fpr_k: Floats, called_be: Counts, tp_be: Counts) -> Floats:
    """Sensitivity at fixed false-positive rates, per row of running counts, shape (b, k).

    Between two thresholds along the straight line, on a vertical run its top. NaN without a class.
    """
    sensitivity_bk = np.full((len(tp_be), len(fpr_k)), np.nan)
    for b, (tp_e, called_e) in enumerate(zip(tp_be, called_be, strict=True)):
        fp_e, present = called_e - tp_e, int(tp_e[-1])
        if present and fp_e[-1]:
            fp0_e, tp0_e = np.append(0, fp_e), np.append(0, tp_e)
            sensitivity_bk[b] = np.interp(fpr_k * fp_e[-1], fp0_e, tp0_e) / present
    return sensitivity_bk


def score_histogram(
    prob_n: NDArray[np.floating], y_n: NDArray[np.floating], bins: int = 20
) -> ScoreHistogram:
    """Images per class in `bins` equal steps of probability; the last bin includes 1."""
    edge = np.linspace(0.0, 1.0, bins + 1)
    y_n = np.asarray(y_n)
    absent, present = (np.histogram(np.asarray(prob_n)[y_n == y], bins=edge)[0] for y in (0, 1))
    return ScoreHistogram(tuple(edge.tolist()), tuple(absent.tolist()), tuple(present.tolist()))


def _corners(tp_e: NDArray[np.int64], fp_e: NDArray[np.int64]) -> NDArray[np.intp]:
    """The points where the curve turns, and the last: those between lie on a straight line."""
    up, right = np.diff(tp_e, prepend=0), np.diff(fp_e, prepend=0)
    turns = up[:-1] * right[1:] != up[1:] * right[:-1]
    return np.flatnonzero(np.append(turns, True))


def _ratio(numerator: NDArray[np.generic], denominator: NDArray[np.generic]) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        quotient = np.true_divide(numerator, denominator)
    return np.where(np.asarray(denominator) == 0, np.nan, quotient)
