import numpy as np
import pytest

from hilum.estimates import wilson
from hilum.evaluation.prediction_sets import prediction_sets, shortfall_in_words
from hilum.evaluation.results import SetLimits
from hilum.units import Units, proportion, units_of


def images(n: int) -> Units:
    return Units("image", np.arange(n), n)


def sample(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y_n = (rng.random(n) < 0.4).astype(float)
    return np.round(1 / (1 + np.exp(-rng.normal(2 * y_n - 1))), 2), y_n


def set_of(prob: float, limits: SetLimits) -> frozenset[str]:
    held = {"present"} if prob >= limits.present_from else set()
    return frozenset(held | ({"absent"} if prob <= limits.absent_to else set()))


NAMES = {
    frozenset({"absent"}): "absent",
    frozenset({"present"}): "present",
    frozenset({"absent", "present"}): "both",
    frozenset(): "none",
}
OVERLAP, APART = SetLimits(0.9, 0.3, 0.6), SetLimits(0.6, 0.7, 0.4)


@pytest.mark.parametrize("limits", [OVERLAP, APART, SetLimits(0.9, 0.5, 0.5)])
@pytest.mark.parametrize("seed", range(3))
def test_counts_and_shares_are_those_of_sets_made_one_by_one(limits: SetLimits, seed: int) -> None:
    prob_n, y_n = sample(seed=seed)
    found = prediction_sets(prob_n, y_n, images(200), limits)
    truth = ["present" if y == 1 else "absent" for y in y_n]
    sets = [set_of(prob, limits) for prob in prob_n]
    for name, counts in found.counts.items():
        slow = [NAMES[held] for held, true in zip(sets, truth, strict=True) if true == name]
        assert counts == {held: slow.count(held) for held in ("absent", "present", "both", "none")}
    right = [true in held for held, true in zip(sets, truth, strict=True)]
    decided = [len(held) == 1 for held in sets]
    wrong = [not r for r, d in zip(right, decided, strict=True) if d]
    of = {
        name: [r for r, true in zip(right, truth, strict=True) if true == name]
        for name in ("absent", "present")
    }
    figures = found.figures
    assert figures["coverage"] == wilson(sum(right), 200)
    assert figures["coverage_absent"] == wilson(sum(of["absent"]), len(of["absent"]))
    assert figures["coverage_present"] == wilson(sum(of["present"]), len(of["present"]))
    assert figures["decided"] == wilson(sum(decided), 200)
    assert figures["referred"] == wilson(sum(len(held) == 2 for held in sets), 200)
    assert figures["none"] == wilson(sum(len(held) == 0 for held in sets), 200)
    assert figures["error_when_decided"] == wilson(sum(wrong), len(wrong))
    assert figures["mean_size"].value == pytest.approx(np.mean([len(held) for held in sets]))
    assert found.limits == limits


def test_the_mean_size_has_the_interval_of_the_share_it_follows_from() -> None:
    prob_n, y_n = sample()
    figures = prediction_sets(prob_n, y_n, images(200), OVERLAP).figures
    size, share = figures["mean_size"], figures["referred"]
    assert (size.low, size.high) == (1 + share.low, 1 + share.high)
    assert size.method == "Wilson, from the share of both"
    figures = prediction_sets(prob_n, y_n, images(200), APART).figures
    size, share = figures["mean_size"], figures["none"]
    assert (size.low, size.high) == (1 - share.high, 1 - share.low)
    assert size.low <= size.value <= size.high <= 1


def test_sets_that_always_hold_one_class_have_size_1_and_a_one_sided_interval() -> None:
    y_n = np.tile([0.0, 1.0], 20)
    figures = prediction_sets(y_n, y_n, images(40), SetLimits(0.9, 1.0, 0.0)).figures
    assert figures["mean_size"].value == 1
    assert figures["coverage"].value == 1
    assert figures["mean_size"].low < 1


def test_intervals_take_the_patient_as_the_unit() -> None:
    prob_n, y_n = (np.repeat(each, 4) for each in sample(50))
    units = units_of(np.repeat(np.arange(50).astype(str).astype(object), 4))
    figures = prediction_sets(prob_n, y_n, units, OVERLAP).figures
    hit_n = np.where(y_n == 1, prob_n >= 0.3, prob_n <= 0.6)
    assert figures["coverage"] == proportion(hit_n, units)
    present_n = y_n == 1
    assert figures["coverage_present"] == proportion(hit_n[present_n], units.where(present_n))
    assert "patients" in figures["mean_size"].method


@pytest.mark.parametrize(("label", "missing"), [(1.0, "without"), (0.0, "with")])
def test_one_class_leaves_the_others_coverage_missing(label: float, missing: str) -> None:
    found = prediction_sets(np.array([0.2, 0.9]), np.full(2, label), images(2), OVERLAP)
    figures, other = found.figures, "absent" if label == 1 else "present"
    assert figures[f"coverage_{other}"].value is None
    assert figures[f"coverage_{other}"].reason == f"no image {missing} the finding among 2"
    assert figures["coverage"].value is not None
    assert sum(found.counts[other].values()) == 0


def test_no_image_gives_no_figure_and_says_why() -> None:
    found = prediction_sets(np.array([]), np.array([]), images(0), OVERLAP)
    assert {each.reason for each in found.figures.values()} == {"no image has a label"}
    assert all(each.value is None for each in found.figures.values())
    assert sum(sum(counts.values()) for counts in found.counts.values()) == 0


def test_where_nothing_is_decided_there_is_no_error_among_the_decided() -> None:
    always = SetLimits(0.99, 0.0, 1.0)
    prob_n, y_n = sample()
    figures = prediction_sets(prob_n, y_n, images(200), always).figures
    assert figures["error_when_decided"].reason == "no set holds one class alone"
    assert figures["coverage"].value == figures["referred"].value == 1
    assert figures["mean_size"].value == 2


def test_one_image_and_one_in_ten_thousand_have_figures() -> None:
    figures = prediction_sets(np.array([1.0]), np.array([1.0]), images(1), OVERLAP).figures
    assert figures["coverage"].value == 1
    y_n = np.zeros(10_000)
    y_n[0] = 1
    figures = prediction_sets(np.full(10_000, 0.1), y_n, images(10_000), OVERLAP).figures
    assert figures["coverage_present"].value == 0
    assert figures["coverage_present"].high == wilson(0, 1).high


def test_a_class_covered_less_than_asked_beyond_chance_is_told_and_no_other() -> None:
    y_n = np.repeat([0.0, 1.0], 200)
    # Of the absent 120 of 200 are in their set; of the present 178, short of 180 by chance.
    prob_n = np.concatenate([np.repeat([0.1, 0.9], [120, 80]), np.repeat([0.9, 0.2], [178, 22])])
    told = shortfall_in_words(
        "Edema", prediction_sets(prob_n, y_n, images(400), SetLimits(0.9, 0.5, 0.5))
    )
    assert len(told) == 1
    assert "0.60 (0.53 to 0.67) of images without Edema where 0.9 was asked" in told[0]
