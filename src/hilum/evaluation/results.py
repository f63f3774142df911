"""Results: the frozen values that an evaluation holds. What they mean; no arithmetic beyond shares.

They are computed in the modules named at each, put together in `evaluate`, drawn in `plots`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hilum.estimates import Estimate


@dataclass(frozen=True)
class Confusion:
    """Counts at one threshold; positive is prob >= threshold. (`discrimination`)"""

    tn: int
    fp: int
    fn: int
    tp: int

    @property
    def rows(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """A row per truth (absent, present), a column per decision (negative, positive)."""
        return (self.tn, self.fp), (self.fn, self.tp)

    @property
    def row_shares(self) -> tuple[tuple[float | None, float | None], ...]:
        """`rows` as shares of their row, None in a row without images."""
        return tuple(
            (left / (left + right), right / (left + right)) if left + right else (None, None)
            for left, right in self.rows
        )


@dataclass(frozen=True)
class AtPrevalence:
    """What sensitivity and specificity are worth where a share `prevalence` has the finding."""

    prevalence: float
    ppv: Estimate
    npv: Estimate


@dataclass(frozen=True)
class PointFigures:
    """What one operating point yields.

    threshold: on calibrated probability; positive is prob >= threshold
    rule: how it was chosen, in words; "" for 0.5
    figures: accuracy, sensitivity, specificity, ppv, npv, lr_positive, lr_negative, f1,
        balanced_accuracy, mcc, net_benefit
    by_class: "absent" and "present", each with precision, recall and f1
    at_prevalence: PPV and NPV at the prevalences that the user stated
    """

    threshold: float
    rule: str
    confusion: Confusion
    figures: Mapping[str, Estimate]
    by_class: Mapping[str, Mapping[str, Estimate]]
    at_prevalence: tuple[AtPrevalence, ...] = ()


@dataclass(frozen=True)
class Band:
    """A pointwise 95 % band by bootstrap over the same grid as the curve it belongs to."""

    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class RocCurve:
    """Counts per threshold, descending; the origin (nothing called positive) is left out.

    threshold, tp, fp: one entry per point; straight runs keep their ends only
    present, absent: images with and without the finding
    band_fpr, band: 95 % band of the sensitivity at fixed false-positive rates; None when it
        cannot be computed
    (`discrimination`)
    """

    threshold: tuple[float, ...]
    tp: tuple[int, ...]
    fp: tuple[int, ...]
    present: int
    absent: int
    band_fpr: tuple[float, ...] = ()
    band: Band | None = None


@dataclass(frozen=True)
class PrecisionRecallCurve:
    """Precision against recall, from the same thresholds as the ROC curve.

    threshold, tp, fp: one entry per point, threshold descending
    present, absent: images with and without the finding
    band_recall, band: 95 % band of the precision at fixed recalls
    (`discrimination`)
    """

    threshold: tuple[float, ...]
    tp: tuple[int, ...]
    fp: tuple[int, ...]
    present: int
    absent: int
    band_recall: tuple[float, ...] = ()
    band: Band | None = None


@dataclass(frozen=True)
class ScoreHistogram:
    """Images per class and probability bin: `edge` has one entry more than the counts."""

    edge: tuple[float, ...]
    absent: tuple[int, ...]
    present: tuple[int, ...]


@dataclass(frozen=True)
class ThresholdCounts:
    """Images called positive at each threshold of a fine grid, by class: what a slider needs.

    threshold: ascending, in [0, 1], with every operating point among them
    tp, fp: images with and without the finding whose prob >= threshold
    present, absent: images with and without the finding
    """

    threshold: tuple[float, ...]
    tp: tuple[int, ...]
    fp: tuple[int, ...]
    present: int
    absent: int


@dataclass(frozen=True)
class ReliabilityCurve:
    """Stated against observed, per bin of about equal numbers of images, and as a smooth curve.

    mean_prob: mean probability in the bin; observed: share with the finding; both in [0, 1]
    low, high: 95 % Wilson limits of `observed`
    n, present: images in the bin, and those with the finding
    smooth_prob, smooth: the flexible calibration curve that the calibration index rests on, and
        where it is drawn; empty when it cannot be fitted
    band: 95 % bootstrap band of `smooth`
    (`reliability`)
    """

    mean_prob: tuple[float, ...]
    observed: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    n: tuple[int, ...]
    present: tuple[int, ...]
    smooth_prob: tuple[float, ...] = ()
    smooth: tuple[float, ...] = ()
    band: Band | None = None


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit per image against the threshold probability at which one would act.

    threshold: in (0, 1), ascending; model, treat_all: net benefit there; treat-none is 0
    band: 95 % bootstrap band of `model`
    (`utility`)
    """

    threshold: tuple[float, ...]
    model: tuple[float, ...]
    treat_all: tuple[float, ...]
    band: Band | None = None


