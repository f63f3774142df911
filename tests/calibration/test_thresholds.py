import numpy as np
import pytest

from hilum.calibration.thresholds import Scan
from hilum.units import Units, proportion, units_of


def patients(rng: np.random.Generator, n: int, count: int) -> Units:
    return units_of(np.array([f"p{k}" for k in rng.integers(count, size=n)], dtype=object))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("count", [1, 5, 40, 10_000])
def test_all_limits_at_once_are_those_of_each_threshold_alone(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    units = patients(rng, 120, count)
    y_n = (rng.random(120) < 0.5).astype(float)
    # A patient's images are alike, so that the design effect is far from 1.
    shift_u = rng.normal(size=units.count)
    prob_n = np.round(1 / (1 + np.exp(-shift_u[units.unit_n] - y_n)), 2)
    scan = Scan.of(prob_n, y_n, units)
    lower_present_t, lower_absent_t = scan.present.lower_t(), scan.absent.lower_t()
    for t, threshold in enumerate(scan.threshold_t):
        called_n = prob_n >= threshold
        for side, lower_t, of_n, hit_n in (
            (scan.present, lower_present_t, y_n == 1, called_n),
            (scan.absent, lower_absent_t, y_n == 0, ~called_n),
        ):
            slow = proportion(hit_n[of_n], units.where(of_n))
            assert slow.value is not None
            assert slow.low is not None
            assert side.rate(t).low == pytest.approx(slow.low, abs=1e-12)
            assert lower_t[t] == pytest.approx(slow.low, abs=1e-9)


def test_counts_are_those_of_a_count_by_hand_in_spite_of_ties() -> None:
    rng = np.random.default_rng(0)
    prob_n, y_n = np.round(rng.random(60), 1), np.repeat([0.0, 1.0, np.nan], 20)
    scan = Scan.of(prob_n, y_n, None)
    for t, threshold in enumerate(scan.threshold_t):
        called_n = prob_n >= threshold
        assert scan.tp_t[t] == (called_n & (y_n == 1)).sum()
        assert scan.fn_t[t] == (~called_n & (y_n == 1)).sum()
        assert scan.fp_t[t] == (called_n & (y_n == 0)).sum()
        assert scan.tn_t[t] == (~called_n & (y_n == 0)).sum()
    assert (np.diff(scan.threshold_t) > 0).all()
