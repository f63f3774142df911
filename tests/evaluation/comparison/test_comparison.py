import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from hilum.errors import EvaluationError
from hilum.evaluation.comparison.comparing import compare
from hilum.evaluation.comparison.further_figures import FURTHER
from hilum.evaluation.comparison.paired_figures import ALL_FIGURES, FIGURES
from hilum.evaluation.comparison.results import Comparison
from hilum.evaluation.comparison.words import NAMES, in_words
from hilum.evaluation.discrimination import auroc
from hilum.evaluation.intervals import holm
from hilum.evaluation.predictions import Predictions
from made import evaluated

FINDINGS = ("Effusion", "Mass")


def predictions(
    seed: int,
    n: int = 120,
    *,
    skill: float = 1.5,
    findings: Sequence[str] = ("Pneumonia",),
    patients: int | None = None,
    where: str = "predictions",
) -> Predictions:
    """The same images and labels for every seed; the scores are the seed's."""
    truth, own = np.random.default_rng(99), np.random.default_rng(seed)
    f = len(findings)
    label_nf = (truth.random((n, f)) < 0.4).astype(float)
    logit_nf = skill * (2 * label_nf - 1) + truth.normal(size=(n, f)) + own.normal(size=(n, f))
    made = Predictions.from_arrays(
        findings,
        [f"film-{i:04d}" for i in range(n)],
        label_nf=label_nf,
        logit_nf=logit_nf,
        prob_nf=1 / (1 + np.exp(-logit_nf)),
        threshold_f=[0.5] * f,
        patient_id_n=None if patients is None else truth.integers(patients, size=n).tolist(),
    )
    return replace(made, where=where)


def changed(base: Predictions, **columns: object) -> Predictions:
    return replace(base, table=base.table.assign(**columns))


def rows(base: Predictions, keep: NDArray[np.intp] | slice) -> Predictions:
    return replace(base, table=base.table.iloc[keep].reset_index(drop=True))


def compared(a: Predictions, b: Predictions, **options: object) -> Comparison:
    options = {"resamples": 200, "rng": np.random.default_rng(0)} | options
    return compare(a, b, **options)  # type: ignore[arg-type]


def words(comparison: Comparison) -> str:
    return "\n".join(in_words(comparison))


def test_images_are_matched_by_id_whatever_the_order_of_the_rows() -> None:
    a, b = predictions(1, patients=50), predictions(2, patients=50)
    order = np.random.default_rng(0).permutation(120)
    assert compared(a, b).to_json() == compared(rows(a, order[::-1]), rows(b, order)).to_json()


def test_the_other_way_round_every_difference_has_the_other_sign() -> None:
    a, b = predictions(1), predictions(2, skill=1.0)
    one, other = compared(a, b), compared(b, a)
    for name in FIGURES:
        x, z = (each.findings["Pneumonia"].figures[name] for each in (one, other))
        assert x.difference.value == pytest.approx(-(z.difference.value or 0), abs=1e-12)
        assert x.difference.low == pytest.approx(-(z.difference.high or 0), abs=1e-12)
        assert (x.p, x.a) == (z.p, z.b)
        swapped = {"a_better": "b_better", "b_better": "a_better"}
        assert x.verdict == swapped.get(z.verdict, z.verdict)


def test_images_in_one_file_alone_are_left_out_counted_and_said() -> None:
    a, b = rows(predictions(1), slice(0, 100)), rows(predictions(2), slice(30, 120))
    found = compared(a, b)
    assert (found.n, found.only_a, found.only_b) == (70, 30, 20)
    assert any("30 images stand in A alone and 20 in B alone" in each for each in found.cautions)
    alone = compared(rows(predictions(1), slice(30, 100)), rows(predictions(2), slice(30, 100)))
    assert found.findings == alone.findings


def test_a_label_known_to_one_file_counts_and_one_known_to_none_is_left_out() -> None:
    a, b = predictions(1), predictions(2)
    label_n = a.label("Pneumonia")
    gap_a_n, gap_b_n = label_n.copy(), label_n.copy()
    gap_a_n[:10] = gap_b_n[5:20] = np.nan
    found = compared(changed(a, label_pneumonia=gap_a_n), changed(b, label_pneumonia=gap_b_n))
    assert (found.findings["Pneumonia"].n, found.findings["Pneumonia"].missing) == (115, 5)
    assert any("5 images have no label for Pneumonia" in each for each in found.cautions)


