"""What is a frontal chest film and what is none."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hilum.abstention.examples import not_frontal_chests, varied
from hilum.abstention.fitting import fit_gate
from hilum.abstention.gate import Gate
from hilum.abstention.outline import SIDE
from hilum.data.sources.phantom import phantom_cohort


def phantoms(n: int, seed: int) -> np.ndarray:
    chests = phantom_cohort(n, size=SIDE, seed=seed, age_group="all")
    return np.stack([chests.radiograph(k) for k in range(n)])


@pytest.fixture(scope="module")
def gate() -> Gate:
    return fit_gate(
        phantoms(60, 1), phantoms(60, 2), phantoms(200, 3),
        examples=800, refusals=0.02, rng=np.random.default_rng(0),
    )  # fmt: skip


def test_chests_it_never_saw_pass_and_what_is_none_does_not(gate: Gate) -> None:
    chest_nhw = phantoms(200, 4)
    other_nhw = not_frontal_chests(phantoms(200, 5), 300, np.random.default_rng(1))
    score_n = np.concatenate([gate.score(chest_nhw), gate.score(other_nhw)])
    assert roc_auc_score(np.repeat([1, 0], [200, 300]), score_n) > 0.98
    assert (gate.score(chest_nhw) < gate.limit).mean() < 0.05


def test_its_limit_is_even_odds_at_most_and_refuses_no_more_than_it_may(gate: Gate) -> None:
    assert gate.limit <= 0
    assert (gate.score(phantoms(200, 3)) < gate.limit).mean() <= 0.02


def test_too_few_calibrate_films_refuse_nothing() -> None:
    rng, few = np.random.default_rng(0), phantoms(16, 3)
    found = fit_gate(few, few, few, examples=100, refusals=0.02, rng=rng)
    assert found.limit == -np.inf
    assert Gate.of(found.arrays(), {"limit": None}).limit == -np.inf


def test_its_limit_falls_where_calibrate_films_would_be_refused() -> None:
    rng = np.random.default_rng(0)
    turned = phantoms(60, 1)[:, ::-1]
    found = fit_gate(phantoms(60, 1), phantoms(60, 2), turned, examples=400, refusals=0.1, rng=rng)
    assert found.limit < 0
    assert (found.score(turned) < found.limit).mean() <= 0.1


def test_weights_come_back_from_arrays(gate: Gate) -> None:
    again = Gate.of(gate.arrays(), {"limit": gate.limit})
    film = phantoms(4, 6)
    np.testing.assert_array_equal(again.score(film), gate.score(film))


def test_examples_hang_on_the_generator_alone() -> None:
    film = phantoms(8, 7)
    for make in (
        lambda rng: varied(film, rng),
        lambda rng: not_frontal_chests(film, 40, rng),
    ):
        first, second, third = (make(np.random.default_rng(seed)) for seed in (0, 0, 1))
        np.testing.assert_array_equal(first, second)
        assert np.abs(first - third).max() > 0
        assert first.shape[1:] == (SIDE, SIDE)
        assert np.isfinite(first).all()
