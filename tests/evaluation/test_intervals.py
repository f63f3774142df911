import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm, t

from hilum.estimates import Z95, wilson
from hilum.evaluation.discrimination import Ranking, average_precision, average_precisions
from hilum.evaluation.intervals import (
    CHUNK,
    Resampling,
    bootstrap_on_logits,
    delong,
    percentile,
)
from hilum.units import Units, proportion, units_of


def resampled_counts(
    units: Units, rng: np.random.Generator, resamples: int
) -> list[NDArray[np.int32]]:
    resampling = Resampling.of(units, rng, resamples)
    return [resampling.counts(chunk, units.unit_n) for chunk in range(len(resampling.seeds))]


def images(n: int) -> Units:
    return units_of(np.full(n, None, dtype=object))


def patients(ids: NDArray[np.generic]) -> Units:
    return units_of(ids.astype(str).astype(object))


def slow_delong_variance(score_n: NDArray[np.float64], y_n: NDArray[np.float64]) -> float:
    """DeLong et al. 1988, written out pair by pair."""
    x, z = score_n[y_n == 1], score_n[y_n == 0]
    psi = np.array([[1.0 if a > b else 0.5 if a == b else 0.0 for b in z] for a in x])
    return float(psi.mean(1).var(ddof=1) / len(x) + psi.mean(0).var(ddof=1) / len(z))


def test_without_patients_the_image_is_the_unit() -> None:
    units = images(4)
    assert (units.kind, units.count, units.clustered) == ("image", 4, False)


def test_images_without_a_patient_id_count_as_patients() -> None:
    units = units_of(np.array(["p", None, "p", None, "q"], dtype=object))
    assert (units.kind, units.count, units.clustered) == ("patient", 4, True)
    assert units.unit_n[0] == units.unit_n[2]
    assert len(set(units.unit_n[[1, 3, 4]])) == 3


def test_resamples_draw_whole_patients_as_many_as_there_are() -> None:
    units = patients(np.array([0, 0, 1, 2, 2, 2]))
    count_bn = np.concatenate(resampled_counts(units, np.random.default_rng(0), 500))
    assert count_bn.shape == (500, 6)
    assert (count_bn[:, 0] == count_bn[:, 1]).all()
    assert (count_bn[:, 3] == count_bn[:, 5]).all()
    assert (count_bn[:, [0, 2, 3]].sum(axis=1) == 3).all()
    np.testing.assert_allclose(count_bn.mean(axis=0), 1, atol=0.15)


def test_resamples_come_in_chunks_of_bounded_size() -> None:
    n = CHUNK // 3
    sizes = [len(chunk) for chunk in resampled_counts(images(n), np.random.default_rng(0), 7)]
    assert sizes == [3, 3, 1]


