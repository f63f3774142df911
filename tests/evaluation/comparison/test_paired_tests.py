from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom, chi2, norm
from scipy.stats import t as student
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests

from hilum.estimates import Z95
from hilum.evaluation.comparison import paired_tests
from hilum.evaluation.comparison.paired_tests import (
    DETECTABLE,
    PairedDecisions,
    mcnemar,
    paired_delong,
    swap_mid_p,
)
from hilum.evaluation.discrimination import auroc
from hilum.evaluation.intervals import delong, holm
from hilum.units import Units, units_of

Floats = NDArray[np.float64]


def images(n: int) -> Units:
    return units_of(np.full(n, None, dtype=object))


def patients(ids: NDArray[np.generic]) -> Units:
    return units_of(ids.astype(str).astype(object))


def slow_paired_delong(a_n: Floats, b_n: Floats, y_n: Floats) -> tuple[float, float]:
    """Difference and variance as DeLong et al. 1988 write them, pair by pair."""
    psi = []
    for score_n in (a_n, b_n):
        x, z = score_n[y_n == 1], score_n[y_n == 0]
        psi.append(np.array([[1.0 if p > q else 0.5 if p == q else 0.0 for q in z] for p in x]))
    s10 = np.cov([each.mean(axis=1) for each in psi])
    s01 = np.cov([each.mean(axis=0) for each in psi])
    s = s10 / psi[0].shape[0] + s01 / psi[0].shape[1]
    return psi[1].mean() - psi[0].mean(), s[0, 0] + s[1, 1] - 2 * s[0, 1]


def two_classifiers(
    rng: np.random.Generator,
    n: int,
    prevalence: float = 0.4,
    *,
    mu: float = 1.5,
    more: float = 0.0,
    patient_n: NDArray[np.intp] | None = None,
) -> tuple[Floats, Floats, Floats]:
    """Scores of two classifiers that agree in part, and labels.

    more: by how many standard deviations b is better; patient_n: whose images are alike
    """

    def noise() -> Floats:
        own = rng.normal(size=n)
        if patient_n is None:
            return own
        return (own + rng.normal(size=patient_n.max() + 1)[patient_n]) / np.sqrt(2)

    if patient_n is None:
        y_n = (rng.random(n) < prevalence).astype(float)
    else:
        mostly_n = (rng.random(patient_n.max() + 1) < prevalence)[patient_n]
        y_n = (rng.random(n) < np.where(mostly_n, 0.9, 0.05)).astype(float)
    common = noise()
    a_n, b_n = ((common + noise()) / np.sqrt(2) + shift * y_n for shift in (mu, mu + more))
    return a_n, b_n, y_n


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("digits", [0, 1, 6])
def test_paired_delong_is_the_pair_by_pair_formula_ties_included(seed: int, digits: int) -> None:
    a_n, b_n, y_n = two_classifiers(np.random.default_rng(seed), 90)
    a_n, b_n = a_n.round(digits), b_n.round(digits)
    value, variance = slow_paired_delong(a_n, b_n, y_n)
    found = paired_delong(a_n, b_n, y_n, images(90))
    assert found.difference.value == pytest.approx(value, abs=1e-12)
    assert found.error == pytest.approx(np.sqrt(variance))
    assert found.difference.low == pytest.approx(value - Z95 * np.sqrt(variance))
    assert found.difference.high == pytest.approx(value + Z95 * np.sqrt(variance))
    assert found.p == pytest.approx(2 * norm.sf(abs(value) / np.sqrt(variance)))
    assert found.test == "paired DeLong"
    assert found.difference.value == pytest.approx(auroc(b_n, y_n) - auroc(a_n, y_n), abs=1e-12)


def test_paired_delong_the_other_way_round_has_the_other_sign() -> None:
    a_n, b_n, y_n = two_classifiers(np.random.default_rng(0), 80)
    one, other = (paired_delong(x, z, y_n, images(80)) for x, z in ((a_n, b_n), (b_n, a_n)))
    assert one.difference.value == pytest.approx(-(other.difference.value or 0))
    assert one.difference.low == pytest.approx(-(other.difference.high or 0))
    assert (one.p, one.error) == pytest.approx((other.p, other.error))


def test_paired_delong_by_patient_with_one_image_each_is_paired_delong() -> None:
    a_n, b_n, y_n = two_classifiers(np.random.default_rng(1), 80)
    one = paired_delong(a_n, b_n, y_n, images(80))
    other = paired_delong(a_n, b_n, y_n, patients(np.arange(80)))
    assert (one.error, one.p, one.test) == (other.error, other.p, other.test)


