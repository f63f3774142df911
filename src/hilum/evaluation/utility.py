"""Utility: what acting on a probability gains and costs, and what is gained by not answering.

Arrays end in `_bt` (b resamples, t thresholds) or `_bn` (n images in descending order of
confidence). Whether probabilities are right is left to `reliability`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

Floats = NDArray[np.float64]
Counts = NDArray[np.integer]

ACTING = tuple(round(step / 100, 2) for step in range(1, 100))  # thresholds of a decision curve
COVERAGE = tuple(round(step / 50, 2) for step in range(1, 51))


def net_benefits(tp_bt: Counts, fp_bt: Counts, n_b: Counts, threshold_t: Floats) -> Floats:
    """True positives less false positives at the exchange rate the threshold states, per image.

    tp_bt, fp_bt: counts at prob >= threshold_t; n_b: images per row
    Returns shape (b, t), NaN where threshold is 1 (infinitely many false positives to avoid one
    miss) or n is 0. Source: Vickers & Elkin 2006.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        weight_t = threshold_t / (1 - threshold_t)
        benefit_bt = (tp_bt - fp_bt * weight_t) / np.asarray(n_b)[:, None]
    return np.where(np.isfinite(benefit_bt), benefit_bt, np.nan)


def treat_all(present: int, n: int, threshold_t: Floats) -> Floats:
    """Net benefit of acting on every image, shape (t,); acting on none has 0."""
    weight_t = threshold_t / (1 - threshold_t)
    benefit_t: Floats = present / n - (n - present) / n * weight_t
    return benefit_t


def confidence(prob_n: NDArray[np.floating], threshold: float) -> Floats:
    """How far a probability lies from the threshold, in logits, shape (n,); infinite at 0 and 1."""
    with np.errstate(divide="ignore"):
        at = logit(np.asarray(prob_n, dtype=np.float64))
        from_ = float(logit(threshold))
    with np.errstate(invalid="ignore"):
        distance_n = np.abs(at - from_)
    # inf - inf: a probability of 0 (1) at a threshold of 0 (1) is on the threshold.
    return np.where(np.isnan(distance_n), 0.0, distance_n)


class Selection:
    """Images in descending order of confidence, with which are wrong: what selective risk needs.

    wrong_n: errors at the deployed point, in the order of the data given; confidence_n likewise
    """

    def __init__(self, wrong_n: NDArray[np.bool_], confidence_n: Floats) -> None:
        self.order_n = np.argsort(-confidence_n, kind="stable")
        ordered_n = confidence_n[self.order_n]
        self.end_e = np.flatnonzero(np.append(ordered_n[1:] != ordered_n[:-1], True))
        self.wrong_n = wrong_n[self.order_n]
        self._wrong_w = np.flatnonzero(self.wrong_n)
        block_w = np.searchsorted(self.end_e, self._wrong_w)
        self._last_w = self.end_e[block_w]
        self._before_w = np.where(block_w > 0, self.end_e[block_w - 1], -1)

    def statistics(self, count_bn: Counts) -> tuple[Floats, Floats]:
        """AUGRC, shape (b,), and errors among the `COVERAGE` most confident as a share of all
        images, shape (b, COVERAGE), when image n (in the data's order) counts `count_bn` times.

        AUGRC is the chance that of two images drawn at random the first is wrong and is answered
        no later than the second: the mean, over all coverages, of errors let through, as a share of
        all images; 0 is best and half the error rate is chance. Images of equal confidence enter
        together, along a straight line. Source: Traub et al. 2024, eq. 5.
        """
        count_bn = count_bn[:, self.order_n]
        running_bn = np.cumsum(count_bn, axis=1, dtype=np.int32)
        total_b = running_bn[:, -1].astype(np.float64)
        before_bw = np.where(self._before_w >= 0, running_bn[:, self._before_w], 0)
        middle_bw = (before_bw + running_bn[:, self._last_w]) / 2
        weight_bw = count_bn[:, self._wrong_w]
        with np.errstate(invalid="ignore", divide="ignore"):
            augrc_b = (weight_bw * (total_b[:, None] - middle_bw)).sum(axis=1) / total_b**2
        # Errors in the order of confidence: few, so their own running sum is short.
        error_bw = np.cumsum(weight_bw, axis=1)
        risk_bc = np.full((len(count_bn), len(COVERAGE)), np.nan)
        for b, total in enumerate(total_b):
            if total:
                risk_bc[b] = self._errors(running_bn[b], error_bw[b], total) / total
        return augrc_b, risk_bc

    def _errors(self, running_n: Counts, error_w: Counts, total: float) -> Floats:
        """Errors among the first `COVERAGE * total` images, along the line within ties."""
        wanted_c = np.array(COVERAGE) * total
        # The tie block in which the coverage is reached.
        block_c = np.searchsorted(
            running_n[self.end_e], np.ceil(wanted_c - 1e-9).astype(np.int32), side="left"
        )
        last_c = self.end_e[block_c]
        before_c = np.where(block_c > 0, self.end_e[block_c - 1], -1)
        errors_upto = np.append(0, error_w)
        at_last_c = errors_upto[np.searchsorted(self._wrong_w, last_c, side="right")]
        at_before_c = errors_upto[np.searchsorted(self._wrong_w, before_c, side="right")]
        n_last_c = running_n[last_c]
        n_before_c = np.where(before_c >= 0, running_n[before_c], 0)
        share_c = (wanted_c - n_before_c) / np.maximum(n_last_c - n_before_c, 1)
        errors_c: Floats = at_before_c + share_c * (at_last_c - at_before_c)
        return errors_c
