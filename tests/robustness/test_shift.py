from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp, kstest
from sklearn.metrics import roc_auc_score

from hilum.bundle import Bundle
from hilum.data.faults import FAULTS, FaultyPixels
from hilum.data.sources import open_source
from hilum.errors import EvaluationError
from hilum.evaluation.discrimination import auroc
from hilum.observing import observe
from hilum.robustness.shift import Shift, Side, why
from hilum.robustness.shift.attributes import standardised_difference
from hilum.robustness.shift.exchanging import Exchanges, distances, variations
from hilum.robustness.shift.label_shift import estimated_prevalence
from hilum.robustness.shift.pictures import draw_shift
from hilum.robustness.shift.two_sample import MOST, Kernel, two_sample
from hilum.robustness.shift.weighing import explained, figures_of
from hilum.units import units_of

FAST = {"resamples": 200, "permutations": 199}


def made(
    seed: int,
    n: int,
    name: str = "outside",
    *,
    darker: float = 0.0,
    prevalence: float = 0.4,
    films: int = 1,
    moved: float = 0.0,
) -> Side:
    """Films of `n // films` patients whose darkest are hardest; films of a patient are alike.

    moved: of a feature that has nothing to do with the finding
    """
    rng = np.random.default_rng((seed, len(name)))
    patient_n = np.arange(n) // films

    def drawn() -> np.ndarray:
        return rng.normal(size=n // films + 1)[patient_n]

    y_n = (rng.random(n // films + 1) < prevalence)[patient_n].astype(float)
    exposure_n = 0.5 - darker + 0.1 * drawn()
    logit_n = 4 * (y_n - 0.5) + np.where(exposure_n < 0.4, 3.0, 0.5) * drawn()
    feature_nd = np.stack([drawn() for _ in range(12)], axis=1)
    feature_nd[:, 0] += y_n
    feature_nd[:, 1] += 5 * exposure_n
    feature_nd[:, 2] += moved
    view_n = np.where(drawn() < 0, "AP", "PA")
    attributes = pd.DataFrame({"exposure": exposure_n, "contrast": drawn(), "view": view_n})
    ids = np.array([f"{name}-{p}" for p in patient_n], dtype=object)
    prob_n = 1 / (1 + np.exp(-logit_n))
    return Side(name, feature_nd, prob_n, y_n, 0.5, attributes, ids, logit_n)


def compared(internal: Side, external: Side, seed: int = 0) -> Shift:
    return why(internal, external, rng=np.random.default_rng(seed), **FAST)


def test_a_planted_drop_is_laid_to_the_attribute_that_makes_it() -> None:
    found = compared(made(0, 800, "inside"), made(0, 600, darker=0.12))
    assert found.dropped == ("auroc", "sensitivity", "specificity")
    assert found.explains_most == found.moved_most == found.named == "exposure"
    by_name = {each.name: each for each in found.attributes}
    taken, drop = by_name["exposure"].explained.figures["auroc"], found.drop["auroc"].difference
    assert taken.value is not None
    assert drop.value is not None
    assert 0.5 < taken.value / -drop.value < 1.6
    assert by_name["exposure"].difference.value == pytest.approx(-1.2, abs=0.2)
    assert by_name["exposure"].auroc.value == pytest.approx(0.2, abs=0.05)
    assert not by_name["view"].moved
    assert "Of the attributes exposure explains most" in found.in_words()[-1]
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (told["named"], told["explains_most"]) == ("exposure", "exposure")


def test_an_attribute_without_overlap_is_a_suspect_and_not_shown() -> None:
    found = compared(made(1, 400, "inside"), made(1, 300, darker=0.9))
    assert found.explains_most is None
    assert found.named == "exposure"
    exposure = found.attributes[0].explained
    assert exposure.uncovered > 0.95
    assert (
        exposure.figures["auroc"].reason == "no overlap: 100 % of the outside films have no "
        "like inside"
    )
    assert found.in_words()[-1] == (
        "None of the attributes is shown to explain the drop of AUROC. The weighing cannot answer "
        "for exposure, in which the places hardly overlap. Exposure is a suspect, not shown."
    )


def test_two_halves_of_one_place_have_p_values_that_are_uniform() -> None:
    p = []
    for seed in range(60):
        sides = made(seed, 120, "inside", films=3), made(seed, 90, films=3)
        found = why(*sides, rng=np.random.default_rng(seed), resamples=20, permutations=99)
        p.append((found.two_sample.auroc_p, found.two_sample.mmd2_p, found.labels.p,
                  *(each.p for each in found.attributes)))  # fmt: skip
    for column in np.array(p, dtype=float).T:
        assert kstest(column, "uniform").pvalue > 0.01
        # Films of a patient are alike: taken one by one they would reject far more often.
        assert (column <= 0.05).mean() < 0.15


def test_a_feature_that_moved_is_seen_by_both_tests() -> None:
    inside, outside = made(2, 300, "inside"), made(2, 300, moved=1.0)
    found = compared(inside, outside).two_sample
    assert found.auroc_p == found.mmd2_p == 1 / 200
    assert found.auroc.value is not None
    assert 0.6 < found.auroc.value < 0.85
    assert found.note is None


def test_of_a_large_place_whole_patients_are_drawn_and_that_is_said() -> None:
    inside, outside = made(3, 2400, "inside", films=4), made(3, 60, films=2)
    found = two_sample(
        inside.feature_nd, outside.feature_nd, inside.units, outside.units,
        rng=np.random.default_rng(0), permutations=19,
    )  # fmt: skip
    assert (found.n_internal, found.n_external) == (MOST, 60)
    assert found.note == "tests of features rest on 1,000 and 60 films drawn from 2,400 and 60"


def test_too_few_patients_and_features_that_do_not_vary_are_told() -> None:
    few = compared(made(4, 200, "inside"), made(4, 9)).two_sample
    assert few.auroc.reason == "200 and 9 patients; 10 or more of each place"
    inside, outside = made(4, 100, "inside"), made(4, 100)
    flat = [replace(side, feature_nd=np.ones((100, 12))) for side in (inside, outside)]
    assert compared(*flat).two_sample.note == "every film has the same features"


def test_mmd_is_that_of_all_pairs() -> None:
    rng = np.random.default_rng(5)
    x_nk, outside_n = rng.normal(size=(23, 3)), rng.random(23) < 0.4
    x_nk[outside_n] += 0.7
    squares = [((a - b) ** 2).sum() for i, a in enumerate(x_nk) for b in x_nk[:i]]
    width = np.median(squares)

    def mean(a_nk: np.ndarray, b_nk: np.ndarray, same: bool) -> float:
        return float(np.mean([
            np.exp(-((a - b) ** 2).sum() / (2 * width))
            for i, a in enumerate(a_nk) for j, b in enumerate(b_nk) if not (same and i == j)
        ]))  # fmt: skip

    a, b = x_nk[~outside_n], x_nk[outside_n]
    slow = mean(a, a, True) + mean(b, b, True) - 2 * mean(a, b, False)
    assert Kernel(x_nk).mmd2s(outside_n[None])[0] == pytest.approx(slow)


@pytest.mark.parametrize("ties", [False, True])
def test_distance_and_its_p_are_those_of_scipy_where_films_are_independent(ties: bool) -> None:
    rng = np.random.default_rng(6)
    a, b = rng.normal(size=60), rng.normal(0.35, 1, size=45)
    if ties:
        a, b = a.round(), b.round()
    units = [units_of(np.full(len(x), None, dtype=object)) for x in (a, b)]
    value_n = np.concatenate([a, [np.nan], b])
    units[0] = units_of(np.full(61, None, dtype=object))
    exchanges = Exchanges.of(*units, rng, 1999)
    distance, p = exchanges.p(distances(value_n))
    library = ks_2samp(a, b, method="exact")
    assert distance == pytest.approx(library.statistic)
    if not ties:  # with ties the library's p is too large
        assert p == pytest.approx(library.pvalue, abs=0.03)


def test_variation_of_words_is_half_the_sum_of_the_differences() -> None:
    code_n = np.array([0, 0, 1, 2, -1, 1, 1, 2, 0, -1])
    outside_n = np.arange(10) >= 5
    # Inside 1/2, 1/4, 1/4 and outside 1/4, 1/2, 1/4 of the films that are known.
    assert variations(code_n)(outside_n[None])[0] == pytest.approx(0.25)


def test_weighted_figures_are_those_of_all_weighted_pairs() -> None:
    rng = np.random.default_rng(7)
    score_n, y_n = rng.integers(0, 6, 40).astype(float), (rng.random(40) < 0.5).astype(float)
    called_n, weight_bn = (score_n > 2).astype(float), rng.random((3, 40))
    found = figures_of(score_n, y_n, called_n, weight_bn)
    for weight_n, (area, sensitivity, specificity) in zip(weight_bn, found, strict=True):
        assert area == pytest.approx(roc_auc_score(y_n, score_n, sample_weight=weight_n))
        assert sensitivity == pytest.approx(
            np.average(called_n[y_n == 1], weights=weight_n[y_n == 1])
        )
        assert specificity == pytest.approx(
            np.average(1 - called_n[y_n == 0], weights=weight_n[y_n == 0])
        )
    assert np.isnan(figures_of(score_n, np.zeros(40), called_n, weight_bn)[:, :2]).all()


def test_weighing_by_words_is_counting_films_as_often_as_they_stand_outside() -> None:
    inside = made(8, 300, "inside")
    value_i = (inside.attributes["view"] == "PA").to_numpy(dtype=float)
    outside = replace(made(8, 200), y_n=np.full(200, np.nan))
    value_e = (np.arange(200) < 150).astype(float)  # three quarters PA
    found = explained(
        inside, outside, value_i, value_e, "word", rng=np.random.default_rng(0), resamples=50
    )
    assert found.within == "all films"
    weight_n = np.where(value_i == 1, 0.75 / value_i.mean(), 0.25 / (1 - value_i.mean()))
    plain = auroc(inside.score_n, inside.y_n)
    weighted = roc_auc_score(inside.y_n, inside.score_n, sample_weight=weight_n)
    assert found.figures["auroc"].value == pytest.approx(plain - weighted)
    assert found.effective_n == pytest.approx(weight_n.sum() ** 2 / (weight_n**2).sum())
    assert found.uncovered == 0


def test_prevalence_alone_explains_nothing_though_the_attribute_goes_with_the_finding() -> None:
    sides = []
    for name, prevalence in (("inside", 0.25), ("outside", 0.75)):
        side = made(9, 700, name, prevalence=prevalence)
        contrast_n = side.attributes["contrast"] + 1.5 * side.y_n
        sides.append(replace(side, attributes=side.attributes.assign(contrast=contrast_n)))
    found = compared(*sides)
    contrast = found.attributes[1]
    assert contrast.moved
    assert contrast.explained.within == "class"
    taken = contrast.explained.figures["auroc"]
    assert taken.low is not None
    assert taken.high is not None
    assert taken.low < 0 < taken.high
    # Nothing but the prevalence moved, and that is what is told.
    estimated, known = found.labels.prevalence_estimated, found.labels.prevalence_external
    assert estimated.value == pytest.approx(known.value, abs=0.06)
    assert "which fits" in " ".join(found.in_words())


def test_the_interval_of_the_prevalence_covers_it() -> None:
    hits = 0
    for seed in range(60):
        found = estimated_prevalence(
            made(seed, 400, "inside"), made(seed, 300, prevalence=0.7),
            rng=np.random.default_rng(seed), resamples=200,
        )  # fmt: skip
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 0.7 <= found.high
    assert hits >= 53


def test_a_classifier_that_tells_nothing_gives_no_prevalence() -> None:
    inside, outside = made(10, 200, "inside"), made(10, 100)
    blind = replace(inside, prob_n=np.random.default_rng(0).random(200), logit_n=None)
    found = estimated_prevalence(blind, outside, rng=np.random.default_rng(0), resamples=50)
    assert found.value is None
    assert found.reason is not None
    assert found.reason.startswith("the confusion matrix is near singular: sensitivity")
    # Called more often than even a prevalence of 1 would have it.
    weak = replace(inside, prob_n=np.where(np.arange(200) % 3 == 0, 0.9, inside.prob_n * 0.5))
    weak = replace(weak, prob_n=np.where(inside.y_n == 1, weak.prob_n, weak.prob_n * 0.1))
    all_called = replace(outside, prob_n=np.full(100, 0.9), logit_n=None)
    found = estimated_prevalence(weak, all_called, rng=np.random.default_rng(0), resamples=50)
    assert found.reason is not None
    assert "more than any prevalence gives" in found.reason


def test_without_labels_outside_there_is_no_drop_but_what_it_would_cost() -> None:
    outside = replace(made(11, 600, darker=0.12), y_n=np.full(600, np.nan))
    found = compared(made(11, 800, "inside"), outside)
    assert found.drop["auroc"].difference.value is None
    assert found.dropped == ()
    assert found.explains_most == "exposure"
    words = found.in_words()
    assert words[0].startswith("What it costs is not known")
    assert words[-1].endswith("of AUROC.")


def test_the_standardised_difference_is_that_of_the_textbook() -> None:
    rng = np.random.default_rng(12)
    a, b = rng.normal(3, 1, 80), rng.normal(4, 2, 50)
    units = [units_of(np.full(len(x), None, dtype=object)) for x in (a, b)]
    found = standardised_difference(
        np.append(a, np.nan), b, units_of(np.full(81, None, dtype=object)), units[1], rng, 100
    )
    assert found.value == pytest.approx((b.mean() - a.mean()) / np.sqrt((a.var() + b.var()) / 2))
    same = np.full(80, 2.0)
    assert standardised_difference(same, same, units[0], units[0], rng, 10).reason is not None


def test_attributes_that_cannot_be_compared_are_left_out_with_the_reason() -> None:
    inside, outside = made(13, 100, "inside"), made(13, 80)
    extra = {"sex": "F", "age": [30.0] * 5 + [None] * 95, "ward": [f"w{k}" for k in range(100)]}
    inside = replace(inside, attributes=inside.attributes.assign(**extra))
    outside = replace(outside, attributes=outside.attributes.assign(sex="F", age=50.0, ward="w1"))
    found = compared(inside, replace(outside, attributes=outside.attributes.drop(columns="view")))
    assert dict(found.left_out) == {
        "view": "not known of outside",
        "sex": "F of every film",
        "age": "known of 5 films of inside; 10 or more",
        "ward": "100 different words; 12 or fewer are compared",
    }
    assert [each.name for each in found.attributes] == ["exposure", "contrast"]


def test_sides_that_do_not_fit_are_refused_in_words() -> None:
    inside, outside = made(14, 100, "inside"), made(14, 80)
    with pytest.raises(EvaluationError, match="outside: 3 features a film; expected 12, as inside"):
        compared(inside, replace(outside, feature_nd=outside.feature_nd[:, :3]))
    with pytest.raises(EvaluationError, match=r"threshold 0\.4; expected 0\.5"):
        compared(inside, replace(outside, threshold=0.4))
    with pytest.raises(EvaluationError, match="no film without the finding"):
        compared(replace(inside, y_n=np.ones(100)), outside)
    with pytest.raises(EvaluationError, match="79 rows in y_n; expected 80"):
        replace(outside, y_n=outside.y_n[1:])


def test_a_wrong_grey_curve_on_real_films_is_named_exposure(
    small_bundle: Bundle, data_folder: Path
) -> None:
    films = open_source("pneumoniamnist", data=data_folder)
    films = films.where((films.table["split"] == "test").to_numpy())
    here_n = np.random.default_rng(0).random(len(films)) < 0.5
    there = films.where(~here_n)
    lighter = replace(there, pixels=FaultyPixels(there.pixels, FAULTS["gamma_lighter"], 3))
    threshold = small_bundle.thresholds()["Pneumonia"]["deployed"]
    inside, outside, changed = (
        Side.of(observe(small_bundle, each), "Pneumonia", threshold)
        for each in (films.where(here_n), there, lighter)
    )
    found = compared(inside, changed)
    assert found.named == found.moved_most == "exposure"
    assert found.two_sample.auroc_p == 1 / 200
    assert compared(inside, outside).named is None


def test_the_picture_shows_the_bars_of_what_was_weighed() -> None:
    inside = made(0, 800, "inside")
    figure = draw_shift(compared(inside, made(0, 600, darker=0.12)), "Pneumonia", synthetic=True)
    words = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert "the drop" in words
    assert any(text.get_text() == "SYNTHETIC" for text in figure.texts)
    nothing = replace(inside, attributes=inside.attributes[[]])
    bare = compared(nothing, replace(made(0, 600), attributes=pd.DataFrame(index=range(600))))
    assert bare.attributes == ()
    assert len(draw_shift(bare, "Pneumonia", synthetic=False).axes) == 1
