from __future__ import annotations

from math import comb

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import brier_score_loss
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import confint_proportions_2indep

from hilum.estimates import Estimate
from hilum.evaluation.intervals import delong
from hilum.evaluation.reliability import (
    bins_for,
    debiased_calibration_error,
    equal_mass_bins,
)
from hilum.evaluation.subgroups.group_figures import (
    auroc,
    brier,
    calibration_error,
    distinct,
    gap,
    p_of_gap,
    p_of_rates,
    rate,
)
from hilum.units import Units, proportion, units_of

Floats = NDArray[np.float64]


def images(n: int) -> Units:
    return units_of(np.full(n, None, dtype=object))


def patients(ids: NDArray[np.generic]) -> Units:
    return units_of(ids.astype(str).astype(object))


def limits(estimate: Estimate) -> tuple[float, float]:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low, estimate.high


def clustered(rng: np.random.Generator, count: int, each: int = 4) -> tuple[Units, Floats]:
    """Units of `each` images, and a score whose images are alike within a unit."""
    unit_n = np.repeat(np.arange(count), each)
    alike_n = rng.normal(size=count)[unit_n] + rng.normal(size=len(unit_n))
    return patients(unit_n), alike_n


@pytest.mark.parametrize("cut", [-9.0, -1.0, 0.0, 1.5, 9.0])
@pytest.mark.parametrize("each", [1, 4])
def test_a_rate_of_a_part_is_the_proportion_of_its_images_alone(each: int, cut: float) -> None:
    rng = np.random.default_rng(0)
    units, score_n = clustered(rng, 60, each)
    hit_n = score_n > cut
    at_k = np.flatnonzero(rng.random(len(hit_n)) < 0.6)
    found = rate(hit_n, units, at_k)
    slow = proportion(hit_n[at_k], units.where(at_k))
    assert (found.value, found.n, found.method) == (slow.value, slow.n, slow.method)
    assert (found.low, found.high) == pytest.approx(limits(slow), abs=1e-12)
    assert found.push_u.sum() == pytest.approx(0)


def test_a_rate_of_one_image_or_one_patient_has_an_interval() -> None:
    units = patients(np.array([0, 0, 0, 1]))
    hit_n = np.array([True, False, True, True])
    for at_k in (np.array([3]), np.array([0, 1, 2])):
        assert rate(hit_n, units, at_k).estimate == proportion(hit_n[at_k], units.where(at_k))


@pytest.mark.parametrize("each", [1, 4])
@pytest.mark.parametrize("digits", [0, 1, 9])
def test_auroc_of_a_part_is_delong_of_its_images_alone(each: int, digits: int) -> None:
    rng = np.random.default_rng(1)
    units, score_n = clustered(rng, 60, each)
    y_n = (rng.random(len(score_n)) < 0.4).astype(float)
    score_n = np.round(score_n + y_n, digits)
    order_n = np.argsort(-score_n, kind="stable")
    rank_n, y_n, units = score_n[order_n], y_n[order_n], units.where(order_n)
    at_k = np.flatnonzero(rng.random(len(y_n)) < 0.5)
    found = auroc(rank_n, y_n, units, at_k)
    slow = delong(rank_n[at_k], y_n[at_k], units.where(at_k))
    assert found.value == pytest.approx(slow.value, abs=1e-12)
    assert (found.low, found.high) == pytest.approx(limits(slow), abs=1e-12)
    assert (found.method, found.n) == (slow.method, slow.n)


@pytest.mark.parametrize(
    ("rank", "y"),
    [
        ([4.0, 3.0, 2.0, 1.0], [1.0, 1.0, 0.0, 0.0]),  # perfect
        ([1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 1.0, 0.0]),  # constant
        ([2.0, 1.0], [0.0, 1.0]),  # one image a class
    ],
)
def test_auroc_without_a_variance_takes_delongs_way_out(rank: list[float], y: list[float]) -> None:
    rank_n, y_n = np.array(rank), np.array(y)
    found = auroc(rank_n, y_n, images(len(y)), np.arange(len(y)))
    assert found.estimate == delong(rank_n, y_n, images(len(y)))
    assert not found.push_u.any()


