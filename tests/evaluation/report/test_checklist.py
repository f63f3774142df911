from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hilum.bundle import Manifest
from hilum.estimates import Estimate
from hilum.evaluation import Evaluation, Predictions, evaluate
from hilum.evaluation.evaluating import Deployment
from hilum.evaluation.report.checklist import Answered, answered, checklist
from hilum.evaluation.report.checklist.items import CLAIM, GUIDELINES, TRIPOD_AI
from hilum.evaluation.report.facts import Facts, installed_versions
from hilum.evaluation.results import SetLimits
from made import small_recipe

# The numbers as published: CLAIM 2024 has 44 items, TRIPOD+AI 27 with their letters.
CLAIM_NUMBERS = [str(number) for number in range(1, 45)]
TRIPOD_LETTERS = {3: 3, 5: 2, 6: 3, 8: 3, 9: 3, 12: 7, 18: 6, 20: 3, 23: 2, 27: 3}
TRIPOD_NUMBERS = [
    f"{number}{letter}"
    for number in range(1, 28)
    for letter in ("abcdefg"[: TRIPOD_LETTERS[number]] if number in TRIPOD_LETTERS else ("",))
]


def counts(present: int, absent: int) -> dict[str, Any]:
    by = {"Pneumonia": {"absent": absent, "present": present, "unknown": 0}}
    return {"n": present + absent, "n_by_label": by, "digest": "d" * 64}


def estimate(value: float) -> dict[str, object]:
    return Estimate(value, value - 0.01, value + 0.005, 524, "DeLong, logit scale").to_dict()


RECORD: dict[str, Any] = {
    "schema_version": 3,
    "name": "made",
    "created": "2026-11-22T22:07:29+00:00",
    "findings": ["Pneumonia"],
    "meanings": {"Pneumonia": "two physicians called it so"},
    "reading": {"window": 1, "bits": None},
    "salt": "0" * 32,
    "abstention": None,
    "backbone": {
        "name": "efficientnet_lite0",
        "weights": "imagenet",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
    },
    "preprocessing": [
        {"step": "centre_square"},
        {"step": "resize", "height": 64, "width": 64, "interpolation": "bicubic"},
    ],
    "engine": {
        "file": "openvino/model.xml",
        "input_size": 64,
        "precision": "f32",
        "agreement": {"role": "calibrate", "n": 524, "largest_probability_difference": 2.2e-6},
    },
    "calibrators": {
        "Pneumonia": {
            "kind": "temperature",
            "temperature": 1.0593,
            "log_loss": {"none": 0.2, "temperature": 0.19},
            "folds": 5,
            "reason": "the least cross-validated log loss",
        }
    },
    "operating_points": {
        "Pneumonia": [
            {
                "name": "rule_out",
                "rule": "sensitivity >= 0.95",
                "threshold": 0.2,
                "sensitivity": estimate(0.96),
                "specificity": estimate(0.97),
                "n": 11,
            },
            {
                "name": "youden",
                "rule": "greatest sensitivity + specificity - 1",
                "threshold": 0.4,
                "sensitivity": estimate(0.96),
                "specificity": estimate(0.97),
                "n": 524,
            },
        ]
    },
    "conformal": {},
    "deployed": "youden",
    "source": "simulated",
    "synthetic": False,
    "warnings": [],
    "roles": {
        "roles": {
            "train": counts(3136, 1093),
            "tune": counts(348, 121),
            "calibrate": counts(389, 135),
            "test": counts(390, 234),
        },
        "excluded": [
            {"image_id": "train-0269", "split": "train", "reason": "same pixels as val-0253 (val)"}
        ],
        "grouping": "image",
        "seed": 7,
    },
    "figures": {"calibrate": {"Pneumonia": {"auroc": estimate(0.98765)}}},
    "recipe": small_recipe(epochs=9, patience=4).model_dump(mode="json"),
    "versions": {"python": "3.11.7", "torch": "2.15.0"},
    "commit": "bb94000e",
    "machine": "Linux x86_64",
    "licence": "CC BY 4.0",
    "intended_use": "Research use only.",
    "files": {},
}
OPENINGS = ({"time": "2026-11-22T21:40:00+00:00", "role": "test"},)
FACTS = Facts(
    command="hilum evaluate models/made --on simulated:test --out outputs",
    versions={"hilum": "0.1.0", "numpy": "2.4.6"},
    model=RECORD,
    openings=OPENINGS,
)
FOREIGN = Facts(
    command="hilum evaluate --predictions theirs.csv --out outputs",
    versions={"hilum": "0.1.0"},
    predictions_file="theirs.csv",
    predictions_sha256="ab" * 32,
)


