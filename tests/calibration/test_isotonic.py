import json

import numpy as np
import pytest
from scipy.special import expit

from hilum.calibration import Isotonic, fit_isotonic
from hilum.errors import EvaluationError


def sample(n: int = 300, seed: int = 0, digits: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logit_n = np.round(rng.normal(0, 2, n), digits)
    return logit_n, (rng.random(n) < expit(2 * np.tanh(logit_n))).astype(float)


def pooled(logit_n: np.ndarray, y_n: np.ndarray) -> dict[float, float]:
    """Share per distinct logit: pools are merged, two at a time, while one lies above the next."""
    pools = [(y_n[logit_n == x].tolist(), [x]) for x in np.unique(logit_n)]
    k = 0
    while k < len(pools) - 1:
        if np.mean(pools[k][0]) >= np.mean(pools[k + 1][0]):
            pools[k : k + 2] = [(pools[k][0] + pools[k + 1][0], pools[k][1] + pools[k + 1][1])]
            k = max(0, k - 1)
        else:
            k += 1
    return {x: float(np.mean(labels)) for labels, xs in pools for x in xs}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("digits", [0, 1, 12])
def test_it_pools_adjacent_violators_ties_included(seed: int, digits: int) -> None:
    logit_n, y_n = sample(seed=seed, digits=digits)
    found, slow = fit_isotonic(logit_n, y_n), pooled(logit_n, y_n)
    for x, share in slow.items():
        if 0 < share < 1:
            assert found.prob(np.array([x]))[0] == pytest.approx(share, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("digits", [0, 1, 12])
def test_it_agrees_with_scikit_learn_but_at_the_certain_ends(seed: int, digits: int) -> None:
    from sklearn.isotonic import IsotonicRegression

    logit_n, y_n = sample(seed=seed, digits=digits)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(logit_n, y_n)
    value_k = theirs.predict(logit_n)
    # Between the highest logit that is surely absent and the lowest that is surely present.
    low = logit_n[value_k == 0].max(initial=-np.inf)
    high = logit_n[value_k == 1].min(initial=np.inf)
    inner = logit_n[(logit_n > low) & (logit_n < high)]
    grid = np.linspace(inner.min(), inner.max(), 1001)
    found = fit_isotonic(logit_n, y_n)
    np.testing.assert_allclose(found.prob(grid), theirs.predict(grid), atol=1e-12)


def test_the_ends_are_never_certain_and_follow_laplace() -> None:
    from sklearn.isotonic import IsotonicRegression

    logit_n = np.arange(60.0)
    y_n = np.repeat([0.0, 1.0, 0.0, 1.0], [25, 5, 5, 25])
    found = fit_isotonic(logit_n, y_n)
    assert set(IsotonicRegression().fit_transform(logit_n, y_n)) == {0.0, 0.5, 1.0}
    assert found.prob(np.array([-1e6]))[0] == 1 / 27
    assert found.prob(np.array([30.0]))[0] == 0.5
    assert found.prob(np.array([1e6]))[0] == 26 / 27


def test_an_end_never_lies_beyond_its_neighbour() -> None:
    # One image without the finding, then many with one in thirty: 1/3 would lie above 1/30.
    logit_n = np.concatenate([[0.0], np.arange(1.0, 601.0), np.arange(700.0, 725.0)])
    y_n = np.concatenate([[0.0], np.tile([1.0] + [0.0] * 29, 20), np.ones(25)])
    found = fit_isotonic(logit_n, y_n)
    assert found.prob(np.array([0.0]))[0] == pytest.approx(1 / 30)
    assert (np.diff(found.values) >= 0).all()


def test_between_two_steps_it_is_a_straight_line() -> None:
    logit_n = np.concatenate([np.full(40, -1.0), np.full(40, 3.0)])
    y_n = np.concatenate([np.repeat([0.0, 1.0], [30, 10]), np.repeat([0.0, 1.0], [10, 30])])
    found = fit_isotonic(logit_n, y_n)
    np.testing.assert_allclose(
        found.prob(np.array([-9, -1, 1, 3, 9])), [0.25, 0.25, 0.5, 0.75, 0.75]
    )
    assert found.thresholds == (-1.0, 3.0)


def test_separated_classes_constant_logits_and_the_wrong_way_round() -> None:
    logit_n, y_n = np.arange(60.0), np.repeat([0.0, 1.0], 30)
    assert set(fit_isotonic(logit_n, y_n).values) == {1 / 32, 31 / 32}
    assert fit_isotonic(np.full(60, 2.0), y_n) == Isotonic((2.0,), (0.5,))
    assert set(fit_isotonic(logit_n, y_n[::-1]).values) == {0.5}


def test_no_image_overtakes_another_on_a_step_all_are_exactly_equal() -> None:
    logit_n, y_n = sample()
    found = fit_isotonic(logit_n, y_n)
    grid = np.sort(np.concatenate([np.linspace(-900, 900, 5001), logit_n, logit_n + 1e-13]))
    prob_n = found.prob(grid)
    assert (np.diff(prob_n) >= 0).all()
    assert ((prob_n > 0) & (prob_n < 1)).all()
    for x, y, p, q in zip(
        found.thresholds, found.thresholds[1:], found.values, found.values[1:], strict=False
    ):
        if p == q:
            assert set(found.prob(np.linspace(x, y, 7)[1:-1])) == {p}


def test_at_one_in_ten_thousand_the_mean_probability_is_near_the_prevalence() -> None:
    rng = np.random.default_rng(0)
    y_n = np.zeros(200_000)
    y_n[:20] = 1
    logit_n = rng.normal(-6, 1.5, 200_000) + 3 * y_n
    assert fit_isotonic(logit_n, y_n).prob(logit_n).mean() == pytest.approx(1e-4, rel=0.1)


def test_too_few_images_are_refused() -> None:
    logit_n, y_n = np.arange(100.0), np.repeat([0.0, 1.0], [81, 19])
    with pytest.raises(EvaluationError, match="19 images with the finding among 100; expected 20"):
        fit_isotonic(logit_n, y_n)
    with pytest.raises(EvaluationError, match="19 images with"):
        fit_isotonic(np.append(logit_n, 3.0), np.append(y_n, np.nan))


def test_it_comes_back_from_json() -> None:
    found = fit_isotonic(*sample())
    assert Isotonic.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False))) == found


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "platt"},
        {"thresholds": []},
        {"thresholds": [0.0]},
        {"thresholds": [1.0, 0.0]},
        {"thresholds": [0.0, 0.0]},
        {"thresholds": [0.0, float("inf")]},
        {"thresholds": "01"},
        {"values": [0.5, 0.4]},
        {"values": [0.5, 1.1]},
        {"values": [-0.1, 0.5]},
        {"values": [0.5, float("nan")]},
        {"values": [0.5, None]},
    ],
)
def test_other_dicts_are_refused(change: dict[str, object]) -> None:
    fields = {"kind": "isotonic", "thresholds": [0.0, 1.0], "values": [0.2, 0.8]}
    assert Isotonic.from_dict(fields).prob(np.array([0.5]))[0] == 0.5
    with pytest.raises(EvaluationError):
        Isotonic.from_dict({**fields, **change})