@pytest.mark.parametrize(
    ("a", "n", "b", "m"), [(9, 30, 12, 200), (0, 25, 6, 90), (20, 20, 3, 40), (0, 20, 0, 30)]
)
def test_the_gap_of_two_rates_is_newcombes_in_statsmodels(a: int, n: int, b: int, m: int) -> None:
    hit_n = np.arange(n + m) < a
    hit_n[n : n + b] = True
    units = images(n + m)
    part, rest = rate(hit_n, units, np.arange(n)), rate(hit_n, units, np.arange(n, n + m))
    found = gap(part, rest)
    theirs = confint_proportions_2indep(a, n, b, m, method="newcomb", compare="diff")
    assert found.value == pytest.approx(a / n - b / m)
    assert limits(found) == pytest.approx(theirs, abs=1e-9)
    assert found.method == "Newcombe's hybrid (Wilson)"


@pytest.mark.parametrize(("a", "n", "b", "m"), [(9, 30, 12, 70), (0, 25, 6, 90), (5, 20, 5, 20)])
def test_the_p_of_two_rates_is_fishers_sum_over_tables_no_likelier(
    a: int, n: int, b: int, m: int
) -> None:
    hit_n = np.arange(n + m) < a
    hit_n[n : n + b] = True
    units = images(n + m)
    part, rest = rate(hit_n, units, np.arange(n)), rate(hit_n, units, np.arange(n, n + m))
    hits = a + b
    weight = {x: comb(n, x) * comb(m, hits - x) for x in range(hits + 1) if x <= n}
    slow = sum(w for w in weight.values() if w <= weight[a]) / comb(n + m, hits)
    assert p_of_rates(part, rest) == pytest.approx(slow)
    assert p_of_rates(rest, part) == pytest.approx(slow)


def test_copies_of_each_image_change_neither_the_gap_of_rates_nor_its_p_by_much() -> None:
    rng = np.random.default_rng(2)
    hit_n, half_n = rng.random(400) < 0.3, np.arange(400) < 150
    units, copies = images(400), np.repeat(np.arange(400), 4)
    four = patients(copies)

    def both(h: NDArray[np.bool_], u: Units, g: NDArray[np.bool_]) -> tuple[Estimate, float]:
        part, rest = rate(h, u, np.flatnonzero(g)), rate(h, u, np.flatnonzero(~g))
        return gap(part, rest), p_of_rates(part, rest)

    one, p_one = both(hit_n, units, half_n)
    copied, p_copied = both(hit_n[copies], four, half_n[copies])
    assert limits(copied) == pytest.approx(limits(one), abs=0.003)
    assert p_copied == pytest.approx(p_one, rel=0.1)
    ignored, _ = both(hit_n[copies], images(1600), half_n[copies])
    assert np.ptp(limits(ignored)) < 0.6 * np.ptp(limits(one))


@pytest.mark.parametrize(("more", "fewer"), [(12, 2), (9, 9), (25, 10), (0, 0)])
def test_within_patients_the_p_of_two_rates_is_about_mcnemars(more: int, fewer: int) -> None:
    # 150 patients with a film of either view; 40 are missed at both, some at one view alone.
    patient_n, second_n = np.tile(np.arange(150), 2), np.arange(300) >= 150
    missed_n = patient_n < 40
    missed_n |= ~second_n & (patient_n >= 40) & (patient_n < 40 + more)
    missed_n |= second_n & (patient_n >= 100) & (patient_n < 100 + fewer)
    units = patients(patient_n)
    part, rest = (rate(missed_n, units, np.flatnonzero(side)) for side in (~second_n, second_n))
    exact = float(mcnemar([[40, more], [fewer, 110 - more - fewer]], exact=True).pvalue)
    assert exact / 2 < p_of_rates(part, rest) <= min(1.0, 2 * exact)
    low, high = limits(gap(part, rest))
    assert (low <= 0 <= high) == (exact > 0.05)


