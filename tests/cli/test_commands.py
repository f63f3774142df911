"""The command line as a user meets it: what it prints, what it writes, how it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.bundle import MANIFEST, Bundle
from hilum.cli import run
from hilum.data.sources.phantom import phantom_cohort
from hilum.evaluation import Evaluation
from hilum.training.checkpoint import checkpoints
from made import write_npz

SMALL = ["--set", "train.epochs=1", "--set", "train.batch_size=16", "--set", "input.size=32",
         "--set", "abstention.examples=100"]  # fmt: skip
# Timm's network for tests, where what is learnt does not matter.
TINY = ["--set", "model.backbone=test_efficientnet", "--set", "model.weights=none"]
CLASSIC = {
    "misclassified_examples.png",
    "confusion_matrix.png",
    "roc_curve.png",
    "loss_acc_auc.txt",
    "evaluation.json",
    "predictions.parquet",
}

Captured = pytest.CaptureFixture[str]


def hilum(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hilum", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )


@pytest.mark.usefixtures("ink")
def test_reproduce_goes_from_data_to_figures(
    small_npz: Path, tmp_path: Path, capsys: Captured
) -> None:
    models, out = tmp_path / "models", tmp_path / "outputs"
    arguments = ["--models", str(models), "--out", str(out), "--data", str(small_npz), *SMALL]
    assert run(["reproduce", *arguments]) == 0
    assert {each.name for each in out.iterdir()} >= CLASSIC
    first = (out / "loss_acc_auc.txt").read_text().splitlines()[:3]
    assert [line.split(":")[0] for line in first] == ["Test Loss", "Test Accuracy", "Test AUC"]
    evaluation = json.loads((out / "evaluation.json").read_text())
    assert (evaluation["role"], evaluation["n"], evaluation["synthetic"]) == ("test", 60, False)
    said = capsys.readouterr()
    assert "AUROC" in said.out
    assert "not a medical device" in said.out
    assert "warning: pneumoniamnist.npz is not the official PneumoniaMNIST" in said.err
    assert any("is not the official" in warning for warning in evaluation["warnings"])

    card = (models / "pneumoniamnist" / "card.md").read_text()
    auroc = Evaluation.from_json((out / "evaluation.json").read_text()).figures["Pneumonia"]
    assert f"| AUROC | {auroc['auroc'].in_words()} |" in card
    assert "test was opened 1 times" in card

    assert run(["bundle", "show", str(models)]) == 0
    assert "test of pneumoniamnist was opened 1 times" in capsys.readouterr().out
    assert run(["bundle", "verify", str(models), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["whole"] is True


def test_without_data_and_network_the_phantom_stands_in_and_every_output_says_so(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HILUM_DATA", str(tmp_path))
    monkeypatch.setattr("hilum.data.sources.medmnist._RECORD", "http://127.0.0.1:9")
    monkeypatch.setattr(
        "hilum.data.sources.phantom.phantom_cohort",
        lambda **asked: phantom_cohort(**asked | {"n": 300}),
    )
    monkeypatch.setattr("hilum.data.download.time.sleep", lambda _: None)
    models, out = tmp_path / "models", tmp_path / "outputs"
    assert run(["reproduce", "--models", str(models), "--out", str(out), *SMALL, *TINY]) == 0
    said = capsys.readouterr()
    assert "## SYNTHETIC DATA" in said.err
    assert json.loads((out / "evaluation.json").read_text())["synthetic"] is True
    assert json.loads((models / "pneumoniamnist" / MANIFEST).read_text())["synthetic"] is True
    assert "SYNTHETIC" in (out / "loss_acc_auc.txt").read_text()
    assert "**SYNTHETIC: trained on" in (models / "pneumoniamnist" / "card.md").read_text()
    # A bundle made of synthetic films says so whatever it is shown.
    assert run(["predict", str(models), str(next(iter(_film(tmp_path))))]) == 0
    assert "SYNTHETIC" in capsys.readouterr().err


def _film(folder: Path) -> list[Path]:
    path = folder / "film.png"
    grey = np.random.default_rng(0).integers(0, 256, (300, 240)).astype(np.uint8)
    Image.fromarray(grey).save(path)
    return [path]


def test_evaluate_takes_the_bundles_own_source_and_role(
    small_bundle: Bundle, small_npz: Path, tmp_path: Path, capsys: Captured
) -> None:
    models = tmp_path / "models"
    shutil.copytree(small_bundle.folder, models / "small")
    common = ["--out", str(tmp_path / "out"), "--data", str(small_npz), "--json"]
    assert run(["evaluate", str(models), *common]) == 0
    on_test = json.loads(capsys.readouterr().out)
    assert set(on_test["files"]) >= CLASSIC
    assert on_test["evaluation"]["bundle"] == small_bundle.digest
    assert run(["evaluate", str(models), "--on", "pneumoniamnist:tune", *common]) == 0
    assert json.loads(capsys.readouterr().out)["evaluation"]["role"] == "tune"


def test_the_same_evaluation_twice_gives_the_same_figures(
    small_bundle: Bundle, small_npz: Path, tmp_path: Path
) -> None:
    models = shutil.copytree(small_bundle.folder, tmp_path / "small")
    texts = []
    for name in ("a", "b"):
        out = tmp_path / name
        assert run(["evaluate", str(models), "--out", str(out), "--data", str(small_npz)]) == 0
        texts.append((out / "evaluation.json").read_text())
    assert texts[0] == texts[1]


def test_predict_prints_writes_and_speaks_json(
    small_bundle: Bundle, tmp_path: Path, capsys: Captured
) -> None:
    (film,) = _film(tmp_path)
    assert run(["predict", str(small_bundle.folder), str(film)]) == 0
    assert f"{film}: Pneumonia 0." in capsys.readouterr().out
    assert run(["predict", str(small_bundle.folder), str(film), "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)["films"]
    assert 0 <= answer["probability"] <= 1
    assert answer["decision"] == int(answer["probability"] >= answer["threshold"])
    table = tmp_path / "predictions.csv"
    assert run(["predict", str(small_bundle.folder), str(film), "--out", str(table)]) == 0
    header = table.read_text().splitlines()[0]
    assert header.startswith("image_id,patient_id,label_pneumonia,logit_pneumonia,prob_pneumonia")


NEW = ["train", "pneumoniamnist", "--out", "{tmp}/b"]
OLD = ["evaluate", "{bundle}", "--data", "{npz}"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "{recipe}", "--out", "{tmp}/b"], "did you mean train.epochs?"),
        ([*NEW, "--set", "train.batch_size=0"], "train.batch_size = 0; set 2 or more"),
        (["train", "nothing", "--out", "{tmp}/b"], "no such file"),
        ([*NEW, "--data", "{tmp}/none.npz"], "no such file"),
        ([*NEW, "--data", "{cut}"], "cannot be read as an npz"),
        ([*NEW, "--data", "{other}"], "lacks the array"),
        ([*NEW, "--data", "{labels}"], "train_labels holds 7"),
        ([*NEW, "--data", "{single}"], "role 'calibrate' has no image"),
        ([*NEW, "--data", "{npz}", "--weights", "{cut}"], "cannot be read as weights"),
        (["train", "pneumoniamnist", "--out", "/proc/none/b"], "cannot be written"),
        (["evaluate", "{tmp}"], "no bundle here"),
        (["evaluate", "{flipped}"], "damaged"),
        (["evaluate", "{newer}"], "upgrade Hilum"),
        ([*OLD, "--out", "/proc/none"], "cannot be written"),
        ([*OLD, "--on", "pneumoniamnist:exam"], "role 'exam'"),
        ([*OLD, "--on", "elsewhere"], "no source of this name"),
        (["predict", "{bundle}", "{tmp}/absent.png"], "no such file or folder"),
        (["predict", "{bundle}", "{cut_film}"], "cannot be decoded"),
        (["predict", "{bundle}", "{film}", "--out", "{tmp}/p.txt"], "expected .parquet or .csv"),
        (["predict", "{bundle}", "/" + "x" * 300], "File name too long"),
        ([*NEW, "--data", "{array}"], "cannot be read as an npz"),
        ([*OLD, "--out", "{bundle}/outputs"], "lies inside the bundle"),
        (["evaluate", "{bundle}", "--on", "phantom:tune"], "may hold these very films"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_input_ends_in_one_line_and_exit_code_2(
    arguments: list[str],
    words: str,
    small_bundle: Bundle,
    small_npz: Path,
    tmp_path: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    raw = small_npz.read_bytes()
    (tmp_path / "recipe.toml").write_text("[train]\nepoch = 3\n")
    (tmp_path / "cut.npz").write_bytes(raw[: len(raw) // 2])
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    np.save(tmp_path / "array.npy", np.zeros(3))
    arrays = write_npz(tmp_path / "labels.npz")
    np.savez(tmp_path / "labels.npz", **(arrays | {"train_labels": arrays["train_labels"] + 7}))
    np.savez(tmp_path / "single.npz", **(arrays | {"val_labels": np.ones((60, 1), np.uint8)}))
    (film,) = _film(tmp_path)
    (tmp_path / "cut.png").write_bytes(film.read_bytes()[:2000])
    flipped = Path(shutil.copytree(small_bundle.folder, tmp_path / "x" / "flipped"))
    weights = bytearray((flipped / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (flipped / "weights.safetensors").write_bytes(weights)
    newer = Path(shutil.copytree(small_bundle.folder, tmp_path / "x" / "newer"))
    values = json.loads((newer / MANIFEST).read_text())
    (newer / MANIFEST).write_text(json.dumps(values | {"schema_version": 99}))
    capsys.readouterr()

    places = {
        "tmp": tmp_path, "recipe": tmp_path / "recipe.toml", "cut": tmp_path / "cut.npz",
        "other": tmp_path / "other.npz", "labels": tmp_path / "labels.npz",
        "single": tmp_path / "single.npz", "npz": small_npz, "bundle": small_bundle.folder,
        "film": film, "array": tmp_path / "array.npy", "flipped": flipped, "newer": newer,
        "cut_film": tmp_path / "cut.png",
    }  # fmt: skip
    assert run([each.format(**places) for each in arguments]) == 2
    # A file of another data set is warned about on its own line before it is refused.
    said = capsys.readouterr()
    errors = [line for line in said.err.splitlines() if line.startswith("hilum: ")]
    others = [
        line for line in said.err.splitlines() if not line.startswith(("hilum: ", "warning: "))
    ]
    assert len(errors) == 1
    assert others == []
    assert words in errors[0]
    assert said.out == ""
    assert not (tmp_path / "b").exists()


def test_ctrl_c_keeps_the_state_and_resume_finishes_the_job(
    small_npz: Path, tmp_path: Path, capsys: Captured
) -> None:
    target = tmp_path / "bundle"
    arguments = [
        "train", "pneumoniamnist", "--out", str(target), "--data", str(small_npz),
        "--set", "train.epochs=5", "--set", "train.patience=5", "--set", "train.batch_size=4",
        "--set", "input.size=32", *TINY,
    ]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "hilum", *arguments], stderr=subprocess.PIPE, text=True
    )
    work = tmp_path / ".bundle.run"
    until = time.monotonic() + 300  # seconds; on a busy machine its imports alone take a minute
    try:
        while not checkpoints(work):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=300)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 2
    last = said.strip().splitlines()[-1]
    assert last.startswith("hilum: training: interrupted after step")
    assert "--resume" in last
    assert checkpoints(work)
    assert not target.exists()
    assert run([*arguments, "--resume", "--set", "seed=1"]) == 2
    assert "written by a run with another recipe" in capsys.readouterr().err
    assert run([*arguments, "--resume"]) == 0
    assert len((target / "metrics.jsonl").read_text().splitlines()) == 5
    assert run([*arguments, "--resume"]) == 2
    assert "the run is finished: nothing to resume" in capsys.readouterr().err
    assert not work.exists()


def test_help_of_every_verb_has_an_example(capsys: Captured) -> None:
    for verb in (["reproduce"], ["train"], ["evaluate"], ["predict"], ["bundle", "show"]):
        assert run([*verb, "--help"]) == 0
        assert f"Example: hilum {' '.join(verb)}" in capsys.readouterr().out


def test_help_loads_nothing_heavy() -> None:
    code = "import sys; from hilum.cli import run; run(['--help']); print(sorted(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for heavy in ("numpy", "pandas", "openvino", "matplotlib", "torch", "sklearn", "pydantic"):
        assert f"'{heavy}'" not in found.stdout


def test_an_unknown_verb_or_option_is_wrong_usage(capsys: Captured) -> None:
    assert run(["frobnicate"]) == 2
    assert run(["evaluate", "--frobnicate"]) == 2


def test_a_traceback_is_shown_with_debug_alone(tmp_path: Path) -> None:
    assert "Traceback" not in hilum("evaluate", tmp_path).stderr
    assert "Traceback" in hilum("evaluate", tmp_path, "--debug").stderr
