"""What each answer to imbalance does to ranking, probabilities and decisions: docs/imbalance.md.

HILUM_DATA=... python benchmarks/imbalance.py --out FOLDER
HILUM_DATA=... python benchmarks/imbalance.py --out OTHER --rare 0.05    one pneumonia in twenty
python benchmarks/imbalance.py --out TRIAL --seeds 1 --recipe RECIPE --set data.source=phantom

Trains the recipe once for each option and seed, with epochs = 2, calibrates it by a temperature and
prints the tables. Each run leaves its predictions in the folder, and the same command goes on from
there. Nothing is chosen by these figures; those on `test` are there to be read.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from hilum.columns import column
from hilum.data.cohort import Cohort, Role
from hilum.data.fingerprints import fingerprints_for
from hilum.data.roles import assign_roles
from hilum.data.sources import open_source
from hilum.evaluation import Deployment, Predictions, evaluate
from hilum.predict import predict
from hilum.recipe import Recipe, make_recipe, read_recipe
from hilum.recipes import recipe_path
from hilum.training.run import train

OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "none": {},
    "balanced weights": {"loss": {"class_weights": "balanced"}},
    "effective numbers, beta 0.999": {"loss": {"class_weights": "effective"}},
    "focal, gamma 2": {"loss": {"focal_gamma": 2.0}},
    "focal, gamma 2, alpha 0.25": {"loss": {"focal_gamma": 2.0, "focal_alpha": 0.25}},
    "focal, gamma 2, balanced": {"loss": {"focal_gamma": 2.0, "class_weights": "balanced"}},
    "logit adjustment, tau 1": {"loss": {"logit_adjustment": 1.0}},
    "balanced sampling": {"train": {"sampling": "balanced"}},
}
ROLES: tuple[Role, ...] = ("calibrate", "test")
RAW, CALIBRATED = "as it comes", "after temperature"
Figures = Mapping[str, float]


def recipe_for(base: Recipe, option: str, seed: int) -> Recipe:
    """The recipe with this one answer to imbalance and no other."""
    values = base.model_dump()
    values["seed"] = seed
    # Not quite none: a smoothing that the recipe asks for stays.
    values["loss"] |= {
        "class_weights": "none",
        "focal_gamma": 0.0,
        "focal_alpha": None,
        "logit_adjustment": 0.0,
    }
    values["train"] |= {"sampling": "as_they_come", "members": 1}
    values["calibration"]["calibrator"] = "temperature"
    for part, settings in OPTIONS[option].items():
        values[part] |= settings
    return make_recipe(values)


def thinned(cohort: Cohort, share: float, seed: int) -> Cohort:
    """With so many present films left out of the published train split that they are this share."""
    finding = cohort.findings[0]
    train_n = (cohort.table["split"] == "train").to_numpy(dtype=bool)
    label_n = cohort.table[column("label", finding)].to_numpy(dtype=float)
    present = np.flatnonzero(train_n & (label_n == 1))
    absent = int((train_n & (label_n == 0)).sum())
    wanted = round(absent * share / (1 - share))
    if wanted >= len(present):
        raise SystemExit(f"--rare {share}: train has a share of {len(present)} to {absent} already")
    keep_n = np.ones(len(cohort), dtype=bool)
    keep_n[np.random.default_rng(seed).permutation(present)[wanted:]] = False
    return cohort.where(keep_n)


def run(recipe: Recipe, cohort: Cohort, folder: Path) -> None:
    """Train, and leave predictions for both roles; what is there already is not done again."""
    told = {"recipe": recipe.model_dump(mode="json"), "films": len(cohort)}
    done = folder / "run.json"
    if done.is_file():
        before = json.loads(done.read_text())
        if any(before[key] != value for key, value in told.items()):
            raise SystemExit(f"{folder}: a run of another recipe; give --out another folder")
        return
    folder.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    prints = fingerprints_for(cohort, recipe.data)
    bundle = train(recipe, cohort, folder / "bundle", prints=prints)
    if bundle is None:
        raise SystemExit("one process at a time, please")
    in_roles, _ = assign_roles(cohort, recipe.data, seed=recipe.seed, prints=prints)
    for role in ROLES:
        predict(bundle, in_roles.with_role(role)).write(folder / f"{role}.parquet")
    finding = bundle.findings[0]
    told |= {
        "finding": finding,
        "threshold": bundle.thresholds()[finding]["deployed"],
        "temperature": bundle.calibrator(finding).to_dict(),
        "seconds": time.perf_counter() - began,
    }
    shutil.rmtree(bundle.folder)
    done.write_text(json.dumps(told, indent=1))


def figures(folder: Path, role: Role) -> dict[str, float]:
    """Of one run on one role, by a name of two words: of what, and which."""
    told = json.loads((folder / "run.json").read_text())
    calibrated = Predictions.read(folder / f"{role}.parquet")
    finding = told["finding"]
    raw_n = expit(calibrated.logit(finding))
    raw = replace(calibrated, table=calibrated.table.assign(**{column("prob", finding): raw_n}))
    found: dict[str, float] = {"temperature": told["temperature"]["temperature"]}
    for name, predictions in ((RAW, raw), (CALIBRATED, calibrated)):
        evaluation = evaluate(
            predictions,
            {finding: Deployment({"deployed": told["threshold"]})},
            bundle=None,
            source="benchmark",
            role=role,
            synthetic=predictions.synthetic,
            rng=np.random.default_rng(0),
            resamples=2,  # the spread shown is that over seeds
            by=(),
        )
        for figure in ("auroc", "log_loss", "ece", "calibration_intercept"):
            found[f"{figure} {name}"] = _value(evaluation.figures[finding][figure])
        for point, of_point in evaluation.operating_points[finding].items():
            for figure in ("sensitivity", "specificity", "accuracy"):
                found[f"{figure} {point} {name}"] = _value(of_point.figures[figure])
    return found


def _value(estimate: Any) -> float:
    return float("nan") if estimate.value is None else float(estimate.value)


PROBABILITIES = {
    "AUROC": f"auroc {RAW}",
    "log loss": f"log_loss {RAW}",
    "after T": f"log_loss {CALIBRATED}",
    "ECE": f"ece {RAW}",
    "after T ": f"ece {CALIBRATED}",
    "intercept": f"calibration_intercept {RAW}",
    "after T  ": f"calibration_intercept {CALIBRATED}",
    "T": "temperature",
}
DECISIONS = {
    "sensitivity at 0.5": f"sensitivity 0.5 {CALIBRATED}",
    "specificity": f"specificity 0.5 {CALIBRATED}",
    "accuracy": f"accuracy 0.5 {CALIBRATED}",
    "sensitivity at the deployed point": f"sensitivity deployed {CALIBRATED}",
    "specificity ": f"specificity deployed {CALIBRATED}",
    "accuracy ": f"accuracy deployed {CALIBRATED}",
}


def table(columns: Mapping[str, str], found: Mapping[str, Sequence[Figures]]) -> Iterator[str]:
    """A row for each option: mean and, over several seeds, standard deviation."""
    yield "| option | " + " | ".join(name.strip() for name in columns) + " |"
    yield "|---" * (len(columns) + 1) + "|"
    for option, runs in found.items():
        cells = [_cell(np.array([each[key] for each in runs])) for key in columns.values()]
        yield f"| {option} | " + " | ".join(cells) + " |"


def _cell(value_s: NDArray[np.float64]) -> str:
    spread = f" ({value_s.std(ddof=1):.3f})" if len(value_s) > 1 else ""
    return f"{value_s.mean():.3f}{spread}"


def page(folder: Path, base: Recipe, options: Sequence[str], seeds: int) -> Iterator[str]:
    train_part = f"{base.train.epochs} epochs, {base.input.size} px, {base.data.source}"
    yield f"Mean (standard deviation) over {seeds} seeds; {train_part}."
    for role in ROLES:
        found = {
            option: [figures(_place(folder, option, seed), role) for seed in range(seeds)]
            for option in options
        }
        yield from ("", f"### Probabilities on `{role}`", "", *table(PROBABILITIES, found))
        yield from ("", f"### Decisions on `{role}`", "", *table(DECISIONS, found))


def _place(folder: Path, option: str, seed: int) -> Path:
    return folder / f"{option.replace(',', '').replace(' ', '-')}-{seed}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--recipe", default="pneumoniamnist")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--rare", type=float, help="share of present films in train")
    parser.add_argument("--only", action="append", choices=OPTIONS, help="this option")
    asked = parser.parse_args()
    base = read_recipe(recipe_path(asked.recipe), ["train.epochs=2", *asked.set])
    whole = open_source(base.data.source, base.data, base.reading)
    options = asked.only or list(OPTIONS)
    for seed in range(asked.seeds):
        cohort = whole if asked.rare is None else thinned(whole, asked.rare, seed)
        for option in options:
            began = time.perf_counter()
            run(recipe_for(base, option, seed), cohort, _place(asked.out, option, seed))
            print(f"{option}, seed {seed}: {time.perf_counter() - began:.0f} s", flush=True)
    text = "\n".join(page(asked.out, base, options, asked.seeds)) + "\n"
    (asked.out / "table.md").write_text(text)
    print(f"\n{text}", end="")


if __name__ == "__main__":
    main()
