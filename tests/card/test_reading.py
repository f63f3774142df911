"""Folders of results: known by their files, and by the bundle that they are about."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cards import made_evaluation, write_results
from hilum.card import read_evaluation, read_results
from hilum.errors import EvaluationError

DIGEST, OTHER = "a" * 64, "b" * 64


def test_each_folder_is_known_by_its_files(tmp_path: Path) -> None:
    found = read_results(write_results(tmp_path, DIGEST), DIGEST)
    (evaluated,) = found.evaluated
    assert evaluated.evaluation == made_evaluation(DIGEST)
    assert evaluated.label_review == {"Pneumonia": 1}
    assert evaluated.referrals["Pneumonia"].answered.figures["coverage"].value == 0.8
    assert [each.corruption for each in found.stress[0].conditions][1] == "blur"
    assert found.novelty[0].kinds[0].name == "hips"
    probed, asked = found.explained
    assert (probed.checks, asked.probes) == (None, None)
    assert probed.probes is not None
    assert asked.checks is not None
    ((site, evaluation),) = found.sites
    assert site.name == "site_b"
    assert evaluation is not None
    assert found.notes == ("three patients stand in both samples",)


@pytest.mark.parametrize("name", ["evaluated", "stressed", "novelty", "explained", "validated"])
def test_results_of_another_bundle_are_refused_by_file(tmp_path: Path, name: str) -> None:
    write_results(tmp_path, OTHER)
    with pytest.raises(EvaluationError, match=rf"{name}/.*json: is of the bundle bbbbbbbbbbbb…"):
        read_results([tmp_path / name], DIGEST)


def test_predictions_of_nobodys_bundle_are_refused(tmp_path: Path) -> None:
    made_evaluation(None).write(tmp_path / "evaluation.json")
    with pytest.raises(EvaluationError, match="is of no bundle"):
        read_results([tmp_path], DIGEST)


def test_a_folder_without_results_says_which_verbs_write_some(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="holds no result; expected a folder that hilum eval"):
        read_results([tmp_path], DIGEST)
    with pytest.raises(EvaluationError, match="no such folder"):
        read_results([tmp_path / "none"], DIGEST)


def test_the_same_thing_twice_is_refused(tmp_path: Path) -> None:
    first, *_ = write_results(tmp_path, DIGEST)
    again = shutil.copytree(first, tmp_path / "again")
    with pytest.raises(EvaluationError, match="a second result for pneumoniamnist, test"):
        read_results([first, again], DIGEST)


def test_shortcuts_and_sanity_may_come_from_a_folder_each(tmp_path: Path) -> None:
    *_, explained, _ = write_results(tmp_path, DIGEST)
    sanity = Path(shutil.copytree(explained, tmp_path / "sanity"))
    (explained / "sanity.json").unlink()
    (sanity / "shortcuts.json").unlink()
    assert len(read_results([explained, sanity], DIGEST).explained) == 2
    shutil.copytree(sanity, tmp_path / "maps").joinpath("sanity.json").unlink()
    with pytest.raises(EvaluationError, match=r"maps alone: .* --shortcuts or --sanity"):
        read_results([tmp_path / "maps"], DIGEST)
    shutil.copy(explained / "shortcuts.json", sanity)
    with pytest.raises(EvaluationError, match="a second result for shortcuts, pneumoniamnist"):
        read_results([explained, sanity], DIGEST)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 2}', "\udcff"])
def test_a_file_of_another_shape_is_one_line(tmp_path: Path, text: str) -> None:
    _, stressed, *_ = write_results(tmp_path, DIGEST)
    (stressed / "stress.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(EvaluationError, match=r"stress\.json: ") as no:
        read_results([stressed], DIGEST)
    assert "\n" not in str(no.value)


def test_figures_that_are_none_are_refused(tmp_path: Path) -> None:
    _, stressed, *_ = write_results(tmp_path, DIGEST)
    plain = json.loads((stressed / "stress.json").read_text())
    plain["clean"]["Pneumonia"]["balanced_accuracy"]["value"] = "good"
    (stressed / "stress.json").write_text(json.dumps(plain))
    with pytest.raises(EvaluationError, match=r"not as Hilum writes it \(clean"):
        read_results([stressed], DIGEST)


def test_a_run_reads_its_own_evaluation_whatever_else_lies_there(tmp_path: Path) -> None:
    first, stressed, *_ = write_results(tmp_path, DIGEST)
    (first / "stress.json").write_text((stressed / "stress.json").read_text().replace("a", "b"))
    assert read_evaluation(first, DIGEST).stress == ()
    assert len(read_evaluation(first, DIGEST).evaluated) == 1
