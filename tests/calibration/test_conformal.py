import json

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import beta, kstest, norm

from hilum.calibration import ConformalLimits, conformal_limits, fit_isotonic, fit_platt
from hilum.errors import EvaluationError


def sample(
    rng: np.random.Generator, present: int = 60, absent: int = 90
) -> tuple[np.ndarray, np.ndarray]:
    y_n = np.repeat([1.0, 0.0], [present, absent])
    return expit(rng.normal(2 * y_n, 1.0)), y_n


def covered(limits: ConformalLimits) -> tuple[float, float]:
    """The exact share of all present and of all absent images whose set holds their class."""
    with np.errstate(divide="ignore"):
        return (
            float(norm.sf(logit(limits.present_from), loc=2)),
            float(norm.cdf(logit(limits.absent_to))),
        )


def rank(m: int, coverage: float) -> int:
    """The least k with k / (m + 1) >= coverage, by counting."""
    return next(k for k in range(1, m + 2) if k / (m + 1) >= coverage - 1e-12 or k == m + 1)


@pytest.mark.parametrize("coverage", [0.5, 0.9, 0.95])
def test_a_limit_is_that_of_the_kth_most_typical_image(coverage: float) -> None:
    prob_n, y_n = sample(np.random.default_rng(0))
    limits = conformal_limits(prob_n, y_n, coverage)
    present, absent = sorted(prob_n[y_n == 1], reverse=True), sorted(prob_n[y_n == 0])
    assert limits.present_from == present[rank(60, coverage) - 1]
    assert limits.absent_to == absent[rank(90, coverage) - 1]
    assert (limits.n_present, limits.n_absent) == (60, 90)


def test_coverage_over_a_thousand_calibrations_follows_its_beta_law() -> None:
    rng = np.random.default_rng(0)
    share_b2 = np.array([covered(conformal_limits(*sample(rng), 0.9)) for _ in range(1000)])
    for share_b, m in zip(share_b2.T, (60, 90), strict=True):
        k = rank(m, 0.9)
        assert kstest(share_b, beta(k, m + 1 - k).cdf).pvalue > 0.05
        # One rank off would be seen.
        assert kstest(share_b, beta(k - 1, m + 2 - k).cdf).pvalue < 1e-3
        assert 0.9 <= k / (m + 1) < 0.9 + 1 / (m + 1)


def test_a_calibrator_fitted_on_the_same_images_leaves_the_law_as_it_is() -> None:
    rng = np.random.default_rng(1)
    share_b, more_b = [], []
    for _ in range(300):
        prob_n, y_n = sample(rng)
        logit_n = logit(prob_n)
        platt, isotonic = fit_platt(logit_n, y_n), fit_isotonic(logit_n, y_n)
        limits = conformal_limits(platt.prob(logit_n), y_n, 0.9)
        lowest = logit_n[platt.prob(logit_n) >= limits.present_from].min()
        share_b.append(float(norm.sf(lowest, loc=2)))
        # Ties of isotonic calibration only add to the sets.
        limits = conformal_limits(isotonic.prob(logit_n), y_n, 0.9)
        grid = np.linspace(-6, 8, 4001)
        lowest = grid[isotonic.prob(grid) >= limits.present_from].min()
        more_b.append(float(norm.sf(lowest, loc=2)))
    k = rank(60, 0.9)
    assert kstest(share_b, beta(k, 61 - k).cdf).pvalue > 0.05
    assert (np.array(more_b) >= np.array(share_b) - 1e-3).all()


def test_it_agrees_with_mapie_fitted_on_one_class_at_a_time() -> None:
    from mapie.classification import SplitConformalClassifier
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(2)
    x_n, y_n = rng.normal(size=300), np.repeat([0, 1], 150)
    x_n = (x_n + 1.5 * y_n)[:, None]
    test_n = np.linspace(-4, 5, 2001)[:, None]
    model = LogisticRegression().fit(x_n, y_n)
    held_out_n = rng.normal(size=(200, 1)) + 1.5 * np.repeat([0, 1], 100)[:, None]
    label_n = np.repeat([0, 1], 100)
    limits = conformal_limits(model.predict_proba(held_out_n)[:, 1], label_n.astype(float), 0.9)
    prob_n = model.predict_proba(test_n)[:, 1]
    ours = {1: prob_n >= limits.present_from, 0: prob_n <= limits.absent_to}
    for label in (0, 1):
        of_class = label_n == label
        theirs = SplitConformalClassifier(
            model, confidence_level=0.9, conformity_score="lac", prefit=True
        )
        with pytest.warns(UserWarning, match="less labels"):
            theirs.conformalize(held_out_n[of_class], label_n[of_class])
        sets = theirs.predict_set(test_n)[1]
        np.testing.assert_array_equal(ours[label], sets[:, label, 0])


