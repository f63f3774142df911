"""The examples run as they are, on small data, and use nothing that is not public."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import io
import json
import shutil
import sys
from contextlib import redirect_stdout
from email.message import Message
from pathlib import Path
from types import ModuleType
from urllib.error import HTTPError

import pandas as pd
import pytest
from PIL import Image

from docs.blocks import ROOT
from docs.world import make_films
from hilum.bundle import load_bundle
from serving_made import png, running

SCRIPTS = sorted((ROOT / "examples").glob("*.py"))


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hospital")
    make_films(folder)
    return folder


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def typed(monkeypatch: pytest.MonkeyPatch, name: str, *words: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, words)])
    example(name).main()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_an_example_is_short_told_of_and_uses_public_names_alone(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 90
    assert script.name in (script.parent / "README.md").read_text(encoding="utf-8")
    imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    for node in imports:
        if node.module is not None and node.module.partition(".")[0] == "hilum":
            public = importlib.import_module(node.module).__all__
            assert {name.name for name in node.names} <= set(public), node.module


def test_anybodys_predictions_are_judged_by_patient(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"image_id": f"{i}.png", "patient_id": i // 3, "label": i // 3 % 2, "prob": prob}
        for i, prob in enumerate([0.2, 0.4, 0.3, 0.8, 0.6, 0.35] * 20)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "theirs.csv", index=False)
    typed(monkeypatch, "judge_predictions", tmp_path / "theirs.csv", "--out", tmp_path / "judged")
    told = capsys.readouterr().out
    assert "120 images, intervals by patient" in told
    # Two of three films with it are called; of all pairs, one film of three loses one in three.
    assert "sensitivity: 0.667 (" in told
    assert "AUROC: 0.889 (" in told
    evaluation = json.loads((tmp_path / "judged" / "evaluation.json").read_text())
    assert evaluation["grouping"] == "patient"
    assert (tmp_path / "judged" / "report.html").is_file()


@pytest.fixture(scope="module")
def trained(hospital: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The bundle that the example makes, and what it says."""
    folder = tmp_path_factory.mktemp("trained")
    films = folder / "films"
    films.mkdir()
    for name in ("0000.png", "0024.dcm"):
        shutil.copy(hospital / "films" / name, films / name)
    words = [hospital / "site_a.csv", "--sensitivity", "0.8", "--films", films]
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said):
        typed(patch, "train_on_your_films", *words, "--out", folder / "mine")
    return folder / "mine", said.getvalue()


def test_a_hospitals_films_make_a_bundle_with_the_sensitivity_that_was_wanted(
    trained: tuple[Path, str],
) -> None:
    bundle, told = trained
    assert "sensitivity >= 0.8" in told
    wanted = load_bundle(bundle).operating_points("Pneumonia")["wanted"]
    assert wanted.sensitivity.value is not None
    assert wanted.sensitivity.value >= 0.8
    answers = pd.read_csv(bundle.with_name("mine.csv"))
    assert len(answers) == 2
    prob_n = answers["prob_pneumonia"]
    assert (answers["decision"] == (prob_n >= wanted.threshold)).all()


def test_the_client_keeps_an_answer_and_an_overlay_and_tells_what_cannot_be_read(
    trained: tuple[Path, str],
    hospital: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dicom = hospital / "film.dcm"
    (tmp_path / "film.png").write_bytes(png())
    (tmp_path / "broken.png").write_bytes(b"no film")
    out = tmp_path / "answers"
    with running(tmp_path / "log", trained[0]) as service:
        films = [dicom, tmp_path / "film.png", tmp_path / "broken.png"]
        typed(monkeypatch, "ask_the_service", *films, "--service", service.url, "--out", out)
    told = capsys.readouterr().out
    assert told.count("Pneumonia 0.") == 2
    assert "broken.png: no answer, " in told
    said = json.loads((out / "film.dcm.json").read_text())
    assert said["films"][0]["facts"]["format"] == "DICOM"
    with Image.open(out / "film.png.png") as overlay:
        assert overlay.mode == "RGBA"
    assert len(list(out.iterdir())) == 4


def test_the_client_comes_again_when_the_service_says_it_is_too_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module, waited, times = example("ask_the_service"), [], []
    later = Message()
    later["retry-after"] = "2"

    def busy_twice(request: object, timeout: float) -> io.BytesIO:
        times.append(timeout)
        if len(times) < 3:
            raise HTTPError("http://x", 503, "busy", later, io.BytesIO())
        return io.BytesIO(b"{}")

    monkeypatch.setattr(module, "urlopen", busy_twice)
    monkeypatch.setattr(module.time, "sleep", waited.append)
    assert module.post("http://x", b"film") == b"{}"
    assert waited == [2.0, 2.0]

    def always_busy(request: object, timeout: float) -> io.BytesIO:
        raise HTTPError("http://x", 503, "busy", later, io.BytesIO())

    monkeypatch.setattr(module, "urlopen", always_busy)
    with pytest.raises(HTTPError):
        module.post("http://x", b"film")
