"""`hilum train` with all that chooses and tracks, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hilum.bundle import load_bundle
from hilum.cli import run

RECIPE = """
name = "tiny"

[input]
size = 32

[model]
backbone = "test_efficientnet"
weights = "none"

[train]
epochs = 1
batch_size = 16

[select]
folds = 2

[select.candidates.averaged]
"train.average" = "ema"

[sweep]
trials = 2

[sweep.ranges."train.learning_rate"]
low = 1e-4
high = 1e-2
log = true
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


def test_quick_fits_a_head_alone_and_says_so(
    recipe: Path, small_npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "quick"
    assert run(["train", str(recipe), "--quick", "--data", str(small_npz), "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    bundle = load_bundle(out)
    assert bundle.manifest.recipe["train"]["epochs"] == 0
    assert bundle.manifest.recipe["model"]["features"] == "stages"
    assert (out / "metrics.jsonl").read_text() == ""
    assert json.loads((out / "run.json").read_text())["status"] == "done"
    assert not list(tmp_path.glob(".*"))

    words = ["explain", str(out), "--data", str(small_npz), "--out", str(tmp_path / "explained")]
    assert run([*words, "--sanity", "8", "--panels", "1"]) == 2
    assert "--layer: no single layer of test_efficientnet makes" in capsys.readouterr().err


def test_select_then_sweep_then_train_tell_what_they_chose_and_keep_it_in_the_bundle(
    recipe: Path, small_npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "chosen"
    arguments = ["train", str(recipe), "--data", str(small_npz), "--out", str(out)]
    flags = ["--select", "robust", "--sweep", "--track", "tensorboard"]
    assert run([*arguments, *flags]) == 0
    said = capsys.readouterr().err
    assert "| **as it stands** |" in said or "| **averaged** " in said.replace("averaged    ", "")
    assert "no patient" in said or "by image" in said
    chosen = json.loads((out / "selection.json").read_text())
    assert [each["name"] for each in chosen["selection"]["candidates"]] == [
        "as it stands",
        "averaged",
    ]
    best = chosen["sweep"]["best"]["changes"]["train.learning_rate"]
    assert load_bundle(out).manifest.recipe["train"]["learning_rate"] == pytest.approx(best)
    assert list((tmp_path / "tensorboard").rglob("events*"))
    assert any("by image" in warning for warning in load_bundle(out).manifest.warnings)


def test_select_without_candidates_is_one_line(
    small_npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "pneumoniamnist", "--data", str(small_npz), "--out", str(tmp_path / "a")]
    assert run([*arguments, "--select", "robust"]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("hilum: select.candidates: is empty")
