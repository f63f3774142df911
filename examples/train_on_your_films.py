"""Train on a hospital's own films, set the threshold by a wanted sensitivity, and use the result.

    python train_on_your_films.py site_a.csv --sensitivity 0.9 --films films --out models/mine

The table has the columns path, label and patient_id; hospital.toml beside this file says the rest.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from hilum import Bundle, open_source, read_recipe
from hilum.data.sources.films import films
from hilum.predict import predict
from hilum.training import train

FINDING = "Pneumonia"
RECIPE = Path(__file__).with_name("hospital.toml")


def train_on(table: Path, sensitivity: float, target: Path) -> Bundle:
    """A bundle whose deployed point is to find that share of the patients with the finding.

    Patients are shared out among the roles before anything is learnt, so that none of those on
    whom the threshold is set was trained on. The role `test` stays closed.
    """
    recipe = read_recipe(
        RECIPE,
        [
            f"data.source=folder:{table}",
            f"data.findings={FINDING}",
            f"calibration.operating_points.wanted.target={sensitivity}",
        ],
    )
    bundle = train(recipe, open_source(recipe.data.source, recipe.data), target)
    assert bundle is not None  # None in all processes of a torchrun but the first
    return bundle


def main() -> None:
    asked = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    asked.add_argument("table", type=Path)
    asked.add_argument("--sensitivity", type=float, default=0.9)
    asked.add_argument("--films", type=Path, required=True)
    asked.add_argument("--out", type=Path, required=True)
    told = asked.parse_args()

    bundle = train_on(told.table, told.sensitivity, told.out)
    point = bundle.operating_points(FINDING)["wanted"]
    print(f"threshold {point.threshold:.3f}, set on {point.n} films: {point.rule}")
    for name, figure in (("sensitivity", point.sensitivity), ("specificity", point.specificity)):
        print(f"{name} there: {figure.in_words()}")

    predictions = predict(bundle, films([told.films], bundle.findings, bundle.manifest.reading))
    predictions.write(told.out.with_name(f"{told.out.name}.csv"))
    reason_n = predictions.referrals(FINDING)
    for i, image_id in enumerate(predictions.image_id_n):
        referred = (
            "" if reason_n is None or not reason_n[i] else f", to be read first: {reason_n[i]}"
        )
        present = "present" if predictions.decision(FINDING)[i] else "absent"
        print(f"{image_id}: {predictions.prob(FINDING)[i]:.3f}, {present}{referred}")
    print(f"judge it on films it has not seen: hilum evaluate {told.out} --out outputs")


if __name__ == "__main__":
    main()
