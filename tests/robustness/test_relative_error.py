from __future__ import annotations

import numpy as np
import pytest

from hilum.estimates import Estimate
from hilum.evaluation.intervals import Resampling
from hilum.robustness.balanced_means import balanced_means
from hilum.robustness.relative_error import Reference, RelativeError, relative_error
from hilum.units import Units, units_of

# Under "glare" it errs less than on the films as they are, under "haze" no more.
REFERENCE = Reference(
    "AlexNet", "mnist", 0.1, {"grain": 0.4, "glare": 0.09, "haze": 0.1, "blur": 0.25}
)


def films(n: int = 60, patients: int = 25) -> tuple[np.ndarray, Units, np.random.Generator]:
    rng = np.random.default_rng(4)
    present_n = rng.random(n) < 0.6
    return present_n, units_of(rng.integers(patients, size=n).astype(object)), rng


def found(
    wrong_sn: dict[str, np.ndarray],
    wrong_n: np.ndarray,
    present_n: np.ndarray,
    units: Units,
    reference: Reference = REFERENCE,
) -> RelativeError:
    rng = np.random.default_rng(0)
    return relative_error(wrong_sn, wrong_n, present_n, units, reference, rng=rng, resamples=200)


def balanced_error(wrong_n: np.ndarray, present_n: np.ndarray) -> float:
    missed = sum(w for w, p in zip(wrong_n, present_n, strict=True) if p) / sum(present_n)
    called = sum(w for w, p in zip(wrong_n, present_n, strict=True) if not p) / sum(~present_n)
    return float(missed + called) / 2


def test_errors_are_those_that_the_published_formulas_give() -> None:
    present_n, units, rng = films()
    wrong_n = rng.random(60) < 0.1
    wrong_sn = {name: rng.random((5, 60)) < 0.3 for name in REFERENCE.corrupted}
    error = found(wrong_sn, wrong_n, present_n, units)
    clean = balanced_error(wrong_n, present_n)
    relatives, rises = [], []
    for name, published in REFERENCE.corrupted.items():
        mean = sum(balanced_error(each_n, present_n) for each_n in wrong_sn[name]) / 5
        one = error.by_corruption[name]
        assert one.balanced_error.value == pytest.approx(mean)
        assert one.relative.value == pytest.approx(mean / published)
        relatives.append(mean / published)
        if published > 0.1:
            rises.append((mean - clean) / (published - 0.1))
            assert one.relative_rise.value == pytest.approx(rises[-1])
    assert len(rises) == 2
    assert error.relative.value == pytest.approx(sum(relatives) / 4)
    assert error.relative_rise.value == pytest.approx(sum(rises) / 2)


def test_where_the_reference_errs_less_its_rise_divides_nothing_and_that_is_said() -> None:
    present_n, units, rng = films()
    wrong_sn = {name: rng.random((5, 60)) < 0.3 for name in REFERENCE.corrupted}
    error = found(wrong_sn, np.zeros(60, bool), present_n, units)
    assert error.left_out == ("glare", "haze")
    assert error.by_corruption["glare"].relative_rise == Estimate.missing(
        "AlexNet's error does not rise: 0.0900, and 0.1000 on the films as they are", 60
    )
    assert error.by_corruption["glare"].relative.value is not None
    flat = Reference("AlexNet", "mnist", 0.1, {"glare": 0.09})
    error = found({"glare": wrong_sn["glare"]}, np.zeros(60, bool), present_n, units, flat)
    assert error.relative_rise.reason == "every corruption is left out"
    assert error.relative.value is not None


def test_a_part_of_the_severities_or_corruptions_is_held_against_no_mean_over_all() -> None:
    present_n, units, rng = films()
    wrong_sn = {name: rng.random((5, 60)) < 0.3 for name in ("grain", "glare")}
    error = found(wrong_sn, np.zeros(60, bool), present_n, units)
    assert error.relative.reason == "2 of 4 corruptions were run"
    assert error.relative_rise.reason == error.relative.reason
    assert error.by_corruption["grain"].relative.value is not None
    whole = {name: rng.random((4, 60)) < 0.3 for name in REFERENCE.corrupted}
    error = found(whole, np.zeros(60, bool), present_n, units)
    for each in (error, *error.by_corruption.values()):
        assert each.relative.reason == "AlexNet's errors are means over five severities"
        assert each.relative_rise.reason == each.relative.reason
    assert error.by_corruption["haze"].balanced_error.value is not None


def test_films_of_one_class_give_no_error_but_the_reason() -> None:
    _, units, rng = films()
    wrong_sn = {name: rng.random((5, 60)) < 0.3 for name in REFERENCE.corrupted}
    error = found(wrong_sn, np.zeros(60, bool), np.ones(60, bool), units)
    assert error.relative.reason == "needs films with and without the finding"


def test_errors_are_held_against_those_on_the_same_films_alone() -> None:
    assert REFERENCE.beside("mnist", "test") == REFERENCE.beside("mnist@224", "test") == REFERENCE
    told = "AlexNet's errors are of the test films of mnist"
    for name, role in (("mnist", "calibrate"), ("rsna", "test"), ("mnist2", "test")):
        assert REFERENCE.beside(name, role).unfit == told
    present_n, units, rng = films()
    wrong_sn = {name: rng.random((5, 60)) < 0.3 for name in REFERENCE.corrupted}
    unfit = REFERENCE.beside("rsna", "test")
    error = found(wrong_sn, np.zeros(60, bool), present_n, units, unfit)
    for each in (error, *error.by_corruption.values()):
        assert each.relative.reason == each.relative_rise.reason == told
    assert error.by_corruption["grain"].balanced_error.value is not None


def test_intervals_are_percentiles_over_resampled_patients() -> None:
    present_n, units, rng = films()
    score_nm = rng.random((60, 2))
    estimates = balanced_means(score_nm, present_n, units, np.random.default_rng(8), 300)
    resampling = Resampling.of(units, np.random.default_rng(8), 300)
    for m, estimate in enumerate(estimates):
        drawn_b = []
        for chunk in range(len(resampling.seeds)):
            for count_n in resampling.counts(chunk, units.unit_n):
                row_k = np.repeat(np.arange(60), count_n)
                sides = [score_nm[row_k[present_n[row_k] == side], m] for side in (True, False)]
                drawn_b.append((sides[0].mean() + sides[1].mean()) / 2)
        assert len(drawn_b) == 300
        value = (score_nm[present_n, m].mean() + score_nm[~present_n, m].mean()) / 2
        assert estimate.value == pytest.approx(value)
        assert estimate.low == pytest.approx(np.quantile(drawn_b, 0.025))
        assert estimate.high == pytest.approx(np.quantile(drawn_b, 0.975))
        assert estimate.method == "bootstrap by patient, 300 resamples"