def test_labels_that_differ_are_refused_with_the_first_image() -> None:
    a, b = predictions(1, where="a.csv"), predictions(2, where="b.csv")
    label_n = a.label("Pneumonia").copy()
    label_n[[7, 40]] = 1 - label_n[[7, 40]]
    with pytest.raises(EvaluationError) as error:
        compared(a, changed(b, label_pneumonia=label_n))
    line = str(error.value)
    assert line.startswith("a.csv and b.csv: label of Pneumonia for image 'film-0007' is ")
    assert "(2 such images)" in line


def test_patients_come_from_either_file_and_must_agree() -> None:
    a, b = predictions(1, patients=40), predictions(2, patients=40)
    nameless = changed(b, patient_id=pd.Series([None] * 120, dtype="str"))
    one, other = compared(a, nameless), compared(nameless, a)
    assert (
        (one.grouping, one.units)
        == (other.grouping, other.units)
        == (
            "patient",
            a.table["patient_id"].nunique(),
        )
    )
    names = b.table["patient_id"].copy()
    names[3] = "someone else"
    with pytest.raises(EvaluationError, match=r"image 'film-0003' is of patient '.*' in the first"):
        compared(a, changed(b, patient_id=names))


def test_without_patients_the_reader_is_told_what_that_may_hide() -> None:
    found = compared(predictions(1), predictions(2))
    assert found.grouping == "image"
    assert any("no patient is known" in each for each in found.cautions)
    some = predictions(1, patients=40).table["patient_id"].copy()
    some[:4] = None
    partly = compared(changed(predictions(1), patient_id=some), predictions(2))
    assert any("4 images have no patient id" in each for each in partly.cautions)


def test_a_winner_is_said_to_need_a_fresh_test_set() -> None:
    found = compared(predictions(1), predictions(2))
    assert "needs a fresh test set" in found.cautions[0]


def test_what_the_caller_knows_is_among_the_cautions() -> None:
    found = compared(predictions(1), predictions(2), cautions=["A was read from a logit"])
    assert found.cautions[-1] == "A was read from a logit"


def test_few_images_of_a_class_are_said() -> None:
    a, b = predictions(1), predictions(2)
    label_n = np.where(np.arange(120) < 6, 1.0, 0.0)
    found = compared(changed(a, label_pneumonia=label_n), changed(b, label_pneumonia=label_n))
    assert any("only 6 images with Pneumonia" in each for each in found.cautions)


def test_decisions_are_the_files_own_unless_thresholds_are_given() -> None:
    a, b = predictions(1), predictions(2)
    own = changed(a, decision=np.ones(120, dtype=np.int8))
    found = compared(own, b)
    assert found.findings["Pneumonia"].figures["sensitivity"].a.value == 1.0
    assert (found.decided_a, found.decided_b) == ("as its file says", "as its file says")
    given = compared(own, b, threshold_a=0.5, threshold_b=0.7)
    expected = (b.prob("Pneumonia") >= 0.7)[b.label("Pneumonia") == 1].mean()
    figures = given.findings["Pneumonia"].figures
    assert figures["sensitivity"].a == compared(a, b).findings["Pneumonia"].figures["sensitivity"].a
    assert figures["sensitivity"].b.value == pytest.approx(expected)
    assert given.decided_b == "probability >= 0.7"


def test_auroc_over_findings_is_corrected_and_the_correction_named() -> None:
    found = compared(
        predictions(1, findings=FINDINGS), predictions(2, skill=1.2, findings=FINDINGS)
    )
    figures = [found.findings[finding].figures["auroc"] for finding in FINDINGS]
    assert [f.p_adjusted for f in figures] == pytest.approx(holm([f.p or 0 for f in figures]))
    assert found.multiplicity.startswith("Holm over the AUROC of 2 findings")
    assert found.macro["auroc"].difference.value == pytest.approx(
        np.mean([f.difference.value or 0 for f in figures])
    )
    alone = compared(predictions(1), predictions(2))
    assert alone.multiplicity.startswith("none")
    assert alone.macro == {}


