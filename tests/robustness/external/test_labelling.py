from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from hilum.robustness.external.labelling import FIGURES, compare_labellings
from hilum.units import units_of


def made(n: int, flipped: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and two labellings of which the second errs on a share of films."""
    rng = np.random.default_rng(2)
    first_n = (rng.random(n) < 0.4).astype(float)
    second_n = np.where(rng.random(n) < flipped, 1 - first_n, first_n)
    prob_n = np.clip(0.3 + 0.4 * first_n + rng.normal(0, 0.2, n), 0, 1)
    return np.stack([first_n, second_n]), prob_n


def compared(y_ln: np.ndarray, prob_n: np.ndarray):  # type: ignore[no-untyped-def]
    units = units_of(np.array([f"p{k // 2}" for k in range(len(prob_n))], dtype=object))
    return compare_labellings(
        ("reports", "radiologists"), y_ln, prob_n, 0.5, units=units, rng=np.random.default_rng(0),
        resamples=300,
    )  # fmt: skip


def test_kappa_and_figures_are_those_of_scikit_learn() -> None:
    y_ln, prob_n = made(200, 0.2)
    found = compared(y_ln, prob_n)
    assert found.kappa.value == pytest.approx(cohen_kappa_score(*y_ln))
    aurocs = [roc_auc_score(y_n, prob_n) for y_n in y_ln]
    for name, y_n, auroc in zip(found.names, y_ln, aurocs, strict=True):
        figures = found.figures[name]
        assert figures["auroc"].value == pytest.approx(auroc)
        assert figures["sensitivity"].value == pytest.approx((prob_n[y_n == 1] >= 0.5).mean())
        assert figures["specificity"].value == pytest.approx((prob_n[y_n == 0] < 0.5).mean())
    assert found.difference["auroc"].value == pytest.approx(aurocs[1] - aurocs[0])
    assert found.difference["auroc"].high is not None
    assert found.difference["auroc"].high < 0
    assert sum(found.counts.values()) == 200
    assert found.counts["10"] == int(((y_ln[0] == 1) & (y_ln[1] == 0)).sum())


def test_the_same_labels_twice_agree_and_differ_in_nothing() -> None:
    y_ln, prob_n = made(100, 0.0)
    found = compared(y_ln, prob_n)
    assert found.kappa.value == 1
    assert all(found.difference[name].value == 0 for name in FIGURES)


def test_films_that_one_labelling_leaves_out_have_no_part() -> None:
    y_ln, prob_n = made(100, 0.1)
    y_ln[1, :40] = np.nan
    found = compared(y_ln, prob_n)
    assert found.n == 60
    assert found.kappa.value == pytest.approx(cohen_kappa_score(*y_ln[:, 40:]))


def test_one_answer_alone_or_no_common_film_is_said() -> None:
    y_ln, prob_n = made(20, 0.0)
    found = compared(np.ones_like(y_ln), prob_n)
    assert found.kappa.value is None
    assert found.difference["auroc"].value is None
    y_ln[0, ::2], y_ln[1, 1::2] = np.nan, np.nan
    none = compared(y_ln, prob_n)
    assert none.n == 0
    assert none.kappa.reason == "no film has a label of both"
