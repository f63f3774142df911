from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pandas as pd
import pytest

from evaluation.report.made_evaluation import made_evaluation, made_predictions
from hilum.evaluation import Evaluation, Predictions, evaluate
from hilum.evaluation.evaluating import Deployment
from hilum.evaluation.report.methods import NOTES, methods_page, notes
from hilum.evaluation.report.references import REFERENCES
from hilum.evaluation.report.words import (
    FIGURE_WORDS,
    GROUP_WORDS,
    POINT_WORDS,
    SET_WORDS,
    words,
)
from hilum.evaluation.results import SetLimits

PAGE = Path(__file__).parents[3] / "docs" / "methods.md"


def judged(
    *,
    separated: bool = False,
    patients: bool = False,
    logits: bool = True,
    whole: bool = True,
    findings: tuple[str, ...] = ("Pneumonia",),
) -> Evaluation:
    """An evaluation with everything in it, or (whole=False) with the least."""
    rng, n = np.random.default_rng(0), 300
    y_nf = (np.arange(n)[:, None] % 2 == 0) * np.ones((1, len(findings)))
    logit_nf = 6 * (y_nf - 0.5) if separated else 1.5 * (y_nf - 0.5) + rng.normal(0, 1, y_nf.shape)
    predictions = Predictions.from_arrays(
        findings,
        list(range(n)),
        label_nf=y_nf,
        logit_nf=logit_nf if logits else np.full_like(logit_nf, np.nan),
        prob_nf=1 / (1 + np.exp(-logit_nf)),
        threshold_f=[0.4] * len(findings),
        patient_id_n=[f"p{i // 3}" for i in range(n)] if patients else None,
        subgroups=pd.DataFrame({"sex": np.where(rng.random(n) < 0.5, "f", "m")}) if whole else None,
    )
    deployment = Deployment({"deployed": 0.4}, {"deployed": "by hand"}, SetLimits(0.9, 0.3, 0.6))
    return evaluate(
        predictions,
        dict.fromkeys(findings, deployment if whole else Deployment({"deployed": 0.4})),
        bundle="12ab" if whole else None,
        source="simulated",
        role="test",
        synthetic=False,
        rng=rng,
        resamples=40,
        prevalences=(0.1,) if whole else (),
    )


def titles(evaluation: Evaluation, **beside: tuple[str, ...]) -> set[str]:
    return {note.title for note in notes(evaluation, **beside)}


def test_every_figure_has_words_of_its_own_and_no_two_share_them() -> None:
    evaluation = judged(findings=("Pneumonia", "Effusion"))
    figures = evaluation.figures["Pneumonia"]
    assert list(figures) == list(FIGURE_WORDS)
    assert list(evaluation.operating_points["Pneumonia"]["deployed"].figures) == list(POINT_WORDS)
    assert list(evaluation.prediction_sets["Pneumonia"].figures) == list(SET_WORDS)
    group = evaluation.subgroups["Pneumonia"][0].groups[0]
    assert set(group.figures) <= {*FIGURE_WORDS, *POINT_WORDS, *GROUP_WORDS}
    every = [*FIGURE_WORDS, *POINT_WORDS, *GROUP_WORDS, *SET_WORDS]
    assert len({words(name) for name in every}) == len(every)
    assert words("brier_reliability") == "Brier: miscalibration"
    assert words("never_heard_of") == "never heard of"


def test_every_figure_is_explained_by_a_note() -> None:
    explained = {name for note in NOTES for name in note.figures}
    assert explained == {*FIGURE_WORDS, *POINT_WORDS}


def test_every_interval_that_an_evaluation_gives_is_named_in_a_note_it_uses() -> None:
    for evaluation in (judged(), judged(patients=True), judged(separated=True)):
        text = " ".join(f"{note.title} {note.sentence}" for note in notes(evaluation)).lower()
        methods = {
            estimate.method
            for figures in (
                *evaluation.figures.values(),
                *(p.figures for p in evaluation.operating_points["Pneumonia"].values()),
                *(g.figures for s in evaluation.subgroups["Pneumonia"] for g in s.groups),
                *(sets.figures for sets in evaluation.prediction_sets.values()),
            )
            for estimate in figures.values()
            if estimate.low is not None
        }
        assert len(methods) > 4
        for method in methods:
            first = re.match(r"\w+", method)
            assert first is not None
            assert first[0].lower() in text, method