def test_the_verdict_follows_the_corrected_p() -> None:
    a, b = predictions(1, 150, findings=FINDINGS), predictions(2, 150, findings=FINDINGS)
    logit_n = a.logit("Mass") + 0.42 * (2 * a.label("Mass") - 1)
    noisy_n = logit_n + 0.9 * np.random.default_rng(6).normal(size=150)
    b = changed(b, logit_mass=noisy_n, prob_mass=1 / (1 + np.exp(-noisy_n)))
    alone = compared(a, b, findings=["Mass"]).findings["Mass"].figures["auroc"]
    beside = compared(a, b).findings["Mass"].figures["auroc"]
    assert alone.p == beside.p
    assert alone.p is not None
    assert 0.025 < alone.p < 0.05  # so that two tests make the difference
    assert (alone.verdict, beside.verdict) == ("b_better", "not_told_apart")


def test_findings_are_matched_but_for_case_and_can_be_chosen() -> None:
    a = predictions(1, findings=("Pleural Effusion", "Mass"))
    b = predictions(2, findings=("pleural_effusion", "Mass"))
    assert tuple(compared(a, b).findings) == ("Pleural Effusion", "Mass")
    found = compared(a, b, findings=["mass"])
    assert tuple(found.findings) == ("Mass",)
    assert "1 findings are compared, of 2 in A and 2 in B" in found.cautions


def test_figures_can_be_chosen() -> None:
    found = compared(predictions(1), predictions(2), figures=["brier", "auroc"])
    assert tuple(found.findings["Pneumonia"].figures) == ("auroc", "brier")
    without = compared(predictions(1), predictions(2), figures=["brier"])
    assert tuple(compared(predictions(1), predictions(2)).findings["Pneumonia"].figures) == FIGURES
    assert without.multiplicity == "none, as AUROC was not asked for"
    assert "By AUROC" not in words(without)


def test_json_goes_out_and_in_and_is_strict() -> None:
    found = compared(
        predictions(1, findings=FINDINGS, patients=40),
        predictions(2, findings=FINDINGS, patients=40),
        threshold_probabilities=[0.1],
    )
    text = found.to_json()
    assert Comparison.from_json(text).to_json() == text
    assert next(iter(json.loads(text))) == "schema"
    assert "NaN" not in text


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 1}', '{"schema": 2}'])
def test_anything_else_is_no_comparison(text: str) -> None:
    with pytest.raises(EvaluationError, match=r"^comparison.json: (no comparison|schema 2)"):
        Comparison.from_json(text)


def test_the_same_seed_gives_the_same_comparison() -> None:
    a, b = predictions(1), predictions(2)
    assert compared(a, b) == compared(a, b)
    assert compared(a, b) != compared(a, b, rng=np.random.default_rng(1))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"threshold_a": 1.5}, r"^threshold-a: 1.5; expected a probability in \[0, 1\]"),
        ({"threshold_b": float("nan")}, r"^threshold-b: nan; expected a probability"),
        (
            {"threshold_probabilities": [1.0]},
            r"^threshold-probability: 1; expected a prob",
        ),
        ({"resamples": 1}, r"^resamples: 1; expected 2 or more"),
        ({"figures": ["auc"]}, r"^--figure: 'auc'; expected auroc, average_precision"),
        ({"figures": ["net_benefit"]}, r"^--figure: 'net_benefit';.*--threshold-probability"),
        ({"findings": ["Mass"]}, r"finding 'Mass' is not in both: Pneumonia in the first and"),
    ],
)
def test_an_argument_out_of_range_is_one_line(options: dict[str, object], line: str) -> None:
    with pytest.raises(EvaluationError, match=line) as error:
        compared(predictions(1), predictions(2), **options)
    assert "\n" not in str(error.value)


