"""Stress: a frozen classifier under every corruption, held against itself on the films as they are.

Nothing is chosen here: calibrator and deployed point are the bundle's own. How the figures are
computed and compared is `evaluation.comparison`'s work; what stands against a published
classifier's errors is `relative_error`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hilum.bundle import Bundle
from hilum.data.cohort import Cohort
from hilum.data.faults import SEVERITIES, Fault, FaultyPixels
from hilum.data.pixels import RememberedPixels
from hilum.data.reading import Quarantine
from hilum.estimates import Estimate
from hilum.evaluation.comparison.comparing import compare
from hilum.evaluation.comparison.results import Difference
from hilum.evaluation.predictions import Predictions
from hilum.predict import predict
from hilum.robustness.balanced_means import balanced_means
from hilum.robustness.corruptions import CORRUPTIONS
from hilum.robustness.relative_error import Reference, RelativeError, relative_error
from hilum.units import units_of

COMPARED = (
    "auroc",
    "ece",
    "sensitivity",
    "specificity",
    "balanced_accuracy",
)  # as `compare` orders
FIGURES = (*COMPARED, "false_negative_rate")
RESAMPLES = 1000
REMEMBERED = 1 << 30  # bytes of decoded films, which every corruption starts from


@dataclass(frozen=True)
class Condition:
    """One corruption at one severity.

    figures: finding -> of FIGURES: the films as they are (a), corrupted (b), and b less a on the
        same films, with a paired interval
    """

    corruption: str
    severity: int
    figures: Mapping[str, Mapping[str, Difference]]


@dataclass(frozen=True)
class Stress:
    """A classifier under corruptions.

    n: films; first_hw: height and width of the first, as it was stored and corrupted
    seed: of the corruptions
    clean: finding -> of FIGURES, on the films as they are
    balanced_accuracy: finding -> mean over conditions, each counting once
    relative_error: finding -> errors against a reference's; empty without one
    """

    n: int
    first_hw: tuple[int, int]
    seed: int
    grouping: str
    clean: Mapping[str, Mapping[str, Estimate]]
    conditions: tuple[Condition, ...]
    balanced_accuracy: Mapping[str, Estimate]
    relative_error: Mapping[str, RelativeError]


def stress(
    bundle: Bundle,
    films: Cohort,
    *,
    corruptions: Mapping[str, Fault] = CORRUPTIONS,
    severities: Sequence[int] = SEVERITIES,
    reference: Reference | None = None,
    seed: int = 0,
    quarantine: Quarantine | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Stress:
    """Judge a bundle under each corruption at each severity, and against itself without.

    reference: a published classifier's errors on the same films, to give the bundle's against
    seed: of the corruptions, which are the same at every call
    quarantine: takes the films that cannot be read, as for `predict`
    progress: called with the conditions done and the conditions in all
    Raises what `predict` and `compare` raise.
    """
    quarantine = quarantine or Quarantine(len(films))
    remembered = replace(films, pixels=RememberedPixels(films.pixels, REMEMBERED))
    clean = predict(bundle, remembered, quarantine=quarantine)
    films = films.where(quarantine.readable_n)
    pairs = [(name, severity) for name in corruptions for severity in severities]
    conditions, answers = [], []
    for done, (name, severity) in enumerate(pairs):
        faulty = FaultyPixels(remembered.pixels, corruptions[name], severity, seed)
        corrupted = predict(bundle, replace(films, pixels=faulty))
        found = compare(
            clean,
            corrupted,
            rng=np.random.default_rng(seed),
            figures=COMPARED,
            resamples=RESAMPLES,
        )
        figures = {
            finding: {
                **each.figures,
                "false_negative_rate": _complement(each.figures["sensitivity"]),
            }
            for finding, each in found.findings.items()
        }
        conditions.append(Condition(name, severity, figures))
        answers.append(corrupted)
        progress(done + 1, len(pairs))
    findings = conditions[0].figures
    height, width = remembered.pixels.read(int(films.table.index[0])).shape
    return Stress(
        len(clean),
        (height, width),
        seed,
        found.grouping,
        {f: {name: each.a for name, each in figures.items()} for f, figures in findings.items()},
        tuple(conditions),
        {finding: _mean_balanced_accuracy(answers, finding, seed) for finding in findings},
        {}
        if reference is None
        else {
            finding: _relative_error(clean, pairs, answers, finding, reference, seed)
            for finding in findings
        },
    )


def _complement(figure: Difference) -> Difference:
    """The same of 1 less a share, which is better when it is lower."""
    return replace(
        figure,
        a=_mirrored(figure.a, 1.0),
        b=_mirrored(figure.b, 1.0),
        difference=_mirrored(figure.difference, 0.0),
        bootstrap=None if figure.bootstrap is None else _mirrored(figure.bootstrap, 0.0),
    )


def _mirrored(estimate: Estimate, whole: float) -> Estimate:
    value, low, high = (
        None if number is None else whole - number
        for number in (estimate.value, estimate.high, estimate.low)
    )
    return replace(estimate, value=value, low=low, high=high)


def _mean_balanced_accuracy(answers: Sequence[Predictions], finding: str, seed: int) -> Estimate:
    known_n, present_n = _known(answers[0], finding)
    units = units_of(answers[0].patient_id_n).where(known_n)
    wrong_kn = [_wrong(each, finding) for each in answers]
    # A film's share of right answers over the conditions is all that the mean needs.
    right_n = 1 - np.mean(wrong_kn, axis=0)
    rng = np.random.default_rng(seed)
    (mean,) = balanced_means(right_n[:, None], present_n, units, rng, RESAMPLES)
    return mean


def _relative_error(
    clean: Predictions,
    pairs: Sequence[tuple[str, int]],
    answers: Sequence[Predictions],
    finding: str,
    reference: Reference,
    seed: int,
) -> RelativeError:
    known_n, present_n = _known(clean, finding)
    wrong_kn = [_wrong(each, finding) for each in answers]
    return relative_error(
        {
            corruption: np.stack(
                [
                    wrong_n
                    for (name, _), wrong_n in zip(pairs, wrong_kn, strict=True)
                    if name == corruption
                ]
            )
            for corruption in dict.fromkeys(name for name, _ in pairs)
        },
        _wrong(clean, finding),
        present_n,
        units_of(clean.patient_id_n).where(known_n),
        reference,
        rng=np.random.default_rng(seed),
        resamples=RESAMPLES,
    )


def _known(answer: Predictions, finding: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether a film's label is known, shape (n,), and of those whether it has the finding."""
    label_n = answer.label(finding)
    known_n = ~np.isnan(label_n)
    return known_n, label_n[known_n] == 1


def _wrong(answer: Predictions, finding: str) -> NDArray[np.bool_]:
    """Whether a film of known label is wrongly called."""
    known_n, present_n = _known(answer, finding)
    return np.asarray((answer.decision(finding)[known_n] == 1) != present_n)
