from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from hilum.evaluation.failures import (
    failures,
    label_error_table,
    label_errors,
    label_quality,
    uncertain,
    worst,
)
from hilum.evaluation.near_duplicates import NearDuplicates, Pair
from hilum.evaluation.predictions import Predictions

Floats = NDArray[np.float64]


def predictions_of(
    prob: object, label: object, logit: object = None, findings: tuple[str, ...] = ("Pneumonia",)
) -> Predictions:
    prob_nf = np.asarray(prob, dtype=float).reshape(-1, len(findings))
    logit_nf = np.full_like(prob_nf, np.nan) if logit is None else np.asarray(logit, dtype=float)
    return Predictions.from_arrays(
        findings,
        [f"film {row}" for row in range(len(prob_nf))],
        label_nf=np.asarray(label, dtype=float).reshape(prob_nf.shape),
        logit_nf=logit_nf.reshape(prob_nf.shape),
        prob_nf=prob_nf,
        threshold_f=[0.5] * len(findings),
        patient_id_n=[f"p{row // 2}" for row in range(len(prob_nf))],
    )


def cohort(rng: np.random.Generator, n: int, prevalence: float, spread: float = 1.0) -> Predictions:
    """Calibrated probabilities of a classifier that never saw the labels."""
    y_n = (rng.random(n) < prevalence).astype(float)
    score_n = rng.normal(size=n) * spread + 2.5 * y_n
    logit_n = (2.5 * score_n - 2.5**2 / 2) / spread**2 + np.log(prevalence / (1 - prevalence))
    return predictions_of(1 / (1 + np.exp(-logit_n)), y_n, logit_n)


def test_the_worst_errors_are_the_most_confident() -> None:
    prob = [0.9, 0.05, 0.6, 0.3, 0.99, 0.4, 0.7, 0.01]
    label = [0, 1, 0, 1, 1, 0, np.nan, 0]
    false_negative, false_positive = worst(predictions_of(prob, label), "Pneumonia", 0.4)
    assert false_negative == (1, 3)
    assert false_positive == (0, 2, 5)  # 0.4 is positive at 0.4
    assert worst(predictions_of(prob, label), "Pneumonia", 0.4, most=1) == ((1,), (0,))
    assert worst(predictions_of(prob, label), "Pneumonia", 0.4, most=0) == ((), ())


def test_raw_logits_tell_certain_errors_apart() -> None:
    prob, label = [1.0, 1.0, 0.0, 0.0, 1.0], [0, 0, 1, 1, 0]
    found = worst(predictions_of(prob, label, [40.0, 60.0, -40.0, -60.0, 50.0]), "Pneumonia", 0.5)
    assert found == ((3, 2), (1, 4, 0))


def test_without_errors_there_are_none() -> None:
    assert worst(predictions_of([0.9, 0.1], [1, 0]), "Pneumonia", 0.5) == ((), ())


@pytest.mark.parametrize("threshold", [0.02, 0.5, 0.9])
def test_the_most_uncertain_are_nearest_to_the_threshold_in_logits(threshold: float) -> None:
    rng = np.random.default_rng(0)
    prob_n = rng.beta(0.4, 0.6, 200)
    found = uncertain(predictions_of(prob_n, np.zeros(200)), "Pneumonia", threshold, most=200)
    distance = [
        abs(np.log(p / (1 - p)) - np.log(threshold / (1 - threshold))) for p in prob_n[list(found)]
    ]
    assert sorted(found) == list(range(200))
    assert distance == sorted(distance)


def test_the_scale_is_the_logit_and_not_the_probability() -> None:
    # 0.15 lies nearer to 0.1 than 0.05 does in logits; 0.01 is further than 0.2.
    predictions = predictions_of([0.01, 0.2, 0.15, 0.05], [0, 0, 0, 0])
    assert uncertain(predictions, "Pneumonia", 0.1) == (2, 3, 1, 0)


def test_certainty_is_never_uncertain_unless_the_threshold_is_certain_too() -> None:
    predictions = predictions_of([0.0, 1.0, 0.3, 0.0], [0, 1, np.nan, 1])
    assert uncertain(predictions, "Pneumonia", 0.5) == (2,)
    assert uncertain(predictions, "Pneumonia", 1.0) == (1,)
    assert uncertain(predictions, "Pneumonia", 0.0) == (0, 3)