def judged(findings: tuple[str, ...] = ("Pneumonia",), *, one_class: bool = False) -> Evaluation:
    rng, n = np.random.default_rng(1), 300
    y_nf = (rng.random((n, len(findings))) < (0 if one_class else 0.4)).astype(float)
    logit_nf = 2 * (y_nf - 0.5) + rng.normal(0, 1, y_nf.shape)
    y_nf[:5, 0] = np.nan
    predictions = Predictions.from_arrays(
        findings,
        list(range(n)),
        label_nf=y_nf,
        logit_nf=logit_nf,
        prob_nf=1 / (1 + np.exp(-logit_nf)),
        threshold_f=[0.4] * len(findings),
        patient_id_n=[f"p{i // 2}" for i in range(n)],
        subgroups=pd.DataFrame(
            {
                "site": np.where(rng.random(n) < 0.5, "A", "B"),
                "sex": np.where(rng.random(n) < 0.5, "f", "m"),
            }
        ),
    )
    rule = "youden: greatest sensitivity + specificity - 1"
    deployment = Deployment({"deployed": 0.4}, {"deployed": rule}, SetLimits(0.9, 0.3, 0.6))
    return evaluate(
        predictions,
        dict.fromkeys(findings, deployment),
        bundle="5eed" * 16,
        source="simulated",
        role="test",
        synthetic=False,
        rng=rng,
        resamples=40,
        warnings=["the files differ from the official ones"],
    )


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return judged()


@pytest.fixture(scope="module")
def theirs(evaluation: Evaluation) -> Evaluation:
    """The same predictions, of which nobody knows how they were made."""
    return replace(evaluation, bundle=None, source="theirs.csv")


def rows(text: str) -> dict[str, dict[str, tuple[str, str, str]]]:
    """Per guideline and number: item, answer, where from."""
    found: dict[str, dict[str, tuple[str, str, str]]] = {}
    for section in re.split(r"(?m)^## ", text)[1:]:
        of = found.setdefault(section.split("\n")[0], {})
        for line in section.splitlines():
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if cells and re.fullmatch(r"\d+[a-g]?", cells[0]):
                assert len(cells) == 4, line
                assert cells[0] not in of, f"{cells[0]} stands twice"
                of[cells[0]] = (cells[1], cells[2], cells[3])
    return found


def answer(evaluation: Evaluation, facts: Facts, guideline: str, number: str) -> str:
    return rows(checklist(evaluation, facts))[guideline][number][1]


def changed(facts: Facts, path: str, value: object) -> Facts:
    """The same facts with another value in the model's record."""
    record = copy.deepcopy(dict(facts.model or {}))
    *way, last = path.split(".")
    inner: Any = record
    for key in way:
        inner = inner[int(key)] if key.isdigit() else inner[key]
    inner[int(last) if last.isdigit() else last] = value
    return replace(facts, model=record)


def test_the_record_in_these_tests_is_what_a_bundle_holds() -> None:
    Manifest.model_validate(RECORD)
    assert set(RECORD) == set(Manifest.model_fields)


def test_every_item_of_both_checklists_stands_there_once(evaluation: Evaluation) -> None:
    found = rows(checklist(evaluation, FACTS))
    assert list(found) == ["CLAIM 2024", "TRIPOD+AI 2024"]
    assert list(found["CLAIM 2024"]) == CLAIM_NUMBERS
    assert list(found["TRIPOD+AI 2024"]) == TRIPOD_NUMBERS
    asked = [item for of in found.values() for item, _, _ in of.values()]
    assert all(asked)
    assert max(len(item) for item in asked) < 75


