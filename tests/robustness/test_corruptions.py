from __future__ import annotations

import numpy as np
import pytest

from hilum.data.faults import FAULTS, SEVERITIES, Fault
from hilum.robustness.corruptions import ARTEFACTS, CORRUPTIONS


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def chest(side: int = 128) -> np.ndarray:
    """A bright film with two dark lungs and fine detail."""
    y, x = np.mgrid[0:side, 0:side] / (side - 1)
    grey = 0.8 * np.ones((side, side))
    for centre in (0.3, 0.7):
        grey -= 0.6 * np.exp(-(((x - centre) / 0.13) ** 2 + ((y - 0.5) / 0.28) ** 2) * 2)
    return (grey + 0.02 * rng().standard_normal((side, side))).clip(0, 1).astype(np.float32)


@pytest.fixture(params=ARTEFACTS.values(), ids=ARTEFACTS)
def artefact(request: pytest.FixtureRequest) -> Fault:
    return request.param


@pytest.mark.parametrize("shape", [(28, 28), (64, 48), (257, 300)])
def test_a_corrupted_film_keeps_its_shape_and_stays_in_range(
    artefact: Fault, shape: tuple[int, int]
) -> None:
    for severity in SEVERITIES:
        for film_hw in (rng().random(shape, dtype=np.float32), np.ones(shape, np.float32)):
            found_hw = artefact.apply(film_hw, severity, rng())
            assert found_hw.shape == shape
            assert found_hw.dtype == np.float32
            assert np.isfinite(found_hw).all()
            assert (found_hw.min() >= 0) & (found_hw.max() <= 1)


def test_a_higher_severity_takes_a_film_further_from_what_it_was(artefact: Fault) -> None:
    film_hw = chest()
    change = [
        np.mean([np.abs(artefact.apply(film_hw, s, rng(k)) - film_hw).mean() for k in range(8)])
        for s in SEVERITIES
    ]
    assert change[0] > 0.0001
    assert np.all(np.diff(change) > 0)


def test_the_same_seed_gives_the_same_film(artefact: Fault) -> None:
    one, again, other = (artefact.apply(chest(), 3, rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    drawn = artefact.name not in ("inverted_polarity", "jpeg")
    assert bool(np.abs(one - other).max() > 0.01) == drawn


def test_bands_lie_along_the_rows() -> None:
    even_hw = np.full((100, 60), 0.5, np.float32)
    banded_hw = ARTEFACTS["banding"].apply(even_hw, 3, rng())
    assert np.ptp(banded_hw, axis=1).max() < 1e-6
    assert 0.02 < banded_hw[:, 0].std() < 0.06  # 0.04 of full scale


def test_blades_are_black_and_leave_the_middle_as_it_was() -> None:
    film_hw = chest()
    found_hw = ARTEFACTS["collimation"].apply(film_hw, 5, rng())
    np.testing.assert_array_equal(found_hw[50:78, 50:78], film_hw[50:78, 50:78])
    edges = np.concatenate([found_hw[0], found_hw[-1], found_hw[:, 0], found_hw[:, -1]])
    assert edges.max() == 0


def test_the_worst_inverted_polarity_is_the_negative() -> None:
    film_hw = chest()
    found_hw = ARTEFACTS["inverted_polarity"].apply(film_hw, 5, rng())
    np.testing.assert_allclose(found_hw, 1 - film_hw, atol=1e-6)


def test_tubes_and_markers_are_never_darker_than_what_they_lie_on() -> None:
    film_hw = chest()
    for name in ("tubes_and_wires", "markers"):
        found_hw = ARTEFACTS[name].apply(film_hw, 4, rng())
        assert (found_hw - film_hw.clip(0, 0.97)).min() > -1e-6
        share = (found_hw - film_hw > 0.1).mean()
        assert 0.002 < share < 0.3
    marked_hw = ARTEFACTS["markers"].apply(film_hw, 5, rng())
    np.testing.assert_array_equal(marked_hw[60:, 40:88], film_hw[60:, 40:88])


def test_jpeg_is_pillows_at_that_quality() -> None:
    film_hw = chest()
    errors = [np.abs(ARTEFACTS["jpeg"].apply(film_hw, s, rng()) - film_hw).max() for s in (1, 5)]
    assert errors[0] < 0.1 < errors[1]


def test_what_recipes_are_held_against_is_a_part_of_all() -> None:
    assert len(CORRUPTIONS) == len(FAULTS) + len(ARTEFACTS) == 17
