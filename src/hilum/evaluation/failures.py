"""Failures: the images to look at first, as rows of the predictions.

Worst errors, the least certain, and labels that may be wrong. Images that are nearly the same and
got different answers are found by `near_duplicates`; how failures are shown is left to `report`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.evaluation.near_duplicates import NearDuplicates, Pair
from hilum.evaluation.predictions import Predictions
from hilum.evaluation.utility import confidence

Rows = tuple[int, ...]

MOST = 12  # of a kind, in a gallery
SLACK = 1e-6  # a mean of equal probabilities may exceed them by float noise


@dataclass(frozen=True)
class Failures:
    """What went wrong on one finding, or nearly: rows of the predictions, in the order to look.

    threshold: the deployed operating point, on calibrated probability
    false_negative, false_positive: the most confident first
    uncertain: the nearest to the threshold first, right or wrong
    label_errors: labels that may be wrong, the least likely label first; candidates, not errors
    near_duplicates: pairs of nearly the same image with different decisions, the most alike
        first; None where nobody looked
    """

    finding: str
    threshold: float
    false_negative: Rows
    false_positive: Rows
    uncertain: Rows
    label_errors: Rows
    near_duplicates: tuple[Pair, ...] | None


def failures(
    predictions: Predictions,
    finding: str,
    threshold: float,
    alike: NearDuplicates | None = None,
    most: int = MOST,
) -> Failures:
    """At most `most` of each kind.

    alike: of the same images, from `near_duplicates`, the same for every finding; a reason in
        place of pairs counts as nobody having looked
    """
    false_negative, false_positive = worst(predictions, finding, threshold, most)
    called_n = predictions.prob(finding) >= threshold
    candidates = label_errors(predictions.prob(finding), predictions.label(finding))
    looked = alike is not None and alike.reason is None
    return Failures(
        finding,
        threshold,
        false_negative,
        false_positive,
        uncertain(predictions, finding, threshold, most),
        _rows(candidates[:most]),
        alike.with_different(called_n)[:most] if alike is not None and looked else None,
    )


def worst(
    predictions: Predictions, finding: str, threshold: float, most: int = MOST
) -> tuple[Rows, Rows]:
    """False negatives and false positives, the most confident first.

    Positive is prob >= threshold. Raw logits, where all are known, tell equal probabilities apart.
    Images of unknown label are left out.
    """
    prob_n, y_n = predictions.prob(finding), predictions.label(finding)
    logit_n = predictions.logit(finding)
    finer_n = np.zeros(len(prob_n)) if np.isnan(logit_n).any() else logit_n
    rising_n = np.lexsort((finer_n, prob_n))
    called_n = prob_n >= threshold
    missed = rising_n[(~called_n & (y_n == 1))[rising_n]]
    alarms = rising_n[(called_n & (y_n == 0))[rising_n]][::-1]
    return _rows(missed[:most]), _rows(alarms[:most])


def uncertain(predictions: Predictions, finding: str, threshold: float, most: int = MOST) -> Rows:
    """The images nearest to the threshold on the logit scale, of known label or not.

    There 0.02 lies as far from 0.01 as 0.99 from 0.98. A probability of 0 or 1 is infinitely far
    from any threshold but itself.
    """
    distance_n = confidence(predictions.prob(finding), threshold)
    # Infinitely far is not uncertain, however few others there are.
    near_n = np.argsort(distance_n, kind="stable")[: int(np.isfinite(distance_n).sum())]
    return _rows(near_n[:most])


def label_quality(prob_n: NDArray[np.floating], y_n: NDArray[np.floating]) -> NDArray[np.float64]:
    """How likely each label is by the classifier: P(the label as given), in [0, 1], shape (n,).

    "Self-confidence"; with two classes the normalised margin is the same number. NaN without label.
    Source: Northcutt et al. 2021, section 3.2.
    """
    prob_n, y_n = np.asarray(prob_n, dtype=np.float64), np.asarray(y_n, dtype=np.float64)
    return np.where(np.isnan(y_n), np.nan, np.where(y_n == 1, prob_n, 1 - prob_n))


def label_errors(prob_n: NDArray[np.floating], y_n: NDArray[np.floating]) -> NDArray[np.intp]:
    """Images whose label may be wrong, by confident learning; the least likely label first.

    prob_n: probability of the finding in [0, 1], from a classifier that never saw these images
        (out of sample): one that has learnt the labels by heart finds nothing wrong with them
    y_n: 1 present, 0 absent, NaN unknown, which is left out; shape (n,)
    An image counts for a class as confidently as that class's own images do on average, or more; a
    candidate counts for the other class than its label's, and is more likely of it than not. The
    confident joint's cells off the diagonal, less those that the probability itself contradicts.
    Candidates are where to look, not errors: an error of the classifier looks the same from here.
    Empty where a class has no label.
    Source: Northcutt, Jiang & Chuang 2021, section 3.1; as cleanlab's `confident_learning`.
    """
    prob_n, y_n = np.asarray(prob_n, dtype=np.float64), np.asarray(y_n, dtype=np.float64)
    present_n, absent_n = y_n == 1, y_n == 0
    if not present_n.any() or not absent_n.any():
        return np.array([], dtype=np.intp)
    from_present = float(prob_n[present_n].mean()) - SLACK
    from_absent = float((1 - prob_n[absent_n]).mean()) - SLACK
    rather_present_n = (prob_n >= from_present) & (prob_n > 0.5)
    rather_absent_n = (1 - prob_n >= from_absent) & (prob_n < 0.5)
    row_k = np.flatnonzero((absent_n & rather_present_n) | (present_n & rather_absent_n))
    return row_k[np.argsort(label_quality(prob_n, y_n)[row_k], kind="stable")]


def label_error_table(predictions: Predictions) -> pd.DataFrame:
    """Label-error candidates of every finding, for a person to review; see `label_errors`.

    Columns: image_id, patient_id, finding, given_label (1 or 0), prob, suggested_label, quality
    (P(the label as given)), rank (1 = look here first, per finding), and reviewer_decision, empty.
    """
    parts = []
    for finding in predictions.findings:
        prob_n, y_n = predictions.prob(finding), predictions.label(finding)
        row_k = label_errors(prob_n, y_n)
        given_k = y_n[row_k].astype(np.int64)
        part = {
            "image_id": predictions.table["image_id"].to_numpy()[row_k],
            "patient_id": predictions.table["patient_id"].to_numpy()[row_k],
            "finding": finding,
            "given_label": given_k,
            "prob": prob_n[row_k],
            "suggested_label": 1 - given_k,
            "quality": label_quality(prob_n, y_n)[row_k],
            "rank": np.arange(1, len(row_k) + 1),
            "reviewer_decision": "",
        }
        parts.append(pd.DataFrame(part, index=range(len(row_k))))
    return pd.concat(parts, ignore_index=True)


def _rows(row_k: NDArray[np.intp]) -> Rows:
    return tuple(int(row) for row in row_k)