@pytest.mark.parametrize("seed", range(5))
def test_delong_is_the_pair_by_pair_formula_ties_included(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y_n = (rng.random(80) < 0.45).astype(float)
    score_n = np.round(rng.normal(size=80) + y_n, 1)
    found = delong(score_n, y_n, images(80))
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    value = found.value
    half = Z95 * np.sqrt(slow_delong_variance(score_n, y_n)) / (value * (1 - value))
    for limit, sign in ((found.low, -1), (found.high, 1)):
        assert np.log(limit / (1 - limit)) == pytest.approx(
            np.log(value / (1 - value)) + sign * half
        )
    assert found.method == "DeLong, logit scale"


def test_delong_by_patient_with_one_image_each_is_delong() -> None:
    rng = np.random.default_rng(1)
    y_n = (rng.random(80) < 0.5).astype(float)
    score_n = rng.normal(size=80) + y_n
    one, other = delong(score_n, y_n, images(80)), delong(score_n, y_n, patients(np.arange(80)))
    assert one.method == other.method
    assert (other.low, other.high) == pytest.approx((one.low, one.high), abs=1e-12)


def test_copies_of_each_image_leave_the_delong_interval_by_patient_as_it_was() -> None:
    rng = np.random.default_rng(2)
    y_n = (rng.random(50) < 0.5).astype(float)
    score_n = rng.normal(size=50) + y_n
    one = delong(score_n, y_n, images(50))
    copies = np.repeat(np.arange(50), 4)
    four = delong(score_n[copies], y_n[copies], patients(copies))
    assert four.value == pytest.approx(one.value)
    assert four.low == pytest.approx(one.low)
    assert four.high == pytest.approx(one.high)
    assert four.method == "DeLong, logit scale, by patient"


@pytest.mark.parametrize(("m", "k"), [(1, 1), (1, 30), (12, 12), (390, 234)])
def test_a_perfect_auroc_still_has_an_honest_lower_limit(m: int, k: int) -> None:
    score_n = np.concatenate([np.linspace(0.6, 1, m), np.linspace(0, 0.4, k)])
    y_n = np.concatenate([np.ones(m), np.zeros(k)])
    found = delong(score_n, y_n, images(m + k))
    mirrored = delong(-score_n, y_n, images(m + k))
    assert found.value == found.high == 1.0
    assert found.low is not None
    assert 0 < found.low < 1
    assert "Newcombe" in found.method
    assert (mirrored.value, mirrored.low) == (0.0, 0.0)
    assert mirrored.high == pytest.approx(1 - found.low)
    # Newcombe's definition: the estimate lies 1.96 standard errors (at the limit) away.
    theta, size = found.low, (m + k) / 2 - 1
    spread = 1 + size * ((1 - theta) / (2 - theta) + theta / (1 + theta))
    error = np.sqrt(theta * (1 - theta) * spread / (m * k))
    assert 1 - theta == pytest.approx(Z95 * error, rel=1e-6)


def test_constant_scores_give_one_half_with_an_interval() -> None:
    found = delong(np.full(20, 0.3), np.repeat([0.0, 1.0], 10), images(20))
    assert found.value == 0.5
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.5 < found.high


@pytest.mark.parametrize(
    ("y_n", "words"),
    [
        ([1.0, 1.0], "no image without the finding among 2"),
        ([0.0], "no image with the finding"),
        ([], "label"),
    ],
)
def test_one_class_gives_a_reason_and_no_auroc(y_n: list[float], words: str) -> None:
    found = delong(np.arange(len(y_n)) / 5, np.array(y_n), images(len(y_n)))
    assert found.value is None
    assert found.reason is not None
    assert words in found.reason


def test_delong_covers_about_95_percent() -> None:
    rng = np.random.default_rng(3)
    for distance in (1.2, 2.3):  # AUROC 0.80 and 0.95
        truth, hits, y_n = norm.cdf(distance / np.sqrt(2)), 0, np.repeat([1.0, 0.0], [40, 60])
        for _ in range(400):
            found = delong(rng.normal(size=100) + distance * y_n, y_n, images(100))
            assert found.low is not None
            assert found.high is not None
            hits += found.low <= truth <= found.high
        assert 0.92 <= hits / 400 <= 0.98


def test_intervals_by_patient_cover_where_images_of_a_patient_are_alike() -> None:
    rng = np.random.default_rng(4)
    patient_n = np.repeat(np.arange(50), 4)
    truth = norm.cdf(1.2 / np.sqrt(2))
    by_patient = by_image = share_by_patient = share_by_image = 0
    for _ in range(300):
        y_n = np.repeat((np.arange(50) < 20).astype(float), 4)
        score_n = (
            np.sqrt(0.8) * rng.normal(size=50)[patient_n]
            + np.sqrt(0.2) * rng.normal(size=200)
            + 1.2 * y_n
        )
        hit_n = score_n - 1.2 * y_n > 0.0
        for units, which in ((patients(patient_n), "patient"), (images(200), "image")):
            area, share = delong(score_n, y_n, units), proportion(hit_n, units)
            assert area.low is not None
            assert area.high is not None
            assert share.low is not None
            assert share.high is not None
            if which == "patient":
                by_patient += area.low <= truth <= area.high
                share_by_patient += share.low <= 0.5 <= share.high
            else:
                by_image += area.low <= truth <= area.high
                share_by_image += share.low <= 0.5 <= share.high
    assert by_patient / 300 > 0.91 > 0.85 > by_image / 300
    assert share_by_patient / 300 > 0.91 > 0.85 > share_by_image / 300


def test_a_proportion_of_independent_images_is_plain_wilson() -> None:
    hit_n = np.arange(30) < 20
    assert proportion(hit_n, images(30)) == wilson(20, 30)
    assert proportion(hit_n, patients(np.arange(30))) == wilson(20, 30)


def test_a_proportion_of_copies_is_wilson_of_the_patients() -> None:
    hit_n = np.repeat(np.arange(30) < 20, 5)
    found = proportion(hit_n, patients(np.repeat(np.arange(30), 5)))
    few = (Z95 / t.ppf(0.975, 29)) ** 2  # what 30 patients leave unknown of the design effect
    plain = wilson(20, 30, effective_n=30 * few * 29 / 30)
    assert (found.value, found.low, found.high) == pytest.approx(
        (plain.value, plain.low, plain.high)
    )
    everything = proportion(np.ones(150, dtype=bool), patients(np.repeat(np.arange(30), 5)))
    assert everything.low == wilson(30, 30).low


def test_a_proportion_of_nothing_says_why() -> None:
    found = proportion(np.zeros(0, dtype=bool), images(0), "no image is called positive")
    assert found.reason == "no image is called positive"


def test_percentiles_refuse_what_tells_nothing() -> None:
    units, rng = images(10), np.random.default_rng(0)
    assert "same figure" in str(percentile(1.0, np.ones(200), 10, units).reason)
    sparse_b = np.where(np.arange(200) < 150, np.nan, rng.random(200))
    assert "only 50 of 200" in str(percentile(0.5, sparse_b, 10, units).reason)
    assert "two or more images" in str(percentile(0.5, rng.random(200), 1, images(1)).reason)
    some_b = np.where(np.arange(200) < 20, np.nan, rng.random(200))
    found = percentile(0.5, some_b, 10, units)
    assert found.method == "bootstrap by image, 200 resamples, 20 of them without the figure"
    assert found.low == pytest.approx(np.nanquantile(some_b, 0.025))


def test_average_precision_is_covered_better_on_logits_than_by_percentiles() -> None:
    rng, units = np.random.default_rng(12), images(100)

    def draw(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        y_n = (rng.random(n) < 0.6).astype(float)
        return 3.5 * y_n + rng.normal(0, 1.6, n), y_n

    truth = average_precision(*draw(300_000))
    hits = {percentile: 0, bootstrap_on_logits: 0}
    for _ in range(400):
        score_n, y_n = draw(100)
        ranking = Ranking.of(score_n, y_n)
        value_b = np.concatenate(
            [
                average_precisions(ranking, count_bn, *ranking.running(count_bn))
                for count_bn in (
                    counts[:, ranking.order_n] for counts in resampled_counts(units, rng, 200)
                )
            ]
        )
        for interval in hits:
            found = interval(average_precision(score_n, y_n), value_b, 100, units)
            assert found.low is not None
            assert found.high is not None
            hits[interval] += found.low <= truth <= found.high
    assert hits[percentile] < hits[bootstrap_on_logits]
    assert 0.89 < hits[bootstrap_on_logits] / 400 < 0.98


def test_an_interval_on_logits_stays_between_zero_and_one() -> None:
    value_b = np.array([0.97, 0.999, 1.0, 1.0, 0.99])
    found = bootstrap_on_logits(0.995, value_b, 9, images(9))
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < 0.995 < found.high < 1
    assert found.method == "bootstrap by image, 5 resamples, logit scale"
    assert bootstrap_on_logits(1.0, value_b, 9, images(9)).reason == "a figure of 1 has no logit"


@pytest.mark.parametrize(("positives", "shift"), [(2, 1.5), (5, 1.5), (12, 2.3)])
def test_the_interval_of_auroc_covers_with_few_images_of_a_class(
    positives: int, shift: float
) -> None:
    rng, hits, truth = np.random.default_rng(3), 0, norm.cdf(shift / np.sqrt(2))
    y_n = np.repeat([1.0, 0.0], [positives, 300])
    for _ in range(400):
        found = delong(rng.normal(size=len(y_n)) + shift * y_n, y_n, images(len(y_n)))
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= truth <= found.high
    assert hits / 400 > 0.925


@pytest.mark.parametrize(("count", "each"), [(5, 20), (10, 10), (40, 5)])
def test_a_proportion_covers_where_few_patients_have_many_images(count: int, each: int) -> None:
    rng, hits = np.random.default_rng(6), 0
    units = patients(np.repeat(np.arange(count), each))
    for _ in range(600):
        chance_u = rng.beta(2 * 0.8, 2 * 0.2, count)
        found = proportion(rng.random(count * each) < np.repeat(chance_u, each), units)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 0.8 <= found.high
    assert 0.93 < hits / 600 < 0.99