def test_all_equal_probabilities_keep_the_order_of_the_rows() -> None:
    assert uncertain(predictions_of([0.3] * 4, [0, 1, 0, 1]), "Pneumonia", 0.5, 3) == (0, 1, 2)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("prevalence", [0.03, 0.3, 0.7])
def test_label_errors_are_those_of_cleanlab(seed: int, prevalence: float) -> None:
    rng = np.random.default_rng(seed)
    predictions = cohort(rng, 600, prevalence, spread=1.3)
    prob_n, y_n = predictions.prob("Pneumonia"), predictions.label("Pneumonia")
    y_n = np.where(rng.random(600) < 0.08, 1 - y_n, y_n)
    prob_n = np.round(prob_n, 3)  # ties
    theirs = find_label_issues(
        y_n.astype(int),
        np.column_stack([1 - prob_n, prob_n]),
        filter_by="confident_learning",
        return_indices_ranked_by="self_confidence",
    )
    found = label_errors(prob_n, y_n)
    assert len(found) > 10
    assert set(found) == set(theirs)
    quality_n = label_quality(prob_n, y_n)
    np.testing.assert_allclose(quality_n[found], quality_n[theirs])


@pytest.mark.parametrize("method", ["self_confidence", "normalized_margin"])
def test_label_quality_is_cleanlabs_by_either_name(method: str) -> None:
    rng = np.random.default_rng(1)
    prob_n = np.append(rng.random(50), [0.0, 1.0, 0.0, 1.0])
    y_n = np.append((rng.random(50) < 0.5).astype(int), [0, 0, 1, 1])
    theirs = get_label_quality_scores(y_n, np.column_stack([1 - prob_n, prob_n]), method=method)
    np.testing.assert_allclose(label_quality(prob_n, y_n), theirs, atol=1e-12)


def test_label_errors_follow_the_definition_image_by_image() -> None:
    rng = np.random.default_rng(2)
    prob_n = rng.random(300)
    y_n = (rng.random(300) < prob_n).astype(float)
    y_n[rng.random(300) < 0.2] = np.nan
    of_present = np.mean([p for p, y in zip(prob_n, y_n, strict=True) if y == 1])
    of_absent = np.mean([1 - p for p, y in zip(prob_n, y_n, strict=True) if y == 0])
    slow = []
    for row, (p, y) in enumerate(zip(prob_n, y_n, strict=True)):
        confident = [(q, k) for q, k, t in ((1 - p, 0, of_absent), (p, 1, of_present)) if q >= t]
        if not np.isnan(y) and confident and max(confident)[1] != y and max(confident)[0] > 0.5:
            slow.append((p if y == 1 else 1 - p, row))
    assert len(slow) > 5
    assert label_errors(prob_n, y_n).tolist() == [row for _, row in sorted(slow)]


@pytest.mark.parametrize(
    ("prob", "label", "expected"),
    [
        ([0.2, 0.9, 0.7], [1.0, 1.0, 1.0], []),  # one class
        ([0.2, 0.9], [np.nan, np.nan], []),
        ([0.7], [0.0], []),
        ([0.5, 0.5, 0.5], [0.0, 1.0, 1.0], []),  # constant and undecided
        ([0.7, 0.7, 0.7], [0.0, 1.0, 1.0], [0]),  # constant: as sure as of the others
        ([0.0, 1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0, 0.0], [4]),
    ],
)
def test_label_errors_of_degenerate_cohorts(
    prob: list[float], label: list[float], expected: list[int]
) -> None:
    assert label_errors(np.array(prob), np.array(label)).tolist() == expected


def test_one_in_ten_thousand_can_still_be_a_candidate() -> None:
    prob_n, y_n = np.full(10_000, 0.001), np.zeros(10_000)
    y_n[:2], prob_n[:2], prob_n[7] = 1, (0.8, 0.001), 0.9
    assert label_errors(prob_n, y_n).tolist() == [1, 7]