CHANGES = [
    ("CLAIM 2024", "3", "intended_use", "For triage", "For triage"),
    ("CLAIM 2024", "7", "licence", "CC0", "licence CC0"),
    ("CLAIM 2024", "7", "source", "elsewhere", "Trained on elsewhere"),
    ("CLAIM 2024", "9", "preprocessing.1.height", 224, "height 224"),
    ("CLAIM 2024", "9", "backbone.std", [0.1, 0.2, 0.3], "deviation 0.1, 0.2, 0.3"),
    ("CLAIM 2024", "8", "roles.excluded", [], "No image was left out"),
    ("CLAIM 2024", "8", "roles.excluded.0.reason", "blank", "train-0269: blank"),
    ("CLAIM 2024", "19", "roles.roles.train.n", 77, "train 77,"),
    ("CLAIM 2024", "19", "roles.seed", 3, "seed 3"),
    ("CLAIM 2024", "20", "roles.grouping", "patient", "disjoint by patient"),
    ("CLAIM 2024", "22", "backbone.name", "resnet18", "Network resnet18"),
    ("CLAIM 2024", "22", "calibrators.Pneumonia", {"kind": "platt", "slope": 1.2}, "platt (slope"),
    ("CLAIM 2024", "23", "versions.torch", "9.9", "torch 9.9"),
    ("CLAIM 2024", "24", "backbone.weights", "none", "none: all at random"),
    ("CLAIM 2024", "25", "recipe.train.learning_rate", 0.5, "learning rate 0.5"),
    ("CLAIM 2024", "25", "recipe.augmentation.noise", 0.77, "noise 0.77"),
    ("CLAIM 2024", "25", "recipe.seed", 41, "Seed: 41"),
    ("CLAIM 2024", "26", "recipe.train.patience", 2, "after 2 looks"),
    ("CLAIM 2024", "33", "source", "elsewhere", "Trained on elsewhere, evaluated on simulated"),
    ("CLAIM 2024", "36", "roles.roles.train.n_by_label.Pneumonia.present", 5, "present in 5;"),
    ("CLAIM 2024", "37", "figures.calibrate.Pneumonia.auroc", estimate(0.5), "AUROC 0.500"),
    ("CLAIM 2024", "43", "commit", "0ddba11", "commit 0ddba11"),
    ("CLAIM 2024", "43", "name", "other", "Bundle other"),
    ("TRIPOD+AI 2024", "12g", "engine.precision", "bf16", "engine in bf16"),
    ("TRIPOD+AI 2024", "12g", "engine.agreement.n", 1, "1 image of calibrate"),
    ("TRIPOD+AI 2024", "13", "recipe.loss.class_weights", "balanced", "weights: balanced"),
    ("TRIPOD+AI 2024", "13", "recipe.loss.focal_gamma", 2.0, "Focal loss, gamma 2"),
    ("TRIPOD+AI 2024", "13", "recipe.loss.logit_adjustment", 1.0, "Logit adjustment, tau 1"),
    ("TRIPOD+AI 2024", "13", "recipe.train.sampling", "balanced", "drawn equally often"),
    ("CLAIM 2024", "27", "recipe.train.members", 5, "5 networks efficientnet_lite0"),
    ("TRIPOD+AI 2024", "13", "calibrators.Pneumonia.temperature", 2.5, "temperature 2.5"),
    ("TRIPOD+AI 2024", "15", "operating_points.Pneumonia.1.n", 99, "on 99 images of calibrate"),
    ("TRIPOD+AI 2024", "16", "roles.roles.train", counts(1, 3), "in 25.0 % of train"),
    ("TRIPOD+AI 2024", "9a", "engine.input_size", 128, "128 × 128"),
]


@pytest.mark.parametrize(("guideline", "number", "path", "value", "said"), CHANGES)
def test_an_answer_follows_the_models_record(
    evaluation: Evaluation, guideline: str, number: str, path: str, value: object, said: str
) -> None:
    assert said not in answer(evaluation, FACTS, guideline, number)
    assert said in answer(evaluation, changed(FACTS, path, value), guideline, number)


