import json
from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import expit, log_expit

from hilum.calibration import (
    Beta,
    ChosenCalibrator,
    Isotonic,
    Platt,
    Temperature,
    calibrator_from_dict,
    fit_calibrator,
    fit_temperature,
)
from hilum.calibration.calibrators import deal_folds
from hilum.errors import EvaluationError
from hilum.units import Units, units_of

KINDS = ("temperature", "platt", "beta", "isotonic")


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def sample(
    truth: Callable[[np.ndarray], np.ndarray], n: int = 3000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    made = np.random.default_rng(seed)
    logit_n = made.normal(1, 3, n)
    return logit_n, (made.random(n) < expit(truth(logit_n))).astype(float)


TRUTHS = {
    "temperature": lambda z: z / 1.7,
    "platt": lambda z: z / 1.5 + 0.8,
    "beta": lambda z: np.where(z < 0, 0.4 * z, 1.3 * z) + 0.3,
    "isotonic": lambda z: 3 * np.tanh(z),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_images_speak_for_the_kind_that_made_them(kind: str) -> None:
    found = fit_calibrator(*sample(TRUTHS[kind]), rng=rng())
    assert found.calibrator.kind == kind
    assert set(found.log_loss) == {"none", *KINDS}
    assert found.folds == 5
    # The calibrator itself is fitted on all the images.
    again = fit_calibrator(*sample(TRUTHS[kind]), kind, rng=np.random.default_rng(5))
    assert again.calibrator == found.calibrator
    assert again.reason == "asked for"


def test_the_table_is_the_mean_loss_on_images_that_were_held_out() -> None:
    logit_n, y_n = sample(TRUTHS["platt"], n=200)
    found = fit_calibrator(logit_n, y_n, rng=rng())
    units = Units("image", np.arange(200), 200)
    fold_n = deal_folds(y_n, units, 5, rng())
    assert fold_n is not None
    losses = []
    for fold in range(5):
        temperature = fit_temperature(logit_n[fold_n != fold], y_n[fold_n != fold]).temperature
        for z, y in zip(logit_n[fold_n == fold], y_n[fold_n == fold], strict=True):
            losses.append(-log_expit((z if y == 1 else -z) / temperature))
    assert found.log_loss["temperature"] == pytest.approx(np.mean(losses), rel=1e-9)
    raw = np.mean([-log_expit(z if y == 1 else -z) for z, y in zip(logit_n, y_n, strict=True)])
    assert found.log_loss["none"] == pytest.approx(raw)


def test_a_more_complex_kind_must_be_better_by_more_than_one_standard_error() -> None:
    simpler = 0
    for seed in range(20):
        found = fit_calibrator(*sample(TRUTHS["temperature"], n=200, seed=seed), rng=rng())
        least = min(KINDS, key=lambda kind: found.log_loss[kind])
        if found.calibrator.kind != least:
            assert KINDS.index(found.calibrator.kind) < KINDS.index(least)
            assert f"within one standard error of {least}" in found.reason
            simpler += 1
        else:
            assert found.reason == "the least cross-validated log loss"
    assert simpler >= 3


def test_equal_losses_go_to_the_simplest() -> None:
    # One logit for all: every kind gives the prevalence but temperature, which is exact at 0.5.
    y_n = np.tile([0.0, 1.0], 100)
    found = fit_calibrator(np.zeros(200), y_n, rng=rng())
    assert found.calibrator.kind == "temperature"
    assert found.log_loss["temperature"] == pytest.approx(np.log(2))


def test_whole_patients_stand_in_one_fold_and_each_fold_has_both_classes() -> None:
    made = np.random.default_rng(3)
    for _ in range(50):
        count = int(made.integers(6, 40))
        units = units_of(made.integers(count, size=120).astype(str).astype(object))
        y_n = (made.random(120) < made.uniform(0.05, 0.95)).astype(float)
        fold_n = deal_folds(y_n, units, 5, made)
        enough = all(len(set(units.unit_n[y_n == y])) >= 5 for y in (0, 1))
        assert (fold_n is not None) == enough
        if fold_n is None:
            continue
        for unit in range(units.count):
            assert len(set(fold_n[units.unit_n == unit])) == 1
        for fold in range(5):
            assert set(y_n[fold_n == fold]) == {0.0, 1.0}


def test_folds_are_stratified_to_within_one_image() -> None:
    y_n = np.repeat([0.0, 1.0], [83, 12])
    fold_n = deal_folds(y_n, Units("image", np.arange(95), 95), 5, rng())
    assert fold_n is not None
    for y in (0, 1):
        counts = np.bincount(fold_n[y_n == y], minlength=5)
        assert np.ptp(counts) <= 1


def test_images_of_one_patient_in_two_folds_would_flatter_isotonic() -> None:
    """Thirty copies of each image are as many images, but no more patients."""
    logit_n, y_n = sample(TRUTHS["temperature"], n=60)
    logit_n, y_n = np.repeat(logit_n, 30), np.repeat(y_n, 30)
    patients = units_of(np.repeat(np.arange(60).astype(str).astype(object), 30))
    by_image = fit_calibrator(logit_n, y_n, rng=rng())
    by_patient = fit_calibrator(logit_n, y_n, rng=rng(), units=patients)
    assert by_image.calibrator.kind == "isotonic"
    assert by_patient.calibrator.kind != "isotonic"
    assert by_patient.log_loss["isotonic"] > by_image.log_loss["isotonic"] + 0.05


@pytest.mark.parametrize("present", [1, 4])
def test_too_few_of_a_class_give_temperature_and_say_so(present: int) -> None:
    logit_n = np.linspace(-3, 3, 80)
    y_n = np.repeat([0.0, 1.0], [80 - present, present])
    found = fit_calibrator(logit_n, y_n, rng=rng())
    assert found.calibrator == fit_temperature(logit_n, y_n)
    assert (found.log_loss, found.folds) == ({}, 0)
    assert "too few images of a class" in found.reason
    assert found.table_in_words() == "not cross-validated"
    assert fit_calibrator(logit_n, y_n, "platt", rng=rng()).reason == "asked for"


def test_isotonic_stays_out_of_the_table_where_a_fold_leaves_it_too_few_images() -> None:
    logit_n, y_n = sample(TRUTHS["isotonic"], n=60)
    found = fit_calibrator(logit_n, y_n, rng=rng())
    assert set(found.log_loss) == {"none", "temperature", "platt", "beta"}
    with pytest.raises(EvaluationError, match=r"isotonic: .* expected 20 or more of each class"):
        fit_calibrator(logit_n[:30], y_n[:30], "isotonic", rng=rng())


def test_unknown_labels_are_left_out_with_their_patients() -> None:
    logit_n, y_n = sample(TRUTHS["platt"], n=200)
    found = fit_calibrator(logit_n, y_n, rng=rng())
    more_n, label_n = np.append(logit_n, [np.nan, 99.0]), np.append(y_n, [np.nan, np.nan])
    units = units_of(np.arange(202).astype(str).astype(object))
    assert fit_calibrator(more_n, label_n, rng=rng(), units=units) == found


def test_the_same_generator_gives_the_same_choice() -> None:
    sampled = sample(TRUTHS["beta"], n=300)
    assert fit_calibrator(*sampled, rng=rng()) == fit_calibrator(*sampled, rng=rng())
    other = fit_calibrator(*sampled, rng=np.random.default_rng(9))
    assert other.log_loss != fit_calibrator(*sampled, rng=rng()).log_loss


@pytest.mark.parametrize("y_n", [[], [1.0, 1.0], [np.nan, 0.0]])
def test_a_missing_class_is_refused(y_n: list[float]) -> None:
    for kind in ("auto", *KINDS):
        with pytest.raises(EvaluationError, match=r"expected (both|20)"):
            fit_calibrator(np.zeros(len(y_n)), np.array(y_n), kind, rng=rng())


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(EvaluationError, match="'plat'; expected auto, temperature, platt"):
        fit_calibrator(*sample(TRUTHS["platt"], n=50), "plat", rng=rng())


@pytest.mark.parametrize(
    "calibrator",
    [
        Temperature(1.3),
        Platt(0.6, -0.2),
        Beta(0.6, 0.9, 0.1),
        Isotonic((-1.0, 0.5), (0.1, 0.7)),
    ],
)
def test_any_calibrator_comes_back_from_json_alone_and_with_its_table(
    calibrator: Temperature | Platt | Beta | Isotonic,
) -> None:
    plain = json.loads(json.dumps(calibrator.to_dict(), allow_nan=False))
    assert calibrator_from_dict(plain) == calibrator
    assert ChosenCalibrator.from_dict(plain) == ChosenCalibrator(calibrator)
    chosen = ChosenCalibrator(calibrator, {"none": 0.5, "platt": 0.4}, 5, "asked for")
    plain = json.loads(json.dumps(chosen.to_dict(), allow_nan=False))
    assert ChosenCalibrator.from_dict(plain) == chosen
    assert chosen.table_in_words() == "none 0.5000, platt 0.4000 nats in 5 folds"
    assert calibrator.in_words().startswith(calibrator.kind)


@pytest.mark.parametrize("kind", [None, "vector", 3, ["platt"]])
def test_a_kind_that_is_none_is_refused(kind: object) -> None:
    with pytest.raises(EvaluationError, match="expected temperature, platt, beta, isotonic"):
        calibrator_from_dict({"kind": kind, "temperature": 1.0})


@pytest.mark.parametrize(
    "change", [{"log_loss": [1]}, {"log_loss": {"none": float("nan")}}, {"folds": "5"}]
)
def test_a_table_that_is_none_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(EvaluationError, match="calibrator"):
        ChosenCalibrator.from_dict({"kind": "temperature", "temperature": 1.0, **change})


def test_every_kind_keeps_the_order_of_images() -> None:
    from scipy.stats import rankdata

    logit_n, y_n = sample(TRUTHS["isotonic"], n=400)
    order_n = np.argsort(logit_n)
    for kind in KINDS:
        prob_n = fit_calibrator(logit_n, y_n, kind, rng=rng()).calibrator.prob(logit_n)
        assert (np.diff(prob_n[order_n]) >= 0).all()
        assert ((prob_n > 0) & (prob_n < 1)).all()
        # What ties, ties only in isotonic: evaluation then ranks by the logit.
        assert (len(np.unique(rankdata(prob_n))) == 400) == (kind != "isotonic")
