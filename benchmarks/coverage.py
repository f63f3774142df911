"""How often the 95 % intervals hold the truth, over simulated data sets: `python coverage.py`.

Truths come from one sample of three million images of the same population. Prints one line per
figure: the truth, the mean estimate (its bias), the share of intervals that hold the truth, and how
many data sets gave an interval.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from hilum.evaluation import Deployment, Evaluation, Predictions, evaluate

Floats = NDArray[np.float64]
THRESHOLD = 0.4


def population(
    units: int, per_patient: int, level: float, rng: np.random.Generator
) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Labels, logits and patients; images of one patient are alike, and the logits too bold.

    A patient shifts the logit and the chance of the finding of each of their images.
    level: mean log odds of the finding; -0.6 is about two in five, -4 about one in twenty
    """
    patient_n = np.repeat(np.arange(units), per_patient)
    shift_n = rng.normal(0, 1.0 if per_patient > 1 else 0.0, units)[patient_n]
    signal_n = rng.normal(level, 1.6, len(patient_n)) + shift_n
    y_n = (rng.random(len(patient_n)) < expit(signal_n)).astype(float)
    return y_n, 1.3 * signal_n + rng.normal(0, 0.5, len(patient_n)), patient_n


def judged(units: int, per_patient: int, level: float, seed: int, resamples: int) -> Evaluation:
    rng = np.random.default_rng(seed)
    y_n, logit_n, patient_n = population(units, per_patient, level, rng)
    predictions = Predictions.from_arrays(
        ["Pneumonia"],
        [str(i) for i in range(len(y_n))],
        label_nf=y_n[:, None],
        logit_nf=logit_n[:, None],
        prob_nf=expit(logit_n)[:, None],
        threshold_f=[THRESHOLD],
        patient_id_n=patient_n.tolist() if per_patient > 1 else None,
    )
    return evaluate(
        predictions,
        {"Pneumonia": Deployment({"deployed": THRESHOLD})},
        bundle=None,
        source="simulated",
        role="test",
        synthetic=True,
        rng=np.random.default_rng(seed),
        resamples=resamples,
        prevalences=[0.1],
        by=(),
    )


def figures(evaluation: Evaluation) -> dict[str, tuple[float | None, float | None, float | None]]:
    point = evaluation.operating_points["Pneumonia"]["deployed"]
    found = {**evaluation.figures["Pneumonia"], **point.figures}
    found["ppv at prevalence 0.1"] = point.at_prevalence[0].ppv
    return {name: (e.value, e.low, e.high) for name, e in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--units", type=int, default=400)
    parser.add_argument("--per-patient", type=int, default=1)
    parser.add_argument("--level", type=float, default=-0.6, help="mean log odds of the finding")
    parser.add_argument("--resamples", type=int, default=400)
    asked = parser.parse_args()
    many = 3_000_000 // asked.per_patient
    truths = figures(judged(many, asked.per_patient, asked.level, seed=2**40, resamples=1))
    held = {name: 0 for name in truths}
    given = {name: 0 for name in truths}
    sums = {name: 0.0 for name in truths}
    for seed in range(asked.sets):
        for name, (value, low, high) in figures(
            judged(asked.units, asked.per_patient, asked.level, seed, asked.resamples)
        ).items():
            truth = truths[name][0]
            if value is None or low is None or high is None or truth is None:
                continue
            given[name] += 1
            sums[name] += value
            held[name] += low <= truth <= high
        if sys.stderr.isatty():
            print(f"\r{seed + 1} of {asked.sets}", end="", file=sys.stderr)
    print(f"{asked.sets} sets of {asked.units} x {asked.per_patient} images, level {asked.level:g}")
    print(f"{'figure':<30}{'truth':>9}{'mean':>9}{'covered':>9}{'given':>7}")
    for name, (truth, _, _) in truths.items():
        n = given[name]
        if n:
            print(f"{name:<30}{truth:9.4f}{sums[name] / n:9.4f}{100 * held[name] / n:8.1f}%{n:7d}")


if __name__ == "__main__":
    main()
