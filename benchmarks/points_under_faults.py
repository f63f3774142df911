"""Do operating points chosen under acquisition faults hold up under a fault that none of them saw?

    hilum train pneumoniamnist-patients --out models/patients
    python benchmarks/points_under_faults.py models/patients

On the films of the bundle's `calibrate` role alone, halved by patient: Youden's point is chosen on
one half, as it is or under all faults but one, and judged on the other half under that one.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from hilum.bundle import load_bundle
from hilum.calibration import youden
from hilum.data.cohort import Cohort
from hilum.data.faults import under_faults
from hilum.data.roles import assign_roles
from hilum.data.sources import open_source
from hilum.engines import open_engine
from hilum.predict import engine_logits
from hilum.recipe import make_recipe
from hilum.units import units_of

CLEAN = "clean"


def calibrate_films(recipe_values: dict[str, object]) -> Cohort:
    recipe = make_recipe(recipe_values)
    cohort = open_source(recipe.data.source, recipe.data, recipe.reading)
    return assign_roles(cohort, recipe.data, seed=recipe.seed)[0].with_role("calibrate")


def balanced_accuracy(prob_n: NDArray[np.float64], y_n: NDArray[np.float64], at: float) -> float:
    return float(((prob_n[y_n == 1] >= at).mean() + (prob_n[y_n == 0] < at).mean()) / 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("--severity", type=int, default=3)
    parser.add_argument("--halvings", type=int, default=20)
    options = parser.parse_args()
    bundle = load_bundle(options.bundle)
    cohort = calibrate_films(bundle.manifest.recipe)
    y_n = cohort.label_nf[:, 0]
    films = {CLEAN: cohort} | under_faults(cohort, options.severity)
    steps, engine = bundle.manifest.preprocessing, open_engine(bundle)
    prob = {
        name: bundle.calibrator(bundle.findings[0]).prob(engine_logits(engine, steps, each)[:, 0])
        for name, each in films.items()
    }
    patient_n = cohort.table["patient_id"].astype(object)
    unit_n = units_of(patient_n.where(patient_n.notna(), None).to_numpy(dtype=object)).unit_n
    rng = np.random.default_rng(0)
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in prob}
    for _ in range(options.halvings):
        first_n = (rng.random(unit_n.max() + 1) < 0.5)[unit_n]
        for name, prob_n in prob.items():
            others = [each for each in prob if each not in (name, CLEAN)]
            seen = np.concatenate([prob[each][first_n] for each in (CLEAN, *others)])
            faulty = youden(seen, np.tile(y_n[first_n], 1 + len(others))).threshold
            plain = youden(prob[CLEAN][first_n], y_n[first_n]).threshold
            rest = prob_n[~first_n], y_n[~first_n]
            found[name].append(tuple(balanced_accuracy(*rest, at) for at in (plain, faulty, 0.5)))
    print(f"{options.bundle}: {len(cohort)} films of calibrate, severity {options.severity}")
    print("| judged under | point from clean films | from films under other faults | 0.5 |")
    print("|---|---|---|---|")
    for name, rows in found.items():
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in np.mean(rows, axis=0)) + " |")
    every = np.array(list(found.values())).mean(axis=1)
    print("| mean | " + " | ".join(f"{value:.3f}" for value in every.mean(axis=0)) + " |")
    print("| worst | " + " | ".join(f"{value:.3f}" for value in every.min(axis=0)) + " |")


if __name__ == "__main__":
    main()