@pytest.mark.parametrize(
    ("guideline", "number", "change", "said"),
    [
        ("CLAIM 2024", "7", {"role": "tune"}, "role tune of simulated"),
        ("CLAIM 2024", "7", {"synthetic": True}, "SYNTHETIC"),
        ("CLAIM 2024", "21", {"n": 1234}, "1,234 images from 150 patients"),
        ("CLAIM 2024", "21", {"grouping": "image"}, "300 images evaluated"),
        (
            "CLAIM 2024",
            "12",
            {"n_by_label": {"Pneumonia": {"absent": 1, "present": 2, "missing": 33}}},
            "Pneumonia: 33 of 300",
        ),
        ("CLAIM 2024", "32", {"role": "calibrate"}, "which training used"),
        ("CLAIM 2024", "32", {"source": "elsewhere"}, "For the author"),
        ("CLAIM 2024", "40", {"warnings": ("mind the gap",)}, "warns: mind the gap."),
        (
            "CLAIM 2024",
            "40",
            {
                "warnings": (),
                "n_by_label": {"Pneumonia": {"absent": 3, "present": 1, "missing": 0}},
            },
            "hold at the prevalence of these images, 25",
        ),
        ("CLAIM 2024", "40", {"grouping": "image"}, "No patient is known"),
        ("TRIPOD+AI 2024", "12f", {"bundle": "0b5e55ed"}, "digest 0b5e55ed"),
        ("TRIPOD+AI 2024", "23b", {"subgroups": {}}, "For the author."),
        ("TRIPOD+AI 2024", "20b", {"units": 3}, "from 3 patients"),
    ],
)
def test_an_answer_follows_the_evaluation(
    evaluation: Evaluation, guideline: str, number: str, change: dict[str, Any], said: str
) -> None:
    assert said not in answer(evaluation, FACTS, guideline, number)
    assert said in answer(replace(evaluation, **change), FACTS, guideline, number)


@pytest.mark.parametrize(
    ("guideline", "number", "change", "said"),
    [
        ("CLAIM 2024", "23", {"versions": {"numpy": "1.0"}}, "Evaluated with numpy 1.0"),
        ("CLAIM 2024", "42", {"command": "hilum do"}, "What was run: hilum do."),
        ("CLAIM 2024", "32", {"openings": OPENINGS * 3}, "3 openings of test images"),
        ("TRIPOD+AI 2024", "18f", {"versions": {"hilum": "9.9"}}, "by Hilum 9.9"),
    ],
)
def test_an_answer_follows_the_run(
    evaluation: Evaluation, guideline: str, number: str, change: dict[str, Any], said: str
) -> None:
    assert said not in answer(evaluation, FACTS, guideline, number)
    assert said in answer(evaluation, replace(FACTS, **change), guideline, number)


def test_the_figures_quoted_are_those_of_the_evaluation(evaluation: Evaluation) -> None:
    figures = evaluation.figures["Pneumonia"]
    told = answer(evaluation, FACTS, "CLAIM 2024", "37")
    assert f"AUROC {figures['auroc'].in_words()}" in told
    assert f"calibration slope (1 is right) {figures['calibration_slope'].in_words()}" in told
    point = evaluation.operating_points["Pneumonia"]["deployed"]
    told = answer(evaluation, FACTS, "CLAIM 2024", "38")
    for name, word in {"sensitivity": "sensitivity", "ppv": "PPV", "npv": "NPV"}.items():
        assert f"{word} {point.figures[name].in_words()}" in told
    told = answer(evaluation, FACTS, "CLAIM 2024", "39")
    confusion = point.confusion
    assert f"{confusion.fn} of {confusion.fn + confusion.tp} missed" in told
    sites = evaluation.subgroups["Pneumonia"][0]
    assert sites.column == "site"
    told = answer(evaluation, FACTS, "TRIPOD+AI 2024", "23b")
    assert f"A {sites.groups[0].figures['auroc'].in_words()}" in told


def test_no_interval_stands_there_that_neither_evaluation_nor_record_holds(
    evaluation: Evaluation,
) -> None:
    known = {e.in_words() for e in estimates(json.loads(evaluation.to_json()))}
    known |= {e.in_words() for e in estimates(RECORD)}
    quoted = re.findall(r"-?\d+\.\d+ \(-?\d+\.\d+ to -?\d+\.\d+\)", checklist(evaluation, FACTS))
    assert len(quoted) > 15
    assert set(quoted) <= known


