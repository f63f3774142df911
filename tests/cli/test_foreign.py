"""Other people's models through the verbs, as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.bundle import Bundle
from hilum.cli import run
from hilum.foreign.settings import PRESETS
from made import write_npz
from others import (
    PROBABILITY,
    SIDE,
    Net,
    keras,
    keras_net,
    save_keras,
    sigmoid,
    write_onnx,
    write_toml,
)

CLASSIC = {
    "misclassified_examples.png",
    "confusion_matrix.png",
    "roc_curve.png",
    "loss_acc_auc.txt",
    "report.html",
    "evaluation.json",
}
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Of one convolution and no map that Grad-CAM could be had of."""
    path = write_onnx(tmp_path / "m.onnx", Net.random(1, 1), ends=["Relu", "Neg", "Sigmoid"])
    write_toml(path, PROBABILITY + 'source = "pneumoniamnist"\ntrained_on = "their films"\n')
    return path


def test_the_containers_command_evaluates_the_predecessors_model(
    small_npz: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name, its input of 224 × 224 × 3 and its head; a smaller network, to be quick."""
    (name,) = PRESETS
    models = tmp_path / "models"
    models.mkdir()
    net = Net.random(3, 1)
    save_keras(keras_net(net, activation="sigmoid", side=224), models / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HILUM_DATA", str(small_npz.parent))
    assert run(["evaluate", "models", "--out", "outputs"]) == 0
    out = tmp_path / "outputs"
    assert {each.name for each in out.iterdir()} >= CLASSIC
    first = (out / "loss_acc_auc.txt").read_text().splitlines()[:3]
    assert [line.split(":")[0] for line in first] == ["Test Loss", "Test Accuracy", "Test AUC"]
    found = json.loads((out / "evaluation.json").read_text())
    assert (found["n"], found["role"], found["source"]) == (60, "test", "pneumoniamnist")
    assert found["operating_points"]["Pneumonia"]["deployed"]["threshold"] == 0.5
    assert any("do not say which images it was made from" in each for each in found["warnings"])
    said = capsys.readouterr()
    assert "not a medical device" in said.out
    (line,) = (models / f"{name}.openings.jsonl").read_text().splitlines()
    assert json.loads(line)["n"] == 60

    import pandas as pd

    table = pd.read_parquet(out / "predictions.parquet")
    with np.load(small_npz) as arrays:
        grey = arrays["test_images"]
    # As the predecessor did it: enlarged by bilinear interpolation, grey thrice.
    large = [
        np.asarray(Image.fromarray(each.astype(np.float32)).resize((224, 224), Image.BILINEAR))
        for each in grey
    ]
    expected = sigmoid(net.says(np.repeat(np.stack(large)[:, None] / 255, 3, axis=1)))
    np.testing.assert_allclose(table["prob_pneumonia"], expected[:, 0], atol=1e-5)


def test_the_report_says_of_a_model_what_is_known_and_no_more(
    model: Path, small_npz: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run(["evaluate", str(model), "--data", str(small_npz), "--out", str(out)]) == 0
    page = (out / "report.html").read_text()
    assert "made elsewhere, from their films" in page
    assert "No maps were made" in page
    assert "fitted on the calibrate role" not in page
    assert "fixed before these images are opened" not in page
    checklist = (out / "checklist.md").read_text()
    assert "timm" not in checklist
    assert "None by Hilum: the probabilities are the model's own." in checklist
    assert "Trained on their films" in checklist


def test_explain_takes_occlusion_where_no_map_is_pooled(
    model: Path, small_npz: Path, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "out"
    start = ["explain", str(model), "--data", str(small_npz), "--out", str(out)]
    assert run([*start, "--panels", "2"]) == 0
    told = json.loads((out / "explanation.json").read_text())
    assert (told["method"], told["layer"]) == ("occlusion", "the input, 16 × 16")
    assert "cannot be altered" in told["caution"]
    for method in ("hires_cam", "integrated_gradients"):
        assert run([*start, "--method", method]) == 2
        assert "expected occlusion, or grad_cam at the last map" in capsys.readouterr().err
    assert run([*start, "--method", "grad_cam"]) == 2
    assert "--method occlusion" in capsys.readouterr().err
    assert run([*start, "--sanity", "8"]) == 2
    assert "--sanity" in capsys.readouterr().err


def test_explain_takes_grad_cam_where_one_is(
    small_npz: Path, tmp_path: Path, capsys: Captured
) -> None:
    path = write_onnx(tmp_path / "m.onnx", Net.random(1, 1))
    write_toml(path, PROBABILITY)
    out = tmp_path / "out"
    assert run(["explain", str(path), "--on", "pneumoniamnist", "--data", str(small_npz),
                "--out", str(out), "--panels", "1"]) == 0  # fmt: skip
    told = json.loads((out / "explanation.json").read_text())
    assert (told["method"], told["layer"]) == ("grad_cam", "last feature map, 15 × 15")


def test_films_on_a_disk_are_answered_and_explained(
    model: Path, tmp_path: Path, capsys: Captured
) -> None:
    films = tmp_path / "films"
    films.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        Image.fromarray(rng.integers(0, 255, (90, 70), dtype=np.uint8)).save(films / name)
    out = tmp_path / "explained"
    assert run(["predict", str(model), str(films), "--explain", str(out)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert len(list((out / "panels").iterdir())) == 2


def test_without_a_source_of_its_own_one_has_to_be_named(
    tmp_path: Path, small_npz: Path, capsys: Captured
) -> None:
    path = write_onnx(tmp_path / "m.onnx", Net.random(1, 1))
    write_toml(path, PROBABILITY)
    out = str(tmp_path / "out")
    assert run(["evaluate", str(path), "--out", out]) == 2
    assert "nothing says what m.onnx is to be judged on" in capsys.readouterr().err
    given = ["--on", "pneumoniamnist:calibrate", "--data", str(small_npz), "--out", out]
    assert run(["evaluate", str(path), *given]) == 2
    assert "nobody knows the roles of a model made elsewhere" in capsys.readouterr().err


def test_validate_tells_what_it_does_elsewhere_and_that_nothing_is_known_inside(
    tmp_path: Path, capsys: Captured
) -> None:
    archive = tmp_path / "data" / "pneumoniamnist.npz"
    archive.parent.mkdir()
    write_npz(archive)
    path = write_onnx(tmp_path / "m.onnx", Net.random(1, 1))
    write_toml(path, PROBABILITY)
    out = tmp_path / "out"
    assert run(["validate", str(path), "--on", "pneumoniamnist", "--data", str(archive),
                "--out", str(out)]) == 0  # fmt: skip
    said = capsys.readouterr()
    assert "inside it is not known" in said.out
    assert "Nothing is known of the model where it was made" in said.out
    assert (out / "validation.html").is_file()


def test_stress_takes_it(model: Path, small_npz: Path, tmp_path: Path) -> None:
    assert run(["stress", str(model), "--data", str(small_npz),
                "--out", str(tmp_path / "out"), "--severity", "2"]) == 0  # fmt: skip
    assert any((tmp_path / "out").iterdir())


def test_show_says_what_is_not_known_and_verify_that_there_is_nothing_to_verify(
    model: Path, capsys: Captured
) -> None:
    assert run(["bundle", "show", str(model)]) == 0
    shown = capsys.readouterr().out
    assert "made elsewhere, from their films; licence unknown" in shown
    assert "not known: which images it was made from" in shown
    assert f"input {SIDE} px" in shown
    assert run(["bundle", "show", str(model), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recipe"]["foreign"]["file"] == "m.onnx"
    assert run(["bundle", "verify", str(model)]) == 2
    assert "no digests to verify" in capsys.readouterr().err


def test_a_folder_with_a_bundle_and_a_model_asks_which(
    model: Path, small_bundle: Bundle, capsys: Captured
) -> None:
    import shutil

    shutil.copytree(small_bundle.folder, model.parent / "ours")
    assert run(["evaluate", str(model.parent), "--out", str(model.parent / "out")]) == 2
    assert "2 models: ours, m.onnx; expected one; name it" in capsys.readouterr().err


@pytest.mark.slow
def test_the_predecessors_own_architecture_runs(tmp_path: Path) -> None:
    """EfficientNetB0 and three dense layers, with weights drawn at random."""
    from hilum.engines import open_engine
    from hilum.foreign import open_model

    k = keras()
    base = k.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(224, 224, 3))
    x = k.layers.GlobalAveragePooling2D()(base.output)
    x = k.layers.Dense(256, activation="relu")(x)
    x = k.layers.Dropout(0.3)(x)
    x = k.layers.Dense(128, activation="relu")(x)
    (name,) = PRESETS
    path = tmp_path / name
    save_keras(k.Model(base.input, k.layers.Dense(1, activation="sigmoid")(x)), path)
    rng = np.random.default_rng(0)
    found = open_engine(open_model(tmp_path))(rng.random((3, 1, 224, 224), dtype=np.float32))
    assert found.logit_nf.shape == (3, 1)
    assert found.feature_nchw.shape == (3, 128, 1, 1)
    assert np.isfinite(found.logit_nf).all()