def test_files_without_a_common_image_or_finding_are_refused() -> None:
    a, b = predictions(1), predictions(2)
    renamed = changed(b, image_id=[f"other-{i}" for i in range(120)])
    with pytest.raises(EvaluationError, match="no image id stands in both"):
        compared(a, renamed)
    with pytest.raises(EvaluationError, match="no finding in both: Pneumonia in the first"):
        compared(a, predictions(2, findings=("Mass",)))


def test_words_say_that_the_data_cannot_tell_them_apart_and_what_they_could() -> None:
    found = compared(predictions(1), predictions(2))
    auroc = found.findings["Pneumonia"].figures["auroc"]
    assert auroc.verdict == "not_told_apart"
    said = words(found)
    assert "By AUROC these data cannot tell A and B apart" in said
    assert f"a true difference of {auroc.detectable:.4f} would have been found" in said


def test_words_say_which_is_better_and_by_how_much() -> None:
    found = compared(predictions(1, skill=0.5), predictions(2, skill=3.0))
    auroc = found.findings["Pneumonia"].figures["auroc"]
    assert auroc.verdict == "b_better"
    said = words(found)
    assert "these data tell A and B apart: B is better" in said
    assert f"{auroc.difference.value:+.4f} ({auroc.difference.low:+.4f} to" in said
    assert "p < 0.001 by paired DeLong" in said


def test_words_say_when_both_are_the_same() -> None:
    a = predictions(1)
    assert "By AUROC A and B are the same: A and B order every image" in words(compared(a, a))


def test_words_say_why_there_is_no_net_reclassification_improvement() -> None:
    without = words(compared(predictions(1), predictions(2)))
    assert "Pepe et al. 2014" in without
    assert "Hilden & Gerds 2014" in without
    assert "--threshold-probability" in without
    given = words(compared(predictions(1), predictions(2), threshold_probabilities=[0.1]))
    assert "Net benefit when one acts from probability 0.1 upward" in given
    assert "per 1,000 images like these B is worth" in given
    assert "--threshold-probability" not in given


def test_words_warn_of_an_operating_point_that_only_trades_one_error_for_the_other() -> None:
    a = predictions(1, 400)
    traded = words(compared(a, predictions(2, 400), threshold_a=0.9, threshold_b=0.1))
    assert "a different operating point can do that alone" in traded
    assert "operating point" not in words(compared(a, predictions(2, 400)))


def test_words_give_a_table_over_many_findings() -> None:
    said = words(
        compared(predictions(1, findings=FINDINGS), predictions(2, findings=FINDINGS))
    ).splitlines()
    start = said.index("AUROC by finding")
    assert [line.split()[0] for line in said[start + 2 : start + 5]] == ["Effusion", "Mass", "mean"]
    assert any(line.startswith("Mean over the findings") for line in said)
    assert sum("by paired DeLong, after Holm's correction)" in line for line in said) == 2


def test_words_say_what_has_no_figure_and_why() -> None:
    a, b = predictions(1), predictions(2)
    zeros = np.zeros(120)
    said = words(compared(changed(a, label_pneumonia=zeros), changed(b, label_pneumonia=zeros)))
    assert "By AUROC nothing can be said: A has none: no image with the finding among 120" in said
    assert "sensitivity has no difference: A has none" in said


def test_synthetic_images_are_said_first() -> None:
    found = compared(replace(predictions(1), synthetic=True), predictions(2))
    assert next(iter(in_words(found))).startswith("SYNTHETIC")


def test_each_sides_figures_are_those_that_evaluate_gives() -> None:
    from hilum.evaluation import Deployment

    a, b = predictions(1, patients=50), predictions(2, patients=50)
    evaluation = evaluated(
        b,
        {"Pneumonia": Deployment({"deployed": 0.5})},
        resamples=200,
    )
    figures = compared(a, b, figures=ALL_FIGURES).findings["Pneumonia"].figures
    assert tuple(figures) == ALL_FIGURES
    point = evaluation.operating_points["Pneumonia"]["deployed"].figures
    expected = {**evaluation.figures["Pneumonia"], **point}
    for name in ALL_FIGURES:
        # A quantile between two resamples is not quite that between their squares.
        digits = 1e-5 if name == "ece" else 1e-12
        for part in ("value", "low", "high"):
            found = getattr(figures[name].b, part)
            assert found == pytest.approx(getattr(expected[name], part), abs=digits), (name, part)