def test_wrong_labels_that_were_planted_come_first() -> None:
    """5 % of 2,000 labels are turned, and a classifier learns from them; it judges images that it
    has not seen. Of the first 50 candidates 89 % are wrong labels, 18 times as many as of any 50;
    69 of the 100 wrong labels are among all candidates (mean of ten cohorts)."""
    first, found = [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        true_n = (rng.random(2000) < 0.3).astype(float)
        feature_nk = rng.normal(size=(2000, 6))
        feature_nk[:, 0] += 2.5 * true_n
        turned_n = np.zeros(2000, dtype=bool)
        turned_n[rng.choice(2000, 100, replace=False)] = True
        y_n = np.where(turned_n, 1 - true_n, true_n)
        prob_n = cross_val_predict(
            LogisticRegression(), feature_nk, y_n, cv=5, method="predict_proba"
        )[:, 1]
        row_k = label_errors(prob_n, y_n)
        first.append(turned_n[row_k[:50]].mean())
        found.append(turned_n[row_k].sum() / 100)
    assert np.mean(first) > 0.8
    assert np.mean(found) > 0.6


def test_right_labels_make_few_candidates_and_those_are_hard_films() -> None:
    # A candidate is not an error: with no wrong label at all some films still look so.
    found = label_errors(
        cohort(np.random.default_rng(3), 2000, 0.3).prob("Pneumonia"),
        cohort(np.random.default_rng(3), 2000, 0.3).label("Pneumonia"),
    )
    assert 0 < len(found) < 100


def test_the_table_for_review_has_a_row_a_candidate_and_finding() -> None:
    prob = [[0.9, 0.1], [0.1, 0.9], [0.95, 0.2], [0.05, 0.9], [0.99, 0.5]]
    label = [[1, 0], [0, 1], [0, 0], [1, 1], [1, np.nan]]
    table = label_error_table(predictions_of(prob, label, findings=("Pneumonia", "Effusion")))
    assert list(table.columns) == [
        "image_id",
        "patient_id",
        "finding",
        "given_label",
        "prob",
        "suggested_label",
        "quality",
        "rank",
        "reviewer_decision",
    ]
    assert table.to_dict("records") == [
        {
            "image_id": "film 3",
            "patient_id": "p1",
            "finding": "Pneumonia",
            "given_label": 1,
            "prob": 0.05,
            "suggested_label": 0,
            "quality": 0.05,
            "rank": 1,
            "reviewer_decision": "",
        },
        {
            "image_id": "film 2",
            "patient_id": "p1",
            "finding": "Pneumonia",
            "given_label": 0,
            "prob": 0.95,
            "suggested_label": 1,
            "quality": pytest.approx(0.05),
            "rank": 2,
            "reviewer_decision": "",
        },
    ]


def test_a_table_without_candidates_keeps_its_columns() -> None:
    table = label_error_table(predictions_of([0.9, 0.1], [1, 0]))
    assert len(table) == 0
    assert table.columns[0] == "image_id"
    assert table.to_csv(index=False).startswith("image_id,patient_id,finding,given_label,")


def test_failures_hold_the_first_of_each_kind() -> None:
    predictions = cohort(np.random.default_rng(4), 400, 0.3, spread=1.5)
    pairs = (Pair(0, 1, 0.999, exact=False), Pair(2, 3, 0.995, exact=False))
    called_n = predictions.prob("Pneumonia") >= 0.35
    found = failures(predictions, "Pneumonia", 0.35, NearDuplicates(400, 2, 0, pairs), most=5)
    assert (found.finding, found.threshold) == ("Pneumonia", 0.35)
    assert (found.false_negative, found.false_positive) == worst(
        predictions, "Pneumonia", 0.35, most=5
    )
    assert found.uncertain == uncertain(predictions, "Pneumonia", 0.35, most=5)
    candidates = label_errors(predictions.prob("Pneumonia"), predictions.label("Pneumonia"))
    assert found.label_errors == tuple(candidates[:5])
    assert found.near_duplicates == tuple(
        p for p in pairs if called_n[p.first] != called_n[p.second]
    )


def test_near_duplicates_are_none_where_nobody_looked() -> None:
    predictions = predictions_of([0.9, 0.1], [1, 0])
    unlooked = NearDuplicates(0, 0, 0, (), "20,001 images are too many")
    assert failures(predictions, "Pneumonia", 0.5).near_duplicates is None
    assert failures(predictions, "Pneumonia", 0.5, unlooked).near_duplicates is None
    assert (
        failures(predictions, "Pneumonia", 0.5, NearDuplicates(2, 0, 0, ())).near_duplicates == ()
    )


def test_the_table_is_a_data_frame_of_plain_types() -> None:
    table = label_error_table(cohort(np.random.default_rng(5), 500, 0.3, spread=1.5))
    assert isinstance(table, pd.DataFrame)
    assert table["rank"].tolist() == list(range(1, len(table) + 1))
    assert (table["suggested_label"] == 1 - table["given_label"]).all()
    assert table["quality"].is_monotonic_increasing
