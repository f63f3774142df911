from pathlib import Path

import numpy as np
import pytest

from hilum.data.faults import FAULTS, SEVERITIES, Fault, FaultyPixels
from hilum.data.pixels import ArrayPixels
from hilum.data.sources import open_source


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def chest(side: int) -> np.ndarray:
    """A bright film with two dark lungs, smooth."""
    y, x = np.mgrid[0:side, 0:side] / (side - 1)
    grey = 0.8 * np.ones((side, side))
    for centre in (0.3, 0.7):
        grey -= 0.6 * np.exp(-(((x - centre) / 0.13) ** 2 + ((y - 0.5) / 0.28) ** 2) * 2)
    return grey.astype(np.float32)


@pytest.fixture(params=FAULTS.values(), ids=FAULTS)
def fault(request: pytest.FixtureRequest) -> Fault:
    return request.param


@pytest.mark.parametrize("shape", [(28, 28), (64, 48), (257, 300)])
def test_a_faulty_film_keeps_its_shape_and_stays_in_range(
    fault: Fault, shape: tuple[int, int]
) -> None:
    for severity in SEVERITIES:
        faulty_hw = fault.apply(rng().random(shape, dtype=np.float32), severity, rng())
        assert faulty_hw.shape == shape
        assert faulty_hw.dtype == np.float32
        assert faulty_hw.min() >= 0
        assert faulty_hw.max() <= 1


@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
def test_a_film_of_one_grey_has_no_value_that_is_not_finite(fault: Fault, grey: float) -> None:
    faulty_hw = fault.apply(np.full((28, 28), grey, dtype=np.float32), 5, rng())
    assert np.isfinite(faulty_hw).all()


@pytest.mark.parametrize("side", [128, 256])
def test_a_higher_severity_takes_a_film_further_from_what_it_was(fault: Fault, side: int) -> None:
    vessels_hw = np.float32(0.02) * rng().standard_normal((side, side), dtype=np.float32)
    film_hw = chest(side) + vessels_hw
    change = [
        np.abs(fault.apply(film_hw, severity, rng(1)) - film_hw).mean() for severity in SEVERITIES
    ]
    assert change[0] > 0.0005
    assert np.all(np.diff(change) > 0)


def test_stored_greys_and_floats_of_one_film_get_the_same_fault(fault: Fault) -> None:
    stored_hw = (chest(32) * 255).astype(np.uint8)
    float_hw = (stored_hw / np.float32(255)).astype(np.float32)
    np.testing.assert_allclose(
        fault.apply(stored_hw, 3, rng()), fault.apply(float_hw, 3, rng()), atol=1e-6
    )


def test_a_film_is_not_changed_in_place(fault: Fault) -> None:
    film_hw = chest(32)
    before_hw = film_hw.copy()
    fault.apply(film_hw, 5, rng())
    np.testing.assert_array_equal(film_hw, before_hw)


@pytest.mark.parametrize("severity", [0, 6])
def test_a_severity_out_of_range_is_refused(severity: int) -> None:
    with pytest.raises(ValueError, match=f"severity = {severity}; set 1 to 5"):
        FAULTS["blur"].apply(chest(28), severity, rng())


def test_a_doubled_dose_moves_mid_grey_by_one_logit_to_black() -> None:
    mid_hw = np.full((4, 4), 0.5, dtype=np.float32)
    over = Fault("double", FAULTS["over_exposure"].act, (1.0, 1.0, 1.0, 1.0, 1.0))
    under = Fault("half", FAULTS["under_exposure"].act, (1.0, 1.0, 1.0, 1.0, 1.0))
    assert over.apply(mid_hw, 1, rng())[0, 0] == pytest.approx(1 / (1 + np.e), abs=1e-6)
    assert under.apply(mid_hw, 1, rng())[0, 0] == pytest.approx(np.e / (1 + np.e), abs=1e-6)


def test_exposure_and_gamma_keep_the_order_of_greys() -> None:
    ramp_hw = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    for name in ("under_exposure", "over_exposure", "gamma_darker", "gamma_lighter"):
        faulty_n = FAULTS[name].apply(ramp_hw, 5, rng()).ravel()
        assert np.all(np.diff(faulty_n) >= 0), name
        lighter = name in ("under_exposure", "gamma_lighter")
        assert (faulty_n.mean() > 0.5) == lighter, name


def test_gamma_leaves_black_and_white_where_they_were() -> None:
    ends_hw = np.array([[0.0, 1.0]], dtype=np.float32)
    for name in ("gamma_darker", "gamma_lighter"):
        np.testing.assert_array_equal(FAULTS[name].apply(ends_hw, 5, rng()), ends_hw)


def test_scatter_keeps_the_mean_and_shrinks_the_spread_by_what_it_says() -> None:
    film_hw = chest(64)
    fault = FAULTS["low_contrast"]
    faulty_hw = fault.apply(film_hw, 4, rng())
    assert faulty_hw.mean() == pytest.approx(film_hw.mean(), abs=1e-5)
    assert faulty_hw.std() == pytest.approx(fault.amounts[3] * film_hw.std(), rel=1e-4)


