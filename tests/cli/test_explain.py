"""`hilum explain` and `hilum predict --explain` as a user meets them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.bundle import Bundle
from hilum.card import read_results
from hilum.cli import run

Captured = pytest.CaptureFixture[str]


def test_every_film_gets_a_panel_and_its_raw_map(
    small_bundle: Bundle, small_npz: Path, tmp_path: Path, capsys: Captured
) -> None:
    copy = shutil.copytree(small_bundle.folder, tmp_path / "bundle")
    out = tmp_path / "explained"
    assert run(["explain", str(copy), "--data", str(small_npz), "--out", str(out)]) == 0
    told = json.loads((out / "explanation.json").read_text())
    assert told["method"] == "grad_cam"
    found = told["findings"]["Pneumonia"]
    assert sum(found["kinds"].values()) == 60
    assert found["aligned_by"] == "view"
    panels, maps = list((out / "panels").iterdir()), sorted((out / "maps").iterdir())
    assert len(panels) == len(maps) == 60
    with np.load(maps[0]) as one:
        assert one["map_hw"].shape == (2, 2)
        assert one["grid"].tolist() == [64, 32, 15.5]  # of two cells, in the middle of their tiles
        assert one["shape"].tolist() == [28, 28]
    for name in ("contact_sheet.png", "mean_maps.png", "zones.png"):
        assert (out / name).is_file()
    printed = capsys.readouterr().out
    assert "attention where present" in printed
    assert "not a medical device" in printed
    ledger = [json.loads(line) for line in (copy / "openings.jsonl").read_text().splitlines()]
    assert ledger[-1]["role"] == "test"


def test_films_on_a_disk_are_explained_with_their_prediction(
    small_bundle: Bundle, tmp_path: Path, capsys: Captured
) -> None:
    rng = np.random.default_rng(0)
    for name in ("a b.png", "wide.png"):
        grey = rng.integers(0, 255, (90, 150 if "wide" in name else 90), dtype=np.uint8)
        Image.fromarray(grey).save(tmp_path / name)
    out = tmp_path / "explained"
    films = [str(tmp_path / "a b.png"), str(tmp_path / "wide.png")]
    assert run(["predict", str(small_bundle.folder), *films, "--explain", str(out)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert len(list((out / "panels").iterdir())) == 2
    assert json.loads((out / "explanation.json").read_text())["findings"]["Pneumonia"]["kinds"] == {
        "no label": 2
    }


@pytest.mark.usefixtures("ink")
def test_what_a_method_did_not_stand_is_kept_and_stands_beside_its_maps(
    small_bundle: Bundle, small_npz: Path, tmp_path: Path, capsys: Captured
) -> None:
    copy = shutil.copytree(small_bundle.folder, tmp_path / "bundle")
    out = tmp_path / "explained"
    start = ["explain", str(copy), "--data", str(small_npz), "--panels", "1"]
    assert run([*start, "--out", str(out), "--sanity", "12"]) == 0
    told = json.loads((out / "sanity.json").read_text())
    questions = [check["question"] for check in told["checks"]]
    assert questions == [
        "weights: head random", "weights: all random", "noise on the film", "deletion",
        "insertion", "labels shuffled",
    ]  # fmt: skip
    (of_card,) = read_results([out], small_bundle.digest).explained
    assert [check.question for check in of_card.checks or ()] == questions
    for name in ("sanity.png", "contact_sheet.png", "mean_maps.png", "zones.png"):
        with Image.open(out / name) as picture:
            assert np.asarray(picture.convert("L")).std() > 10
    failed = [check["question"] for check in told["checks"] if check["passed"] is False]
    # What an earlier run left is taken away, and what is not its own stays.
    (out / "mine.txt").write_text("mine")
    assert run([*start, "--panels", "0", "--out", str(out)]) == 0
    left = {path.name for path in out.iterdir()}
    assert left == {
        "mine.txt", "contact_sheet.png", "mean_maps.png", "zones.png", "explanation.json"
    }  # fmt: skip
    # A bundle of its own digest keeps the verdicts; the next maps are shown with them.
    assert run([*start, "--out", str(tmp_path / "again")]) == 0
    caution = json.loads((tmp_path / "again" / "explanation.json").read_text())["caution"]
    assert all(question in caution for question in failed)
    assert "not checked" not in caution


def test_the_phantoms_own_masks_are_the_evidence_and_calibrate_sets_the_threshold(
    tmp_path: Path, capsys: Captured
) -> None:
    bundle, out = str(tmp_path / "bundle"), tmp_path / "explained"
    drawn = ("source=phantom@48", "phantom.n=160", "phantom.opacity=small")
    chosen = [word for each in drawn for word in ("--set", f"data.{each}")]
    assert run(["train", "pneumoniamnist", "--quick", *chosen, "--out", bundle]) == 0
    assert run(["explain", bundle, "--panels", "0", "--out", str(out)]) == 0
    found = json.loads((out / "explanation.json").read_text())["findings"]["Pneumonia"]
    assert found["aligned_by"] == "lungs"
    assert found["localisation"][0]["threshold"].startswith("set on calibrate")
    assert "SYNTHETIC" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--method", "gradcam"], "no method 'gradcam'"),
        (["--layer", "blocks.77"], "no layer 'blocks.77'"),
        (["--layer", "blocks.77", "--sanity", "8"], "no layer 'blocks.77'"),
        (["--layer", "blocks.4", "--method", "occlusion"], "--layer"),
        (["--lungs", "nowhere"], "no such folder"),
        (["--boxes", "nowhere.csv"], "cannot be read as a table"),
    ],
)
def test_bad_input_ends_in_one_line(
    small_bundle: Bundle,
    small_npz: Path,
    tmp_path: Path,
    capsys: Captured,
    arguments: list[str],
    said: str,
) -> None:
    out = tmp_path / "explained"
    start = ["explain", str(small_bundle.folder), "--data", str(small_npz), "--out", str(out)]
    assert run([*start, *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not out.exists()


def test_masks_of_some_lungs_align_none_and_a_mask_that_fails_leaves_nothing(
    small_bundle: Bundle, tmp_path: Path, capsys: Captured
) -> None:
    films, masks, out = tmp_path / "films", tmp_path / "masks", tmp_path / "explained"
    films.mkdir()
    masks.mkdir()
    rng = np.random.default_rng(0)
    for n in range(6):
        grey = rng.integers(0, 255, (64, 64), dtype=np.uint8)
        Image.fromarray(grey).save(films / f"{n}.png")
    rows = "".join(f"{n}.png,{n % 2}\n" for n in range(6))
    (films / "labels.csv").write_text(f"path,pneumonia\n{rows}")
    Image.fromarray(np.pad(np.full((30, 30), 255, np.uint8), 17)).save(masks / "0.png")
    start = ["explain", str(small_bundle.folder), "--on", f"folder:{films}/labels.csv:all"]
    arguments = [*start, "--lungs", str(masks), "--out", str(out), "--allow-seen"]
    assert run(arguments) == 0, capsys.readouterr().err
    assert "masks of the lungs for 1 of 6 films" in capsys.readouterr().err
    found = json.loads((out / "explanation.json").read_text())["findings"]["Pneumonia"]
    assert (found["aligned_by"], found["lungs"]) == ("view", None)
    # What cannot be used is refused before an earlier explanation is taken away.
    assert run([*arguments, "--boxes", "nowhere.csv"]) == 2
    assert (out / "explanation.json").exists()
    for n in range(1, 6):
        shutil.copy(masks / "0.png", masks / f"{n}.png")
    Image.fromarray(np.full((20, 64), 255, np.uint8)).save(masks / "5.png")
    assert run([*arguments]) == 2
    assert "5.png: a mask of 64 × 20 pixels" in capsys.readouterr().err
    assert not list(out.rglob("*.*"))