@pytest.mark.parametrize("figure", ["rate", "auroc"])
def test_a_gap_within_patients_has_the_width_of_the_patient_bootstrap(figure: str) -> None:
    # Each patient has films on both sides, which rise and fall together.
    rng = np.random.default_rng(3)
    count, each = 300, 6
    units, score_n = clustered(rng, count, each)
    y_n = (rng.random(count) < 0.5)[units.unit_n].astype(float)
    score_n = np.where(y_n == 1, score_n + 1.2, score_n)
    order_n = np.argsort(-score_n, kind="stable")
    score_n, y_n, units = score_n[order_n], y_n[order_n], units.where(order_n)
    side_n = rng.random(len(y_n)) < 0.5

    def parts(s_n: Floats, t_n: Floats, u: Units, g_n: NDArray[np.bool_]):  # type: ignore[no-untyped-def]
        inside, outside = np.flatnonzero(g_n), np.flatnonzero(~g_n)
        if figure == "rate":
            return rate(s_n > 0.5, u, inside), rate(s_n > 0.5, u, outside)
        return auroc(s_n, t_n, u, inside), auroc(s_n, t_n, u, outside)

    found = gap(*parts(score_n, y_n, units, side_n))
    members = [np.flatnonzero(units.unit_n == u) for u in range(units.count)]
    draws = []
    for _ in range(400):
        drawn = np.sort(np.concatenate([members[u] for u in rng.integers(count, size=count)]))
        one, other = parts(score_n[drawn], y_n[drawn], images(len(drawn)), side_n[drawn])
        draws.append(one.value - other.value)
    assert np.ptp(limits(found)) == pytest.approx(2 * 1.96 * np.std(draws), rel=0.12)
    assert "patients on both sides" in found.method
    # Taken for independent, the two sides would look further apart than they can be.
    part, rest = parts(score_n, y_n, units, side_n)
    apart = np.hypot(part.high - part.low, rest.high - rest.low)
    assert np.ptp(limits(found)) < 0.9 * apart


def test_the_gap_of_aurocs_is_significant_when_its_interval_leaves_0_out() -> None:
    seen = set()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        y_n = (rng.random(160) < 0.5).astype(float)
        side_n = rng.random(160) < 0.4
        score_n = rng.normal(size=160) + y_n * np.where(side_n, 0.6, 1.4)
        order_n = np.argsort(-score_n)
        score_n, y_n, side_n = score_n[order_n], y_n[order_n], side_n[order_n]
        units = images(160)
        part = auroc(score_n, y_n, units, np.flatnonzero(side_n))
        rest = auroc(score_n, y_n, units, np.flatnonzero(~side_n))
        low, high = limits(gap(part, rest))
        assert (p_of_gap(part, rest) < 0.05) == (not low <= 0 <= high)
        assert p_of_gap(part, rest) == pytest.approx(p_of_gap(rest, part))
        seen.add(p_of_gap(part, rest) < 0.05)
    assert seen == {True, False}


def test_equal_figures_have_a_gap_of_0_and_a_p_of_1() -> None:
    rank_n, y_n = np.array([4.0, 4.0, 3.0, 3.0, 2.0, 2.0]), np.array([1.0, 1.0, 0.0, 0.0, 1.0, 1.0])
    at_k = np.arange(0, 6, 2)
    part, rest = (auroc(rank_n, y_n, images(6), k) for k in (at_k, at_k + 1))
    assert gap(part, rest).value == 0
    assert p_of_gap(part, rest) == 1
    hit_n = y_n == 1
    part, rest = (rate(hit_n, images(6), k) for k in (at_k, at_k + 1))
    assert p_of_rates(part, rest) == 1


def test_brier_of_a_part_is_scikit_learns_with_a_sandwich_by_patient() -> None:
    rng = np.random.default_rng(4)
    units, score_n = clustered(rng, 50)
    prob_n = expit(score_n)
    y_n = (rng.random(200) < prob_n).astype(float)
    at_k = np.flatnonzero(rng.random(200) < 0.7)
    found = brier(prob_n, y_n, units, at_k)
    value = brier_score_loss(y_n[at_k], prob_n[at_k])
    assert found.value == pytest.approx(value)
    sums: dict[int, float] = {}
    for k in at_k:
        excess = (prob_n[k] - y_n[k]) ** 2 - value
        sums[int(units.unit_n[k])] = sums.get(int(units.unit_n[k]), 0.0) + excess
    error = np.sqrt(len(sums) / (len(sums) - 1) * sum(s * s for s in sums.values())) / len(at_k)
    half = 1.959964 * error / (value * (1 - value))
    assert limits(found) == pytest.approx(
        expit(np.log(value / (1 - value)) + half * np.array([-1, 1]))
    )
    assert found.method == "normal on the logit scale, sandwich by patient"


