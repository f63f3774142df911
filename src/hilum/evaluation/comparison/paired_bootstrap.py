"""Paired bootstrap: any figure of two classifiers on the same resamples of the same patients.

Figures that have a test of their own get it in `paired_tests`; what is compared is `comparing`'s.

Both classifiers count each image equally often in a resample, so what makes a sample easy or hard
for both falls out of the difference. Source: Efron & Tibshirani 1993, chapters 8 and 13; Rutter
2000 (patients as the unit).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.evaluation import discrimination as disc
from hilum.evaluation import reliability as rel
from hilum.evaluation.comparison.further_figures import Further
from hilum.evaluation.discrimination import Ranking
from hilum.evaluation.figures import roots
from hilum.evaluation.intervals import Resampling
from hilum.evaluation.sample import starts_of
from hilum.evaluation.utility import net_benefits

Floats = NDArray[np.float64]
Counts = NDArray[np.int32]


@dataclass(frozen=True)
class Side:
    """One classifier's answers for one finding, in descending order of probability.

    part_nk: per image its Brier score, log loss, whether it is a true and a false positive of the
        decision, then the same two at each of `acting_t`
    starts: first image of each reliability bin
    acting_t: threshold probabilities at which net benefit is asked for
    further: figures computed only where they are asked for
    """

    ranking: Ranking
    part_nk: Floats
    starts: NDArray[np.intp]
    acting_t: Floats
    further: Further

    @classmethod
    def of(
        cls,
        prob_n: Floats,
        logit_n: Floats,
        y_n: Floats,
        decision_n: NDArray[np.bool_],
        acting: Sequence[float] = (),
        further: Collection[str] = (),
    ) -> Side:
        """prob_n: in [0, 1]; logit_n: raw, NaN where unknown, parts equal probabilities; y_n: 1
        present, 0 absent; decision_n: True = called positive; all of shape (n,), n > 0; further:
        some of FURTHER"""
        ranking = Ranking.of(prob_n, y_n, logit_n)
        prob_n, y_n = ranking.score_n, ranking.y_n
        acting_t = np.array(acting, dtype=np.float64)
        called_nt = np.column_stack([decision_n[ranking.order_n], prob_n[:, None] >= acting_t])
        hits = [part for called_n in called_nt.T for part in (called_n * y_n, called_n * (1 - y_n))]
        bin_n = rel.equal_mass_bins(prob_n, rel.bins_for(len(y_n)))
        return cls(
            ranking,
            np.column_stack([rel.brier_scores(prob_n, y_n), rel.log_losses(prob_n, y_n), *hits]),
            starts_of(bin_n),
            acting_t,
            Further.of(ranking, further),
        )

    @property
    def score_n(self) -> Floats:
        """A score that ranks as `ranking` does, in the order of the images given to `of`, (n,)."""
        score_n = np.empty(len(self.ranking.y_n))
        score_n[self.ranking.order_n] = self.ranking.rank_n
        return score_n

    def statistics(self, count_bn: Counts) -> dict[str, Floats]:
        """Each figure, shape (b,), when image n (in the order given to `of`) counts `count_bn`
        times; NaN where a resample has none. "ece" is still squared, and may be below 0;
        "net_benefit_{t}" is there for each threshold probability."""
        count_bn = count_bn[:, self.ranking.order_n]
        called_bn, tp_bn = self.ranking.running(count_bn)
        total_b, present_b = called_bn[:, -1], tp_bn[:, -1]
        weight_bn = count_bn.astype(np.float64)
        sum_bk = weight_bn @ self.part_nk
        hit_bk = np.rint(sum_bk[:, 2:]).astype(np.int64)
        tp_b, fp_b = hit_bk[:, 0], hit_bk[:, 1]
        fn_b, tn_b = present_b - tp_b, total_b - present_b - fp_b
        n_bk = np.add.reduceat(weight_bn, self.starts, axis=1)
        present_bk = np.add.reduceat(weight_bn * self.ranking.y_n, self.starts, axis=1)
        weight_bn *= self.ranking.score_n
        prob_bk = np.add.reduceat(weight_bn, self.starts, axis=1)
        benefit_bt = net_benefits(hit_bk[:, 2::2], hit_bk[:, 3::2], total_b, self.acting_t)
        found = {
            "auroc": disc.aurocs(self.ranking, count_bn, called_bn, tp_bn),
            "average_precision": disc.average_precisions(self.ranking, count_bn, called_bn, tp_bn),
            "brier": disc.share(sum_bk[:, 0], total_b),
            "log_loss": disc.share(sum_bk[:, 1], total_b),
            "ece": rel.debiased_square_errors(n_bk, prob_bk, present_bk),
            "sensitivity": disc.share(tp_b, present_b),
            "specificity": disc.share(tn_b, tn_b + fp_b),
            "accuracy": disc.share(tp_b + tn_b, total_b),
            "balanced_accuracy": disc.balanced_accuracy(tn_b, fp_b, fn_b, tp_b),
            "ppv": disc.share(tp_b, tp_b + fp_b),
            "npv": disc.share(tn_b, tn_b + fn_b),
            "f1": disc.f1(tn_b, fp_b, fn_b, tp_b),
            "mcc": disc.mcc(tn_b, fp_b, fn_b, tp_b),
        } | {f"net_benefit_{t}": benefit_bt[:, t] for t in range(len(self.acting_t))}
        return found | self.further.statistics(count_bn, called_bn, tp_bn, found)


@dataclass(frozen=True)
class Resampled:
    """One classifier's figures: `value` on all images, `value_b` per resample, NaN where none."""

    value: Mapping[str, float]
    value_b: Mapping[str, Floats]


def resampled_pair(
    a: Side, b: Side, resampling: Resampling, drawn_n: NDArray[np.intp]
) -> tuple[Resampled, Resampled]:
    """Every figure of both on the same resamples, in bounded memory.

    drawn_n: which drawn unit an image belongs to, shape (n,)
    """

    def both(count_bn: Counts) -> dict[str, Floats]:
        found_a, found_b = a.statistics(count_bn), b.statistics(count_bn)
        # One row per resample, a and b beside each other.
        return {name: np.column_stack([found_a[name], found_b[name]]) for name in found_a}

    value_bs = resampling.over(drawn_n, both)
    once = both(np.ones((1, len(drawn_n)), dtype=np.int32))
    sides = []
    for s in range(2):
        value = {name: float(value_bs[0, s]) for name, value_bs in once.items()}
        sides.append(_rooted(value, {name: found[:, s] for name, found in value_bs.items()}))
    return sides[0], sides[1]


def _rooted(value: dict[str, float], value_b: dict[str, Floats]) -> Resampled:
    """With the calibration error as the root of its square, its resamples first moved by their
    bias: drawing from the data adds their noise a second time (Efron & Tibshirani 1993, 10.2)."""
    return Resampled(
        value | {"ece": float(np.sqrt(max(0.0, value["ece"])))},
        value_b | {"ece": roots(value["ece"], value_b["ece"])},
    )
