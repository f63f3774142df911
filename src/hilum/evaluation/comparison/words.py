"""A comparison in words: whether the data tell two classifiers apart, and what they could tell.

The figures are `compare`'s; nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hilum.estimates import Estimate
from hilum.evaluation.comparison.results import (
    Comparison,
    Difference,
    FindingComparison,
    NetBenefit,
)
from hilum.evaluation.intervals import FEW

NAMES = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "brier": "Brier score",
    "log_loss": "log loss",
    "ece": "calibration error",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "ppv": "PPV",
    "npv": "NPV",
    "f1": "F1",
    "mcc": "MCC",
    "partial_auroc": "partial AUROC",
    "sensitivity_at_specificity_90": "sensitivity at specificity 0.90",
    "sensitivity_at_specificity_95": "sensitivity at specificity 0.95",
    "specificity_at_sensitivity_90": "specificity at sensitivity 0.90",
    "specificity_at_sensitivity_95": "specificity at sensitivity 0.95",
    "brier_reliability": "Brier reliability",
    "brier_resolution": "Brier resolution",
    "ece_equal_width": "calibration error, equal width",
    "ici": "ICI",
    "lr_positive": "LR+",
    "lr_negative": "LR-",
}
_VERDICTS = {
    "a_better": "A is better",
    "b_better": "B is better",
    "not_told_apart": "not told apart",
    "same": "the same",
    "unknown": "cannot be said",
}
_TOO_FEW = "too few images to say"
_AMONG = {
    "sensitivity": "with the finding",
    "specificity": "without it",
    "accuracy": "all images",
}
NO_NRI = (
    "Net reclassification improvement is not given: it can rise by worse calibration alone (Hilden "
    "& Gerds 2014), and its test finds an improvement that is not there in 19 to 34 of 100 test "
    "sets (Pepe et al. 2014). What changed decisions are worth is the difference in net benefit "
    "(Vickers & Elkin 2006)"
)
_HOW = "; for that, state from which probability one would act: --threshold-probability 0.1"


def in_words(comparison: Comparison) -> Iterator[str]:
    """Lines for a person, the answer first within each finding."""
    if comparison.synthetic:
        yield "SYNTHETIC: no patient stands behind these images"
    yield f"A: {comparison.a}, decisions {comparison.decided_a}"
    yield f"B: {comparison.b}, decisions {comparison.decided_b}"
    yield (
        f"{comparison.n:,} images in both, of {comparison.units:,} patients; resampled by patient"
        if comparison.grouping == "patient"
        else f"{comparison.n:,} images in both; resampled by image"
    )
    several = len(comparison.findings) > 1
    if several and any("auroc" in each.figures for each in comparison.findings.values()):
        yield ""
        yield "AUROC by finding"
        rows = {name: each.figures["auroc"] for name, each in comparison.findings.items()}
        if "auroc" in comparison.macro:
            rows["mean"] = comparison.macro["auroc"]
        yield from _table(rows)
        yield f"  p is corrected: {comparison.multiplicity}"
    for finding, result in comparison.findings.items():
        yield ""
        yield from _finding(finding, result, "after Holm's correction" if several else "")
    if several and comparison.macro:
        yield ""
        yield f"Mean over the findings, of {len(comparison.findings)} compared"
        yield from _table({NAMES[name]: each for name, each in comparison.macro.items()})
    yield ""
    yield (
        "B less A stands with its 95 % interval; where there is no p, the interval decides, unless "
        f"a class has fewer than {FEW} images or patients. The last "
        "column is the smallest true difference that such data show in four of five samples "
        "(80 % power, two-sided 5 %)."
    )
    if not several:
        yield f"Correction for several tests: {comparison.multiplicity}."
    asked = any(result.net_benefit for result in comparison.findings.values())
    how = (
        ""
        if asked
        else "; state the probability from which one would act: --threshold-probability 0.1"
    )
    yield f"{NO_NRI}{how}."


def _finding(finding: str, result: FindingComparison, corrected: str) -> Iterator[str]:
    yield f"{finding}: {result.present:,} images with and {result.absent:,} without"
    if "auroc" in result.figures:
        yield f"  {_primary(result.figures['auroc'], corrected)}"
    yield from _table({NAMES[name]: each for name, each in result.figures.items()})
    yield from _decisions(result)
    for benefit in result.net_benefit:
        yield from _net_benefit(benefit)


def _primary(auroc: Difference, corrected: str) -> str:
    """Whether the data tell the two apart by AUROC, in full sentences.

    corrected: how p was corrected over the findings; "" for one finding
    """
    if auroc.verdict == "same":
        return f"By AUROC A and B are the same: {auroc.difference.reason}."
    if auroc.verdict == "unknown" and auroc.difference.low is not None:
        return f"By AUROC there are {_TOO_FEW} (B less A {_signed(auroc.difference)})."
    if auroc.verdict == "unknown":
        return f"By AUROC nothing can be said: {auroc.difference.reason}."
    if auroc.p is None:
        by = f"by its interval, {auroc.difference.method}"
    else:
        by = f"{_p(auroc)} by {auroc.test}{f', {corrected}' if corrected else ''}"
    found = f"B less A {_signed(auroc.difference)}, {by}"
    if auroc.verdict != "not_told_apart":
        which = "A" if auroc.verdict == "a_better" else "B"
        return f"By AUROC these data tell A and B apart: {which} is better ({found})."
    before = " before the correction" if corrected else ""
    cannot = (
        f"By AUROC these data cannot tell A and B apart ({found}). That does not show that they "
    )
    if auroc.detectable is None:
        return f"{cannot}are equal."
    return (
        f"{cannot}are equal: a true difference of {auroc.detectable:.4f} would have been found "
        f"in four of five such samples{before}."
    )


def _table(rows: Mapping[str, Difference]) -> Iterator[str]:
    width = max(18, *(len(name) for name in rows))
    yield (
        f"  {'':<{width}} {'A':>7} {'B':>7}  {'B less A':<30} {'p':<8} {'the data say':<21} "
        f"{'could find':>10}"
    )
    reasons = []
    for name, each in rows.items():
        if each.difference.value is None:
            reasons.append(f"  {name} has no difference: {each.difference.reason}")
            continue
        if each.difference.low is None and each.verdict == "unknown":
            reasons.append(f"  {name} has no interval: {each.difference.reason}")
        detectable = "" if each.detectable is None else f"{each.detectable:.4f}"
        yield (
            f"  {name:<{width}} {each.a.value:>7.4f} {each.b.value:>7.4f}  "
            f"{_signed(each.difference):<30} {_short_p(each):<8} "
            f"{_told(each):<21} {detectable:>10}"
        )
    yield from reasons


def _decisions(result: FindingComparison) -> Iterator[str]:
    """Who was right where, and whether sensitivity was only traded for specificity."""
    shown = [name for name in _AMONG if name in result.figures]
    if shown:
        yield "  Right on the same images (McNemar mid-p):"
    for name in shown:
        table = result.decisions[name]
        yield (
            f"    {_AMONG[name]:<17} both {table.both_right:,}, only A {table.only_a_right:,}, "
            f"only B {table.only_b_right:,}, neither {table.neither_right:,}"
        )
    verdicts = {result.figures[name].verdict for name in shown if name != "accuracy"}
    if verdicts == {"a_better", "b_better"}:
        yield (
            "  One finds more, the other raises fewer false alarms: a different operating point "
            "can do that alone. Net benefit weighs the two."
        )


def _net_benefit(benefit: NetBenefit) -> Iterator[str]:
    figure, at = benefit.figure, benefit.threshold_probability
    if figure.difference.value is None:
        yield f"  Net benefit at {at:g}: not given: {figure.difference.reason}"
        return
    yield (
        f"  Net benefit when one acts from probability {at:g} upward: A {figure.a.value:.4f}, "
        f"B {figure.b.value:.4f}; B less A {_signed(figure.difference)}: "
        f"{_told(figure)}"
    )
    yield (
        f"    per 1,000 images like these B is worth {_signed(benefit.true_positives, 1)} true "
        "positives with no more needless interventions, or"
    )
    yield (
        f"    {_signed(benefit.interventions_avoided, 1)} needless interventions avoided with no "
        "fewer true positives"
    )


def _told(difference: Difference) -> str:
    few = difference.verdict == "unknown" and difference.difference.low is not None
    return _TOO_FEW if few else _VERDICTS[difference.verdict]


def _signed(estimate: Estimate, digits: int = 4) -> str:
    """`+0.0123 (-0.0010 to +0.0256)`."""
    if estimate.value is None:
        return "none"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:+.{digits}f}"
    return (
        f"{estimate.value:+.{digits}f} ({estimate.low:+.{digits}f} to {estimate.high:+.{digits}f})"
    )


def _short_p(difference: Difference) -> str:
    p = difference.p if difference.p_adjusted is None else difference.p_adjusted
    return "" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _p(difference: Difference) -> str:
    short = _short_p(difference)
    return f"p {short}" if short.startswith("<") else f"p = {short}"