def test_quantum_noise_is_that_of_a_poisson_count_and_worst_in_white() -> None:
    fault = FAULTS["quantum_noise"]
    for grey in (0.2, 0.8):
        flat_hw = np.full((300, 300), grey, dtype=np.float32)
        faulty_hw = fault.apply(flat_hw, 2, rng())
        # d(ln N) = 1 / sqrt(N); ln N falls by 3 from black to white.
        expected = 1 / (3 * np.sqrt(fault.amounts[1] * np.exp(-3 * grey)))
        assert faulty_hw.std() == pytest.approx(expected, rel=0.05)
        assert faulty_hw.mean() == pytest.approx(grey, abs=0.003)


def test_blur_keeps_the_mean_and_spreads_a_point_by_its_share_of_the_side() -> None:
    point_hw = np.zeros((201, 201), dtype=np.float32)
    point_hw[100, 100] = 1
    fault = FAULTS["blur"]
    faulty_hw = fault.apply(point_hw, 5, rng()).astype(np.float64)
    assert faulty_hw.sum() == pytest.approx(1, abs=1e-4)
    variance = (faulty_hw.sum(axis=0) * (np.arange(201) - 100) ** 2).sum()
    assert np.sqrt(variance) == pytest.approx(fault.amounts[4] * 201, rel=0.02)


def disc(side: int, y: float, x: float, radius: float = 0.05) -> np.ndarray:
    """Of a smooth spot at (y, x), as shares of the side from the film's centre."""
    at_y, at_x = np.mgrid[0:side, 0:side] / (side - 1) - 0.5
    return np.exp(-((at_y - y) ** 2 + (at_x - x) ** 2) / (2 * radius**2)).astype(np.float32)


def found(film_hw: np.ndarray) -> tuple[float, float]:
    """Where the spot is, likewise."""
    side = len(film_hw)
    y, x = np.mgrid[0:side, 0:side] / (side - 1) - 0.5
    weight_hw = np.where(film_hw > 0.2, film_hw, 0).astype(np.float64)
    return float((weight_hw * y).sum() / weight_hw.sum()), float(
        (weight_hw * x).sum() / weight_hw.sum()
    )


def test_zoom_takes_what_is_off_centre_further_out() -> None:
    fault = FAULTS["zoom"]
    y, x = found(fault.apply(disc(128, 0.1, -0.2), 5, rng()))
    assert (y, x) == pytest.approx((0.1 / fault.amounts[4], -0.2 / fault.amounts[4]), abs=0.005)


def test_a_shift_is_as_long_as_it_says_and_its_direction_is_drawn() -> None:
    fault = FAULTS["shift"]
    moved = np.array([found(fault.apply(disc(128, 0, 0), 5, rng(seed))) for seed in range(12)])
    length = np.hypot(*moved.T)
    np.testing.assert_allclose(length, fault.amounts[4] * 128 / 127, atol=0.005)
    assert moved.min() < -0.05
    assert moved.max() > 0.05


def test_a_rotation_is_as_far_as_it_says_to_either_side() -> None:
    fault = FAULTS["rotation"]
    turned = []
    for seed in range(12):
        y, x = found(fault.apply(disc(128, 0, 0.3), 5, rng(seed)))
        turned.append(np.rad2deg(np.arctan2(y, x)))
        assert np.hypot(y, x) == pytest.approx(0.3, abs=0.005)
    np.testing.assert_allclose(np.abs(turned), fault.amounts[4], atol=0.5)
    assert min(turned) < 0 < max(turned)


def test_where_a_shifted_film_ends_its_edge_goes_on() -> None:
    stripes_hw = np.tile(np.linspace(0, 1, 40, dtype=np.float32)[:, None], (1, 40))
    values = [FAULTS["shift"].apply(stripes_hw, 5, rng(seed)) for seed in range(5)]
    for faulty_hw in values:
        assert np.all(np.diff(faulty_hw, axis=0) >= -0.005)  # no bar of black or white comes in


def test_pixels_give_the_same_fault_to_a_film_whenever_and_in_whatever_order_it_is_read() -> None:
    image_nhw = rng().integers(0, 256, (4, 28, 28)).astype(np.uint8)
    for fault in FAULTS.values():
        once, again = (FaultyPixels(ArrayPixels(image_nhw), fault, 3, seed=7) for _ in range(2))
        forward = [once.read(index) for index in range(4)]
        backward = [again.read(index) for index in reversed(range(4))][::-1]
        for first_hw, second_hw in zip(forward, backward, strict=True):
            np.testing.assert_array_equal(first_hw, second_hw)


def test_another_film_and_another_seed_draw_another_fault() -> None:
    image_nhw = np.repeat(chest(28)[None] * 255, 2, axis=0).astype(np.uint8)
    for name in ("quantum_noise", "shift"):
        one = FaultyPixels(ArrayPixels(image_nhw), FAULTS[name], 3)
        other = FaultyPixels(ArrayPixels(image_nhw), FAULTS[name], 3, seed=1)
        assert np.abs(one.read(0) - one.read(1)).max() > 0.01
        assert np.abs(one.read(0) - other.read(0)).max() > 0.01


def test_each_fault_says_in_words_what_causes_it() -> None:
    for name, fault in FAULTS.items():
        assert fault.name == name
        assert len((fault.act.__doc__ or "").split()) > 10


def test_severity_five_does_not_blot_out_a_real_film(data_folder: Path) -> None:
    cohort = open_source("pneumoniamnist", data=data_folder)
    for fault in FAULTS.values():
        for position in (0, 1000, 2000):
            film_hw = cohort.radiograph(position)
            faulty_hw = fault.apply(film_hw, 5, rng())
            assert faulty_hw.std() > 0.2 * film_hw.std(), fault.name
