from __future__ import annotations

import pytest

from hilum.estimates import Estimate, wilson
from hilum.robustness.external.validating import difference, drops


def test_the_difference_of_two_shares_is_newcombes() -> None:
    # Newcombe 1998, table II, example (a): 56/70 against 48/80, method 10.
    found = difference(wilson(48, 80), wilson(56, 70))
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert found.n == 150


def test_a_figure_that_one_side_lacks_is_said_with_the_side() -> None:
    good, missing = wilson(5, 10), Estimate.missing("no image with the finding among 9", 9)
    assert difference(good, missing).reason == "outside: no image with the finding among 9"
    assert difference(missing, good).reason == "inside: no image with the finding among 9"
    bare = Estimate(0.7, None, None, 10, "none", "too few")
    half = difference(bare, good)
    assert half.value == pytest.approx(-0.2)
    assert (half.low, half.reason) == (None, "inside: too few")


def test_only_figures_of_both_sides_are_compared() -> None:
    found = drops({"auroc": wilson(9, 10)}, {"auroc": wilson(7, 10), "ece": wilson(1, 10)})
    assert [*found] == ["auroc"]
    assert found["auroc"].difference.value == pytest.approx(-0.2)
