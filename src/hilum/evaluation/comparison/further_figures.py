"""Further figures: those of `evaluate` that a comparison gives only when they are asked for.

Each is computed by the functions that `evaluate` uses; `paired_bootstrap` resamples them beside the
usual figures, so that not asking for them costs nothing.

The calibration intercept and slope are not among them: they are best at 0 and at 1, so more of them
is neither better nor worse, and each resample would need regressions of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.evaluation import discrimination as disc
from hilum.evaluation import reliability as rel
from hilum.evaluation.discrimination import Ranking
from hilum.evaluation.sample import SENSITIVITIES, SPECIFICITIES, Runs, starts_of
from hilum.evaluation.smooth_calibration import SmoothCurve

Floats = NDArray[np.float64]
Counts = NDArray[np.integer]

_AT_SPECIFICITY = {f"sensitivity_at_specificity_{100 * at:.0f}": at for at in SPECIFICITIES}
_AT_SENSITIVITY = {f"specificity_at_sensitivity_{100 * at:.0f}": at for at in SENSITIVITIES}

# In the order of a report.
FURTHER = (
    "partial_auroc",
    *_AT_SPECIFICITY,
    *_AT_SENSITIVITY,
    "brier_reliability",
    "brier_resolution",
    "ece_equal_width",
    "ici",
    "lr_positive",
    "lr_negative",
)
NEED_BOTH = (*FURTHER[:5], "lr_positive", "lr_negative")


@dataclass(frozen=True)
class Further:
    """One classifier's further figures, those asked for.

    runs: of the bins of equal width and of the smooth curve's groups, where either is asked for
    smooth: the smooth calibration curve, or why there is none; "" where it is not asked for
    """

    names: tuple[str, ...]
    ranking: Ranking
    runs: Runs | None
    smooth: SmoothCurve | str

    @classmethod
    def of(cls, ranking: Ranking, names: Collection[str]) -> Further:
        """ranking: of the probabilities, n > 0; names: some of FURTHER"""
        smooth: SmoothCurve | str = ""
        binnings = {}
        if "ici" in names:
            smooth = SmoothCurve.fit(ranking.score_n, ranking.y_n)
            if isinstance(smooth, SmoothCurve):
                binnings["smooth"] = smooth.starts
        if "ece_equal_width" in names:
            binnings["width"] = starts_of(rel.equal_width_bins(ranking.score_n))
        chosen = tuple(name for name in FURTHER if name in names)
        return cls(chosen, ranking, Runs.of(binnings) if binnings else None, smooth)

    def statistics(
        self, count_bn: Counts, called_bn: Counts, tp_bn: Counts, usual: Mapping[str, Floats]
    ) -> dict[str, Floats]:
        """Each figure, shape (b,); NaN where a resample has none, or an infinite one.

        count_bn: in descending order of probability; called_bn, tp_bn: `ranking.running` of it
        usual: of the same resamples "sensitivity", "specificity", "brier" and "ece", still squared
        """
        total_b, present_b = (running_bn[:, -1].astype(float) for running_bn in (called_bn, tp_bn))
        sensitivity_b, specificity_b = usual["sensitivity"], usual["specificity"]
        tp_be = self.ranking.at_ends(tp_bn)
        fp_be = self.ranking.at_ends(called_bn) - tp_be
        ways: dict[str, Callable[[], Floats]] = {
            "partial_auroc": lambda: disc.partial_aurocs(tp_be, fp_be),
            "brier_reliability": lambda: usual["ece"],
            "brier_resolution": lambda: (
                usual["ece"] + rel.uncertainties(total_b, present_b) - usual["brier"]
            ),
            "lr_positive": lambda: _finite_ratio(sensitivity_b, 1 - specificity_b),
            "lr_negative": lambda: _finite_ratio(1 - sensitivity_b, specificity_b),
        }
        found = {name: ways[name]() for name in self.names if name in ways}
        for name in self.names:
            if name in _AT_SPECIFICITY:
                at_k = np.array([_AT_SPECIFICITY[name]])
                found[name] = disc.achieved_sensitivities(at_k, tp_be, fp_be)[:, 0]
            elif name in _AT_SENSITIVITY:
                at_k = np.array([_AT_SENSITIVITY[name]])
                found[name] = disc.achieved_specificities(at_k, tp_be, fp_be)[:, 0]
        return found | self._binned(count_bn, called_bn, tp_bn)

    def _binned(self, count_bn: Counts, called_bn: Counts, tp_bn: Counts) -> dict[str, Floats]:
        found = {}
        if "ici" in self.names:
            found["ici"] = np.full(len(count_bn), np.nan)
        if self.runs is None:
            return found
        n_bs, present_bs = self.runs.differences(called_bn), self.runs.differences(tp_bn)
        if isinstance(self.smooth, SmoothCurve):
            counts = self.runs.per_bin("smooth", n_bs, present_bs)
            found["ici"] = self.smooth.refitted(counts[0], counts[1])[1]
        if "ece_equal_width" in self.names:
            prob_bs = self.runs.sums(count_bn * self.ranking.score_n)
            sums = self.runs.per_bin("width", n_bs, prob_bs, present_bs)
            found["ece_equal_width"] = rel.calibration_errors(*sums)
        return found


def _finite_ratio(share_b: Floats, other_b: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio_b = share_b / other_b
    return np.where(np.isfinite(ratio_b), ratio_b, np.nan)
