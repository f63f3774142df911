"""How far a film lies from those it was trained on."""

import numpy as np
import pytest

from hilum.abstention.fitting import fit_gaussian, fit_novelty
from hilum.abstention.novelty import MEASURES, Novelty, energy


def role(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    image = np.clip(
        0.5 + 0.2 * np.sin(np.linspace(0, 6, 40)) + 0.05 * rng.normal(size=(n, 40, 40)), 0, 1
    )
    return image, rng.normal(size=(n, 20)) * np.arange(1, 21), rng.normal(size=(n, 1))


@pytest.fixture(scope="module")
def fitted() -> Novelty:
    rng = np.random.default_rng(0)
    train, calibrate = role(rng, 400), role(rng, 300)
    return fit_novelty(train, np.arange(400) % 2.0, calibrate, refusals=0.05, rng=rng)


def test_a_distance_is_mahalanobis_to_the_nearer_class() -> None:
    rng = np.random.default_rng(1)
    n, mix_dd = 20_000, np.array([[1, 0.3, 0], [0, 2, 0.5], [0, 0, 1]])
    y_n = np.arange(n) % 2.0
    value_nd = rng.normal(size=(n, 3)) @ mix_dd + np.outer(y_n, [4, 0, 2])
    centre_kd = [value_nd[y_n == k].mean(axis=0) for k in (0, 1)]
    rest_nd = value_nd - np.stack([centre_kd[int(y)] for y in y_n])
    precision_dd = np.linalg.inv(rest_nd.T @ rest_nd / n)
    slow = [
        min(float((value - c) @ precision_dd @ (value - c)) for c in centre_kd)
        for value in value_nd[:20]
    ]
    # Ledoit and Wolf shrink a little, so the two agree but not to the digit.
    np.testing.assert_allclose(fit_gaussian(value_nd, y_n).distance(value_nd[:20]), slow, rtol=0.02)


def test_neighbours_are_found_as_a_slow_search_finds_them(fitted: Novelty) -> None:
    films = role(np.random.default_rng(2), 30)
    axis_nc = (films[1] - fitted.mean_d) @ fitted.axis_dc @ fitted.feature.whiten_dd
    slow = [np.sort(np.linalg.norm(fitted.remembered_mc - each, axis=1))[9] for each in axis_nc]
    np.testing.assert_allclose(fitted.raw(*films)["knn"], slow, rtol=1e-3)


def test_energy_is_that_of_a_softmax_of_two() -> None:
    logit_nf = np.array([[0.0, 2.0], [-3.0, 40.0]])
    slow = [-sum(np.log(1 + np.exp(z)) for z in row) for row in logit_nf]
    np.testing.assert_allclose(energy(logit_nf), slow)


def test_no_more_films_like_calibrate_are_refused_than_asked(fitted: Novelty) -> None:
    found = fitted.score(*role(np.random.default_rng(3), 2000))
    assert tuple(found) == MEASURES
    for name in MEASURES:
        assert (found[name] > 1).mean() < 0.09, name


def test_what_is_strange_is_refused_by_the_measure_that_sees_it(fitted: Novelty) -> None:
    image, feature, logit = role(np.random.default_rng(4), 50)
    turned = fitted.score(np.swapaxes(image, 1, 2), feature, logit)
    assert (turned["film"] > 1).all()
    assert (turned["mahalanobis"] > 1).mean() < 0.3
    noisy = fitted.score(
        np.clip(image + 0.3 * np.random.default_rng(5).normal(size=image.shape), 0, 1),
        feature,
        logit,
    )
    assert (noisy["film"] > 1).all()
    moved = fitted.score(image, feature + 30, logit)
    assert (moved["film"] > 1).mean() < 0.3
    assert (moved["mahalanobis"] > 1).all()
    assert (moved["knn"] > 1).all()


def test_too_few_calibrate_films_set_no_limit() -> None:
    rng = np.random.default_rng(6)
    found = fit_novelty(role(rng, 60), np.arange(60) % 2.0, role(rng, 10), refusals=0.02, rng=rng)
    assert all(np.isinf(limit) for limit in found.limits.values())
    image, feature, logit = role(rng, 5)
    assert all(
        (score_n == 0).all() for score_n in found.score(1 - image, feature + 99, logit).values()
    )


def test_it_comes_back_from_arrays(fitted: Novelty) -> None:
    plain = {"limits": dict(fitted.limits) | {"knn": None}}
    again = Novelty.of(fitted.arrays(), plain)
    films = role(np.random.default_rng(7), 9)
    for name in ("film", "mahalanobis", "energy"):
        np.testing.assert_array_equal(again.score(*films)[name], fitted.score(*films)[name])
    assert (again.score(*films)["knn"] == 0).all()


def test_films_and_features_that_are_all_alike_can_be_fitted() -> None:
    rng = np.random.default_rng(8)
    image, feature, logit = role(rng, 60)
    alike = np.broadcast_to(image[:1], image.shape), np.ones_like(feature), np.zeros_like(logit)
    found = fit_novelty(alike, np.arange(60) % 2.0, alike, refusals=0.05, rng=rng)
    score = found.score(image, feature, logit)
    assert all(np.isfinite(each).all() for each in score.values())
    assert (score["film"][1:] > 1).all()
