"""A whole run, from recipe to bundle."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from scipy.special import expit

from hilum.bundle import MANIFEST, WEIGHTS, Bundle, load_bundle
from hilum.data.cohort import Cohort
from hilum.data.preprocessing import preprocess
from hilum.data.roles import assign_roles
from hilum.errors import DataError, OutputError
from hilum.predict import predict
from hilum.training import checkpoint
from hilum.training.run import train
from made import small_recipe


def test_the_engine_agrees_with_the_weights_loaded_into_plain_timm(
    small_bundle: Bundle, small_cohort: Cohort
) -> None:
    manifest = small_bundle.manifest
    network = timm.create_model(manifest.backbone.name, num_classes=1, bn_eps=1e-3).eval()
    network.load_state_dict(load_file(small_bundle.folder / WEIGHTS))
    predictions = predict(small_bundle, small_cohort)
    films = [
        preprocess(small_cohort.radiograph(i), manifest.preprocessing)
        for i in range(len(small_cohort))
    ]
    grey = torch.from_numpy(np.stack(films))
    mean, std = (
        torch.tensor(v).view(1, 3, 1, 1) for v in (manifest.backbone.mean, manifest.backbone.std)
    )
    with torch.no_grad():
        logit_n = network((grey.expand(-1, 3, -1, -1) - mean) / std)[:, 0].double().numpy()
    assert np.abs(expit(logit_n) - expit(predictions.logit("Pneumonia"))).max() <= 1e-4
    assert manifest.engine.agreement.largest_probability_difference <= 1e-4
    assert manifest.engine.agreement.n == 60


def test_the_bundle_says_how_it_was_made(small_bundle: Bundle) -> None:
    manifest = small_bundle.manifest
    recipe = small_recipe(epochs=6, batch_size=8, patience=6)
    assert manifest.recipe == recipe.model_dump(mode="json")
    assert "# small" in (small_bundle.folder / "card.md").read_text()
    assert manifest.roles["roles"]["test"]["n"] == 60
    assert set(manifest.figures) == {"tune", "calibrate"}
    assert "auroc" in manifest.figures["tune"]["Pneumonia"]
    assert manifest.versions["torch"] == version("torch")
    assert any("is not the official PneumoniaMNIST" in warning for warning in manifest.warnings)
    lines = (small_bundle.folder / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["epoch"] == 1
    assert not list(small_bundle.folder.parent.glob("*.run"))


def test_the_operating_point_and_temperature_come_from_calibrate(
    small_bundle: Bundle, small_cohort: Cohort
) -> None:
    from hilum.calibration import fit_temperature, youden

    cohort = assign_roles(small_cohort)[0].with_role("calibrate")
    predictions = predict(small_bundle, cohort)
    logit_n, label_n = predictions.logit("Pneumonia"), cohort.label_nf[:, 0]
    temperature = fit_temperature(logit_n, label_n)
    assert small_bundle.calibrator("Pneumonia").temperature == pytest.approx(
        temperature.temperature, rel=1e-6
    )
    point = small_bundle.operating_points("Pneumonia")["youden"]
    assert point.threshold == pytest.approx(youden(temperature.prob(logit_n), label_n).threshold)
    assert (
        predictions.decision("Pneumonia") == (predictions.prob("Pneumonia") >= point.threshold)
    ).all()


def test_two_findings_give_a_bundle_with_two(small_cohort: Cohort, tmp_path: Path) -> None:
    from dataclasses import replace

    swapped = small_cohort.table["label_pneumonia"].to_numpy()[::-1].copy()
    swapped[:5] = np.nan
    cohort = replace(
        small_cohort.with_column("label_effusion", swapped), findings=("Pneumonia", "Effusion")
    )
    bundle = train(small_recipe(), cohort, tmp_path / "two")
    predictions = predict(bundle, cohort)
    assert predictions.findings == ("Pneumonia", "Effusion")
    assert set(bundle.thresholds()) == {"Pneumonia", "Effusion"}
    assert np.isnan(predictions.label("Effusion")[:5]).all()


def test_a_role_that_lacks_a_class_stops_the_run_before_training(
    small_cohort: Cohort, tmp_path: Path
) -> None:
    label_n = small_cohort.table["label_pneumonia"].to_numpy().copy()
    label_n[small_cohort.table["split"] == "test"] = 1.0
    cohort = small_cohort.with_column("label_pneumonia", label_n)
    with pytest.raises(DataError, match="role 'test' has no image without Pneumonia"):
        train(small_recipe(), cohort, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_bundle_is_never_replaced(small_cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="exists and is not a bundle"):
        train(small_recipe(), small_cohort, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_disk_that_fills_up_leaves_the_old_bundle_as_it_was(
    small_bundle: Bundle, small_npz: Path, tmp_path: Path
) -> None:
    """With a real limit on the size of files, which the kernel enforces as it does a full disk."""
    target = tmp_path / "small"
    shutil.copytree(small_bundle.folder, target)
    before = (target / MANIFEST).read_bytes()
    for limit, what in ((5_000_000, "checkpoint"), (60_000_000, None)):
        found = subprocess.run(
            [
                sys.executable, "-c", LIMITED, str(limit), "train", "pneumoniamnist",
                "--out", str(target), "--data", str(small_npz), "--set", "train.epochs=1",
                "--set", "train.batch_size=16", "--set", "input.size=32",
            ],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if what is None:
            assert found.returncode == 0, found.stderr
            continue
        last = found.stderr.strip().splitlines()[-1]
        assert found.returncode == 2, found.stderr
        assert last.startswith("hilum: ")
        assert "cannot be written" in last
        assert (target / MANIFEST).read_bytes() == before
        assert load_bundle(target).digest == small_bundle.digest
        assert sorted(p.name for p in tmp_path.iterdir()) == [".small.run", "small"]
    assert load_bundle(target).digest != small_bundle.digest
    assert sorted(p.name for p in tmp_path.iterdir()) == ["small"]


# SIGXFSZ ignored: a write beyond the limit fails with an error, as on a full disk.
LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
from hilum.cli import run
sys.exit(run(sys.argv[2:]))
"""


@pytest.mark.parametrize("file", ["weights.safetensors", "openvino/model.bin", "bundle.json"])
def test_a_bundle_that_cannot_be_written_whole_is_not_written_at_all(
    small_cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    target = tmp_path / "new"
    if file == "bundle.json":
        monkeypatch.setattr("hilum.bundle.os.fsync", _full)
    elif file == "weights.safetensors":
        real = checkpoint.save_file

        def save(tensors: object, path: Path, metadata: object = None) -> None:
            if path.name == file:
                raise SafetensorError("I/O error: No space left on device")
            real(tensors, path, metadata=metadata)

        monkeypatch.setattr(checkpoint, "save_file", save)
    else:
        monkeypatch.setattr("hilum.training.engine.openvino.save_model", _no_engine)
    with pytest.raises(OutputError, match="the bundle cannot be written"):
        train(small_recipe(), small_cohort, target)
    assert [p.name for p in tmp_path.iterdir()] == [".new.run"]


def _full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def _no_engine(*_: object, **__: object) -> None:
    raise RuntimeError("Can't open file")


def test_a_working_folder_with_somebodys_file_is_left_alone(
    small_cohort: Cohort, tmp_path: Path
) -> None:
    work = tmp_path / ".new.run"
    work.mkdir()
    (work / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match=r"holds thesis\.txt"):
        train(small_recipe(), small_cohort, tmp_path / "new")
    assert (work / "thesis.txt").read_text() == "years of work"
