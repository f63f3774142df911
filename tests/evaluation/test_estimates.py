import numpy as np
import pytest
from scipy.stats import binom, binomtest

from hilum.estimates import Estimate, wilson


@pytest.mark.parametrize(
    ("successes", "n"), [(0, 1), (1, 1), (0, 30), (30, 30), (7, 30), (599, 624), (1, 10_000)]
)
def test_wilson_is_scipys(successes: int, n: int) -> None:
    found = wilson(successes, n)
    expected = binomtest(successes, n).proportion_ci(method="wilson")
    assert found.value == successes / n
    assert found.low == pytest.approx(expected.low, abs=1e-12)
    assert found.high == pytest.approx(expected.high, abs=1e-12)


def test_wilson_limits_touch_zero_and_one_exactly() -> None:
    assert wilson(0, 50).low == 0.0
    assert wilson(50, 50).high == 1.0


def test_wilson_of_nothing_says_why() -> None:
    found = wilson(0, 0)
    assert found.value is None
    assert found.reason == "no image in the denominator"


def test_wilson_covers_close_to_95_percent() -> None:
    n = 234
    limits = np.array([(e.low, e.high) for e in (wilson(k, n) for k in range(n + 1))], float)
    low_k, high_k = limits.T
    coverage = [
        float(binom.pmf(np.arange(n + 1), n, p)[(low_k <= p) & (p <= high_k)].sum())
        for p in np.linspace(0.02, 0.98, 49)
    ]
    assert 0.94 < np.mean(coverage) < 0.96
    assert min(coverage) > 0.91


def test_a_smaller_effective_n_widens_the_interval() -> None:
    one, other = wilson(80, 100), wilson(80, 100, effective_n=40.0)
    assert one.value == other.value
    assert other.low is not None
    assert one.low is not None
    assert other.low < one.low
    assert "design effect" in other.method


def test_estimate_comes_back_from_its_dict() -> None:
    for estimate in (wilson(3, 7), Estimate.missing("no image", 0)):
        again = Estimate.from_dict(estimate.to_dict())
        assert again.to_dict() == estimate.to_dict()


def test_estimate_refuses_nan_and_silence() -> None:
    with pytest.raises(ValueError, match="finite"):
        Estimate(float("nan"), None, None, 3, "none", "because")
    with pytest.raises(ValueError, match="says why"):
        Estimate(None, None, None, 3, "none")


def test_estimate_in_words_gives_figure_interval_or_reason() -> None:
    assert Estimate(0.5, 0.25, 0.75, 9, "Wilson").in_words(2) == "0.50 (0.25 to 0.75)"
    assert Estimate.missing("one class", 9).in_words() == "not given: one class"
    assert "no interval: n = 1" in Estimate(0.5, None, None, 1, "none", "n = 1").in_words()


def test_in_brief_leaves_the_reasons_to_a_table() -> None:
    assert Estimate(0.5, 0.4, 0.6, 9, "x").in_brief(2) == "0.50 (0.40 to 0.60)"
    assert Estimate(0.5, None, None, 9, "none", "too few").in_brief() == "0.500 (no interval)"
    assert Estimate.missing("too few", 0).in_brief() == "not given"
