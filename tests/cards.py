"""A bundle that is quick to make, and results about it as the verbs write them."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hilum.bundle import MANIFEST, Bundle, load_bundle, seal_of
from hilum.evaluation import Deployment, Evaluation, Predictions
from made import evaluated

OLD = Path(__file__).with_name("schema_1_bundle.json")
ROLES = {
    "roles": {
        role: {"n": n, "n_by_label": {"Pneumonia": {"absent": n // 4, "present": n - n // 4}}}
        for role, n in (("train", 400), ("tune", 40), ("calibrate", 80), ("test", 120))
    },
    "excluded": [],
    "grouping": "patient",
}


def made_bundle(folder: Path, **changes: Any) -> Bundle:
    """A bundle whose files are words, with a manifest as early as they come; changes: of it."""
    (folder / "openvino").mkdir(parents=True)
    values = json.loads(OLD.read_text(encoding="utf-8")) | {"roles": ROLES} | changes
    del values["digest"]
    (folder / MANIFEST).write_text(json.dumps(values | {"digest": seal_of(values)}))
    (folder / "weights.safetensors").write_bytes(b"weights")
    (folder / "openvino" / "model.xml").write_bytes(b"network")
    (folder / "openvino" / "model.bin").write_bytes(b"its weights")
    return load_bundle(folder)


def made_evaluation(digest: str | None, **changes: Any) -> Evaluation:
    """Of test films of two sites, at one of which it misses more, as it is read from a file."""
    return replace(_evaluation(), bundle=digest, **({"source": "pneumoniamnist"} | changes))


@cache
def _evaluation() -> Evaluation:
    n, rng = 240, np.random.default_rng(0)
    label_n = np.arange(n) % 2
    site_n = np.where(np.arange(n) < n // 2, "a|b", "c")
    logit_n = 2.4 * label_n - 1.2 - 1.5 * label_n * (site_n == "c") + rng.normal(0, 1, n)
    prob_n = 1 / (1 + np.exp(-logit_n))
    predictions = Predictions.from_arrays(
        ("Pneumonia",),
        [f"film-{k}" for k in range(n)],
        label_nf=label_n[:, None].astype(float),
        logit_nf=logit_n[:, None],
        prob_nf=prob_n[:, None],
        threshold_f=[0.3],
        patient_id_n=[f"patient-{k // 2}" for k in range(n)],
        subgroups=pd.DataFrame({"site": site_n}),
    )
    found = evaluated(predictions, {"Pneumonia": Deployment({"deployed": 0.3}, {"deployed": "r"})})
    return Evaluation.from_json(found.to_json())


def estimate(value: float, width: float = 0.02) -> dict[str, Any]:
    return {
        "value": value, "low": value - width, "high": value + width, "n": 100, "method": "Wilson",
        "reason": None,
    }  # fmt: skip


def write_results(folder: Path, digest: str) -> list[Path]:
    """A folder of each verb; returns them."""
    told: dict[str, dict[str, Any]] = {
        "stressed/stress.json": {
            "schema": 1, "bundle": digest, "source": "pneumoniamnist", "family": "acquisition",
            "n": 120,
            "clean": {"Pneumonia": {"balanced_accuracy": estimate(0.9)}},
            "balanced_accuracy_over_conditions": {"Pneumonia": estimate(0.8)},
            "conditions": [
                {"corruption": name, "severity": 3, "figures": {"Pneumonia": {
                    figure: {"b": estimate(0.9 - loss), "difference": estimate(-loss)}
                    for figure in
                    ("balanced_accuracy", "false_negative_rate", "specificity", "auroc")}}}
                for name, loss in (("under_exposure", 0.01), ("blur", 0.2), ("zoom", 0.1))
            ],
        },
        "novelty/novelty.json": {
            "schema": 1, "bundle": digest, "source": "pneumoniamnist", "n": 120,
            "false_refusals": {"either": estimate(0.05)},
            "kinds": [
                {"name": "hips", "group": "given", "n": 9, "refused": estimate(0.7)},
                {"name": "upside_down", "group": "no frontal chest", "n": 9,
                 "refused": estimate(0.9)},
                {"name": "blur", "group": "corrupted", "n": 9, "refused": estimate(0.1)},
            ],
        },
        "explained/explanation.json": {
            "schema": 1, "bundle": digest, "source": "pneumoniamnist", "method": "grad_cam",
            "caution": "this method FAILED on this classifier: head at random",
        },
        "explained/shortcuts.json": {"Pneumonia": [
            {"question": "the border alone", "figure": "AUROC that is left",
             "estimate": estimate(0.7), "rule": "AUROC above 0.6", "found": True},
            {"question": "the corners", "figure": "fall of the AUROC",
             "estimate": estimate(0.01), "rule": "a fall of more than 0.03", "found": False},
        ]},
        "explained/sanity.json": {"checks": [
            {"question": "head at random", "rule": "below 0.5", "figure": estimate(0.8),
             "passed": False}]},
        "validated/validation.json": {
            "schema": 1, "bundle": digest, "notes": ["three patients stand in both samples"],
            "sites": [{
                "name": "site_b", "source": "site_b", "role": "test", "n": 60, "folder": "site_b",
                "seen": [], "warnings": ["trained elsewhere"],
                "drop": {"Pneumonia": {"auroc": {"inside": estimate(0.9), "outside": estimate(0.7),
                                                 "difference": estimate(-0.2)}}},
                "remedies": {"Pneumonia": {
                    "probabilities": {"better_from": 20, "enough": 40,
                                      "in_words": "For probabilities: about 40 are enough."},
                    "decisions": {"better_from": None, "enough": None,
                                  "in_words": "For decisions: leave it as deployed."}}},
            }],
        },
        "evaluated/referral.json": {"Pneumonia": {
            "answered": {"n": 240, "figures": {
                "coverage": estimate(0.8), "sensitivity": estimate(0.95),
                "specificity": estimate(0.9)}},
            "reasons": {"conformal": estimate(0.15)}}},
    }  # fmt: skip
    for name, plain in told.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(plain), encoding="utf-8")
    made_evaluation(digest).write(folder / "evaluated" / "evaluation.json")
    (folder / "evaluated" / "label_review.csv").write_text("image_id,finding\nfilm-1,Pneumonia\n")
    outside = made_evaluation(digest, source="site_b")
    outside.write(folder / "validated" / "site_b" / "evaluation.json")
    names = ("evaluated", "stressed", "novelty", "explained", "validated")
    return [folder / name for name in names]
