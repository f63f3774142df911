"""`hilum runs`: what it finds, what it says of each run, and how it tells runs apart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hilum.bundle import MANIFEST, Bundle, seal_of
from hilum.cli import run as hilum
from hilum.data.sources.phantom import phantom_cohort
from hilum.errors import TrainingError
from hilum.recipe import make_recipe
from hilum.training.metrics import write_metrics
from hilum.training.records import RECORD, RunRecord, recording
from hilum.training.watching import EpochReport, StepReport

Captured = pytest.CaptureFixture[str]


def record(name: str = "mine", **train: object) -> RunRecord:
    recipe = make_recipe({"seed": 7, "train": {"epochs": 5, **train}})
    return RunRecord.of(name, recipe, phantom_cohort(40), "d" * 64, "cpu")


def epoch(k: int, loss: float) -> EpochReport:
    return EpochReport(k, 5, 3 * k, 1e-3, 0.5, loss, 0.9, 10.0, 2.5, True, loss)


def failed(work: Path, **train: object) -> None:
    """A run that ends after two epochs."""
    with recording(work, record(**train)) as run:
        run.on_step(StepReport(6, 15, 2, 0.4, 10.0, 1e-3))
        write_metrics(work, [epoch(1, 0.4), epoch(2, 0.3)])
        raise TrainingError("training", "the loss is nan at step 7")


@pytest.fixture
def models(small_bundle: Bundle, tmp_path: Path) -> Path:
    """A bundle as versions before run.json made them, a failed run, and one that was killed."""
    models = tmp_path / "models"
    old = shutil.copytree(small_bundle.folder, models / "old")
    (old / RECORD).unlink(missing_ok=True)
    with pytest.raises(TrainingError):
        failed(models / ".broken.run")
    gone = record("killed")
    assert gone.process is not None
    process = gone.process.model_copy(update={"pid": 2**22 + 1})  # beyond Linux's largest
    gone.model_copy(update={"process": process}).write(models / ".killed.run")
    return models


def rewritten(bundle: Path, **values: Any) -> None:
    """The same bundle with other words in its manifest."""
    manifest = json.loads((bundle / MANIFEST).read_text()) | values
    del manifest["digest"]
    manifest["digest"] = seal_of(manifest)
    (bundle / MANIFEST).write_text(json.dumps(manifest))


def listed(capsys: Captured, *arguments: str | Path) -> str:
    assert hilum(["runs", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def as_json(capsys: Captured, *arguments: str | Path) -> dict[str, Any]:
    return dict(json.loads(listed(capsys, *arguments, "--json")))


def test_bundles_and_unfinished_runs_are_listed_with_their_figures(
    models: Path, small_bundle: Bundle, capsys: Captured
) -> None:
    text = listed(capsys, models)
    assert max(map(len, text.splitlines())) <= 80
    lines = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    text = " ".join(text.split())
    figures = small_bundle.manifest.figures
    for role in ("tune", "calibrate"):
        for name in ("auroc", "log_loss"):
            assert f"{figures[role]['Pneumonia'][name]['value']:.4f}" in lines["old"]
    assert lines["old"].split()[1:3] == ["done", small_bundle.manifest.created[:10]]
    assert "broken failed" in text
    assert "broken: training: the loss is nan at step 7" in text
    assert "broken: after 2 of 5 epochs at best log loss 0.3000" in text
    assert "killed died" in text
    assert "is gone; last heard" in text
    assert "phantom, SYNTHETIC: no patient stands behind its images" in text
    assert "not a medical device" in text
    assert "test" not in text  # nobody has opened it


def test_test_figures_stand_there_only_when_the_ledger_holds_openings(
    models: Path, capsys: Captured
) -> None:
    line = {"time": "2026-05-06T07:08:09+00:00", "bundle": "x", "source": "pneumoniamnist"}
    opening = line | {"role": "test", "n": 624, "auroc": {"Pneumonia": 0.9612}}
    tuned = line | {"role": "tune", "n": 470, "auroc": {"Pneumonia": 0.9987}}
    ledger = models / "old" / "openings.jsonl"
    ledger.write_text(json.dumps(opening) + "\n" + json.dumps(tuned) + "\n")
    text = listed(capsys, models)
    expected = "old: test opened once (last 2026-05-06): AUROC 0.9612 on 624 of pneumoniamnist"
    assert expected in " ".join(text.split())
    assert "0.9987" not in text


def test_json_has_all_of_it(models: Path, small_bundle: Bundle, capsys: Captured) -> None:
    runs = {run["name"]: run for run in as_json(capsys, models)["runs"]}
    assert set(runs) == {"old", "broken", "killed"}
    assert runs["old"]["figures"] == small_bundle.manifest.figures
    assert len(runs["old"]["epochs"]) == 6
    assert runs["old"]["facts"]["recipe.train.batch_size"] == 8
    assert (runs["broken"]["status"], runs["broken"]["steps"]) == ("failed", 6)
    assert runs["broken"]["facts"]["data_digest"] == "d" * 64


def test_two_runs_are_told_apart_by_recipe_and_figures(
    models: Path, small_bundle: Bundle, capsys: Captured
) -> None:
    with pytest.raises(TrainingError):
        failed(models / ".slow.run", learning_rate=1e-4)
    # The name of the bundle that was to be means the run that was to make it.
    text = listed(capsys, models / "broken", models / "slow")
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}
    assert rows["train.learning_rate"] == ["0.001", "0.0001"]
    assert rows["status"] == ["failed", "failed"]
    assert rows["1"] == ["0.4000,", "0.9000", "*"] * 2
    assert not any(key.startswith("model.") for key in rows)  # in which they do not differ

    found = as_json(capsys, models / "broken", models / "slow")
    assert found["differences"] == {"recipe.train.learning_rate": [0.001, 0.0001]}
    text = listed(capsys, models / "old", models / "slow")
    value = small_bundle.manifest.figures["calibrate"]["Pneumonia"]["auroc"]["value"]
    assert f"{value:.3f} (" in text
    assert "slow: phantom, SYNTHETIC" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_folders_runs_are_compared_on_demand(models: Path, capsys: Captured) -> None:
    found = as_json(capsys, models, "--compare")
    assert {run["name"] for run in found["runs"]} == {"old", "broken", "killed"}
    assert found["differences"]["recipe.train.batch_size"].count(8) == 1


def test_more_than_four_are_too_many_to_compare(models: Path, capsys: Captured) -> None:
    for k in range(3):
        shutil.copytree(models / ".broken.run", models / f".other{k}.run")
    assert hilum(["runs", str(models), "--compare"]) == 2
    said = capsys.readouterr().err
    assert "6 runs: " in said
    assert "expected 2 to 4; name them" in said


def test_runs_of_one_name_in_two_folders_say_which_folder(models: Path, capsys: Captured) -> None:
    other = shutil.copytree(models, models.parent / "other")
    names = {run["name"] for run in as_json(capsys, models, other)["runs"]}
    assert {(models / "old").as_posix(), (other / "old").as_posix()} <= names


def test_a_damaged_bundle_is_named_and_the_others_are_listed(
    models: Path, capsys: Captured
) -> None:
    damaged = shutil.copytree(models / "old", models / "damaged")
    (damaged / MANIFEST).write_text('{"digest": "0", "schema_version": 3}')
    runs = {run["name"]: run for run in as_json(capsys, models)["runs"]}
    assert runs["damaged"]["status"] == "damaged"
    assert "its digest does not match" in runs["damaged"]["note"]
    assert runs["old"]["status"] == "done"


def test_a_figure_nobody_could_compute_is_a_dash(models: Path, capsys: Captured) -> None:
    missing = {"value": None, "low": None, "high": None, "n": 3, "method": "none", "reason": "few"}
    both = {"auroc": missing, "log_loss": missing}
    rewritten(models / "old", figures={"tune": {"Pneumonia": both}, "calibrate": {}})
    line = next(each for each in listed(capsys, models).splitlines() if each.startswith("old "))
    assert line.split()[-4:] == ["-", "-", "-", "-"]


def test_several_findings_are_listed_by_their_mean(models: Path, capsys: Captured) -> None:
    def figures(value: float | None) -> dict[str, Any]:
        plain = {"low": None, "high": None, "n": 3, "method": "none", "reason": "few"}
        return {"auroc": {"value": value, **plain}, "log_loss": {"value": value, **plain}}

    found = {"Mass": figures(0.5), "Nodule": figures(0.75), "Edema": figures(None)}
    rewritten(models / "old", figures={"tune": found})
    line = next(each for each in listed(capsys, models).splitlines() if each.startswith("old "))
    assert line.split()[-4:] == ["0.6250", "0.6250", "-", "-"]


@pytest.mark.parametrize(("place", "line"), [("nowhere", "no such folder"), ("a.txt", "is a file")])
def test_a_bad_folder_is_told_in_one_line(
    tmp_path: Path, capsys: Captured, place: str, line: str
) -> None:
    (tmp_path / "a.txt").write_text("")
    assert hilum(["runs", str(tmp_path / place)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"hilum: {tmp_path / place}: {line}; expected a folder with bundles")
    assert said.count("\n") == 1


def test_a_folder_without_runs_says_so(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    assert listed(capsys) == "no runs in .\n"
    assert as_json(capsys) == {"runs": []}


def test_models_is_looked_at_where_it_is_there(
    models: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(models.parent)
    assert {run["name"] for run in as_json(capsys)["runs"]} == {"old", "broken", "killed"}
