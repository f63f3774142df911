"""Stress: a frozen classifier under every corruption, held against itself on the films as they are.

Nothing is chosen here: calibrator and deployed point are the bundle's own. How the figures are
computed and compared is `evaluation.comparison`'s work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hilum.bundle import Bundle
from hilum.data.cohort import Cohort
from hilum.data.faults import SEVERITIES, Fault, FaultyPixels
from hilum.data.pixels import RememberedPixels
from hilum.data.reading import Quarantine
from hilum.estimates import Estimate
from hilum.evaluation.comparison.comparing import compare
from hilum.evaluation.comparison.results import Difference
from hilum.evaluation.intervals import Resampling, percentile
from hilum.evaluation.predictions import Predictions
from hilum.predict import predict
from hilum.robustness.corruptions import CORRUPTIONS
from hilum.units import units_of

FIGURES = ("auroc", "ece", "sensitivity", "specificity", "balanced_accuracy")  # as `compare` orders
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

    n: films; clean: finding -> of FIGURES, on the films as they are
    balanced_accuracy: finding -> mean over conditions, each counting once
    """

    n: int
    grouping: str
    clean: Mapping[str, Mapping[str, Estimate]]
    conditions: tuple[Condition, ...]
    balanced_accuracy: Mapping[str, Estimate]


def stress(
    bundle: Bundle,
    films: Cohort,
    *,
    corruptions: Mapping[str, Fault] = CORRUPTIONS,
    severities: Sequence[int] = SEVERITIES,
    seed: int = 0,
    quarantine: Quarantine | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Stress:
    """Judge a bundle under each corruption at each severity, and against itself without.

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
            figures=FIGURES,
            resamples=RESAMPLES,
        )
        figures = {finding: dict(each.figures) for finding, each in found.findings.items()}
        conditions.append(Condition(name, severity, figures))
        answers.append(corrupted)
        progress(done + 1, len(pairs))
    findings = conditions[0].figures
    return Stress(
        len(clean),
        found.grouping,
        {f: {name: each.a for name, each in figures.items()} for f, figures in findings.items()},
        tuple(conditions),
        {finding: _mean_balanced_accuracy(answers, finding, seed) for finding in findings},
    )


def _mean_balanced_accuracy(answers: Sequence[Predictions], finding: str, seed: int) -> Estimate:
    """Over conditions of the same films: a resample of patients goes through all of them."""
    label_n = answers[0].label(finding)
    known_n = ~np.isnan(label_n)
    y_n = label_n[known_n] == 1
    units = units_of(np.array(answers[0].patient_id_n, dtype=object)).where(known_n)
    # A film's share of right answers over the conditions is all that the mean needs.
    right_n = np.mean([(each.decision(finding)[known_n] == 1) == y_n for each in answers], axis=0)

    def mean(count_bn: np.ndarray) -> np.ndarray:
        sides = []
        for side_n in (y_n, ~y_n):
            count = count_bn[:, side_n].sum(axis=1)
            with np.errstate(invalid="ignore", divide="ignore"):
                sides.append((count_bn[:, side_n] @ right_n[side_n]) / count)
        return np.asarray(np.mean(sides, axis=0))

    if not y_n.any() or y_n.all():
        return Estimate.missing("needs films with and without the finding", len(y_n))
    drawn_b = Resampling.of(units, np.random.default_rng(seed), RESAMPLES).over(
        units.unit_n, lambda count_bn: {"mean": mean(count_bn)}
    )["mean"]
    whole = float(mean(np.ones((1, len(y_n))))[0])
    return percentile(whole, drawn_b, len(y_n), units)