def test_calibration_error_of_a_part_is_that_of_its_images_alone() -> None:
    rng = np.random.default_rng(5)
    units, score_n = clustered(rng, 100)
    prob_n = expit(2 * score_n)
    y_n = (rng.random(400) < expit(score_n)).astype(float)
    at_k = np.flatnonzero(rng.random(400) < 0.7)
    found = calibration_error(prob_n, y_n, units, at_k)
    prob_k, y_k = prob_n[at_k], y_n[at_k]
    bin_k = equal_mass_bins(prob_k, bins_for(len(at_k)))
    assert found.value == pytest.approx(debiased_calibration_error(prob_k, y_k, bin_k))
    low, high = limits(found)
    assert low < (found.value or 0) < high
    copies = np.repeat(at_k, 3)  # the same patients, each image three times
    again = limits(calibration_error(prob_n, y_n, units, copies))
    apart = limits(
        calibration_error(prob_n[copies], y_n[copies], images(len(copies)), np.arange(len(copies)))
    )
    assert again[1] ** 2 - again[0] ** 2 == pytest.approx(high**2 - low**2, rel=0.15)
    assert apart[1] ** 2 - apart[0] ** 2 < 0.7 * (high**2 - low**2)


@pytest.mark.parametrize("slope", [1.0, 1.8])
@pytest.mark.parametrize("each", [1, 4])
def test_intervals_of_brier_and_calibration_error_cover(each: int, slope: float) -> None:
    """600 images; outcomes of one patient go together. 95 % intervals hold the truth in 93 % of
    250 sets or more, less 3 standard errors of that count."""
    rng = np.random.default_rng(6)
    many = 1.5 * rng.normal(size=400_000) - 1
    stated, true = expit(slope * many), expit(many)
    brier_true = float(((stated - true) ** 2 + true * (1 - true)).mean())
    error_true = float(np.sqrt(((stated - true) ** 2).mean()))
    held = np.zeros(2)
    for _ in range(250):
        units, score_n = clustered(rng, 600 // each, each)
        z_n = 1.5 * score_n / np.sqrt(2) - 1
        together_n = rng.random(units.count)[units.unit_n]
        luck_n = np.where(rng.random(600) < 0.5, together_n, rng.random(600))
        y_n, at_k = (luck_n < expit(z_n)).astype(float), np.arange(600)
        for f, (figure, truth) in enumerate(((brier, brier_true), (calibration_error, error_true))):
            low, high = limits(figure(expit(slope * z_n), y_n, units, at_k))
            held[f] += low <= truth <= high
    assert (held / 250 > 0.93 - 3 * np.sqrt(0.93 * 0.07 / 250)).all(), held / 250


@pytest.mark.parametrize("figure", [brier, calibration_error])
@pytest.mark.parametrize(
    ("prob", "y", "ids"),
    [
        ([0.0, 1.0, 1.0], [0.0, 1.0, 1.0], [0, 1, 2]),  # never wrong
        ([0.0, 0.0], [1.0, 1.0], [0, 1]),  # always certain, and wrong
        ([0.3, 0.3], [1.0, 1.0], [0, 1]),  # the same error each time
        ([0.3], [1.0], [0]),
        ([0.2, 0.7, 0.4], [0.0, 1.0, 1.0], [0, 0, 0]),  # one patient
    ],
)
def test_errors_that_tell_nothing_of_their_spread_have_a_value_and_a_reason(
    figure: object, prob: list[float], y: list[float], ids: list[int]
) -> None:
    assert callable(figure)
    units = patients(np.array(ids))
    found = figure(np.array(prob), np.array(y), units, np.arange(len(y)))
    assert found.value is not None
    assert found.low is None
    assert found.reason


def test_units_of_a_part_are_counted_once() -> None:
    units = patients(np.array([0, 0, 1, 2, 2]))
    assert distinct(units, np.array([0, 1, 3])) == 2
    assert distinct(units, np.array([], dtype=np.intp)) == 0
    assert distinct(images(5), np.array([0, 1, 3])) == 3