@dataclass(frozen=True)
class RiskCoverageCurve:
    """What is wrong among the images that are answered, when the least certain are set aside.

    coverage: share of images answered, in (0, 1], ascending
    selective_risk: errors at the deployed point among those answered
    generalised_risk: errors among those answered, as a share of all images
    band: 95 % bootstrap band of `selective_risk`
    (`utility`)
    """

    coverage: tuple[float, ...]
    selective_risk: tuple[float, ...]
    generalised_risk: tuple[float, ...]
    band: Band | None = None


@dataclass(frozen=True)
class PrevalenceCurve:
    """PPV and NPV of the deployed point against the prevalence where it would be used.

    prevalence: in (0, 1), ascending
    (`discrimination`)
    """

    prevalence: tuple[float, ...]
    ppv: tuple[float, ...]
    npv: tuple[float, ...]
    ppv_band: Band | None = None
    npv_band: Band | None = None


@dataclass(frozen=True)
class Curves:
    """Curves with their counts; one that needs what is not there is None."""

    roc: RocCurve | None
    precision_recall: PrecisionRecallCurve | None
    reliability: ReliabilityCurve | None
    reliability_uncalibrated: ReliabilityCurve | None
    decision: DecisionCurve | None
    risk_coverage: RiskCoverageCurve | None
    prevalence: PrevalenceCurve | None
    scores: ScoreHistogram
    counts: ThresholdCounts


@dataclass(frozen=True)
class SetLimits:
    """Conformal limits on calibrated probability, from the calibrate role.

    coverage: asked for, in (0, 1), in each class
    present_from: "present" is in the set when prob >= this (0: always)
    absent_to: "absent" is in the set when prob <= this (1: always)
    """

    coverage: float
    present_from: float
    absent_to: float


@dataclass(frozen=True)
class PredictionSets:
    """What conformal sets do on these images.

    limits: what they rest on
    counts: per true class ("absent", "present"), how many images got the set {absent} alone,
        {present} alone, "both" and "none" (neither is likely enough): either
        way, refer to a person
    figures: coverage, coverage_absent, coverage_present (each against `limits.coverage`), decided
        (one class in the set), referred (both), none, error_when_decided, mean_size,
        mean_size_absent, mean_size_present
    (`prediction_sets`)
    """

    limits: SetLimits
    counts: Mapping[str, Mapping[str, int]]
    figures: Mapping[str, Estimate]


@dataclass(frozen=True)
class Gap:
    """How far a group lies from all other images: difference, and whether chance explains it.

    difference: group less the rest, with its interval
    p, p_adjusted: two-sided, and after the multiplicity correction; None where not tested
    """

    difference: Estimate
    p: float | None
    p_adjusted: float | None


@dataclass(frozen=True)
class Group:
    """Figures of one group at the deployed operating point.

    name: the value, or the bin such as "[40, 60)"
    units: patients (or images where no patient is known)
    figures: auroc, sensitivity, specificity, ppv, npv, false_negative_rate, false_positive_rate,
        ece, brier; missing estimates say why, among them "fewer than 20 images with the finding"
    gaps: by the same names, for auroc, false_negative_rate and false_positive_rate
    """

    name: str
    n: int
    present: int
    absent: int
    units: int
    figures: Mapping[str, Estimate]
    gaps: Mapping[str, Gap]


@dataclass(frozen=True)
class Subgrouping:
    """One finding broken down by one column.

    missing: images whose value is unknown
    smallest: fewest images of a class for which a figure of that class is given
    multiplicity: the correction over which p values, in words
    (`subgroups`)
    """

    column: str
    groups: tuple[Group, ...]
    missing: int
    smallest: int
    multiplicity: str
