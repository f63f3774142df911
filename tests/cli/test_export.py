from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from hilum.bundle import Bundle
from hilum.cli import run
from hilum.exporting import agreement


@pytest.fixture(scope="module")
def bundle(small_bundle: Bundle, small_npz: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle with an ONNX engine."""
    folder = shutil.copytree(small_bundle.folder, tmp_path_factory.mktemp("models") / "small")
    assert run(["export", str(folder), "--to", "onnx", "--data", str(small_npz)]) == 0
    return folder


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.png"
    Image.effect_noise((200, 180), 60).save(path)
    return path


def test_export_prints_what_it_measured(
    bundle: Path, small_npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(bundle, tmp_path / "copy")
    start = ["export", str(copy), "--to", "openvino", "--data", str(small_npz)]
    assert run(start) == 0
    assert "openvino f32; against torch on 60 calibrate films" in capsys.readouterr().out
    assert run([*start, "--int8", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["engines"][0]
    assert told["name"] == "openvino-int8"
    assert told["agreement"]["n"] == 60
    assert told["files"].keys() == {"model.xml", "model.bin"}


def test_show_and_verify_tell_of_engines(
    bundle: Path, small_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bundle", "show", str(bundle)]) == 0
    shown = capsys.readouterr().out
    assert "engine openvino-f32: carried; against torch" in shown
    assert "engine onnx-f32: onnxruntime f32, opset 17; against torch on 60 calibrate" in shown
    assert "'hilum predict' runs o" in shown
    assert run(["bundle", "show", str(bundle), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["engines"].keys() == {"onnx-f32"}
    assert run(["bundle", "verify", str(bundle), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["digest"], told["engines"]) == (small_bundle.digest, ["onnx-f32"])


def test_predict_runs_the_engine_that_is_asked_for(
    bundle: Path, film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    probability = {}
    for engine in ("openvino-f32", "onnx-f32"):
        assert run(["predict", str(bundle), str(film), "--engine", engine, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["engine"] == engine
        probability[engine] = told["films"][0]["probability"]
    assert probability["onnx-f32"] == pytest.approx(probability["openvino-f32"], abs=1e-4)
    assert run(["predict", str(bundle), str(film), "--engine", "cuda"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "expected openvino-f32, onnx-f32" in error


def test_the_record_says_which_engine_answered(bundle: Path, film: Path, tmp_path: Path) -> None:
    log = tmp_path / "record"
    words = ["predict", str(bundle), str(film), "--log", str(log), "--engine", "onnx-f32"]
    assert run(words) == 0
    (file,) = log.iterdir()
    assert json.loads(file.read_text())["engine"] == "onnx-f32"


def test_evaluate_says_when_another_engine_was_judged(
    bundle: Path, small_npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = ["evaluate", str(bundle), "--data", str(small_npz), "--json", "--out"]
    warnings = []
    for out, engine in (("carried", []), ("other", ["--engine", "onnx-f32"])):
        assert run([*start, str(tmp_path / out), *engine]) == 0
        warnings.append(json.loads(capsys.readouterr().out)["evaluation"]["warnings"])
    own = "by the engine onnx-f32, not by the one that the bundle carries"
    assert own not in warnings[0]
    assert own in warnings[1]


def test_an_engine_too_far_from_torch_is_one_line_and_no_file(
    small_bundle: Bundle,
    small_npz: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy = shutil.copytree(small_bundle.folder, tmp_path / "copy")
    monkeypatch.setattr(agreement, "AUROC_LIMITS", {"int8": -1.0})
    words = ["export", str(copy), "--to", "openvino", "--int8", "--data", str(small_npz)]
    assert run(words) == 2
    assert "hilum: openvino-int8: not exported: the AUROC of Pneum" in capsys.readouterr().err
    assert not (copy / "engines").exists()


def test_precisions_of_onnx_are_refused(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", str(bundle), "--to", "onnx", "--int8"]) == 2
    assert "--int8: does not go with --to onnx" in capsys.readouterr().err


def test_export_without_its_films_is_refused(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The phantom does not stand in, as it does where a bundle is tried out."""
    missing = str(tmp_path / "absent.npz")
    assert run(["export", str(bundle), "--to", "openvino", "--int8", "--data", missing]) == 2
    assert "absent.npz" in capsys.readouterr().err