def test_copies_of_each_image_leave_the_test_by_patient_as_it_was() -> None:
    a_n, b_n, y_n = two_classifiers(np.random.default_rng(2), 80)
    one = paired_delong(a_n, b_n, y_n, images(80))
    copies = np.repeat(np.arange(80), 4)
    four = paired_delong(a_n[copies], b_n[copies], y_n[copies], patients(copies))
    assert four.p == pytest.approx(one.p)
    assert four.test == "paired DeLong, by patient"
    blind = paired_delong(a_n[copies], b_n[copies], y_n[copies], images(320))
    assert (blind.p or 1) < (four.p or 0)


@pytest.mark.parametrize("mixed", [False, True])
def test_paired_delong_by_patient_is_the_bootstrap_of_patients(mixed: bool) -> None:
    rng = np.random.default_rng(3)
    patient_n = rng.integers(120, size=500)
    a_n, b_n, y_n = two_classifiers(rng, 500, patient_n=patient_n)
    if mixed:  # each patient has both kinds of image, and to b a level that shifts them all
        y_n = (rng.random(500) < 0.5).astype(float)
        a_n = y_n + rng.normal(size=500)
        b_n = y_n + rng.normal(size=500) + 2 * rng.normal(size=120)[patient_n]
    rows = [np.flatnonzero(patient_n == p) for p in np.unique(patient_n)]
    differences = []
    for _ in range(1000):
        drawn = np.concatenate([rows[p] for p in rng.integers(len(rows), size=len(rows))])
        differences.append(auroc(b_n[drawn], y_n[drawn]) - auroc(a_n[drawn], y_n[drawn]))
    found = paired_delong(a_n, b_n, y_n, patients(patient_n))
    assert found.error == pytest.approx(np.std(differences), rel=0.1)


def test_paired_delong_agrees_with_a_permutation_test() -> None:
    rng = np.random.default_rng(11)
    a_n, b_n, y_n = two_classifiers(rng, 120, more=0.35)
    found = paired_delong(a_n, b_n, y_n, images(120))
    assert found.difference.value is not None
    beyond = 0
    for _ in range(2000):
        swap_n = rng.random(120) < 0.5
        swapped_a_n, swapped_b_n = np.where(swap_n, b_n, a_n), np.where(swap_n, a_n, b_n)
        difference = auroc(swapped_b_n, y_n) - auroc(swapped_a_n, y_n)
        beyond += abs(difference) >= abs(found.difference.value)
    assert found.p == pytest.approx(beyond / 2000, abs=0.03)
    assert 0.005 < beyond / 2000 < 0.5


def test_one_side_alone_keeps_the_error_of_its_own_auroc() -> None:
    a_n, _, y_n = two_classifiers(np.random.default_rng(4), 300)
    alone = delong(a_n, y_n, images(300))
    against = paired_delong(np.zeros(300), a_n, y_n, images(300))
    assert alone.value is not None
    assert alone.low is not None
    half = np.log(alone.value / (1 - alone.value)) - np.log(alone.low / (1 - alone.low))
    assert against.error == pytest.approx(half / Z95 * alone.value * (1 - alone.value))


def test_scores_that_rank_alike_are_said_to_be_the_same() -> None:
    a_n, _, y_n = two_classifiers(np.random.default_rng(5), 50)
    found = paired_delong(a_n, np.exp(a_n), y_n, images(50))
    assert found.same
    assert (found.difference.value, found.difference.low, found.p) == (0.0, None, None)
    assert "order every image with the finding alike" in (found.difference.reason or "")


@pytest.mark.parametrize("each", [3, 30])
def test_without_variance_the_interval_is_made_from_those_of_the_two(each: int) -> None:
    y_n = np.repeat([0.0, 1.0], each)
    constant_n, units = np.zeros(2 * each), images(2 * each)
    found = paired_delong(constant_n, y_n, y_n, units)
    a, b = delong(constant_n, y_n, units), delong(y_n, y_n, units)
    assert found.difference.value == 0.5
    assert (found.p, found.error, found.same, found.test) == (None, None, False, "")
    assert "variance is 0" in found.difference.method
    # Newcombe 1998, method 10: the distances to the limits, as the sides of a right angle.
    low = 0.5 - np.hypot(1 - (b.low or 0), (a.high or 0) - 0.5)
    high = min(1.0, 0.5 + np.hypot((b.high or 0) - 1, 0.5 - (a.low or 0)))
    assert (found.difference.low, found.difference.high) == pytest.approx((low, high))
    other = paired_delong(y_n, constant_n, y_n, units)
    assert other.difference.high == pytest.approx(-low)


