"""Discrimination: how well scores tell images with the finding from images without.

Whether the scores mean what they say is left to `reliability`; intervals, to `intervals`.

On images in descending order of score everything here is a running count: how many are called
positive down to a score (`called`), and how many of those have the finding (`tp`). A resample only
changes how often each image counts, so one function gives the figure and all its resamples: arrays
end in `_bn` (b resamples, 1 for the data themselves; n images in that order) or in `_be` (e
distinct scores, each at its last image).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.errors import EvaluationError
from hilum.evaluation.results import (
    Confusion,
    PrecisionRecallCurve,
    RocCurve,
    ScoreHistogram,
    ThresholdCounts,
)

Floats = NDArray[np.float64]
Counts = NDArray[np.integer]

MOST_POINTS = 1000  # of a curve in a file: finer than any screen or printer
HUNDREDTHS = tuple(round(step / 100, 2) for step in range(101))
MAX_FPR = 0.1  # of the partial area: specificity 0.9 and above


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
        exactly 1 in floating point; where one is NaN none is used, as ties would part by who has
        one"""
        if not np.isin(y_n, (0, 1)).all():
            raise EvaluationError("labels", "one neither 0 nor 1", expected="0 or 1")
        if finer_n is None or np.isnan(finer_n).any():
            finer_n = np.zeros(len(score_n))
        # Not by row: ties keep no trace of the file's order.
        order_n = np.lexsort((y_n, -finer_n, -score_n))
        key_n2 = np.column_stack([score_n, finer_n])[order_n].astype(np.float64)
        changes_n = (key_n2[1:] != key_n2[:-1]).any(axis=1)
        end_e = np.flatnonzero(np.append(changes_n, [True] * min(1, len(key_n2))))
        return cls(order_n, key_n2[:, 0], y_n[order_n].astype(np.float64), end_e)

    @property
    def last_n(self) -> NDArray[np.intp]:
        """Position of the last image of equal score, shape (n,)."""
        return self.end_e[np.searchsorted(self.end_e, np.arange(len(self.y_n)))]

    def at_ends(self, running_bn: Counts) -> Counts:
        """Running counts at distinct scores, shape (b, e): no threshold parts equal scores."""
        return running_bn if len(self.end_e) == len(self.y_n) else running_bn[:, self.end_e]

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
    from scipy.stats import rankdata  # here, since it is slow to import

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
    count_bn = np.ones((1, len(ranking.y_n)), dtype=np.int32)
    return float(average_precisions(ranking, count_bn, *ranking.running(count_bn))[0])


def average_precisions(
    ranking: Ranking, count_bn: Counts, called_bn: Counts, tp_bn: Counts
) -> Floats:
    """Average precision per row of counts; NaN with no positives."""
    present_m = np.flatnonzero(ranking.y_n)
    last_m = ranking.last_n[present_m]
    precision_bm = tp_bn[:, last_m] / np.maximum(called_bn[:, last_m], 1)
    return share((count_bn[:, present_m] * precision_bm).sum(axis=1), tp_bn[:, -1])


def aurocs(ranking: Ranking, count_bn: Counts, called_bn: Counts, tp_bn: Counts) -> Floats:
    """AUROC per row of counts, ties counted half; NaN without a class. Shape (b,)."""
    present_m = np.flatnonzero(ranking.y_n)
    block_m = np.searchsorted(ranking.end_e, present_m)
    last_m = ranking.end_e[block_m]
    before_m = np.where(block_m > 0, ranking.end_e[block_m - 1], -1)
    fp_last_bm = called_bn[:, last_m] - tp_bn[:, last_m]
    fp_before_bm = np.where(before_m >= 0, called_bn[:, before_m] - tp_bn[:, before_m], 0)
    total_b, absent_b = tp_bn[:, -1], called_bn[:, -1] - tp_bn[:, -1]
    above_bm = (fp_last_bm + fp_before_bm) / 2
    outscored_b = (count_bn[:, present_m] * (absent_b[:, None] - above_bm)).sum(axis=1)
    return share(outscored_b, total_b.astype(np.float64) * absent_b)


def f1(tn: Counts, fp: Counts, fn: Counts, tp: Counts) -> Floats:
    """2 TP / (2 TP + FP + FN) per entry; NaN when nothing is positive and nothing called so."""
    return share(2 * tp, 2 * tp + fp + fn)


def balanced_accuracy(tn: Counts, fp: Counts, fn: Counts, tp: Counts) -> Floats:
    """Mean of sensitivity and specificity per entry; NaN when a class is missing."""
    return (share(tp, tp + fn) + share(tn, tn + fp)) / 2


