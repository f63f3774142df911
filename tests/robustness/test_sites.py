from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.evaluation.discrimination import auroc
from hilum.evaluation.predictions import Predictions
from hilum.robustness.sites import OWN, Matrix, matrix
from hilum.robustness.sites_report import FILES, Place, falls, write_sites


def answered(place: str, skill: float, *, seed: int, n: int = 200, per: int = 1) -> Predictions:
    """Films of a place, whose labels depend on the place alone, and a classifier of some skill."""
    y_n = (np.random.default_rng(len(place)).random(n // per + 1) < 0.5)[np.arange(n) // per]
    noise_n = np.random.default_rng(seed).normal(size=n // per + 1)[np.arange(n) // per]
    logit_n = skill * (y_n - 0.5) + noise_n
    return Predictions.from_arrays(
        ["Pneumonia"],
        [f"{place}-{i}" for i in range(n)],
        label_nf=y_n[:, None].astype(float),
        logit_nf=logit_n[:, None],
        prob_nf=1 / (1 + np.exp(-logit_n[:, None])),
        threshold_f=[0.5],
        patient_id_n=[f"{place}-p{i // per}" for i in range(n)],
    )


def where(answers: Predictions, keep_n: np.ndarray) -> Predictions:
    return replace(answers, table=answers.table[keep_n])


def made(resamples: int = 400) -> tuple[dict[tuple[str, str], Predictions], Matrix]:
    """Two classifiers, good at home, and a third place; the first judges only some of its films."""
    answers = {
        ("a", "a"): where(answered("a", 3, seed=1), np.arange(200) < 120),
        ("a", "bb"): answered("bb", 1, seed=2),
        ("a", "ccc"): answered("ccc", 1, seed=3),
        ("bb", "a"): answered("a", 0.5, seed=4),
        ("bb", "bb"): answered("bb", 3, seed=5),
    }
    why_not = {("bb", "ccc"): "all of its films were seen"}
    rng = np.random.default_rng(0)
    found = matrix(answers, "Pneumonia", why_not=why_not, rng=rng, resamples=resamples)
    return answers, found


def area(answers: Predictions) -> float:
    return auroc(answers.logit("Pneumonia"), answers.label("Pneumonia"))


def test_cells_are_the_aurocs_and_their_differences_from_home() -> None:
    answers, found = made()
    assert (found.train, found.test) == (("a", "bb"), ("a", "bb", "ccc"))
    for pair, each in answers.items():
        cell = found.cell(*pair)
        assert cell.auroc.value == pytest.approx(area(each))
        assert cell.n == len(each)
        if pair[0] != pair[1]:
            home = area(answers[pair[0], pair[0]])
            assert cell.drop.value == pytest.approx(area(each) - home)
            assert falls(cell)
    assert found.cell("a", "a").drop.reason == OWN
    assert found.cell("bb", "ccc").auroc.reason == "all of its films were seen"
    assert found.at_home.value == pytest.approx(
        np.mean([area(answers["a", "a"]), area(answers["bb", "bb"])])
    )
    away = [area(answers[pair]) for pair in (("a", "bb"), ("a", "ccc"), ("bb", "a"))]
    assert found.away.value == pytest.approx(np.mean(away))
    assert found.difference.value == pytest.approx(found.away.value - found.at_home.value)
    assert found.grouping == "patient"


def test_a_visitor_is_held_against_the_home_classifier_on_the_films_that_both_judged() -> None:
    answers, found = made()
    visitor = where(answers["bb", "a"], np.arange(200) < 120)
    behind = found.cell("bb", "a").behind
    assert behind.value == pytest.approx(area(visitor) - area(answers["a", "a"]))
    assert behind.n == 120
    assert found.cell("a", "ccc").behind.reason == "no classifier has its home here"


def test_a_twin_of_the_home_classifier_is_behind_by_nothing_and_for_certain() -> None:
    home = answered("a", 2, seed=1)
    nudged = home.table.assign(logit_pneumonia=home.logit("Pneumonia") + 1)
    answers = {
        ("a", "a"): home,
        ("bb", "a"): replace(home, table=nudged),
        ("bb", "bb"): answered("bb", 2, seed=2),
        ("a", "bb"): answered("bb", 2, seed=2),
    }
    found = matrix(answers, "Pneumonia", rng=np.random.default_rng(0), resamples=100)
    # Paired, the films' luck falls out wholly; drawn apart it would leave a wide interval.
    assert found.cell("bb", "a").behind.value == 0
    assert found.cell("bb", "a").behind.low is None
    assert found.cell("bb", "a").drop.low is not None


def test_films_of_one_patient_make_intervals_wider_not_narrower() -> None:
    widths = []
    for per in (1, 4):
        answers = {
            (t, p): answered(p, 1.5, seed=k, n=240, per=per)
            for k, (t, p) in enumerate([("a", "a"), ("a", "bb"), ("bb", "a"), ("bb", "bb")])
        }
        found = matrix(answers, "Pneumonia", rng=np.random.default_rng(0), resamples=400)
        difference = found.difference
        assert difference.low is not None
        assert difference.high is not None
        widths.append(difference.high - difference.low)
    assert 1.6 < widths[1] / widths[0] < 2.6  # a root of four


def test_the_interval_of_the_mean_difference_covers_nought_where_there_is_none() -> None:
    hits = 0
    for seed in range(40):
        answers = {
            pair: answered(pair[1], 1.5, seed=100 * seed + k, n=120)
            for k, pair in enumerate([("a", "a"), ("a", "bb"), ("bb", "a"), ("bb", "bb")])
        }
        found = matrix(answers, "Pneumonia", rng=np.random.default_rng(seed), resamples=200)
        low, high = found.difference.low, found.difference.high
        assert low is not None
        assert high is not None
        hits += low <= 0 <= high
    assert 34 <= hits <= 40


def test_a_place_of_one_class_has_no_figure_and_the_reason() -> None:
    answers, _ = made()
    sick = where(answers["a", "bb"], answers["a", "bb"].label("Pneumonia") == 1)
    found = matrix(
        answers | {("a", "bb"): sick}, "Pneumonia", rng=np.random.default_rng(0), resamples=50
    )
    cell = found.cell("a", "bb")
    assert cell.auroc.reason is not None
    assert cell.auroc.reason.startswith("no image without the finding")
    assert cell.drop.value is None
    assert found.away.value is not None


def test_what_is_written_can_be_read_again(tmp_path: Path) -> None:
    _, found = made(100)
    places = [
        Place("a", "nih", 200, False, "1" * 64, None, {}, {"bb": ["left out: 3 images"]}),
        Place("bb", "rsna", 200, False, "2" * 64, None, {}, {}),
        Place("ccc", "folder", 200, True, None, "2 films with Pneumonia in role tune", {}, {}),
    ]
    told = write_sites(tmp_path, [found], places, {"name": "small"})
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    assert told["synthetic"]
    again = json.loads((tmp_path / "generalise.json").read_text())
    assert again["findings"]["Pneumonia"]["cells"][0]["auroc"]["value"] == pytest.approx(
        found.cells[0].auroc.value
    )
    assert again["places"][2]["why_not"] == "2 films with Pneumonia in role tune"
    with (tmp_path / "generalise.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["train"], row["test"]) for row in rows] == [(c.train, c.test) for c in found.cells]
    assert float(rows[1]["drop"]) == pytest.approx(found.cells[1].drop.value)
    with Image.open(tmp_path / "generalise.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 10
