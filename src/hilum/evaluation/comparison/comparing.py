"""Compare: from two sets of predictions to a Comparison, on the images that stand in both.

Which images are meant is found in `pairing`; one finding's figures are computed in
`paired_figures`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from hilum.errors import EvaluationError
from hilum.evaluation.comparison.paired_figures import (
    ALL_FIGURES,
    FIGURES,
    Answers,
    PairedFigures,
    mean_figures,
    paired_figures,
    verdict,
)
from hilum.evaluation.comparison.pairing import Pairing, findings_in_both
from hilum.evaluation.comparison.results import Comparison, FindingComparison
from hilum.evaluation.intervals import FEW, Resampling, holm
from hilum.evaluation.predictions import Predictions

RESAMPLES = 2000


def compare(
    a: Predictions,
    b: Predictions,
    *,
    rng: np.random.Generator,
    findings: Sequence[str] | None = None,
    figures: Sequence[str] | None = None,
    threshold_a: float | None = None,
    threshold_b: float | None = None,
    threshold_probabilities: Sequence[float] = (),
    resamples: int = RESAMPLES,
    cautions: Sequence[str] = (),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Comparison:
    """Every figure of a and of b on the images in both, and what b has more than a.

    findings: None for all that stand in both, by name
    figures: some of ALL_FIGURES; None for FIGURES, others are computed only if asked for
    threshold_a, threshold_b: in [0, 1], positive is prob >= it; None takes each file's decisions
    threshold_probabilities: in (0, 1), at which the difference in net benefit is given
    rng: draws the resamples; the same generator gives the same comparison
    cautions: what is known of the predictions already; more are added
    progress: called with the findings done and the findings in all
    Raises EvaluationError when no image or finding stands in both, when a label or a patient
    differs between them, or on an argument out of range.
    """
    chosen = _chosen(figures)
    _refuse(threshold_a, threshold_b, threshold_probabilities, resamples)
    pairing = Pairing.of(a, b)
    spelt = findings_in_both(a, b, None if findings is None else tuple(findings))
    resampling = Resampling.of(pairing.units, rng, resamples)
    compared: dict[str, PairedFigures] = {}
    for done, (finding, other) in enumerate(spelt.items()):
        compared[finding] = paired_figures(
            pairing.label(finding, other),
            Answers.of(a, finding, pairing.row_a_n, threshold_a),
            Answers.of(b, other, pairing.row_b_n, threshold_b),
            pairing.units,
            resampling,
            threshold_probabilities,
            chosen,
        )
        progress(done + 1, len(spelt))
    results = {finding: each.result for finding, each in compared.items()}
    multiplicity = _correct(results, compared)
    return Comparison(
        a=a.where,
        b=b.where,
        decided_a=_decided(threshold_a),
        decided_b=_decided(threshold_b),
        synthetic=a.synthetic or b.synthetic,
        n=len(pairing.image_id_n),
        only_a=pairing.only_a,
        only_b=pairing.only_b,
        grouping=pairing.units.kind,
        units=pairing.units.count,
        resamples=resamples,
        multiplicity=multiplicity if "auroc" in chosen else "none, as AUROC was not asked for",
        cautions=(*_cautions(pairing, compared), *cautions),
        findings={
            finding: replace(
                result,
                figures={name: result.figures[name] for name in ALL_FIGURES if name in chosen},
            )
            for finding, result in results.items()
        },
        macro={
            name: found
            for name, found in mean_figures(compared.values(), pairing.units).items()
            if name in chosen and len(compared) > 1
        },
    )


def _correct(results: dict[str, FindingComparison], compared: Mapping[str, PairedFigures]) -> str:
    """Adjust the p values of AUROC over the findings, in place; what was done, in words."""
    tested = {
        finding: figure
        for finding, result in results.items()
        if (figure := result.figures["auroc"]).p is not None
    }
    adjusted = holm([figure.p for figure in tested.values() if figure.p is not None])
    for (finding, figure), p in zip(tested.items(), adjusted, strict=True):
        fewest = min(compared[finding].units_with, compared[finding].units_without)
        told = verdict(figure.difference, p, fewest=fewest, lower_is_better=False)
        corrected = replace(figure, p_adjusted=p, verdict=told)
        figures = {**results[finding].figures, "auroc": corrected}
        results[finding] = replace(results[finding], figures=figures)
    if len(tested) < 2:
        return "none, as AUROC is tested once; other figures are secondary"
    return f"Holm over the AUROC of {len(tested)} findings; other figures are not corrected"


def _decided(threshold: float | None) -> str:
    return "as its file says" if threshold is None else f"probability >= {threshold:g}"


def _cautions(pairing: Pairing, compared: Mapping[str, PairedFigures]) -> list[str]:
    told = [
        "a model chosen by this comparison needs a fresh test set: its figures here are those of "
        "a winner, and too good"
    ]
    if pairing.only_a or pairing.only_b:
        told.append(
            f"{pairing.only_a} images stand in A alone and {pairing.only_b} in B alone; they are "
            "left out"
        )
    in_a, in_b = len(pairing.a.findings), len(pairing.b.findings)
    if max(in_a, in_b) > len(compared):
        told.append(f"{len(compared)} findings are compared, of {in_a} in A and {in_b} in B")
    kind = pairing.units.kind
    if kind == "image":
        told.append(
            "no patient is known, so each image counts as a patient of its own; where patients "
            "have several images, intervals are too narrow and p values too small"
        )
    elif pairing.nameless:
        told.append(
            f"{pairing.nameless} images have no patient id; each counts as a patient of its own"
        )
    for finding, each in compared.items():
        if each.result.missing:
            told.append(
                f"{each.result.missing} images have no label for {finding} in either file and are "
                "left out"
            )
        for count, word in ((each.units_with, "with"), (each.units_without, "without")):
            if 0 < count < FEW:
                told.append(
                    f"only {count} {kind}s {word} {finding}: intervals are rough, and figures "
                    "without a p get no verdict"
                )
    return told


def _chosen(figures: Sequence[str] | None) -> tuple[str, ...]:
    if figures is None:
        return FIGURES
    for name in figures:
        if name not in ALL_FIGURES:
            remedy = None
            if name == "net_benefit":
                remedy = "for net benefit state a threshold probability (--threshold-probability)"
            raise EvaluationError(
                "--figure", f"{name!r}", expected=", ".join(ALL_FIGURES), remedy=remedy
            )
    return tuple(figures)


def _refuse(
    threshold_a: float | None,
    threshold_b: float | None,
    threshold_probabilities: Sequence[float],
    resamples: int,
) -> None:
    if resamples < 2:
        raise EvaluationError("resamples", f"{resamples}", expected="2 or more")
    for which, threshold in (("a", threshold_a), ("b", threshold_b)):
        if threshold is not None and not 0 <= threshold <= 1:
            raise EvaluationError(
                f"threshold-{which}", f"{threshold:g}", expected="a probability in [0, 1]"
            )
    for at in threshold_probabilities:
        if not 0 < at < 1:
            raise EvaluationError(
                "threshold-probability",
                f"{at:g}",
                expected="a probability between 0 and 1, such as 0.1",
            )
