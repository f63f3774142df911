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
from hilum.cli import run
from hilum.data.cohort import Cohort
from hilum.data.preprocessing import preprocess
from hilum.data.roles import assign_roles
from hilum.errors import DataError, EvaluationError, OutputError
from hilum.predict import predict
from hilum.recipe import Recipe, make_recipe
from hilum.training import checkpoint
from hilum.training.run import train
from made import small_recipe, tiny_recipe


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
    assert "card.md" not in manifest.files  # it is written again when test has been opened
    assert small_bundle.card() == (small_bundle.folder / "card.md").read_bytes()
    assert manifest.roles["roles"]["test"]["n"] == 60
    assert set(manifest.figures) == {"tune", "calibrate"}
    assert "auroc" in manifest.figures["tune"]["Pneumonia"]
    assert manifest.versions["torch"] == version("torch")
    assert any("is not the official PneumoniaMNIST" in warning for warning in manifest.warnings)
    lines = (small_bundle.folder / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["epoch"] == 1
    assert not list(small_bundle.folder.parent.glob("*.run"))


def test_calibrator_points_and_limits_come_from_calibrate(
    small_bundle: Bundle, small_cohort: Cohort
) -> None:
    from hilum.calibration import conformal_limits, fit_calibrator, target_sensitivity, youden

    cohort = assign_roles(small_cohort)[0].with_role("calibrate")
    predictions = predict(small_bundle, cohort)
    logit_n, label_n = predictions.logit("Pneumonia"), cohort.label_nf[:, 0]
    chosen = fit_calibrator(logit_n, label_n, rng=np.random.default_rng(0))
    stored = small_bundle.chosen_calibrator("Pneumonia")
    assert stored.calibrator.kind == chosen.calibrator.kind
    assert stored.log_loss == pytest.approx(chosen.log_loss, rel=1e-4)
    prob_n = chosen.calibrator.prob(logit_n)
    np.testing.assert_allclose(stored.calibrator.prob(logit_n), prob_n, atol=1e-5)
    points = small_bundle.operating_points("Pneumonia")
    assert points["youden"].threshold == pytest.approx(youden(prob_n, label_n).threshold)
    assert points["sensitivity_95"].threshold == pytest.approx(
        target_sensitivity(prob_n, label_n, 0.95).threshold
    )
    limits, again = (
        small_bundle.conformal_limits("Pneumonia"),
        conformal_limits(prob_n, label_n, 0.9),
    )
    assert limits is not None
    assert (limits.present_from, limits.absent_to) == pytest.approx(
        (again.present_from, again.absent_to), abs=1e-5
    )
    assert (
        predictions.decision("Pneumonia")
        == (predictions.prob("Pneumonia") >= points["youden"].threshold)
    ).all()


def test_the_card_tells_what_was_fixed_on_calibrate(small_bundle: Bundle) -> None:
    card = (small_bundle.folder / "card.md").read_text()
    chosen = small_bundle.chosen_calibrator("Pneumonia")
    assert f"Calibrator: {chosen.calibrator.in_words()}, {chosen.reason}." in card
    for kind, loss in chosen.log_loss.items():
        assert f"| {kind} | {loss:.4f} |" in card
    for name, point in small_bundle.operating_points("Pneumonia").items():
        deployed = " (deployed)" if name == "youden" else ""
        assert f"| {name}{deployed} | {point.threshold:.4g} | {point.rule} |" in card
    limits = small_bundle.conformal_limits("Pneumonia")
    assert limits is not None
    assert f"Prediction sets: {limits.in_words()}." in card


def calibrated(**changes: object) -> Recipe:
    recipe = tiny_recipe().model_dump()
    return make_recipe({**recipe, "calibration": {**recipe["calibration"], **changes}})


def test_patients_are_known_to_what_is_fitted_and_an_unreachable_point_is_a_warning(
    small_cohort: Cohort, tmp_path: Path
) -> None:
    split = small_cohort.table["split"].astype(str)
    patient = split + "-" + (np.arange(len(small_cohort)) // 4).astype(str)
    points = {
        "youden": {"rule": "youden"},
        "strict": {"rule": "sensitivity", "target": 0.999, "bound": "lower"},
    }
    bundle = train(
        calibrated(calibrator="platt", operating_points=points, coverage=0.8),
        small_cohort.with_column("patient_id", patient.to_numpy()),
        tmp_path / "by_patient",
    )
    assert bundle.calibrator("Pneumonia").kind == "platt"
    assert list(bundle.operating_points("Pneumonia")) == ["youden"]
    assert "patients" in bundle.operating_points("Pneumonia")["youden"].sensitivity.method
    assert any("no operating point strict" in warning for warning in bundle.manifest.warnings)
    assert "no operating point strict" in (bundle.folder / "card.md").read_text()
    assert bundle.deployments()["Pneumonia"].set_limits.coverage == 0.8


def test_a_deployed_point_out_of_reach_stops_the_run_and_names_its_key(
    small_cohort: Cohort, tmp_path: Path
) -> None:
    points = {"strict": {"rule": "sensitivity", "target": 0.999, "bound": "lower"}}
    with pytest.raises(EvaluationError, match=r"calibration\.operating_points\.strict for Pneum"):
        train(
            calibrated(deployed="strict", operating_points=points), small_cohort, tmp_path / "new"
        )
    assert [p.name for p in tmp_path.iterdir()] == [".new.run"]


def test_two_findings_give_a_bundle_with_two(small_cohort: Cohort, tmp_path: Path) -> None:
    from dataclasses import replace

    swapped = small_cohort.table["label_pneumonia"].to_numpy()[::-1].copy()
    swapped[:5] = np.nan
    cohort = replace(
        small_cohort.with_column("label_effusion", swapped), findings=("Pneumonia", "Effusion")
    )
    bundle = train(tiny_recipe(), cohort, tmp_path / "two")
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
    words = [
        "train", "pneumoniamnist", "--out", str(target), "--data", str(small_npz),
        "--set", "train.epochs=1", "--set", "train.batch_size=16", "--set", "input.size=32",
        "--set", "abstention.examples=100",
    ]  # fmt: skip
    found = subprocess.run(
        [sys.executable, "-c", LIMITED, "5000000", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    last = found.stderr.strip().splitlines()[-1]
    assert found.returncode == 2, found.stderr
    assert last.startswith("hilum: ")
    assert "cannot be written" in last
    assert (target / MANIFEST).read_bytes() == before
    assert load_bundle(target).digest == small_bundle.digest
    assert sorted(p.name for p in tmp_path.iterdir()) == [".small.run", "small"]
    # The same command with room to write.
    assert run(words) == 0
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
        train(tiny_recipe(), small_cohort, target)
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
