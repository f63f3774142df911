import base64
import csv
import hashlib
import json
import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image

from evaluation.report.made_evaluation import (
    HOSTILE,
    made_evaluation,
    made_facts,
    made_predictions,
    phantom,
)
from hilum.errors import EvaluationError, OutputError
from hilum.estimates import Estimate
from hilum.evaluation import Deployment, Evaluation, Predictions
from hilum.evaluation.plots import STANDING_IN
from hilum.evaluation.report import Facts, files, page, phrases, write_report
from hilum.evaluation.report import galleries as gal
from hilum.evaluation.report import panel as live
from hilum.evaluation.report.blocks import Contents, Panel, Picture
from hilum.evaluation.report.contents import contents
from hilum.evaluation.report.drawing import figure_of, for_page, svg_of
from hilum.evaluation.report.films import CRISP, SIDE, data_address
from hilum.evaluation.report.galleries import galleries
from hilum.evaluation.report.markdown import markdown
from hilum.evaluation.report.pictures import pictures_of
from hilum.evaluation.report.reading import calibrated, shown_points
from hilum.evaluation.report.verdict import NOT_A_DEVICE, verdict
from hilum.evaluation.results import SetLimits
from made import evaluated

FINDING = "Pneumonia"
CLASSIC = {
    "loss_acc_auc.txt",
    "roc_curve.png",
    "confusion_matrix.png",
    "misclassified_examples.png",
    "evaluation.json",
    "predictions.parquet",
}
PLOTS = {
    "roc",
    "precision_recall",
    "reliability",
    "decision",
    "scores",
    "confusion",
    "prevalence",
    "sets",
    "risk_coverage",
    "groups_sensitivity",
    "groups_specificity",
}


