import json

import numpy as np
import pytest
from numpy.typing import NDArray

from hilum.calibration import (
    OperatingPoint,
    choose,
    greatest_f_beta,
    least_cost,
    target_sensitivity,
    target_specificity,
    youden,
)
from hilum.errors import EvaluationError
from hilum.estimates import wilson
from hilum.recipe import CostRule, FBetaRule, SensitivityRule, SpecificityRule, YoudenRule
from hilum.units import Units, proportion, units_of

Floats = NDArray[np.float64]


def sample(seed: int, digits: int = 12, n: int = 80) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    y_n = (rng.random(n) < 0.4).astype(float)
    return np.round(1 / (1 + np.exp(-rng.normal(size=n) - y_n)), digits), y_n


def rates(prob_n: Floats, y_n: Floats, threshold: float) -> tuple[float, float]:
    called_n = prob_n >= threshold
    return float(called_n[y_n == 1].mean()), float((~called_n)[y_n == 0].mean())


# Every threshold that can matter: on each score, just above each, and the ends.
def candidates(prob_n: Floats) -> list[float]:
    return [0.0, *prob_n, *np.nextafter(prob_n, 2), 1.0]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("digits", [1, 12])
def test_no_threshold_beats_youdens(seed: int, digits: int) -> None:
    prob_n, y_n = sample(seed, digits)
    point = youden(prob_n, y_n)
    best = max(sum(rates(prob_n, y_n, t)) for t in candidates(prob_n))
    assert sum(rates(prob_n, y_n, point.threshold)) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("digits", [1, 12])
@pytest.mark.parametrize("target", [0.5, 0.9, 0.95, 1.0])
def test_targets_are_reached_at_the_least_cost(seed: int, digits: int, target: float) -> None:
    prob_n, y_n = sample(seed, digits)
    every = [rates(prob_n, y_n, t) for t in candidates(prob_n)]
    sensitivity, specificity = rates(prob_n, y_n, target_sensitivity(prob_n, y_n, target).threshold)
    assert sensitivity >= target
    assert specificity == max(spec for sens, spec in every if sens >= target)
    sensitivity, specificity = rates(prob_n, y_n, target_specificity(prob_n, y_n, target).threshold)
    assert specificity >= target
    assert sensitivity == max(sens for sens, spec in every if spec >= target)


def doubled(prob_n: Floats, y_n: Floats) -> tuple[Floats, Floats, Units]:
    """Every image twice, as two images of one patient that are exactly alike."""
    patient_n = np.array([f"p{k}" for k in range(len(y_n))] * 2, dtype=object)
    return np.tile(prob_n, 2), np.tile(y_n, 2), units_of(patient_n)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("digits", [1, 12])
@pytest.mark.parametrize("target", [0.5, 0.8])
def test_the_lower_limit_is_reached_at_the_least_cost(
    seed: int, digits: int, target: float
) -> None:
    prob_n, y_n = sample(seed, digits)

    def lower(hit_n: NDArray[np.bool_]) -> float:
        low = wilson(int(hit_n.sum()), len(hit_n)).low
        assert low is not None
        return low

    every = [
        (lower((prob_n >= t)[y_n == 1]), lower((prob_n < t)[y_n == 0]), *rates(prob_n, y_n, t))
        for t in candidates(prob_n)
    ]
    point = target_sensitivity(prob_n, y_n, target, bound="lower")
    assert point.sensitivity.low is not None
    assert point.sensitivity.low >= target
    assert point.specificity.value == max(spec for low, _, _, spec in every if low >= target)
    assert point.rule == f"lower 95 % limit of sensitivity >= {target:g}"
    point = target_specificity(prob_n, y_n, target, bound="lower")
    assert point.specificity.low is not None
    assert point.specificity.low >= target
    assert point.sensitivity.value == max(sens for _, low, sens, _ in every if low >= target)


def test_a_second_image_of_each_patient_does_not_make_a_limit_easier_to_reach() -> None:
    prob_n, y_n = sample(0, n=400)
    alone = target_sensitivity(prob_n, y_n, 0.9, bound="lower")
    twice = target_sensitivity(*doubled(prob_n, y_n)[:2], 0.9, bound="lower")
    prob_2n, y_2n, units = doubled(prob_n, y_n)
    by_patient = target_sensitivity(prob_2n, y_2n, 0.9, bound="lower", units=units)
    assert by_patient.threshold == alone.threshold
    assert twice.threshold > alone.threshold  # as if 800 images were 800 patients


def test_intervals_take_the_patient_as_the_unit() -> None:
    prob_n, y_n, units = doubled(*sample(0))
    point = youden(prob_n, y_n, units=units)
    called_n = prob_n >= point.threshold
    present_n = y_n == 1
    for found, slow in (
        (point.sensitivity, proportion(called_n[present_n], units.where(present_n))),
        (point.specificity, proportion(~called_n[~present_n], units.where(~present_n))),
    ):
        assert (found.value, found.low) == pytest.approx((slow.value, slow.low), abs=1e-12)
        assert (found.n, found.method) == (slow.n, slow.method)
    assert "patients" in point.sensitivity.method
    assert point.sensitivity.low < youden(prob_n, y_n).sensitivity.low
    assert point.n == 160