def test_too_few_images_of_a_class_put_it_into_every_set() -> None:
    # (8 + 1) * 0.9 = 8.1: a ninth would be needed; (9 + 1) * 0.9 = 9 is the last of nine.
    for present, expected in ((8, 0.0), (9, 0.1)):
        prob_n = np.concatenate([np.linspace(0.1, 0.9, present), [0.5]])
        y_n = np.concatenate([np.ones(present), [0.0]])
        limits = conformal_limits(prob_n, y_n, 0.9)
        assert limits.present_from == pytest.approx(expected)
        assert limits.absent_to == 1.0
    none = conformal_limits(np.array([]), np.array([]), 0.9)
    assert (none.present_from, none.absent_to, none.n_present) == (0.0, 1.0, 0)


def test_floats_do_not_add_an_image_to_the_rank() -> None:
    # 0.1 * 30 is 3.0000000000000004.
    prob_n = np.append(np.linspace(0.1, 0.9, 29), 0.5)
    y_n = np.append(np.ones(29), 0.0)
    assert conformal_limits(prob_n, y_n, 0.1).present_from == sorted(prob_n[:29])[-3]


def test_ties_constant_scores_and_probabilities_of_0_and_1_cover_at_least_as_asked() -> None:
    y_n = np.repeat([1.0, 0.0], 40)
    for prob_n in (np.full(80, 0.5), np.tile([0.0, 1.0], 40), y_n, 1 - y_n, np.round(y_n / 3, 1)):
        limits = conformal_limits(prob_n, y_n, 0.9)
        assert (prob_n[y_n == 1] >= limits.present_from).mean() >= 0.9
        assert (prob_n[y_n == 0] <= limits.absent_to).mean() >= 0.9


def test_unknown_labels_are_left_out() -> None:
    prob_n, y_n = sample(np.random.default_rng(0))
    more = conformal_limits(np.append(prob_n, [0.99, np.nan]), np.append(y_n, [np.nan] * 2), 0.9)
    assert more == conformal_limits(prob_n, y_n, 0.9)


def test_logits_and_a_coverage_that_is_none_are_refused() -> None:
    with pytest.raises(EvaluationError, match="calibrated probabilities"):
        conformal_limits(np.array([2.0, 0.1]), np.array([1.0, 0.0]), 0.9)
    for coverage in (0.0, 1.0, 90.0, float("nan")):
        with pytest.raises(EvaluationError, match="a share between 0 and 1"):
            conformal_limits(np.array([0.9, 0.1]), np.array([1.0, 0.0]), coverage)


def test_limits_come_back_from_json_to_the_last_digit_and_say_what_they_are() -> None:
    limits = conformal_limits(*sample(np.random.default_rng(0)), 0.9)
    again = ConformalLimits.from_dict(json.loads(json.dumps(limits.to_dict(), allow_nan=False)))
    assert again == limits
    assert "90 % coverage in each class, present from" in limits.in_words()
    assert "absent always (3 images)" in ConformalLimits(0.9, 0.2, 1.0, 60, 3).in_words()


@pytest.mark.parametrize(
    "change",
    [
        {"coverage": 1.0},
        {"present_from": -0.1},
        {"absent_to": 1.1},
        {"absent_to": float("nan")},
        {"absent_to": "1"},
        {"n_present": -1},
        {"n_absent": 2.5},
        {"n_absent": None},
    ],
)
def test_other_dicts_are_refused(change: dict[str, object]) -> None:
    fields = ConformalLimits(0.9, 0.2, 0.7, 60, 90).to_dict()
    with pytest.raises(EvaluationError):
        ConformalLimits.from_dict({**fields, **change})
    with pytest.raises(EvaluationError):
        ConformalLimits.from_dict({})