class Read(HTMLParser):
    """What a page holds: elements by name, words by element, and addresses."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: dict[str, list[dict[str, str | None]]] = defaultdict(list)
        self.words: dict[str, list[str]] = defaultdict(list)
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag].append(dict(attrs))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.words[tag].append(data)

    def text(self, tag: str = "body") -> str:
        kept = self.words[tag] if tag in ("script", "style", "svg") else self._told(tag)
        return " ".join(" ".join(kept).replace("\xa0", " ").split())

    def _told(self, tag: str) -> list[str]:
        hidden = set(map(id, self.words["script"] + self.words["style"]))
        return [word for word in self.words[tag] if id(word) not in hidden]


def written(out: Path, predictions: Predictions, evaluation: Evaluation, **options: Any) -> str:
    given = {"image_of": phantom, "facts": made_facts(), **options}
    write_report(out, predictions, evaluation, **given)
    return (out / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Evaluation]:
    out, predictions = tmp_path_factory.mktemp("one"), made_predictions()
    evaluation = made_evaluation(predictions)
    written(out, predictions, evaluation)
    return out, evaluation


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Evaluation]:
    out = tmp_path_factory.mktemp("three")
    predictions = made_predictions(("Pneumonia", "Mass", HOSTILE), missing=9, ids=HOSTILE + "{}")
    evaluation = made_evaluation(predictions, synthetic=True, warnings=(f"told: {HOSTILE}",))
    written(out, predictions, evaluation)
    return out, evaluation


def read(out: Path) -> Read:
    return Read((out / "report.html").read_text(encoding="utf-8"))


def nothing_for(parts: Contents, evaluation: Evaluation) -> dict[tuple[str, str], str]:
    """An empty drawing for every picture."""
    return {
        (chapter.key, name): ""
        for chapter in parts.chapters
        for name in pictures_of(evaluation, chapter.finding)
    }


def words_page(predictions: Predictions, evaluation: Evaluation, facts: Facts) -> Read:
    """The page without its drawings, which take longest."""
    parts = contents(evaluation, facts, galleries(predictions, evaluation, None))
    html = page.page(parts, nothing_for(parts, evaluation))
    for text in (Read(html).text(), markdown(parts, nothing_for(parts, evaluation))):
        assert not re.search(r"\b(None(?!:)|nan|NaN|inf|Infinity|undefined)\b", text)
    return Read(html)


def light_page(predictions: Predictions, evaluation: Evaluation, facts: Facts) -> Read:
    """The page without its drawings; each is still drawn once, and kept nowhere."""
    for finding in evaluation.findings:
        for picture in pictures_of(evaluation, finding).values():
            figure_of(picture, synthetic=evaluation.synthetic).draw_without_rendering()
    return words_page(predictions, evaluation, facts)


def test_a_report_has_these_files_and_says_so(one: tuple[Path, Evaluation], tmp_path: Path) -> None:
    out, evaluation = one
    there = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    texts = {"report.html", "report.md", "checklist.md", "label_review.csv"}
    plots = {f"plots/{name}.{kind}" for name in PLOTS for kind in ("png", "svg")}
    assert there == CLASSIC | texts | plots
    predictions = made_predictions()
    paths = write_report(tmp_path, predictions, evaluation, image_of=None, facts=made_facts())
    assert {str(path.relative_to(tmp_path)) for path in paths} == there - {
        "misclassified_examples.png"
    }
    assert len(paths) == len(set(paths))
    for path in paths:
        assert path.stat().st_size > 200


def test_each_of_several_findings_has_its_plots_in_a_folder(
    three: tuple[Path, Evaluation],
) -> None:
    out, _ = three
    folders = {path.name for path in (out / "plots").iterdir()}
    assert folders == {"pneumonia", "mass", "a_1_script_script_alert_1_script_b"}
    for folder in folders:
        assert {path.stem for path in (out / "plots" / folder).iterdir()} == PLOTS


def test_findings_that_differ_in_marks_alone_have_folders_of_their_own() -> None:
    folders = files.plot_folders(("Mass", "Mass!", "mass", "../..", "§"))
    assert len(set(folders)) == 5
    assert all(re.fullmatch(r"plots/[a-z0-9_]+", folder) for folder in folders)
    assert files.plot_folders(("Mass",)) == ("plots",)


def test_the_page_asks_for_nothing_and_runs_nothing_but_its_script(
    three: tuple[Path, Evaluation],
) -> None:
    found = read(three[0])
    for tag, elements in found.elements.items():
        for element in elements:
            for name in ("src", "srcset", "poster", "data", "action", "background"):
                address = element.get(name)
                assert address is None or address.startswith("data:image/"), (tag, name)
            href = element.get("href") or ""
            allowed = tag == "a" or href.startswith("#") or not href
            assert allowed, (tag, href)
            assert not any(key.startswith("on") for key in element), tag
    assert "link" not in found.elements
    assert not re.search(r"url\((?!#)|@import", found.text("style"))
    policy = next(
        meta["content"]
        for meta in found.elements["meta"]
        if meta.get("http-equiv") == "Content-Security-Policy"
    )
    script = next(
        word for word in found.words["script"] if word.lstrip().startswith('"use strict"')
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}';" in policy
    assert "http" not in policy


def test_names_that_close_a_script_or_a_tag_close_nothing(three: tuple[Path, Evaluation]) -> None:
    out, evaluation = three
    found = read(out)
    # One script, and a block of data for each finding.
    assert len(found.elements["script"]) == 1 + len(evaluation.findings)
    assert found.elements["article"][-1]["id"] == "f2"
    assert HOSTILE in found.text("h3")
    assert f"Told: {HOSTILE}." in found.text("li")
    assert any(HOSTILE in (image["alt"] or "") for image in found.elements["img"])
    # A dollar sign in a plot is a dollar sign.
    assert "$a_1$" in found.text("svg")
    assert found.open == []


def test_the_panel_carries_the_counts_of_the_evaluation(one: tuple[Path, Evaluation]) -> None:
    out, evaluation = one
    data = json.loads(
        next(word for word in read(out).words["script"] if word.lstrip().startswith("{"))
    )
    counts = evaluation.curves[FINDING].counts
    assert data["threshold"] == list(counts.threshold)
    assert (data["tp"], data["fp"]) == (list(counts.tp), list(counts.fp))
    assert (data["present"], data["absent"]) == (counts.present, counts.absent)
    start = data["threshold"][data["start"][0]]
    assert start == evaluation.operating_points[FINDING]["deployed"].threshold
    share = counts.present / (counts.present + counts.absent)
    assert data["prevalence"][data["observed"]] == data["prevalence"][data["start"][1]] == share
    assert data["prevalence"] == sorted(set(data["prevalence"]))
    assert (data["prevalence"][0], data["prevalence"][-1]) == (0.001, 0.99)


def test_the_verdict_comes_first_and_is_computed(one: tuple[Path, Evaluation]) -> None:
    out, evaluation = one
    found = read(out)
    assert found.elements["section"][0]["id"] == "r-verdict"
    assert found.elements["section"][1]["id"] == "r-caveats"
    text = found.text()
    point = evaluation.operating_points[FINDING]["deployed"]
    counts, labels = point.confusion, evaluation.n_by_label[FINDING]
    n = labels["present"] + labels["absent"]
    auroc = evaluation.figures[FINDING]["auroc"]
    assert f"AUROC {auroc.in_words()}" in text
    assert f"{labels['present']} with pneumonia and {labels['absent']} without" in text
    # At the prevalence of the images, so many of a thousand are simply so many of n.
    missed, called = 1000 * counts.fn / n, 1000 * counts.fp / n
    assert f"{missed:.0f} of them would be missed, and {called:.0f} of the others" in text
    sensitivity = point.figures["sensitivity"]
    assert sensitivity.value is not None
    assert f"sensitivity is {100 * sensitivity.value:.1f} %" in text
    for warning in evaluation.warnings:
        assert f"{warning[0].upper()}{warning[1:]}." in found.text("li")
    assert text.count(NOT_A_DEVICE) >= 2


def altered(evaluation: Evaluation, **figures: Estimate) -> Evaluation:
    both = {**evaluation.figures[FINDING], **figures}
    return replace(evaluation, figures={FINDING: both})


@pytest.mark.parametrize(
    ("intercept", "slope", "words"),
    [
        ((-0.2, 0.3), (0.8, 1.2), "no miscalibration shows beyond chance"),
        ((0.1, 0.3), (0.8, 1.2), "they are too low on the whole."),
        ((-0.3, -0.1), (0.5, 0.9), "they are too high on the whole and they are too extreme."),
        ((-0.3, 0.1), (1.1, 1.9), "Probabilities: they are too timid."),
    ],
)
def test_the_verdict_on_calibration_follows_the_intervals(
    one: tuple[Path, Evaluation],
    intercept: tuple[float, float],
    slope: tuple[float, float],
    words: str,
) -> None:
    given = {
        "calibration_intercept": Estimate(sum(intercept) / 2, *intercept, 9, "Wald"),
        "calibration_slope": Estimate(sum(slope) / 2, *slope, 9, "Wald"),
    }
    given["ece"] = Estimate(0.01, 0.0, 0.02, 9, "bootstrap")
    assert words in " ".join(verdict(altered(one[1], **given), FINDING))


def test_nothing_is_called_well_calibrated_whose_error_is_beyond_chance(
    one: tuple[Path, Evaluation],
) -> None:
    level, spread = Estimate(0.1, -0.2, 0.3, 9, "Wald"), Estimate(1.0, 0.8, 1.2, 9, "Wald")
    for slope in (spread, Estimate.missing("the scores separate the classes", 9)):
        for low in (0.419, 1e-6):
            ece = Estimate(0.428, low, 0.437, 9, "bootstrap")
            given = {"ece": ece, "calibration_intercept": level, "calibration_slope": slope}
            text = " ".join(verdict(altered(one[1], **given), FINDING))
            assert "no miscalibration" not in text
            assert "stated and observed differ, though neither level nor spread shows why" in text
    given |= {"ece": Estimate(0.01, 0.0, 0.02, 9, "bootstrap")}
    text = " ".join(verdict(altered(one[1], **given), FINDING))
    assert "the level shows no fault beyond chance; the spread cannot be judged" in text


def test_a_gain_of_nothing_is_no_gain(one: tuple[Path, Evaluation]) -> None:
    evaluation = one[1]
    point = evaluation.operating_points[FINDING]["deployed"]
    counts = evaluation.n_by_label[FINDING]
    share = counts["present"] / (counts["present"] + counts["absent"])
    everyone = share - (1 - share) * point.threshold / (1 - point.threshold)

    def told(benefit: float) -> str:
        figures = {**point.figures, "net_benefit": Estimate(benefit, 0.1, 0.4, 9, "bootstrap")}
        points = {"deployed": replace(point, figures=figures)}
        return verdict(replace(evaluation, operating_points={FINDING: points}), FINDING)[-1]

    assert "no better than acting on everyone" in told(everyone + 1e-12)
    assert "worth 10 more true positives per 1,000 patients" in told(everyone + 0.01)
    assert "The interval is of the net benefit itself." in told(everyone + 0.01)


def test_images_are_not_called_patients_where_none_is_known() -> None:
    whole = made_predictions(n=120)
    predictions = Predictions(whole.findings, whole.table.assign(patient_id=None))
    text = " ".join(verdict(made_evaluation(predictions), FINDING))
    assert "Of 1,000 images at this prevalence" in text
    assert "patients" not in text


def test_synthetic_is_said_before_anything_else_and_on_every_plot(
    three: tuple[Path, Evaluation], one: tuple[Path, Evaluation]
) -> None:
    text = read(three[0]).text()
    assert text.index("SYNTHETIC DATA") < text.index("Evaluation of")
    assert "SYNTHETIC" not in read(one[0]).text()
    for path in (three[0] / "plots").rglob("*.svg"):
        assert "SYNTHETIC" in path.read_text(encoding="utf-8")
    plain, stamped = (
        np.asarray(Image.open(path).convert("L"))
        for path in (one[0] / "plots/roc.png", three[0] / "plots/pneumonia/roc.png")
    )
    assert (plain != stamped).mean() > 0.03


def test_with_several_findings_the_means_and_a_table_of_all_come_first(
    three: tuple[Path, Evaluation],
) -> None:
    out, evaluation = three
    found = read(out)
    text = found.text()
    sections = [section["id"] for section in found.elements["section"]]
    assert sections[:3] == ["r-verdict", "r-caveats", "findings"]
    assert text.index("Mean of findings") < text.index("Told: ")
    assert f"mean AUROC {evaluation.macro['auroc'].in_words()}" in text
    assert len(found.elements["article"]) == 3
    assert [o["value"] for o in found.elements["option"]] == ["f0", "f1", "f2"]
    assert "9 of 624 images have no label for" in text


def test_findings_past_what_a_page_can_carry_stand_in_the_table_and_in_markdown(
    three: tuple[Path, Evaluation], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, evaluation = three
    monkeypatch.setattr(page, "FULL", 1)
    parts = contents(evaluation, made_facts(), {})
    nothing = nothing_for(parts, evaluation)
    found = Read(page.page(parts, nothing))
    assert len(found.elements["article"]) == 1
    assert "2 more findings" in found.text()
    assert HOSTILE in found.text("th")
    assert HOSTILE.split()[-1].replace("*", "\\*") in markdown(parts, nothing)


def test_a_full_page_weighs_less_than_5_megabytes(
    one: tuple[Path, Evaluation], three: tuple[Path, Evaluation]
) -> None:
    alone, several = ((out / "report.html").stat().st_size for out, _ in (one, three))
    assert alone < 1_000_000
    each = (several - alone) / 2
    # Films have a budget of their own; three findings spend little of it here.
    assert alone + (page.FULL - 1) * each + gal.BYTES < 5_000_000


def test_films_past_their_budget_are_listed_without_pixels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predictions = made_predictions()
    evaluation = made_evaluation(predictions)
    monkeypatch.setattr(gal, "BYTES", 5_000)
    films = [
        film for row in galleries(predictions, evaluation, phantom)[FINDING] for film in row.films
    ]
    pixels = [film.pixels for film in films if film.pixels is not None]
    assert 0 < len(pixels) < len(films)
    assert sum(map(len, pixels)) < 5_000 + max(map(len, pixels))


def test_the_gallery_shows_the_worst_errors_and_reads_few_films() -> None:
    predictions = made_predictions(n=6_000)
    evaluation = made_evaluation(predictions, subgroups=False)
    asked: list[int] = []

    def image_of(row: int) -> NDArray[np.float32]:
        asked.append(row)
        return phantom(row)

    missed, called, uncertain, pairs, labels = galleries(predictions, evaluation, image_of)[FINDING]
    assert len(asked) <= 5 * gal.MOST
    assert "more than 5,000 images" in pairs.note
    assert pairs.films == ()
    y_n, prob_n = predictions.label(FINDING), predictions.prob(FINDING)
    ids = predictions.table["image_id"].to_numpy()
    worst = ids[
        np.flatnonzero((y_n == 1) & (prob_n < 0.31))[prob_n[(y_n == 1) & (prob_n < 0.31)].argmin()]
    ]
    assert missed.films[0].lines[0] == worst
    assert missed.films[0].lines[2] == "label: present"
    assert called.films[0].lines[2] == "label: absent"
    for row in (missed, called, uncertain, labels):
        assert len(row.films) == gal.MOST
        assert all(film.pixels is not None for film in row.films)


def test_nearly_equal_films_with_other_answers_stand_side_by_side() -> None:
    predictions = made_predictions(n=200)
    rng = np.random.default_rng(0)
    film_nhw = rng.random((200, 28, 28)).astype(np.float32)
    prob_n = predictions.prob(FINDING)
    low, high = int(np.argmin(prob_n)), int(np.argmax(prob_n))
    film_nhw[high] = 0.9 * film_nhw[low]
    rows = galleries(predictions, made_evaluation(predictions), lambda row: film_nhw[row])[FINDING]
    pairs = next(row for row in rows if row.title.startswith("Nearly"))
    assert {film.lines[0] for film in pairs.films} == {f"film-{k:06d}" for k in (low, high)}
    assert all(film.lines[-1] == "pair 1: correlation 1.000" for film in pairs.films)


@pytest.mark.usefixtures("no_ink")
def test_without_pixels_ids_and_scores_stand_alone(tmp_path: Path) -> None:
    predictions = made_predictions(n=80)
    html = written(tmp_path, predictions, made_evaluation(predictions), image_of=None)
    found = Read(html)
    assert "img" not in found.elements
    assert "P = 0." in found.text()
    assert "made without pixels" in found.text()


def test_the_review_list_names_its_candidates(one: tuple[Path, Evaluation]) -> None:
    with (one[0] / "label_review.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert rows[0]["image_id"] in read(one[0]).text("li")
    assert {"given_label", "suggested_label", "reviewer_decision"} <= set(rows[0])
    assert "label_review.csv" in {a.get("href") for a in read(one[0]).elements["a"]}


@pytest.mark.parametrize("y", [0.0, 1.0, np.nan])
def test_one_class_or_none_is_reported_with_reasons(y: float) -> None:
    whole = made_predictions(n=40)
    predictions = Predictions(whole.findings, whole.table.assign(label_pneumonia=y))
    evaluation = made_evaluation(predictions, subgroups=False)
    text = light_page(predictions, evaluation, made_facts()).text()
    assert "No curve: no image" in text
    assert "Calibration cannot be judged" in text


@pytest.mark.parametrize(
    "options",
    [
        {"sets": False},
        {"subgroups": False},
        {"bundle": None},
        {"thresholds": {"deployed": 0.0}},
        {"thresholds": {"deployed": 1.0}},
    ],
    ids=str,
)
def test_what_is_not_there_leaves_no_hole(options: dict[str, Any]) -> None:
    predictions = made_predictions(n=90)
    evaluation = made_evaluation(predictions, **options)
    facts = Facts("hilum evaluate --predictions a.csv", predictions_file="a.csv")
    text = light_page(predictions, evaluation, facts).text()
    assert ("Prediction sets" in text.split("Risk and coverage")[0]) == options.get("sets", True)
    assert "a.csv" in text
    assert "not known here" in text


def test_one_image_without_logits_makes_a_page() -> None:
    predictions = made_predictions(n=1, logits=False)
    text = light_page(predictions, made_evaluation(predictions), made_facts()).text()
    assert "uncalibrated" not in text
    assert "Before and after" not in text


def test_a_ledger_with_many_openings_is_a_caveat() -> None:
    predictions = made_predictions(n=60)
    facts = made_facts()
    often = replace(facts, openings=facts.openings * 3)
    told = words_page(predictions, made_evaluation(predictions), often).text("li")
    assert "have been opened 3 times" in told
    once = words_page(predictions, made_evaluation(predictions), facts).text("li")
    assert "have been opened" not in once


def test_the_run_and_the_data_are_named(one: tuple[Path, Evaluation]) -> None:
    text, facts = read(one[0]).text(), made_facts()
    assert facts.command in text
    assert "sha256:12ab34cd" in text
    assert "hilum 0.1.0, python 3.11.7, numpy 2.4.6" in text
    assert f"{4229:064x}" in text
    assert "same pixels as val-0253 (val)" in text
    assert "DeLong" in text


def test_an_evaluation_of_other_predictions_is_refused(tmp_path: Path) -> None:
    evaluation = made_evaluation(made_predictions(n=60))
    with pytest.raises(EvaluationError, match="an evaluation of 60 images and predictions for 20"):
        written(tmp_path, made_predictions(n=20), evaluation)


def test_a_file_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictions = made_predictions(n=60)
    evaluation = made_evaluation(predictions)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left") as caught:
        written(tmp_path, predictions, evaluation)
    assert "\n" not in str(caught.value)
    assert not [path for path in tmp_path.rglob("*") if ".part" in path.name]
    assert not (tmp_path / "report.html").exists()


# Drawings


def a_picture(name: str = "roc") -> Picture:
    return pictures_of(made_evaluation(made_predictions()), FINDING)[name]


def test_a_drawing_is_the_same_bytes_in_every_run_and_has_no_date() -> None:
    picture = a_picture()
    first, second = (
        svg_of(figure_of(picture, synthetic=False), picture, "simulated") for _ in range(2)
    )
    assert first == second
    assert "<dc:date>" not in first
    assert "simulated" in first
    assert "AUROC" in "".join(ET.fromstring(first).itertext())  # as text, not as outlines


def test_a_drawing_on_the_page_keeps_its_words_and_takes_the_pages_colours() -> None:
    svg = svg_of(figure_of(a_picture(), synthetic=True), a_picture(), "")
    element = for_page(svg, "f0-roc")
    namespace = 'xmlns="http://www.w3.org/2000/svg" '
    words = [
        [text for node in ET.fromstring(given).iter() if (text := (node.text or "").strip())]
        for given in (svg[svg.index("<svg") :], element.replace("<svg ", f"<svg {namespace}", 1))
    ]
    # The document's own description and style are no part of the picture.
    assert words[1] == words[0][-len(words[1]) :]
    assert any(re.search(r"0\.\d{3}", word) for word in words[1])
    assert not re.search(r"#[0-9a-f]{6}", element)
    assert "font-family" not in element
    assert len(element) < 0.75 * len(svg)
    for reference in re.findall(r'(?:url\(|href=")#([^")]+)', element):
        assert f'id="{reference}"' in element
        assert reference.startswith("f0-roc-")


def test_every_colour_of_every_plot_is_one_that_the_page_can_change(
    one: tuple[Path, Evaluation],
) -> None:
    for path in (one[0] / "plots").glob("*.svg"):
        element = for_page(path.read_text(encoding="utf-8"), "x")
        assert not re.search(r"#[0-9a-f]{3,6}(?=[;\"])", element), path.name


def test_a_picture_says_what_it_shows_to_who_cannot_see_it(one: tuple[Path, Evaluation]) -> None:
    for picture in pictures_of(one[1], FINDING).values():
        assert re.search(r"\d", picture.alt), picture.name
        assert picture.caption.endswith(".")
    figure = figure_of(a_picture(), synthetic=False)
    assert isinstance(figure.axes[0], Axes)


# Films


def test_a_small_film_is_carried_pixel_for_pixel_and_a_large_one_made_small() -> None:
    rng = np.random.default_rng(0)
    for side in (28, CRISP, CRISP + 1, 2000):
        film_hw = rng.random((side, side)).astype(np.float32)
        kind, _, data = data_address(film_hw).partition(";base64,")
        with Image.open(__import__("io").BytesIO(base64.b64decode(data))) as image:
            found = np.asarray(image)
        if side <= CRISP:
            assert kind == "data:image/png"
            np.testing.assert_array_equal(found, np.rint(film_hw * 255).astype(np.uint8))
        else:
            assert kind == "data:image/jpeg"
            assert max(found.shape) <= SIDE
            assert len(data) < 60_000


# Numbers


@pytest.mark.parametrize(
    ("number", "digits", "words"),
    [
        (0.125, 2, "0.13"),
        (2.5, 0, "3"),
        (-0.0004, 3, "0.000"),
        (-0.0005, 3, "−0.001"),
        (1234567.25, 1, "1,234,567.3"),
        (0.0, 3, "0.000"),
    ],
)
def test_numbers_round_halves_away_from_zero(number: float, digits: int, words: str) -> None:
    assert phrases.fixed(number, digits) == words


@pytest.mark.parametrize(
    ("share", "words"),
    [(1.0, "100.0"), (0.0, "0.0"), (0.9996, "99.96"), (0.99998, "99.998"), (0.0004, "0.04")],
)
def test_a_share_near_the_end_is_not_rounded_to_it(share: float, words: str) -> None:
    assert phrases.percent(share) == f"{words}\xa0%"


def test_an_estimate_and_its_limits_have_as_many_decimals() -> None:
    found = Estimate(0.99952, 0.999, 0.9997, 9, "Bayes")
    assert phrases.estimate("npv", found).replace("\xa0", " ") == "99.95 % (99.90 to 99.97)"


@pytest.mark.parametrize(
    ("finding", "words"),
    [("Pleural Effusion", "pleural effusion"), ("COPD", "COPD"), ("Mass", "mass")],
)
def test_a_finding_within_a_sentence_keeps_its_abbreviations(finding: str, words: str) -> None:
    assert phrases.in_sentence(finding) == words


def made_panel(predictions: Predictions) -> Panel:
    evaluation = made_evaluation(predictions, subgroups=False)
    points = evaluation.operating_points[FINDING]
    curves = evaluation.curves[FINDING]
    thresholds = {name: point.threshold for name, point in points.items()}
    return Panel(FINDING, curves.counts, curves.scores, thresholds)


def test_the_panel_at_the_observed_prevalence_gives_the_shares_of_the_images() -> None:
    predictions = made_predictions()
    panel = made_panel(predictions)
    y_n, prob_n = predictions.label(FINDING), predictions.prob(FINDING)
    at_observed = live.start(panel).prevalence
    for t in (0.0, 0.05, 0.31, 0.5, 0.9):
        i = panel.counts.threshold.index(t)
        said = live.at(panel.counts, live.Position(i, at_observed))
        called_n = prob_n >= t
        assert said["tp"] == str(int((called_n & (y_n == 1)).sum()))
        assert said["ppv"] == phrases.percent(float(y_n[called_n].mean()))
        benefit = (called_n & (y_n == 1)).mean() - (called_n & (y_n == 0)).mean() * t / (1 - t)
        assert float(said["net_benefit"].replace("−", "-")) == pytest.approx(benefit, abs=5.1e-4)
        thousand = sum(float(said[name]) for name in ("tp_1000", "fn_1000", "fp_1000", "tn_1000"))
        assert thousand == pytest.approx(1000, abs=2)


def test_the_panel_has_a_dash_for_what_is_undefined() -> None:
    panel = made_panel(made_predictions())
    first = live.at(panel.counts, live.Position(0, 0))
    assert first["threshold"] == "0.0000"
    assert (first["npv"], first["lr_negative"]) == ("–", "–")  # nobody is cleared
    last = live.at(panel.counts, live.Position(len(panel.counts.threshold) - 1, 0))
    assert last["threshold"] == "1.0000"
    assert {last[n] for n in ("ppv", "lr_positive", "net_benefit", "net_benefit_all")} == {"–"}


def test_probabilities_that_nobody_calibrated_are_not_called_calibrated() -> None:
    predictions = made_predictions(n=120)
    raw = predictions.table.assign(logit_pneumonia=-np.log(1 / predictions.prob(FINDING) - 1))
    unchanged = Predictions(predictions.findings, raw)
    for evaluation in (
        made_evaluation(predictions, bundle=None),
        made_evaluation(made_predictions(n=120, logits=False)),
        made_evaluation(unchanged),
    ):
        assert not calibrated(evaluation, FINDING)
        drawn = pictures_of(evaluation, FINDING)
        assert figure_of(drawn["scores"], synthetic=False).axes[0].get_xlabel() == "Probability"
        parts = contents(evaluation, made_facts(), {})
        text = markdown(parts, nothing_for(parts, evaluation))
        assert "Before and after" not in text
        assert "before calibration" not in text
        assert "uncalibrated" not in text
    evaluation = made_evaluation(predictions)
    assert calibrated(evaluation, FINDING)
    assert "Before and after" in words_page(predictions, evaluation, made_facts()).text()


def test_what_is_not_answered_is_a_row_and_the_empty_set_is_named() -> None:
    predictions = made_predictions(n=200)
    narrow = SetLimits(coverage=0.9, present_from=0.7, absent_to=0.3)
    evaluation = evaluated(
        predictions,
        {FINDING: Deployment({"deployed": 0.4}, {}, narrow)},
        resamples=20,
        by=(),
    )
    text = words_page(predictions, evaluation, made_facts()).text()
    prob_n = predictions.prob(FINDING)
    silent = 100 * float(((prob_n > 0.3) & (prob_n < 0.7)).mean())
    assert silent > 1
    assert f"Not answered (both or none) {silent:.1f} %" in text
    assert "None: neither is likely enough" in text
    assert "Both classes, or none, means: refer to a person" in text
    assert "Between the two limits neither class is likely enough" in text
    assert "unlike either" not in text


def test_where_nothing_is_deployed_one_point_is_shown_for_both() -> None:
    predictions = made_predictions(n=120, threshold=0.5)
    evaluation = evaluated(
        predictions,
        {FINDING: Deployment({"sensitivity_95": 0.2}, {"sensitivity_95": "sensitivity >= 0.95"})},
        resamples=20,
        by=(),
    )
    assert list(shown_points(evaluation, FINDING)) == [STANDING_IN, "sensitivity_95"]
    found = light_page(predictions, evaluation, made_facts())
    assert found.words["button"][:2] == [STANDING_IN, "sensitivity 95: 0.2000"]
    assert "0.5 or more, which stands in for a deployed point" in found.text()
    assert "sensitivity_95" not in found.text()
    assert "sensitivity \N{GREATER-THAN OR EQUAL TO} 0.95" in found.text()
    figure = figure_of(pictures_of(evaluation, FINDING)["roc"], synthetic=False)
    legend = figure.axes[0].get_legend()
    assert legend is not None
    names = [text.get_text().splitlines()[0] for text in legend.get_texts()]
    assert sum(name.startswith("0.5") for name in names) == 1
    assert not any("deployed:" in name for name in names)


def test_a_nameless_finding_is_spoken_of_as_the_finding() -> None:
    predictions = made_predictions(("Finding",), n=120)
    found = words_page(predictions, made_evaluation(predictions), made_facts())
    assert re.search(r"\d+ with the finding and \d+ without", found.text())
    assert {"Truly without it", "Truly with it"} <= set(found.words["th"])


@pytest.mark.usefixtures("no_ink")
def test_an_earlier_reports_pictures_do_not_stay_beside_other_figures(tmp_path: Path) -> None:
    predictions = made_predictions(("Pneumonia", "Mass"), n=60)
    written(tmp_path, predictions, made_evaluation(predictions))
    own = (tmp_path / "plots/mass/notes.txt", tmp_path / "plots/mine.png", tmp_path / "mine.png")
    for path in own:
        path.write_text("kept")
    single = made_predictions(n=60)
    evaluation = made_evaluation(single, sets=False, subgroups=False)
    paths = write_report(tmp_path, single, evaluation, image_of=None, facts=made_facts())
    left = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*paths, *own}
    assert not (tmp_path / "plots/pneumonia").exists()
    assert not (tmp_path / "plots/sets.png").exists()


def test_no_name_in_the_review_list_runs_as_a_formula(tmp_path: Path) -> None:
    for start in ("=", "+", "-", "@", "\t", "\r"):
        predictions = made_predictions(n=200, ids=start + "cmd{}")
        table = files._review(predictions)
        assert len(table) > 0
        assert all(table["image_id"].str.startswith(f"'{start}"))
        assert all(table["patient_id"].str.startswith("p"))


@pytest.mark.parametrize("finding", ["\u80ba\u708e", "\u0939\u093f"])
def test_a_name_in_another_script_warns_of_nothing(tmp_path: Path, finding: str) -> None:
    # Warnings are errors here, so a letter without a font would end this.
    predictions = made_predictions((finding,), n=60)
    html = written(tmp_path, predictions, made_evaluation(predictions, subgroups=False))
    assert finding in html


def test_a_row_without_images_has_no_shares() -> None:
    whole = made_predictions(n=40)
    predictions = Predictions(whole.findings, whole.table.assign(label_pneumonia=1.0))
    evaluation = made_evaluation(predictions, subgroups=False)
    counts = evaluation.operating_points[FINDING]["deployed"].confusion
    assert counts.row_shares[0] == (None, None)
    assert sum(share or 0 for share in counts.row_shares[1]) == pytest.approx(1)
    text = words_page(predictions, evaluation, made_facts()).text()
    assert "Truly no pneumonia 0 (\N{EN DASH}) 0 (\N{EN DASH})" in text