def mcc(tn: Counts, fp: Counts, fn: Counts, tp: Counts) -> Floats:
    """Matthews correlation of decision and label per entry; NaN when either is constant.

    Source: Matthews 1975.
    """
    tn_, fp_, fn_, tp_ = (np.asarray(count, dtype=np.float64) for count in (tn, fp, fn, tp))
    # In two roots, so that without errors each is a whole number and the figure exactly 1.
    spread = np.sqrt((tp_ + fp_) * (tp_ + fn_)) * np.sqrt((tn_ + fp_) * (tn_ + fn_))
    return share(tp_ * tn_ - fp_ * fn_, spread)


def roc_curve(ranking: Ranking) -> RocCurve:
    """The curve without its band, at most MOST_POINTS points. Raises EvaluationError when a class
    is missing."""
    tp_e, fp_e, present, absent = _counts_at_scores(ranking, "ROC curve")
    keep_e = _corners(tp_e, fp_e)
    keep_e = keep_e[_evenly(tp_e[keep_e] / present + fp_e[keep_e] / absent)]
    return RocCurve(*_columns(ranking, tp_e, fp_e, keep_e), present, absent)


def precision_recall_curve(ranking: Ranking) -> PrecisionRecallCurve:
    """The curve without its band, at most MOST_POINTS points; errors as in `roc_curve`.

    One point per recall that is reached, at the highest threshold that reaches it, and the end.
    """
    tp_e, fp_e, present, absent = _counts_at_scores(ranking, "precision-recall curve")
    keep_e = np.flatnonzero(np.append(np.diff(tp_e, prepend=0)[:-1] > 0, True))
    keep_e = keep_e[_evenly(tp_e[keep_e] / present)]
    return PrecisionRecallCurve(*_columns(ranking, tp_e, fp_e, keep_e), present, absent)


def _columns(
    ranking: Ranking,
    tp_e: NDArray[np.int64],
    fp_e: NDArray[np.int64],
    keep_e: NDArray[np.intp],
) -> tuple[tuple[float, ...], tuple[int, ...], tuple[int, ...]]:
    threshold_e = ranking.score_n[ranking.end_e]
    return (
        tuple(threshold_e[keep_e].tolist()),
        tuple(tp_e[keep_e].tolist()),
        tuple(fp_e[keep_e].tolist()),
    )


def _counts_at_scores(
    ranking: Ranking, what: str
) -> tuple[NDArray[np.int64], NDArray[np.int64], int, int]:
    n, present = len(ranking.y_n), int(ranking.y_n.sum())
    if present in (0, n):
        raise EvaluationError(what, f"{present} positives among {n}", expected="both classes")
    tp_e = np.cumsum(ranking.y_n)[ranking.end_e].astype(np.int64)
    return tp_e, ranking.end_e + 1 - tp_e, present, n - present


def sensitivities_at(fpr_k: Floats, tp_be: Counts, fp_be: Counts) -> Floats:
    """Sensitivity at fixed false-positive rates, per row of running counts, shape (b, k).

    Between two thresholds along the straight line, on a vertical run its top. NaN without a class.
    """
    sensitivity_bk = np.full((len(tp_be), len(fpr_k)), np.nan)
    for b, (tp_e, fp_e) in enumerate(zip(tp_be, fp_be, strict=True)):
        if tp_e[-1] and fp_e[-1]:
            wanted_k = fpr_k * int(fp_e[-1])
            # The last point whose false positives do not exceed those wanted, and the next one.
            e_k = np.searchsorted(fp_e, _whole(wanted_k, np.floor), side="right")
            next_k = np.minimum(e_k, len(fp_e) - 1)
            fp_k, tp_k = (np.where(e_k > 0, run_e[e_k - 1], 0) for run_e in (fp_e, tp_e))
            share_k = (wanted_k - fp_k) / np.maximum(fp_e[next_k] - fp_k, 1)
            sensitivity_bk[b] = (tp_k + share_k * (tp_e[next_k] - tp_k)) / tp_e[-1]
    return sensitivity_bk


def achieved_sensitivities(spec_k: Floats, tp_be: Counts, fp_be: Counts) -> Floats:
    """The greatest sensitivity of a threshold whose specificity is at least `spec_k`, shape (b, k).

    NaN without a class. No interpolation: what a threshold can reach.
    """
    found_bk = np.full((len(tp_be), len(spec_k)), np.nan)
    for b, (tp_e, fp_e) in enumerate(zip(tp_be, fp_be, strict=True)):
        present, absent = int(tp_e[-1]), int(fp_e[-1])
        if present and absent:
            allowed_k = _whole((1 - spec_k) * absent, np.floor)
            e_k = np.searchsorted(fp_e, allowed_k, side="right")
            found_bk[b] = np.where(e_k > 0, tp_e[e_k - 1], 0) / present
    return found_bk