def test_a_lower_limit_out_of_reach_says_what_can_be_had() -> None:
    prob_n, y_n = sample(0, n=30)
    present = int(y_n.sum())
    best = wilson(present, present).low
    with pytest.raises(
        EvaluationError,
        match=rf"above {best:.4f} can be had from {present} images with .*point.*calibrate on more",
    ):
        target_sensitivity(prob_n, y_n, 0.95, bound="lower")
    prob_n, y_n, units = doubled(prob_n, y_n)
    with pytest.raises(EvaluationError, match=rf"{2 * present} images .* of {present} patients"):
        target_sensitivity(prob_n, y_n, 0.95, bound="lower", units=units)
    with pytest.raises(EvaluationError, match="below 1"):
        target_sensitivity(prob_n, y_n, 1.0, bound="lower")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("digits", [1, 12])
@pytest.mark.parametrize("ratio", [0.25, 1.0, 8.0])
@pytest.mark.parametrize("prevalence", [None, 0.02, 0.5])
def test_no_threshold_costs_less(
    seed: int, digits: int, ratio: float, prevalence: float | None
) -> None:
    prob_n, y_n = sample(seed, digits)
    share = float(y_n.mean()) if prevalence is None else prevalence

    def cost(threshold: float) -> float:
        sensitivity, specificity = rates(prob_n, y_n, threshold)
        return ratio * share * (1 - sensitivity) + (1 - share) * (1 - specificity)

    point = least_cost(prob_n, y_n, ratio, prevalence=prevalence)
    best = min(cost(t) for t in [*candidates(prob_n), 2.0])
    assert cost(point.threshold) == pytest.approx(best, abs=1e-12)
    # Among equals the lowest, which misses fewest.
    equals = [t for t in candidates(prob_n) if cost(t) <= best + 1e-12]
    assert rates(prob_n, y_n, point.threshold)[0] == max(rates(prob_n, y_n, t)[0] for t in equals)


def test_the_cost_rule_with_calibrated_probabilities_lies_where_theory_puts_it() -> None:
    """Act when p · ratio > 1 - p (Elkan 2001): here from 0.2 on."""
    rng = np.random.default_rng(0)
    prob_n = rng.random(200_000)
    y_n = (rng.random(200_000) < prob_n).astype(float)
    assert least_cost(prob_n, y_n, 4.0).threshold == pytest.approx(0.2, abs=0.02)
    # Where the finding is rarer than here, a probability is worth less: odds 0.25 · (0.9/0.1).
    assert least_cost(prob_n, y_n, 4.0, prevalence=0.1).threshold == pytest.approx(0.692, abs=0.02)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("digits", [1, 12])
@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_no_threshold_has_a_greater_f_beta(seed: int, digits: int, beta: float) -> None:
    from sklearn.metrics import fbeta_score

    prob_n, y_n = sample(seed, digits)

    def f_beta(threshold: float) -> float:
        called_n = prob_n >= threshold
        ppv, sensitivity = y_n[called_n].mean() if called_n.any() else 0, called_n[y_n == 1].mean()
        if ppv + sensitivity == 0:
            return 0.0
        return float((1 + beta**2) * ppv * sensitivity / (beta**2 * ppv + sensitivity))

    point = greatest_f_beta(prob_n, y_n, beta)
    found = f_beta(point.threshold)
    assert found == pytest.approx(max(f_beta(t) for t in candidates(prob_n)), abs=1e-12)
    assert found == pytest.approx(fbeta_score(y_n, prob_n >= point.threshold, beta=beta))
    assert point.rule == f"greatest F{beta:g}"


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_cost_or_beta_that_is_none_is_refused(value: float) -> None:
    with pytest.raises(EvaluationError, match="expected a finite number above 0"):
        least_cost(*sample(0), value)
    with pytest.raises(EvaluationError, match="expected a finite number above 0"):
        greatest_f_beta(*sample(0), value)
    with pytest.raises(EvaluationError, match="prevalence"):
        least_cost(*sample(0), 2.0, prevalence=value)


def test_a_recipes_rule_is_the_function_of_its_name() -> None:
    prob_n, y_n, units = doubled(*sample(0))
    for rule, expected in (
        (YoudenRule(), youden(prob_n, y_n, name="x", units=units)),
        (SensitivityRule(target=0.9), target_sensitivity(prob_n, y_n, 0.9, name="x", units=units)),
        (
            SpecificityRule(target=0.6, bound="lower"),
            target_specificity(prob_n, y_n, 0.6, bound="lower", name="x", units=units),
        ),
        (
            CostRule(cost_ratio=5, prevalence=0.1),
            least_cost(prob_n, y_n, 5, prevalence=0.1, name="x", units=units),
        ),
        (FBetaRule(beta=2), greatest_f_beta(prob_n, y_n, 2, name="x", units=units)),
    ):
        assert choose(prob_n, y_n, rule, name="x", units=units) == expected