@pytest.mark.parametrize(("present", "absent"), [(5, 195), (195, 5), (19, 19)])
def test_with_few_of_a_class_students_t_stands_in(present: int, absent: int) -> None:
    rng = np.random.default_rng(3)
    y_n = np.repeat([1.0, 0.0], (present, absent))
    a_n, b_n = (y_n + rng.normal(size=len(y_n)) for _ in range(2))
    value, variance = slow_paired_delong(a_n, b_n, y_n)
    found = paired_delong(a_n, b_n, y_n, images(len(y_n)))
    t_ = student(min(present, absent) - 1)
    error = np.sqrt(variance)
    assert found.p == pytest.approx(2 * t_.sf(abs(value) / error))
    low, high = value - t_.ppf(0.975) * error, value + t_.ppf(0.975) * error
    assert (found.difference.low, found.difference.high) == pytest.approx((low, high))
    assert found.detectable == pytest.approx((t_.ppf(0.975) + t_.ppf(0.8)) * error)
    told = f"paired DeLong, Student's t ({min(present, absent) - 1} degrees of freedom)"
    assert (found.test, found.difference.method) == (told, told)


def test_the_few_are_counted_in_patients() -> None:
    rng = np.random.default_rng(4)
    y_n = np.repeat([1.0, 0.0], (60, 140))
    patient_n = np.append(np.arange(60) // 10, 100 + np.arange(140))
    a_n, b_n = (y_n + rng.normal(size=200) for _ in range(2))
    found = paired_delong(a_n, b_n, y_n, patients(patient_n))
    assert found.test == "paired DeLong, by patient, Student's t (5 degrees of freedom)"


@pytest.mark.parametrize("present", [2, 5, 10])
def test_few_positives_raise_no_more_false_alarms_than_stated(present: int) -> None:
    rng = np.random.default_rng(present)
    y_n = (np.arange(200) < present).astype(float)
    alarms = []
    for _ in range(500):
        common = rng.normal(size=200)
        a_n, b_n = (1.5 * y_n + (common + rng.normal(size=200)) / np.sqrt(2) for _ in range(2))
        p = paired_delong(a_n, b_n, y_n, images(200)).p
        alarms.append(p is not None and p < 0.05)
    assert np.mean(alarms) <= 0.07


@pytest.mark.parametrize("y", [0.0, 1.0])
def test_one_class_has_no_difference_in_auroc(y: float) -> None:
    found = paired_delong(np.arange(4.0), -np.arange(4.0), np.full(4, y), images(4))
    assert (found.difference.value, found.p) == (None, None)
    assert "the finding among 4" in (found.difference.reason or "")


def test_one_patient_in_a_class_has_a_difference_and_no_test() -> None:
    y_n = np.array([1.0, 1, 0, 0, 0])
    units = patients(np.array([0, 0, 1, 2, 3]))
    found = paired_delong(np.array([1.0, 2, 0, 1.5, 3]), np.array([5.0, 4, 0, 1, 2]), y_n, units)
    assert found.difference.value == pytest.approx(1 - 3.0 / 6)
    assert found.p is None
    assert "two or more patients" in (found.difference.reason or "")


def test_one_positive_in_a_hundred_is_within_the_bootstrap_at_ten_thousand() -> None:
    rng = np.random.default_rng(6)
    y_n = (np.arange(10_000) < 4).astype(float)
    common = rng.normal(size=10_000)
    a_n, b_n = (common + rng.normal(size=10_000) + 2 * y_n for _ in range(2))
    found = paired_delong(a_n, b_n, y_n, images(10_000))
    value, variance = slow_paired_delong(a_n, b_n, y_n)
    assert found.difference.value == pytest.approx(value, abs=1e-12)
    assert found.error == pytest.approx(np.sqrt(variance))


def from_table(both: int, lost: int, won: int, neither: int) -> tuple[NDArray[np.bool_], ...]:
    counts = (both, lost, won, neither)
    return np.repeat([True, True, False, False], counts), np.repeat(
        [True, False, True, False], counts
    )


@pytest.mark.parametrize(
    "table",
    [(10, 1, 5, 3), (0, 2, 2, 0), (50, 10, 25, 9), (500, 0, 7, 3), (0, 30, 90, 0), (3, 1, 0, 1)],
)
def test_mcnemar_is_the_exact_test_less_half_of_what_is_as_likely(
    table: tuple[int, int, int, int],
) -> None:
    right_a_n, right_b_n = from_table(*table)
    found, counted = mcnemar(right_a_n, right_b_n, images(sum(table)), "none")
    both, lost, won, neither = table
    exact = statsmodels_mcnemar([[both, lost], [won, neither]], exact=True).pvalue
    by_hand = 2 * binom.cdf(min(lost, won), lost + won, 0.5) - binom.pmf(lost, lost + won, 0.5)
    assert found.p == pytest.approx(by_hand)
    if lost != won:
        assert found.p == pytest.approx(exact - binom.pmf(lost, lost + won, 0.5))
    assert counted == PairedDecisions(both, lost, won, neither)
    assert found.difference.value == pytest.approx((won - lost) / sum(table))
    assert found.test == "McNemar mid-p"


def test_mcnemar_has_the_textbook_interval() -> None:
    # Bonett & Price 2012: one more of each discordant pair, two more in all.
    found, _ = mcnemar(*from_table(40, 3, 9, 8), images(60), "none")
    lost, won, n = 4 / 62, 10 / 62, 62
    half = Z95 * np.sqrt((lost + won - (won - lost) ** 2) / n)
    assert found.difference.low == pytest.approx(won - lost - half)
    assert found.difference.high == pytest.approx(won - lost + half)


def test_decisions_that_are_always_alike_are_the_same_with_an_honest_interval() -> None:
    found, table = mcnemar(*from_table(20, 0, 0, 5), images(25), "none")
    assert (found.same, found.p, found.error) == (True, None, None)
    assert found.difference.low == pytest.approx(-Z95 * np.sqrt(2 / 27 / 27))
    assert (table.only_a_right, table.only_b_right) == (0, 0)


def test_no_image_has_no_difference_and_one_has_no_interval() -> None:
    nothing = np.zeros(0, dtype=bool)
    found, table = mcnemar(nothing, nothing, images(0), "no image with the finding among 9")
    assert found.difference.reason == "no image with the finding among 9"
    assert table == PairedDecisions(0, 0, 0, 0)
    one, _ = mcnemar(np.array([True]), np.array([False]), images(1), "none")
    assert (one.difference.value, one.difference.low, one.p) == (-1.0, None, None)


@pytest.mark.parametrize("seed", range(4))
def test_patients_are_swapped_as_a_whole_in_every_possible_way(seed: int) -> None:
    net_u = np.random.default_rng(seed).integers(-3, 4, size=10)
    sums = np.array([np.dot(sign, net_u) for sign in product((-1, 1), repeat=10)])
    away = abs(net_u.sum())
    expected = np.mean(np.abs(sums) > away) + np.mean(np.abs(sums) == away) / 2
    assert swap_mid_p(net_u) == pytest.approx(expected if away else 1.0)


def test_mcnemar_by_patient_with_one_image_each_is_mcnemar() -> None:
    right_a_n, right_b_n = from_table(30, 4, 11, 5)
    one, _ = mcnemar(right_a_n, right_b_n, images(50), "none")
    other, _ = mcnemar(right_a_n, right_b_n, patients(np.arange(50)), "none")
    assert one == other


def test_copies_of_each_image_leave_mcnemar_by_patient_as_it_was() -> None:
    right_a_n, right_b_n = from_table(30, 4, 11, 5)
    one, _ = mcnemar(right_a_n, right_b_n, images(50), "none")
    copies = np.repeat(np.arange(50), 3)
    three, table = mcnemar(right_a_n[copies], right_b_n[copies], patients(copies), "none")
    assert (three.p, three.error) == pytest.approx((one.p, one.error))
    assert table.only_b_right == 33
    assert three.test == "McNemar mid-p, by patient"
    assert three.difference.low == pytest.approx(one.difference.low, abs=0.004)
    assert three.difference.high == pytest.approx(one.difference.high, abs=0.004)


def test_with_many_patients_the_test_is_obuchowskis() -> None:
    rng = np.random.default_rng(7)
    patient_n = rng.integers(400, size=1500)
    a_n, b_n, y_n = two_classifiers(rng, 1500, more=0.1, patient_n=patient_n)
    right_a_n, right_b_n = ((score_n > 0.75) == (y_n == 1) for score_n in (a_n, b_n))
    found, _ = mcnemar(right_a_n, right_b_n, patients(patient_n), "none")
    net_u = np.bincount(patient_n, weights=right_b_n.astype(float) - right_a_n)
    k = len(np.unique(patient_n))
    # Obuchowski 1998, in the short form of Yang et al. 2010.
    square = (k - 1) / k * net_u.sum() ** 2 / (net_u**2).sum()
    assert found.p == pytest.approx(chi2.sf(square, 1), rel=0.03)
    assert 0.001 < (found.p or 0) < 0.5


def test_beyond_many_discordant_images_the_normal_form_takes_over_without_a_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net_u = np.random.default_rng(12).choice([-3, -2, -1, 1, 2, 3], size=4000)
    exact = swap_mid_p(net_u)
    monkeypatch.setattr(paired_tests, "EXACT_UP_TO", 10)
    assert 0.01 < exact < 0.5
    assert swap_mid_p(net_u) == pytest.approx(exact, rel=1e-3)


def test_holm_is_statsmodels_holm() -> None:
    p_k = np.random.default_rng(9).random(14) ** 3
    assert holm(p_k.tolist()) == pytest.approx(multipletests(p_k, method="holm")[1])
    assert holm([]) == []
    assert holm([0.04]) == [0.04]


@pytest.mark.parametrize(
    ("n", "patient_count", "prevalence"), [(200, None, 0.4), (500, None, 0.08), (400, 130, 0.4)]
)
def test_equally_good_classifiers_are_told_apart_as_often_as_stated(
    n: int, patient_count: int | None, prevalence: float
) -> None:
    rng = np.random.default_rng(10)
    found: dict[str, list[bool]] = {name: [] for name in ("auroc", "accuracy", "covered")}
    for _ in range(1000):
        # Some patients have many images, most have few.
        patient_n = (
            None
            if patient_count is None
            else rng.choice(patient_count, size=n, p=rng.dirichlet(np.full(patient_count, 2.0)))
        )
        a_n, b_n, y_n = two_classifiers(rng, n, prevalence, patient_n=patient_n)
        units = images(n) if patient_n is None else patients(patient_n)
        found["auroc"].append((paired_delong(a_n, b_n, y_n, units).p or 1) < 0.05)
        right = [(score_n > 0.75) == (y_n == 1) for score_n in (a_n, b_n)]
        decided, _ = mcnemar(right[0], right[1], units, "none")
        found["accuracy"].append((1 if decided.p is None else decided.p) < 0.05)
        low, high = decided.difference.low, decided.difference.high
        assert low is not None
        assert high is not None
        found["covered"].append(low <= 0 <= high)
    assert 0.03 <= np.mean(found["auroc"]) <= 0.07
    assert 0.03 <= np.mean(found["accuracy"]) <= 0.07
    assert 0.93 <= np.mean(found["covered"]) <= 0.97


def test_images_taken_for_patients_would_be_told_apart_too_often() -> None:
    # The same scores, each patient's images counted as if they were independent.
    rng = np.random.default_rng(12)
    patient_n = np.repeat(np.arange(40), 10)
    blind = []
    for _ in range(300):
        a_n, b_n, y_n = two_classifiers(rng, 400, patient_n=patient_n)
        blind.append((paired_delong(a_n, b_n, y_n, images(400)).p or 1) < 0.05)
    assert np.mean(blind) > 0.1


def test_a_difference_as_large_as_stated_is_found_four_times_in_five() -> None:
    rng = np.random.default_rng(13)
    more = 0.434
    # AUROC of two normal scores mu apart is Phi(mu / sqrt 2).
    true = norm.cdf((1.5 + more) / np.sqrt(2)) - norm.cdf(1.5 / np.sqrt(2))
    found, detectable = [], []
    for _ in range(1000):
        a_n, b_n, y_n = two_classifiers(rng, 300, more=more)
        result = paired_delong(a_n, b_n, y_n, images(300))
        found.append((result.p or 0) < 0.05)
        detectable.append(DETECTABLE * (result.error or 0))
    assert np.mean(detectable) == pytest.approx(true, rel=0.03)
    assert 0.76 <= np.mean(found) <= 0.84
