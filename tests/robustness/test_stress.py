from __future__ import annotations

import csv
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.bundle import Bundle
from hilum.card import read_results
from hilum.cli import run
from hilum.data.cohort import Cohort
from hilum.data.faults import Fault, FaultyPixels
from hilum.data.grey import Grey
from hilum.data.pixels import Pixels
from hilum.data.reading import Quarantine
from hilum.errors import RadiographError
from hilum.evaluation.discrimination import auroc
from hilum.predict import predict
from hilum.robustness.corruptions import CORRUPTIONS
from hilum.robustness.stress import FIGURES, stress

Captured = pytest.CaptureFixture[str]
SAME = Fault("same", lambda grey_hw, amount, rng: grey_hw, (1.0, 1.0, 1.0, 1.0, 1.0))
BLACK = Fault("black", lambda grey_hw, amount, rng: 0 * grey_hw, (1.0, 1.0, 1.0, 1.0, 1.0))


def test_figures_are_those_of_the_corrupted_films(
    small_bundle: Bundle, small_cohort: Cohort
) -> None:
    films = small_cohort.where((small_cohort.table["split"] == "test").to_numpy())
    blur = CORRUPTIONS["blur"]
    found = stress(small_bundle, films, corruptions={"blur": blur}, severities=(4,), seed=3)
    (condition,) = found.conditions
    assert (condition.corruption, condition.severity) == ("blur", 4)
    clean = predict(small_bundle, films)
    blurred = predict(
        small_bundle, replace(films, pixels=FaultyPixels(films.pixels, blur, 4, seed=3))
    )
    y_n = clean.label("Pneumonia")
    figures = condition.figures["Pneumonia"]
    assert tuple(figures) == FIGURES
    for each, side in ((clean, figures["auroc"].a), (blurred, figures["auroc"].b)):
        assert side.value == pytest.approx(auroc(each.logit("Pneumonia"), y_n))
    called_n = blurred.decision("Pneumonia") == 1
    balanced = (called_n[y_n == 1].mean() + (~called_n[y_n == 0]).mean()) / 2
    assert figures["balanced_accuracy"].b.value == pytest.approx(balanced)
    sensitivity, missed = figures["sensitivity"], figures["false_negative_rate"]
    for each, rate in ((clean, missed.a), (blurred, missed.b)):
        not_called_n = each.decision("Pneumonia")[y_n == 1] == 0
        assert rate.value == pytest.approx(not_called_n.mean())
        assert rate.n == (y_n == 1).sum()
    assert missed.difference.value == pytest.approx(-(sensitivity.difference.value or 0))
    assert missed.b.low == pytest.approx(1 - (sensitivity.b.high or 0))
    assert missed.b.high == pytest.approx(1 - (sensitivity.b.low or 0))
    assert missed.difference.low == pytest.approx(-(sensitivity.difference.high or 0))
    assert missed.difference.high == pytest.approx(-(sensitivity.difference.low or 0))
    assert (missed.p, missed.verdict) == (sensitivity.p, sensitivity.verdict)
    # Of one condition the mean is that condition's own.
    assert found.balanced_accuracy["Pneumonia"].value == pytest.approx(balanced)


def test_what_does_nothing_costs_nothing_and_black_films_tell_nothing(
    small_bundle: Bundle, small_cohort: Cohort
) -> None:
    films = small_cohort.where((small_cohort.table["split"] == "test").to_numpy())
    found = stress(
        small_bundle, films, corruptions={"same": SAME, "black": BLACK}, severities=(1, 2)
    )
    same, _, black, _ = (each.figures["Pneumonia"] for each in found.conditions)
    assert same["auroc"].difference.value == 0
    assert black["auroc"].b.value == 0.5
    assert black["balanced_accuracy"].b.value == 0.5
    clean = found.clean["Pneumonia"]["balanced_accuracy"].value
    assert clean is not None
    assert found.balanced_accuracy["Pneumonia"].value == pytest.approx((clean + 0.5) / 2)


def test_the_verb_writes_its_files_and_an_opening_of_test(
    small_bundle: Bundle, small_npz: Path, tmp_path: Path, capsys: Captured
) -> None:
    copy, out = shutil.copytree(small_bundle.folder, tmp_path / "bundle"), tmp_path / "stressed"
    arguments = ["stress", str(copy), "--data", str(small_npz), "--out", str(out)]
    chosen = ["--corruption", "jpeg", "--corruption", "markers", "--severity", "5"]
    assert run([*arguments, *chosen]) == 0
    printed = capsys.readouterr().out
    assert "markers            at its worst, severity 5: AUROC" in printed
    assert "balanced accuracy over 2 conditions" in printed
    told = json.loads((out / "stress.json").read_text())
    assert [(each["corruption"], each["severity"]) for each in told["conditions"]] == [
        ("jpeg", 5), ("markers", 5)
    ]  # fmt: skip
    (of_card,) = read_results([out], small_bundle.digest).stress
    assert [each.corruption for each in of_card.conditions] == ["jpeg", "markers"]
    with (out / "stress.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * len(FIGURES)
    with Image.open(out / "stress.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 10
    ledger = [json.loads(line) for line in (copy / "openings.jsonl").read_text().splitlines()]
    assert (ledger[-1]["role"], ledger[-1]["n"]) == ("test", 60)
    assert ledger[-1]["auroc"]["Pneumonia"] == told["clean"]["Pneumonia"]["auroc"]["value"]


def test_a_corruption_that_is_none_is_refused_with_the_nearest(
    small_bundle: Bundle, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "out"
    assert (
        run(["stress", str(small_bundle.folder), "--corruption", "blurr", "--out", str(out)]) == 2
    )
    error = capsys.readouterr().err
    assert "no corruption 'blurr'" in error
    assert "did you mean blur?" in error
    assert not out.exists()


def test_what_was_seen_can_be_left_out_or_allowed_but_not_both(
    small_bundle: Bundle, tmp_path: Path, capsys: Captured
) -> None:
    start = ["stress", str(small_bundle.folder), "--out", str(tmp_path / "out")]
    assert run([*start, "--allow-seen", "--leave-out-seen"]) == 2
    assert "--leave-out-seen: does not go with --allow-seen" in capsys.readouterr().err


@dataclass(frozen=True)
class OneBroken:
    """Pixels of which one film cannot be read."""

    pixels: Pixels
    broken: int

    def read(self, index: int) -> Grey:
        if index == self.broken:
            raise RadiographError("film.png", "cut off")
        return self.pixels.read(index)


def test_a_film_that_cannot_be_read_is_left_out_everywhere(
    small_bundle: Bundle, small_cohort: Cohort
) -> None:
    films = small_cohort.where((small_cohort.table["split"] == "test").to_numpy())
    films = replace(films, pixels=OneBroken(films.pixels, int(films.table.index[3])))
    quarantine = Quarantine(len(films), 0.1)
    found = stress(
        small_bundle, films, corruptions={"same": SAME}, severities=(1,), quarantine=quarantine
    )
    assert found.n == 59
    assert list(quarantine.broken) == [3]
    assert found.conditions[0].figures["Pneumonia"]["sensitivity"].b.n in (29, 30)