def test_one_in_ten_thousand_has_its_points_too() -> None:
    rng = np.random.default_rng(0)
    y_n = np.zeros(50_000)
    y_n[:5] = 1
    prob_n = 1 / (1 + np.exp(6 - rng.normal(size=50_000) - 4 * y_n))
    assert target_sensitivity(prob_n, y_n, 0.95).sensitivity.value == 1.0
    assert least_cost(prob_n, y_n, 1e6).sensitivity.value == 1.0
    with pytest.raises(EvaluationError, match="5 images with the finding"):
        target_sensitivity(prob_n, y_n, 0.95, bound="lower")


def test_a_point_says_what_it_yields_with_wilson_intervals() -> None:
    prob_n, y_n = sample(0)
    point = target_sensitivity(prob_n, y_n, 0.9, name="screening")
    called_n = prob_n >= point.threshold
    assert point.sensitivity == wilson(int(called_n[y_n == 1].sum()), int((y_n == 1).sum()))
    assert point.specificity == wilson(int((~called_n)[y_n == 0].sum()), int((y_n == 0).sum()))
    assert (point.name, point.rule, point.n) == ("screening", "sensitivity >= 0.9", 80)


def test_a_threshold_lies_midway_and_float_noise_changes_nothing() -> None:
    prob_n, y_n = np.array([0.1, 0.2, 0.6, 0.8]), np.array([0.0, 0.0, 1.0, 1.0])
    point = youden(prob_n, y_n)
    assert point.threshold == pytest.approx(0.4)
    noisy_n = prob_n.astype(np.float32).astype(np.float64) + 1e-7
    assert ((noisy_n >= point.threshold) == (prob_n >= point.threshold)).all()


def test_neighbouring_floats_are_still_told_apart() -> None:
    low = 0.3
    prob_n, y_n = np.array([low, np.nextafter(low, 1)]), np.array([0.0, 1.0])
    assert list(prob_n >= youden(prob_n, y_n).threshold) == [False, True]


def test_nineteen_of_twenty_is_95_percent_in_spite_of_floats() -> None:
    prob_n = np.concatenate([np.linspace(0.1, 0.9, 20), [0.05]])
    y_n = np.concatenate([np.ones(20), [0.0]])
    assert target_sensitivity(prob_n, y_n, 0.95).sensitivity.value == 0.95


def test_equal_youden_points_go_to_the_one_that_misses_fewer() -> None:
    prob_n, y_n = np.array([0.2, 0.4, 0.6, 0.8]), np.array([0.0, 1.0, 0.0, 1.0])
    assert youden(prob_n, y_n).sensitivity.value == 1.0


def test_constant_scores_leave_one_side_empty() -> None:
    prob_n, y_n = np.full(6, 0.5), np.array([0.0, 1.0] * 3)
    assert youden(prob_n, y_n).sensitivity.value == 1.0
    assert target_specificity(prob_n, y_n, 0.9).specificity.value == 1.0


def test_a_specificity_out_of_reach_is_refused() -> None:
    prob_n, y_n = np.array([1.0, 1.0, 0.2]), np.array([0.0, 1.0, 0.0])
    with pytest.raises(EvaluationError, match="1 images without the finding score exactly 1"):
        target_specificity(prob_n, y_n, 0.9)
    assert target_specificity(prob_n, y_n, 0.5).specificity.value == 0.5


def test_unknown_labels_are_left_out() -> None:
    prob_n, y_n = sample(0)
    assert youden(np.append(prob_n, 0.99), np.append(y_n, np.nan)) == youden(prob_n, y_n)


@pytest.mark.parametrize("y_n", [[], [0.0, 0.0], [1.0], [np.nan, 0.0]])
def test_a_missing_class_is_refused(y_n: list[float]) -> None:
    for rule in (youden, lambda p, y: target_sensitivity(p, y, 0.9)):
        with pytest.raises(EvaluationError, match="expected both classes"):
            rule(np.full(len(y_n), 0.5), np.array(y_n))


@pytest.mark.parametrize("target", [0.0, 1.01, -1.0, float("nan")])
def test_a_target_that_is_no_rate_is_refused(target: float) -> None:
    with pytest.raises(EvaluationError, match="expected a number above 0 and up to 1"):
        target_sensitivity(*sample(0), target)


def test_logits_are_refused() -> None:
    with pytest.raises(EvaluationError, match="calibrated probabilities"):
        youden(np.array([-1.0, 2.0]), np.array([0.0, 1.0]))


def test_a_point_comes_back_from_json_to_the_last_digit() -> None:
    point = youden(*sample(3))
    again = OperatingPoint.from_dict(json.loads(json.dumps(point.to_dict(), allow_nan=False)))
    assert again.threshold == point.threshold
    assert again.to_dict() == point.to_dict()


@pytest.mark.parametrize("change", [{"threshold": None}, {"n": "3"}, {"sensitivity": 0.5}])
def test_another_shape_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(EvaluationError, match="operating point"):
        OperatingPoint.from_dict({**youden(*sample(3)).to_dict(), **change})
    with pytest.raises(EvaluationError, match="operating point"):
        OperatingPoint.from_dict({})
