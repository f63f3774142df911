"""A whole run, from recipe to bundle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file
from scipy.special import expit

from hilum.bundle import MANIFEST, WEIGHTS, Bundle, load_bundle
from hilum.data.cohort import Cohort
from hilum.data.preprocessing import preprocess
from hilum.data.roles import assign_roles
from hilum.errors import DataError, OutputError
from hilum.predict import predict
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
    assert manifest.recipe == small_recipe().model_dump(mode="json")
    assert manifest.roles["roles"]["test"]["n"] == 60
    assert set(manifest.figures) == {"tune", "calibrate"}
    assert "auroc" in manifest.figures["tune"]["Pneumonia"]
    assert (
        manifest.versions["torch"] == torch.__version__.split("+")[0] or manifest.versions["torch"]
    )
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
    small_bundle: Bundle,
    small_cohort: Cohort,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import errno
    import shutil

    target = tmp_path / "small"
    shutil.copytree(small_bundle.folder, target)
    before = (target / MANIFEST).read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("hilum.training.run.save_file", full)
    with pytest.raises(OutputError, match="No space left on device"):
        train(small_recipe(), small_cohort, target)
    assert (target / MANIFEST).read_bytes() == before
    assert load_bundle(target).digest == small_bundle.digest
    assert sorted(each.name for each in tmp_path.iterdir()) == ["small", "small.run"]
