from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from hilum.calibration.operating_points import choose
from hilum.calibration.recalibration import recalibrate
from hilum.estimates import Estimate
from hilum.recipe import SensitivityRule, YoudenRule
from hilum.robustness.external.local import FIGURES, Local, Step, learn_locally, sizes
from hilum.robustness.external.needing import labels_needed
from hilum.units import Units, units_of

RULE = YoudenRule()


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def alone(n: int) -> Units:
    return units_of(np.full(n, None, dtype=object))


def pairs(n: int) -> Units:
    return units_of(np.array([f"p{k // 2}" for k in range(n)], dtype=object))


def shifted(n: int, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities where 4 of 10 have the finding, right but for a shift in logits."""
    made = rng()
    y_n = (made.random(n) < 0.4).astype(float)
    score_n = made.normal(1.5 * y_n, 1.0)
    return expit(1.5 * score_n - 1.125 + logit(0.4) + shift), y_n


def test_figures_are_those_of_every_draw_judged_on_the_others() -> None:
    prob_n, y_n = shifted(80, 2.0)
    units = pairs(80)
    found = learn_locally(
        prob_n, y_n, threshold=0.5, rule=RULE, units=units, rng=rng(), draws=4
    ).steps[0]
    assert found.k == 20
    again, losses, right = rng(), [], {0: [], 1: []}
    olds = []
    for _ in range(4):
        drawn = again.permutation(40)[:20]
        in_n = np.isin(units.unit_n, drawn)
        out = [int(i) for i in np.flatnonzero(~in_n)]
        assert len(out) == 40  # both films of the twenty others
        change = recalibrate(
            logit(prob_n[in_n]), y_n[in_n], units=units.where(in_n), rng=again
        ).change
        point = choose(prob_n[in_n], y_n[in_n], RULE, name="x", units=units.where(in_n))
        for i in out:
            p = float(change.prob(logit(prob_n[i : i + 1]))[0])
            losses.append(-np.log(p if y_n[i] else 1 - p))
            olds.append(-np.log(prob_n[i] if y_n[i] else 1 - prob_n[i]))
            right[int(y_n[i])].append((prob_n[i] >= point.threshold) == y_n[i])
    assert found.figures["log_loss"].value == pytest.approx(np.mean(losses))
    assert found.change["log_loss"].value == pytest.approx(np.mean(losses) - np.mean(olds))
    assert found.figures["sensitivity"].value == pytest.approx(np.mean(right[1]))
    assert found.figures["specificity"].value == pytest.approx(np.mean(right[0]))
    balanced = (np.mean(right[0]) + np.mean(right[1])) / 2
    assert found.figures["balanced_accuracy"].value == pytest.approx(balanced)


def test_a_shift_is_mended_by_labels_and_the_answer_says_how_many() -> None:
    prob_n, y_n = shifted(600, 2.5)
    found = learn_locally(
        prob_n, y_n, threshold=0.5, rule=RULE, units=alone(600), rng=rng(), draws=20
    )
    last = found.steps[-1]
    assert last.change["log_loss"].high is not None
    assert last.change["log_loss"].high < -0.3
    assert last.chosen["intercept"] + last.chosen["platt"] >= 18
    need = labels_needed(found, "log_loss")
    assert need.enough is not None
    assert need.enough <= 150
    assert need.better_from == 20
    assert f"about {need.enough} are enough" in need.in_words


def test_what_is_right_is_left_as_it_is() -> None:
    prob_n, y_n = shifted(400, 0.0)
    found = learn_locally(
        prob_n, y_n, threshold=0.4, rule=RULE, units=alone(400), rng=rng(), draws=20
    )
    assert abs(found.steps[-1].change["log_loss"].value) < 0.02
    need = labels_needed(found, "log_loss")
    assert (need.better_from, need.enough) == (None, None)
    assert "leave it as deployed" in need.in_words


def test_nothing_is_learnt_from_noise() -> None:
    made = rng()
    y_n, prob_n = (made.random(300) < 0.5).astype(float), made.uniform(0.02, 0.98, 300)
    found = learn_locally(
        prob_n, y_n, threshold=0.5, rule=RULE, units=alone(300), rng=rng(), draws=20
    )
    for step in found.steps:
        # A choice that saw what it is judged on would do better than tossing a coin.
        assert step.figures["log_loss"].value >= np.log(2) - 0.01
        assert abs(step.figures["balanced_accuracy"].value - 0.5) < 0.06


def test_unknown_labels_have_no_part() -> None:
    prob_n, y_n = shifted(100, 1.0)
    more = np.append(prob_n, [0.5] * 30), np.append(y_n, [np.nan] * 30)
    found, without = (
        learn_locally(p, y, threshold=0.5, rule=RULE, units=alone(len(p)), rng=rng(), draws=3)
        for p, y in (more, (prob_n, y_n))
    )
    assert found == without
    assert found.n == 100


def test_sizes_end_with_half_of_the_patients() -> None:
    assert sizes(92) == (20, 35, 46)
    assert sizes(264) == (20, 35, 50, 75, 100, 132)
    assert sizes(40) == (20,)
    assert sizes(20_000)[-2:] == (5000, 10_000)


@pytest.mark.parametrize(
    ("n", "present", "says"),
    [
        (30, 15, "30 labelled images are too few"),
        (60, 2, "2 images with the finding"),
        (60, 58, "2 images without"),
    ],
)
def test_too_few_films_make_no_curve_but_a_reason(n: int, present: int, says: str) -> None:
    y_n = (np.arange(n) < present).astype(float)
    found = learn_locally(np.full(n, 0.5), y_n, threshold=0.5, rule=RULE, units=alone(n), rng=rng())
    assert found.steps == ()
    assert says in str(found.reason)
    assert says in labels_needed(found, "log_loss").in_words


def test_a_rule_that_the_labels_cannot_reach_keeps_the_deployed_point() -> None:
    prob_n, y_n = shifted(100, 1.0)
    rule = SensitivityRule(rule="sensitivity", target=0.99, bound="lower")
    found = learn_locally(
        prob_n, y_n, threshold=0.5, rule=rule, units=alone(100), rng=rng(), draws=5
    )
    assert [step.kept for step in found.steps] == [5] * len(found.steps)
    assert all(step.change["sensitivity"].value == 0 for step in found.steps)


def step(k: int, loss: float, change: tuple[float, float, float]) -> Step:
    estimate = Estimate(loss, loss - 0.1, loss + 0.1, 100, "bootstrap")
    changed = Estimate(*change, 100, "bootstrap")
    figures = dict.fromkeys(FIGURES, estimate)
    return Step(k, 10, figures, dict.fromkeys(FIGURES, changed), {}, {}, 0, {})


HELPS, UNSURE = (-0.3, -0.4, -0.2), (-0.1, -0.3, 0.1)


@pytest.mark.parametrize(
    ("steps", "better_from", "enough"),
    [
        ([step(20, 0.9, UNSURE), step(50, 0.61, HELPS), step(100, 0.6, HELPS)], 50, 50),
        ([step(20, 0.9, HELPS), step(50, 0.61, HELPS), step(100, 0.6, HELPS)], 20, 50),
        ([step(20, 0.9, HELPS), step(50, 0.7, HELPS), step(100, 0.6, HELPS)], 20, None),
        ([step(20, 0.6, HELPS), step(50, 0.6, UNSURE)], None, None),
        ([step(20, 0.6, HELPS)], 20, None),
    ],
)
def test_how_many_labels_follows_from_the_curve(
    steps: list[Step], better_from: int | None, enough: int | None
) -> None:
    local = Local(200, 200, "patient", "youden", {}, tuple(steps))
    need = labels_needed(local, "log_loss")
    assert (need.better_from, need.enough) == (better_from, enough)


def test_labels_that_make_it_worse_are_said_to() -> None:
    worse = step(20, 0.9, (0.3, 0.2, 0.4))
    local = Local(200, 200, "patient", "youden", {}, (worse,))
    assert "makes it worse" in labels_needed(local, "log_loss").in_words
    # For decisions more is better.
    assert labels_needed(local, "balanced_accuracy").better_from == 20
