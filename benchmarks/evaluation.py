"""Time and memory of an evaluation, and how it compares with a loop over scikit-learn.

python benchmarks/evaluation.py            figures with 2,000 patient resamples at n = 112,120
python benchmarks/evaluation.py --page     and the whole report at n = 100,000
python benchmarks/evaluation.py --busy     other work on the machine: processor time
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import warnings
from pathlib import Path

import figures
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from hilum.evaluation import Deployment, Evaluation, Predictions, evaluate

RESAMPLES = 2000
THRESHOLD = 0.3


def chestx_ray14(n: int, patients: int, seed: int = 0) -> Predictions:
    """As many images and patients as ChestX-ray14, one finding in twenty, two subgroup columns."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    y_n = (rng.random(n) < 0.05).astype(float)
    logit_n = 2.0 * y_n - 3.2 + rng.normal(0, 1.2, n)
    return Predictions.from_arrays(
        ["Pneumonia"],
        [f"{i:08d}_000.png" for i in range(n)],
        label_nf=y_n[:, None],
        logit_nf=logit_n[:, None],
        prob_nf=expit(logit_n / 1.1)[:, None],
        threshold_f=[THRESHOLD],
        patient_id_n=rng.integers(patients, size=n).tolist(),
        subgroups=pd.DataFrame(
            {
                "view": rng.choice(["PA", "AP"], n),
                "sex": rng.choice(["F", "M"], n),
                "age": rng.integers(1, 95, n).astype(float),
            }
        ),
    )


def judged(predictions: Predictions, resamples: int = RESAMPLES) -> Evaluation:
    return evaluate(
        predictions,
        {"Pneumonia": Deployment({"deployed": THRESHOLD, "sensitivity_95": 0.05})},
        bundle=None,
        source="simulated",
        role="test",
        synthetic=True,
        rng=np.random.default_rng(0),
        resamples=resamples,
        prevalences=[0.01, 0.1],
    )


def scikit_learn_loop(predictions: Predictions, resamples: int, clock: figures.Clock) -> float:
    """Seconds per resample for those of the figures that scikit-learn has, one call a figure."""
    from sklearn import metrics
    from sklearn.calibration import calibration_curve

    y_n, prob_n = predictions.label("Pneumonia"), predictions.prob("Pneumonia")
    raw_n = expit(predictions.logit("Pneumonia"))
    patients, unit_n = np.unique(predictions.patient_id_n.astype(str), return_inverse=True)
    order = np.argsort(unit_n, kind="stable")
    images_of = np.split(order, np.cumsum(np.bincount(unit_n))[:-1])
    rng = np.random.default_rng(0)
    began = clock()
    for _ in range(resamples):
        drawn: NDArray[np.intp] = np.concatenate(
            [images_of[u] for u in rng.integers(len(patients), size=len(patients))]
        )
        y, p, raw = y_n[drawn], prob_n[drawn], raw_n[drawn]
        metrics.roc_auc_score(y, p)
        metrics.roc_auc_score(y, p, max_fpr=0.1)
        metrics.roc_curve(y, p)
        metrics.average_precision_score(y, p)
        metrics.precision_recall_curve(y, p)
        for prob in (p, raw):
            metrics.brier_score_loss(y, prob)
            metrics.log_loss(y, prob)
            calibration_curve(y, prob, n_bins=15, strategy="quantile")
        calibration_curve(y, p, n_bins=15)
        for threshold in (0.5, THRESHOLD, 0.05):
            called = p >= threshold
            metrics.confusion_matrix(y, called)
            metrics.f1_score(y, called)
            metrics.f1_score(y, called, pos_label=0)
            metrics.balanced_accuracy_score(y, called)
            metrics.matthews_corrcoef(y, called)
    return (clock() - began) / resamples


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--page", action="store_true", help="time the report at n = 100,000 too")
    figures.add_to(parser)
    asked = parser.parse_args()
    clock = asked.clock
    predictions = chestx_ray14(112_120, 30_805)
    began = clock()
    judged(predictions)
    ours = clock() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"all figures, {RESAMPLES:,} patient resamples, n = 112,120: {ours:.1f} s, {peak:.2f} GB")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loop = scikit_learn_loop(predictions, 5, clock) * RESAMPLES
    print(f"a scikit-learn loop over the figures it has: {loop:.0f} s (from 5 resamples)")
    print(f"ratio: {loop / ours:.0f}")
    ratios = {"a loop over scikit-learn to ours": loop / ours}
    if asked.page:
        from hilum.evaluation.report import Facts, write_report

        predictions = chestx_ray14(100_000, 27_000)
        with tempfile.TemporaryDirectory() as folder:
            began = clock()
            write_report(
                Path(folder),
                predictions,
                judged(predictions),
                image_of=None,
                facts=Facts(command="benchmarks/evaluation.py --page", versions={}),
            )
            whole = clock() - began
            size = (Path(folder) / "report.html").stat().st_size / 1e6
        print(
            f"evaluation and the whole report, n = 100,000: {whole:.1f} s, {whole / ours:.2f} "
            f"times the figures alone; page {size:.2f} MB"
        )
        ratios["evaluation and report to the figures alone"] = whole / ours
    figures.write(asked.json, ratios)


if __name__ == "__main__":
    main()
