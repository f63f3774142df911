"""Sample: the images of one finding, ready to be resampled in one pass for every figure.

What each figure means is left to `discrimination`, `reliability` and `utility`; which figures make
an evaluation, to `figures`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from hilum.evaluation import discrimination as disc
from hilum.evaluation import reliability as rel
from hilum.evaluation import utility
from hilum.evaluation.discrimination import Ranking
from hilum.evaluation.smooth_calibration import SmoothCurve
from hilum.units import Units

Floats = NDArray[np.float64]
Counts = NDArray[np.integer]

SPECIFICITIES = SENSITIVITIES = (0.9, 0.95)


@dataclass(frozen=True)
class Bins:
    """Bins of one set of probabilities, each a run of their descending order.

    order_n: that order, as positions in the sample's; None where it is the sample's own
    prob_n: in that order; starts: first image of each bin
    """

    order_n: NDArray[np.intp] | None
    prob_n: Floats
    starts: NDArray[np.intp]

    @classmethod
    def of(cls, prob_n: Floats, bin_n: NDArray[np.intp]) -> Bins:
        falls = bool((np.diff(prob_n) <= 0).all())
        order_n = None if falls else np.argsort(-prob_n, kind="stable")
        if order_n is not None:
            prob_n, bin_n = prob_n[order_n], bin_n[order_n]
        return cls(order_n, prob_n, starts_of(bin_n))

    def counts(self, weight_bn: Floats, present_bn: Floats) -> tuple[Floats, Floats, Floats]:
        """Per row and bin: images, the sum of their probabilities, images with the finding."""
        if self.order_n is not None:
            weight_bn, present_bn = weight_bn[:, self.order_n], present_bn[:, self.order_n]
        sums = (weight_bn, weight_bn * self.prob_n, present_bn)
        n_bk, prob_bk, present_bk = (np.add.reduceat(s, self.starts, axis=1) for s in sums)
        return n_bk, prob_bk, present_bk


@dataclass(frozen=True)
class Runs:
    """The descending order cut into short runs, of which each bin of any binning is a few.

    starts: first image of each run
    bins: name of a binning to the first run of each of its bins
    """

    starts: NDArray[np.intp]
    bins: Mapping[str, NDArray[np.intp]]

    @classmethod
    def of(cls, binnings: Mapping[str, NDArray[np.intp]]) -> Runs:
        """binnings: first image of each bin, by name"""
        starts = np.unique(np.concatenate([*binnings.values()]))
        return cls(starts, {name: np.searchsorted(starts, at) for name, at in binnings.items()})

    def sums(self, value_bn: Floats) -> Floats:
        """Per row and run, shape (b, runs)."""
        return np.asarray(np.add.reduceat(value_bn, self.starts, axis=1))

    def differences(self, running_bn: Counts) -> Floats:
        """`sums` of what `running_bn` is the running sum of."""
        ends = (*self.starts[1:].tolist(), running_bn.shape[1])
        upto_bs = _before(running_bn, ends).astype(np.float64)
        return np.diff(upto_bs, axis=1, prepend=0.0)

    def per_bin(self, name: str, *sums: Floats) -> tuple[Floats, ...]:
        """Each of the sums over the bins of one binning, shape (b, k)."""
        return tuple(np.add.reduceat(sum_bs, self.bins[name], axis=1) for sum_bs in sums)


@dataclass(frozen=True)
class Sample:
    """The images of one finding in descending order of probability, and what no resample changes.

    units: of the images in that order
    raw_n: uncalibrated probabilities; None where a raw logit is not known
    raw: equal-mass bins of them
    loss_nl: Brier score, log loss, and both of the uncalibrated probability, per image
    runs: of equal mass, equal width, and as the smooth curve is resampled in
    smooth: the smooth calibration curve, or why there is none
    points: operating points; acted: how many images each decision threshold calls positive
    selection: images by confidence in the deployed decision
    """

    ranking: Ranking
    units: Units
    raw_n: Floats | None
    loss_nl: Floats
    raw: Bins
    runs: Runs
    smooth: SmoothCurve | str
    points: tuple[float, ...]
    called: tuple[int, ...]
    acted: tuple[int, ...]
    selection: utility.Selection

    @classmethod
    def of(
        cls,
        prob_n: Floats,
        logit_n: Floats,
        y_n: Floats,
        units: Units,
        points: Sequence[float],
        deployed: float,
    ) -> Sample:
        """prob_n, logit_n (NaN where unknown), y_n, units: of the same images, at least one"""
        ranking = Ranking.of(prob_n, y_n, logit_n)
        prob_n, y_n, logit_n = ranking.score_n, ranking.y_n, logit_n[ranking.order_n]
        logits = not bool(np.isnan(logit_n).any())
        logit_n = logit_n if logits else np.zeros(len(logit_n))
        raw_n = expit(logit_n)
        losses = (
            rel.brier_scores(prob_n, y_n),
            rel.log_losses(prob_n, y_n),
            rel.brier_scores(raw_n, y_n),
            rel.log_losses(raw_n, y_n),  # clipped as the calibrated ones, to be compared with them
        )
        bins = rel.bins_for(len(y_n))
        wrong_n = (prob_n >= deployed) != (y_n == 1)
        smooth = SmoothCurve.fit(prob_n, y_n)
        binnings = {
            "mass": starts_of(rel.equal_mass_bins(prob_n, bins)),
            "width": starts_of(rel.equal_width_bins(prob_n)),
        }
        if isinstance(smooth, SmoothCurve):
            binnings["smooth"] = smooth.starts
        return cls(
            ranking=ranking,
            units=units.where(ranking.order_n),
            raw_n=raw_n if logits else None,
            loss_nl=np.column_stack(losses),
            raw=Bins.of(raw_n, rel.equal_mass_bins(raw_n, bins)),
            runs=Runs.of(binnings),
            smooth=smooth,
            points=tuple(points),
            called=tuple(ranking.called(threshold) for threshold in points),
            acted=tuple(ranking.called(threshold) for threshold in utility.ACTING),
            selection=utility.Selection(wrong_n, utility.confidence(prob_n, deployed)),
        )

    @property
    def n(self) -> int:
        return len(self.ranking.y_n)

    @property
    def present(self) -> int:
        return int(self.ranking.y_n.sum())

    def statistics(self, count_bn: NDArray[np.int32]) -> dict[str, Floats]:
        """Each figure when image n counts `count_bn` times: shape (b, 1), or (b, k) with one column
        per operating point or per place on a curve's grid. NaN where a resample has none."""
        running = self.ranking.running(count_bn)
        return {
            **self._ranks(count_bn, *running),
            **self._probabilities(count_bn, *running),
            **self._selection(count_bn),
        }

    def _ranks(self, count_bn: Counts, called_bn: Counts, tp_bn: Counts) -> dict[str, Floats]:
        """All that follows from how many are called positive, and how many of those rightly."""
        total_b, present_b = called_bn[:, -1:], tp_bn[:, -1:]
        tp_be = self.ranking.at_ends(tp_bn)
        fp_be = self.ranking.at_ends(called_bn) - tp_be

        called_bk, tp_bk = (_before(running, self.called) for running in (called_bn, tp_bn))
        fp_bk, fn_bk = called_bk - tp_bk, present_b - tp_bk
        tn_bk = total_b - called_bk - fn_bk
        acted_bt, hit_bt = (_before(running, self.acted) for running in (called_bn, tp_bn))
        benefits = (total_b[:, 0], np.array(self.points))
        smallest = np.array(SPECIFICITIES), np.array(SENSITIVITIES)
        return {
            "auroc": disc.aurocs(self.ranking, count_bn, called_bn, tp_bn)[:, None],
            "partial_auroc": disc.partial_aurocs(tp_be, fp_be)[:, None],
            "average_precision": disc.average_precisions(self.ranking, count_bn, called_bn, tp_bn)[
                :, None
            ],
            "sensitivity_at_specificity": disc.achieved_sensitivities(smallest[0], tp_be, fp_be),
            "specificity_at_sensitivity": disc.achieved_specificities(smallest[1], tp_be, fp_be),
            "accuracy": disc.share(tn_bk + tp_bk, np.broadcast_to(total_b, tp_bk.shape)),
            "sensitivity": disc.share(tp_bk, tp_bk + fn_bk),
            "specificity": disc.share(tn_bk, tn_bk + fp_bk),
            "ppv": disc.share(tp_bk, called_bk),
            "npv": disc.share(tn_bk, tn_bk + fn_bk),
            "f1": disc.f1(tn_bk, fp_bk, fn_bk, tp_bk),
            "f1_absent": disc.f1(tp_bk, fn_bk, fp_bk, tn_bk),
            "balanced_accuracy": disc.balanced_accuracy(tn_bk, fp_bk, fn_bk, tp_bk),
            "mcc": disc.mcc(tn_bk, fp_bk, fn_bk, tp_bk),
            "net_benefit": utility.net_benefits(tp_bk, fp_bk, *benefits),
            "roc_band": disc.sensitivities_at(np.array(disc.HUNDREDTHS), tp_be, fp_be),
            "precision_band": disc.achieved_precisions(np.array(disc.HUNDREDTHS), tp_be, fp_be),
            "decision_band": utility.net_benefits(
                hit_bt, acted_bt - hit_bt, total_b[:, 0], np.array(utility.ACTING)
            ),
        }

    def _probabilities(
        self, count_bn: Counts, called_bn: Counts, tp_bn: Counts
    ) -> dict[str, Floats]:
        """All that follows from what the probabilities say, in bins or one by one."""
        weight_bn = count_bn.astype(np.float64)
        total_b, present_b = (running[:, -1].astype(np.float64) for running in (called_bn, tp_bn))
        with np.errstate(invalid="ignore", divide="ignore"):
            mean_bl = weight_bn @ self.loss_nl / total_b[:, None]
        n_bs, present_bs = self.runs.differences(called_bn), self.runs.differences(tp_bn)
        prob_bs = self.runs.sums(weight_bn * self.ranking.score_n)
        sums = (n_bs, prob_bs, present_bs)
        square_b = rel.debiased_square_errors(*self.runs.per_bin("mass", *sums))
        uncertainty_b = rel.uncertainties(total_b, present_b)
        found = {
            "brier": mean_bl[:, 0],
            "log_loss": mean_bl[:, 1],
            "brier_uncalibrated": mean_bl[:, 2],
            "log_loss_uncalibrated": mean_bl[:, 3],
            "brier_reliability": square_b,
            "brier_resolution": square_b + uncertainty_b - mean_bl[:, 0],
            "brier_uncertainty": uncertainty_b,
            "ece_equal_width": rel.calibration_errors(*self.runs.per_bin("width", *sums)),
        }
        if self.raw_n is not None:
            found["square_uncalibrated"] = rel.debiased_square_errors(
                *self.raw.counts(weight_bn, weight_bn * self.ranking.y_n)
            )
        columns = {name: figure_b[:, None] for name, figure_b in found.items()}
        if isinstance(self.smooth, SmoothCurve):
            n_bg, present_bg = self.runs.per_bin("smooth", n_bs, present_bs)
            coefficient_bp, ici_b = self.smooth.refitted(n_bg, present_bg)
            columns |= {"ici": ici_b[:, None], "smooth": coefficient_bp}
        return columns

    def _selection(self, count_bn: NDArray[np.int32]) -> dict[str, Floats]:
        augrc_b, risk_bc = self.selection.statistics(count_bn)
        return {"augrc": augrc_b[:, None], "generalised_risk": risk_bc}


def starts_of(bin_n: NDArray[np.intp]) -> NDArray[np.intp]:
    """First image of each bin, bins being runs."""
    return np.flatnonzero(np.diff(bin_n, prepend=-1))


def _before(running_bn: Counts, position_k: Sequence[int]) -> Counts:
    """The running count over the first `position` images (0 before any), per row and position."""
    position = np.array(position_k, dtype=np.intp)
    return np.where(position > 0, running_bn[:, np.maximum(position, 1) - 1], 0)