def estimates(value: Any) -> Iterator[Estimate]:
    if isinstance(value, Mapping):
        if "method" in value:
            yield Estimate.from_dict(value)
        for inner in value.values():
            yield from estimates(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from estimates(inner)


def test_every_answer_says_where_it_comes_from_and_that_place_exists(
    evaluation: Evaluation, theirs: Evaluation
) -> None:
    seen = 0
    for judged_, facts in ((evaluation, FACTS), (theirs, FOREIGN)):
        files = {"evaluation.json": json.loads(judged_.to_json()), "bundle.json": facts.model}
        for of in rows(checklist(judged_, facts)).values():
            for _, told, places in of.values():
                assert bool(places) == (told != "*For the author.*")
                for file, keys in re.findall(r"`(\w+\.json): ([^`]+)`", places):
                    for key in keys.split(", "):
                        inner: Any = files[file]
                        for step in key.split("."):
                            inner = inner[step]
                        seen += 1
    assert seen > 100


MODEL_ITEMS = {
    "CLAIM 2024": ["3", "8", "9", "19", "20", "22", "24", "25", "26", "27", "32", "33", "41"],
    "TRIPOD+AI 2024": [
        "3b",
        "6b",
        "7",
        "9a",
        "9b",
        "9c",
        "12a",
        "12b",
        "12c",
        "13",
        "16",
        "18e",
        "20c",
        "22",
    ],
}


def test_of_somebody_elses_predictions_nothing_is_claimed_of_the_model(theirs: Evaluation) -> None:
    text = checklist(theirs, FOREIGN)
    found = rows(text)
    for guideline, numbers in MODEL_ITEMS.items():
        for number in numbers:
            assert found[guideline][number][1] == "*For the author.*", number
    for word in ("bundle.json", "Trained", "epochs", "ImageNet", "Network", "on calibrate"):
        assert word not in text, word
    assert "theirs.csv" in found["CLAIM 2024"]["7"][1]
    assert "ab" * 32 in found["CLAIM 2024"]["7"][1]
    assert "how that file was made" in found["TRIPOD+AI 2024"]["12g"][1]


def test_of_somebody_elses_predictions_what_was_judged_alone_is_answered_in_full(
    theirs: Evaluation,
) -> None:
    whole = {
        guideline.name: [
            each.item.number for each in answered(guideline, theirs, FOREIGN) if each.whole
        ]
        for guideline in GUIDELINES
    }
    assert whole == {"CLAIM 2024": ["29", "38"], "TRIPOD+AI 2024": ["23a", "23b"]}


def test_the_counts_in_the_heading_are_those_of_the_rows(evaluation: Evaluation) -> None:
    text = checklist(evaluation, FACTS)
    told = [row[1] for of in rows(text).values() for row in of.values()]
    left = sum(each == "*For the author.*" for each in told)
    partly = sum("*For the author: " in each for each in told)
    whole = len(told) - left - partly
    heading = f"{whole} of 96 in full, {partly} in part; {left} for the author"
    assert f"**Answered from the run: {heading}.**" in text
    assert whole >= 15
    assert partly >= 30
    parts = re.findall(r"(?m)^- (?:CLAIM|TRIPOD\+AI) 2024: (\d+) of (\d+) in full", text)
    assert [int(of) for _, of in parts] == [len(CLAIM_NUMBERS), len(TRIPOD_NUMBERS)]
    assert sum(int(n) for n, _ in parts) == whole


def test_where_patients_are_unknown_it_is_not_said_that_they_stand_in_one_role(
    evaluation: Evaluation,
) -> None:
    told = answer(evaluation, FACTS, "CLAIM 2024", "20")
    assert "by image" in told
    assert "by patient" not in told
    assert "*For the author: whether a patient stands in two roles.*" in told


def test_many_findings_are_told_by_their_mean(evaluation: Evaluation) -> None:
    many = judged(("Pneumonia", "Effusion", "Mass", "Nodule", "Hernia", "Fibrosis"))
    told = answer(many, FACTS, "CLAIM 2024", "37")
    assert f"Mean over 6 findings: AUROC {many.macro['auroc'].in_words()}" in told
    assert "The files hold 2 findings more." in answer(many, FACTS, "CLAIM 2024", "38")
    assert "Hernia" not in answer(many, FACTS, "CLAIM 2024", "38")


def test_a_figure_that_cannot_be_computed_is_told_with_its_reason() -> None:
    told = answer(judged(one_class=True), FACTS, "CLAIM 2024", "37")
    assert "AUROC not given: no image with the finding among 295" in told


def test_a_gap_beyond_chance_is_named(evaluation: Evaluation) -> None:
    (first, *others) = evaluation.subgroups["Pneumonia"]
    group = first.groups[0]
    gap = replace(group.gaps["false_negative_rate"], p=0.001, p_adjusted=0.004)
    gaps = {**group.gaps, "false_negative_rate": gap}
    groups = (replace(group, gaps=gaps), *first.groups[1:])
    differing = replace(
        evaluation, subgroups={"Pneumonia": (replace(first, groups=groups), *others)}
    )
    assert "false-negative rate" not in answer(evaluation, FACTS, "TRIPOD+AI 2024", "14")
    told = answer(differing, FACTS, "TRIPOD+AI 2024", "14")
    assert f"site A, false-negative rate {gap.difference.in_words()} from all others" in told
    assert "adjusted p 0.004" in told


def test_what_is_quoted_cannot_break_the_table(evaluation: Evaluation) -> None:
    hostile = replace(evaluation, warnings=("a | b\nc <img src=x> d",))
    found = rows(checklist(hostile, replace(FACTS, command="hilum a | tee b")))
    assert "a \\| b c &lt;img src=x> d" in found["CLAIM 2024"]["40"][1]
    assert list(found["CLAIM 2024"]) == CLAIM_NUMBERS


def paths(value: Any, path: str = "") -> Iterator[str]:
    pairs = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in pairs:
        at = f"{path}.{key}" if path else str(key)
        yield at
        yield from paths(inner, at)


@pytest.mark.parametrize("odd", [None, "odd", 3, [], {}, [1], {"a": 1}], ids=repr)
def test_a_record_of_another_shape_shows_less_and_breaks_nothing(
    evaluation: Evaluation, odd: object
) -> None:
    for path in paths(RECORD):
        found = rows(checklist(evaluation, changed(FACTS, path, odd)))
        assert len(found["CLAIM 2024"]) == 44, path


def test_an_empty_record_claims_no_more_than_none(evaluation: Evaluation) -> None:
    empty = rows(checklist(evaluation, replace(FACTS, model={}, openings=())))
    none = rows(checklist(evaluation, replace(FACTS, model=None, openings=())))
    for guideline, of in none.items():
        for number, (_, told, _) in of.items():
            assert (empty[guideline][number][1] == "*For the author.*") == (
                told == "*For the author.*"
            )


def test_topics_are_asked_of_items_that_know_what_is_left() -> None:
    for item in (*CLAIM.items, *TRIPOD_AI.items):
        assert item.topics or not item.rest, item.number


def test_installed_versions_name_what_made_the_figures() -> None:
    versions = installed_versions()
    assert list(versions) == ["hilum", "python", "numpy", "scipy", "pandas", "matplotlib"]
    assert versions["numpy"] == np.__version__


def test_a_fact_is_found_by_its_path_and_an_empty_one_is_none() -> None:
    facts = Facts("", model={"a": {"b": 3}, "c": {}, "d": "", "e": 0})
    assert facts.known("a", "b") == 3
    assert facts.known("e") == 0
    for path in (("a", "x"), ("a", "b", "c"), ("c",), ("d",), ("z",)):
        assert facts.known(*path) is None
    assert Facts("").known("a") is None


@pytest.mark.parametrize("number", ["12f", "24"])
def test_after_several_openings_no_change_is_answered_in_part(
    evaluation: Evaluation, number: str
) -> None:
    guideline = next(g for g in GUIDELINES if g.name.startswith("TRIPOD"))

    def found(times: int) -> Answered:
        facts = replace(FACTS, openings=OPENINGS[:1] * times)
        every = answered(guideline, evaluation, facts)
        return next(each for each in every if each.item.number == number)

    assert found(1).whole
    assert not found(2).whole
    assert "2 openings of test images" in " ".join(answer.text for answer in found(2).answers)