def test_every_further_figure_goes_into_words_and_json_and_turns_round() -> None:
    a, b = predictions(1, 300, findings=FINDINGS), predictions(2, 300, skill=1.0, findings=FINDINGS)
    one, other = (compared(*pair, figures=FURTHER) for pair in ((a, b), (b, a)))
    assert Comparison.from_json(one.to_json()).to_json() == one.to_json()
    assert set(one.macro) == set(FURTHER)
    said = words(one)
    for name in FURTHER:
        assert said.count(f"  {NAMES[name]} ") == 3, name  # two findings and their mean
        x, z = (each.findings["Mass"].figures[name] for each in (one, other))
        assert x.difference.low is not None
        assert x.difference.low == pytest.approx(-(z.difference.high or 0), abs=1e-12)
        swapped = {"a_better": "b_better", "b_better": "a_better"}
        assert x.verdict == swapped.get(z.verdict, z.verdict)


def test_a_file_with_some_logits_missing_ranks_as_one_without_logits() -> None:
    a, b = predictions(1), predictions(2)
    # Probabilities that tie, whose logits would part them.
    prob_n = np.round(b.prob("Pneumonia"), 1)
    full = changed(b, prob_pneumonia=prob_n)
    some_n = full.logit("Pneumonia").copy()
    some_n[::7] = np.nan
    some = changed(full, logit_pneumonia=some_n)
    none = changed(full, logit_pneumonia=np.full(120, np.nan))
    found = [
        compared(a, each).findings["Pneumonia"].figures["auroc"] for each in (full, some, none)
    ]
    assert found[1] == found[2]
    assert found[0].b.value != found[2].b.value
    assert found[2].b.value == pytest.approx(auroc(prob_n, b.label("Pneumonia")))


def test_too_few_images_name_no_winner_without_a_p() -> None:
    a, b = predictions(1, skill=0.5), predictions(2, skill=3.0)
    label_n = b.label("Pneumonia").copy()
    label_n[np.flatnonzero(label_n == 1)[19:]] = np.nan
    a, b = (changed(each, label_pneumonia=label_n) for each in (a, b))
    a = changed(a, label_pneumonia=label_n)
    found = compared(a, b, threshold_probabilities=[0.2])
    figures = found.findings["Pneumonia"].figures
    undecided = [name for name, each in figures.items() if each.verdict == "unknown"]
    assert undecided == [name for name, each in figures.items() if each.p is None]
    assert figures["brier"].difference.low is not None
    assert figures["brier"].detectable is None
    assert found.findings["Pneumonia"].net_benefit[0].figure.verdict == "unknown"
    said = words(found)
    assert said.count("too few images to say") == len(undecided) + 1
    assert "Student's t (18 degrees of freedom)" in said
    assert any("only 19 images with Pneumonia" in each for each in found.cautions)


@pytest.mark.parametrize(("each", "told"), [(1, "unknown"), (19, "unknown"), (60, "b_better")])
def test_perfect_against_constant_is_told_alike_by_every_figure(each: int, told: str) -> None:
    n = 2 * each
    y_n = np.repeat([0.0, 1.0], each)
    base = rows(predictions(1, 120), slice(0, n))
    constant = changed(
        base,
        label_pneumonia=y_n,
        logit_pneumonia=np.zeros(n),
        prob_pneumonia=np.full(n, 0.6),
        decision_pneumonia=np.ones(n, dtype=np.int8),
    )
    perfect = changed(
        constant,
        logit_pneumonia=8 * y_n - 4,
        prob_pneumonia=0.1 + 0.8 * y_n,
        decision_pneumonia=y_n.astype(np.int8),
    )
    found = compared(constant, perfect, threshold_a=0.5, threshold_b=0.5)
    figures = found.findings["Pneumonia"].figures
    for name in ("auroc", "average_precision", "brier", "ppv", "f1"):
        assert figures[name].verdict == told, name
    said = words(found)
    assert ("B is better" in said.split("Right on")[0].split("p  ")[0]) == (told == "b_better")