def achieved_specificities(sens_k: Floats, tp_be: Counts, fp_be: Counts) -> Floats:
    """The greatest specificity of a threshold whose sensitivity is at least `sens_k`, shape (b, k);
    as `achieved_sensitivities`."""
    found_bk = np.full((len(tp_be), len(sens_k)), np.nan)
    for b, (tp_e, fp_e) in enumerate(zip(tp_be, fp_be, strict=True)):
        present, absent = int(tp_e[-1]), int(fp_e[-1])
        if present and absent:
            e_k = np.searchsorted(tp_e, _whole(sens_k * present, np.ceil), side="left")
            found_bk[b] = 1 - fp_e[e_k] / absent
    return found_bk


def achieved_precisions(recall_k: Floats, tp_be: Counts, fp_be: Counts) -> Floats:
    """The precision at the highest threshold whose recall is at least `recall_k`, shape (b, k); NaN
    without images that have the finding."""
    found_bk = np.full((len(tp_be), len(recall_k)), np.nan)
    for b, (tp_e, fp_e) in enumerate(zip(tp_be, fp_be, strict=True)):
        if tp_e[-1]:
            needed_k = np.maximum(1, _whole(recall_k * int(tp_e[-1]), np.ceil))
            e_k = np.searchsorted(tp_e, needed_k, side="left")
            found_bk[b] = tp_e[e_k] / (tp_e[e_k] + fp_e[e_k])
    return found_bk


def partial_aurocs(tp_be: Counts, fp_be: Counts, max_fpr: float = MAX_FPR) -> Floats:
    """Area under the curve up to `max_fpr`, standardised: 0.5 is chance and 1 is perfect.

    Shape (b,); NaN without a class. Source: McClish 1989, eq. for the standardised area.
    """
    area_b = np.full(len(tp_be), np.nan)
    for b, (tp_e, fp_e) in enumerate(zip(tp_be, fp_be, strict=True)):
        present, absent = int(tp_e[-1]), int(fp_e[-1])
        if not (present and absent):
            continue
        limit = max_fpr * absent
        inside = int(np.searchsorted(fp_e, int(_whole(np.array(limit), np.floor)), side="right"))
        fp_k, tp_k = (np.append(0, running_e[:inside]) for running_e in (fp_e, tp_e))
        area = float(np.diff(fp_k) @ (tp_k[1:] + tp_k[:-1])) / 2
        rest = max(0.0, limit - fp_k[-1])
        if rest and inside < len(fp_e):  # along the line to the next point
            rise = (tp_e[inside] - tp_k[-1]) / (fp_e[inside] - fp_k[-1])
            area += rest * (tp_k[-1] + rise * rest / 2)
        share, least = area / (present * absent), max_fpr**2 / 2
        area_b[b] = 0.5 * (1 + (share - least) / (max_fpr - least))
    return area_b


def threshold_counts(
    prob_n: NDArray[np.floating], y_n: NDArray[np.floating], points: Iterable[float]
) -> ThresholdCounts:
    """Images called positive by class at 0, 0.001 … 1, finer at both ends, and at `points`."""
    prob_n, y_n = np.asarray(prob_n, dtype=np.float64), np.asarray(y_n)
    tail_k = np.round(np.geomspace(1e-6, 1e-3, 31), 9)
    grid_k = np.round(np.linspace(0, 1, 1001), 3)
    threshold_k = np.unique(np.concatenate([grid_k, tail_k, 1 - tail_k, np.array([*points])]))
    tp, fp = (
        int(side_n.sum())
        - np.searchsorted(np.sort(prob_n[side_n]), threshold_k, side="left").astype(np.int64)
        for side_n in (y_n == 1, y_n == 0)
    )
    present = int((y_n == 1).sum())
    return ThresholdCounts(
        tuple(threshold_k.tolist()),
        tuple(tp.tolist()),
        tuple(fp.tolist()),
        present,
        len(y_n) - present,
    )


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


def _evenly(along_k: Floats) -> NDArray[np.intp]:
    """At most MOST_POINTS positions, evenly along an ascending measure, first and last kept."""
    if len(along_k) <= MOST_POINTS:
        return np.arange(len(along_k))
    wanted = np.linspace(along_k[0], along_k[-1], MOST_POINTS)
    return np.unique(np.searchsorted(along_k, wanted))


def _whole(
    number_k: Floats, rounding: Callable[[Floats], NDArray[np.floating]]
) -> NDArray[np.int32]:
    """Floor or ceiling of what is whole but for float noise: 0.1 * 30 is 3.0000000000000004."""
    nearest_k = np.round(number_k)
    whole_k = np.where(np.abs(number_k - nearest_k) < 1e-6, nearest_k, rounding(number_k))
    return whole_k.astype(np.int32)


def share(numerator: NDArray[np.generic], denominator: NDArray[np.generic]) -> Floats:
    """Numerator by denominator, entry by entry; NaN where the denominator is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        quotient = np.true_divide(numerator, denominator)
    return np.where(np.asarray(denominator) == 0, np.nan, quotient)
