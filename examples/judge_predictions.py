"""Judge anybody's predictions: a table of probabilities becomes figures with intervals and a page.

    python judge_predictions.py theirs.csv --out judged

The table has the columns image_id, patient_id, label and prob; no bundle and no torch is needed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from hilum import Evaluation, Predictions
from hilum.evaluation import Deployment, evaluate
from hilum.evaluation.report import Facts, installed_versions, write_report

FINDING = "Pneumonia"
SEED = 0


def predictions_of(table: pd.DataFrame, threshold: float) -> Predictions:
    """One row an image; films of one patient are known by `patient_id`."""
    prob_n = table["prob"].to_numpy(dtype=float)
    return Predictions.from_arrays(
        [FINDING],
        table["image_id"],
        label_nf=table[["label"]].to_numpy(dtype=float),  # 1, 0, or missing where unknown
        logit_nf=np.full((len(table), 1), np.nan),  # nobody told them
        prob_nf=prob_n[:, None],
        threshold_f=[threshold],
        patient_id_n=table["patient_id"],
        subgroups=table[["site"]] if "site" in table else None,
    )


def judge(table: pd.DataFrame, threshold: float, source: str) -> tuple[Predictions, Evaluation]:
    """Every figure with its 95 % interval: patients, not images, are drawn again and again.

    threshold: fixed before these films were seen; one chosen on them would flatter
    """
    predictions = predictions_of(table, threshold)
    evaluation = evaluate(
        predictions,
        {FINDING: Deployment(thresholds={"deployed": threshold})},
        bundle=None,
        source=source,
        role="test",
        synthetic=False,
        rng=np.random.default_rng(SEED),
        prevalences=[0.02],  # of pneumonia where it is to be used, for PPV and NPV
    )
    return predictions, evaluation


def main() -> None:
    asked = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    asked.add_argument("table", type=Path)
    asked.add_argument("--threshold", type=float, default=0.5)
    asked.add_argument("--out", type=Path, default=Path("judged"))
    told = asked.parse_args()

    table = pd.read_csv(told.table)
    predictions, evaluation = judge(table, told.threshold, told.table.name)
    facts = Facts("examples/judge_predictions.py", installed_versions(), seed=SEED)
    write_report(told.out, predictions, evaluation, image_of=None, facts=facts)

    auroc = evaluation.figures[FINDING]["auroc"]
    deployed = evaluation.operating_points[FINDING]["deployed"]
    print(f"{evaluation.n} images, intervals by {evaluation.grouping}")
    for name, figure in {
        "AUROC": auroc,
        **{k: deployed.figures[k] for k in ("sensitivity", "ppv")},
    }.items():
        print(f"{name}: {figure.in_words()}")
    print(told.out / "report.html")


if __name__ == "__main__":
    main()
