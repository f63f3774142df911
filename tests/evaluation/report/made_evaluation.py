"""Simulated predictions, their evaluation with few resamples, and the facts of an invented run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.evaluation import Deployment, Evaluation, Predictions, evaluate
from hilum.evaluation.report.facts import Facts
from hilum.evaluation.results import SetLimits

THRESHOLDS = {"0.5": 0.5, "deployed": 0.31, "sensitivity 0.95": 0.22, "cost 5 to 1": 1 / 6}
RULES = {
    "deployed": "greatest sensitivity + specificity - 1 on calibrate",
    "sensitivity 0.95": "highest threshold whose sensitivity on calibrate is at least 0.95",
    "cost 5 to 1": "a miss costs as much as 5 false alarms",
}
LIMITS = SetLimits(coverage=0.9, present_from=0.18, absent_to=0.44)
HOSTILE = '$a_1$ </script><script>alert(1)</script> & "é" | *b*'


def made_predictions(
    findings: tuple[str, ...] = ("Pneumonia",),
    *,
    n: int = 624,
    prevalence: float = 0.4,
    missing: int = 0,
    logits: bool = True,
    ids: str = "film-{:06d}",
    threshold: float = THRESHOLDS["deployed"],
) -> Predictions:
    """Simulated predictions, well ranked, raw ones a little too bold; two images a patient."""
    rng = np.random.default_rng(0)
    label_nf = (rng.random((n, len(findings))) < prevalence).astype(float)
    # The true log odds are twice the latent score; the raw logits go further than that.
    latent_nf = 3.4 * (label_nf - 0.5) + rng.normal(0, 1.3, label_nf.shape)
    logit_nf = 2.4 * latent_nf - 0.4
    label_nf[rng.permutation(n)[:missing], -1] = np.nan
    groups = pd.DataFrame(
        {
            "site": rng.choice(["north", "south", "island"], n, p=[0.6, 0.37, 0.03]),
            "sex": rng.choice(["female", "male"], n),
            "age": rng.integers(18, 95, n),
        }
    )
    return Predictions.from_arrays(
        findings,
        [ids.format(i) for i in range(n)],
        label_nf=label_nf,
        logit_nf=logit_nf if logits else np.full_like(logit_nf, np.nan),
        prob_nf=1 / (1 + np.exp(-logit_nf / 1.15)),
        threshold_f=[threshold] * len(findings),
        patient_id_n=[f"p{i // 2:05d}" for i in range(n)],
        subgroups=groups,
    )


def made_evaluation(
    predictions: Predictions,
    *,
    thresholds: Mapping[str, float] = THRESHOLDS,
    sets: bool = True,
    subgroups: bool = True,
    synthetic: bool = False,
    role: str = "test",
    bundle: str | None = "sha256:12ab34cd",
    warnings: tuple[str, ...] = ("the files differ from the official ones",),
) -> Evaluation:
    """The evaluation of these predictions, with every part that a report can show."""
    deployment = Deployment(thresholds, RULES, LIMITS if sets else None)
    return evaluate(
        predictions,
        dict.fromkeys(predictions.findings, deployment),
        bundle=bundle,
        source="simulated",
        role=role,
        synthetic=synthetic,
        rng=np.random.default_rng(0),
        resamples=60,
        prevalences=(0.01, 0.05, 0.2),
        by=None if subgroups else (),
        warnings=warnings,
    )


def made_facts() -> Facts:
    """A run on a bundle, with its record."""
    roles = {
        role: {
            "n": n,
            "n_by_label": {"Pneumonia": {"absent": n // 4, "present": n - n // 4, "unknown": 0}},
            "digest": f"{n:064x}",
        }
        for role, n in {"train": 4229, "tune": 469, "calibrate": 524, "test": 624}.items()
    }
    excluded = [
        {"image_id": "train-0269", "split": "train", "reason": "same pixels as val-0253 (val)"}
    ]
    return Facts(
        command="hilum evaluate models/pneumoniamnist --on pneumoniamnist:test --out outputs",
        versions={"hilum": "0.1.0", "python": "3.11.7", "numpy": "2.4.6"},
        model={
            "name": "pneumoniamnist",
            "created": "2026-11-22T21:36:42+00:00",
            "source": "pneumoniamnist",
            "roles": {"roles": roles, "excluded": excluded, "grouping": "image", "seed": 0},
            "recipe": {"seed": 0},
            "licence": "CC BY 4.0, Kermany et al. 2018 and Yang et al. 2023",
        },
        openings=(
            {
                "time": "2026-11-22T21:40:00+00:00",
                "role": "test",
                "source": "pneumoniamnist",
                "n": 624,
                "auroc": {"Pneumonia": 0.98},
            },
        ),
    )


def phantom(row: int) -> NDArray[np.float32]:
    """A film of a kind, another one for each row."""
    y, x = np.mgrid[0:28, 0:28] / 27 - 0.5
    bright = np.exp(-((x - row % 7 / 20) ** 2 + y**2) * 8)
    return (0.2 + 0.6 * bright).astype(np.float32)