def test_only_what_the_evaluation_uses_is_told() -> None:
    least, most = titles(judged(whole=False, logits=False)), titles(judged())
    assert most - least == {
        "Calibrators",
        "Operating points",
        "Prediction sets",
        "Subgroups",
    }
    assert least < most


def test_what_a_calibrator_changed_is_told_where_one_changed_anything() -> None:
    evaluation = made_evaluation(made_predictions(n=120))
    assert "Uncalibrated figures" in titles(evaluation)
    assert "Uncalibrated figures" not in titles(replace(evaluation, bundle=None))


def test_patients_with_several_films_bring_their_notes() -> None:
    more = titles(judged(patients=True)) - titles(judged())
    assert more == {
        "AUROC, several images of a patient",
        "Proportions, several images of a patient",
    }


def test_separated_classes_bring_newcombes_interval_and_take_the_slope_away() -> None:
    told, usual = titles(judged(separated=True)), titles(judged())
    assert "AUROC where DeLong's variance is 0 or rests on too few" in told - usual
    assert "Smooth calibration curve and ICI" in usual - told


def test_means_over_findings_are_told_where_there_are_several() -> None:
    assert "Mean over findings" in titles(judged(findings=("Pneumonia", "Effusion")))
    assert "Mean over findings" not in titles(judged())


@pytest.mark.parametrize(
    ("beside", "title"),
    [
        ("label_errors", "Label-error candidates"),
        ("comparison", "Comparison of two classifiers"),
    ],
)
def test_what_stands_beside_an_evaluation_is_told_when_it_is_there(beside: str, title: str) -> None:
    evaluation = judged(whole=False)
    assert title not in titles(evaluation)
    assert title in titles(evaluation, beside=(beside,))


def test_nothing_is_said_of_how_somebody_elses_thresholds_were_chosen() -> None:
    evaluation = judged()
    foreign = titles(replace(evaluation, bundle=None))
    assert titles(evaluation) - foreign == {"Calibrators", "Operating points"}


def test_a_figure_that_is_missing_needs_no_note() -> None:
    evaluation = judged()
    figures = dict(evaluation.figures["Pneumonia"])
    figures["augrc"] = replace(
        figures["augrc"], value=None, low=None, high=None, reason="none", method="none"
    )
    without = replace(evaluation, figures={"Pneumonia": figures})
    assert titles(evaluation) - titles(without) == {"Selective risk"}


def test_every_source_is_known_and_every_reference_is_used() -> None:
    used = {key for note in NOTES for key in note.sources}
    assert used == set(REFERENCES)
    assert list(REFERENCES) == sorted(REFERENCES, key=as_in_a_dictionary)
    for note in NOTES:
        assert note.references == tuple(REFERENCES[key] for key in note.sources)


def as_in_a_dictionary(key: str) -> bytes:
    """ö stands with o, and capitals with small letters."""
    return normalize("NFKD", key).casefold().encode("ascii", "ignore")


@pytest.mark.parametrize("key", REFERENCES)
def test_a_reference_is_whole(key: str) -> None:
    reference = REFERENCES[key]
    assert key.endswith(str(reference.year))
    assert str(reference.year) in reference.where
    assert reference.doi is None or re.fullmatch(r"10\.\d{4}/\S+", reference.doi)
    if " " in key and not key.startswith(("CLAIM", "TRIPOD")):
        assert reference.authors.startswith(key.removesuffix(f" {reference.year}"))


def test_no_two_references_share_a_doi() -> None:
    dois = [reference.doi for reference in REFERENCES.values() if reference.doi is not None]
    assert len(set(dois)) == len(dois)
    assert len(dois) > 35


def test_the_page_of_the_docs_is_what_the_table_makes() -> None:
    assert PAGE.read_text(encoding="utf-8") == methods_page()


def test_the_command_on_the_page_makes_the_page() -> None:
    (command,) = re.findall(r"```sh\n(.*)\n```", methods_page())
    program = re.fullmatch(r"python -c '(.*)' > docs/methods\.md", command)
    assert program is not None
    printed: list[str] = []
    exec(program[1], {"print": lambda text, end: printed.append(text + end)})
    assert printed == [methods_page()]


def test_every_row_of_the_page_has_its_cells() -> None:
    for line in methods_page().splitlines():
        if line.startswith("|"):
            assert line.count("|") in (3, 4), line
            assert "<" not in line
