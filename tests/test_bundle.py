from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.bundle import MANIFEST, SCHEMA, Bundle, find_bundle, load_bundle, seal_of
from hilum.calibration import Temperature, calibrator_from_dict
from hilum.data.cohort import Cohort
from hilum.errors import BundleError
from hilum.evaluation.results import SetLimits
from hilum.predict import predict


@pytest.fixture
def copy(small_bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_bundle.folder, tmp_path / "copy"))


def test_a_copy_of_a_bundle_is_the_same_bundle(small_bundle: Bundle, copy: Path) -> None:
    loaded = load_bundle(copy)
    assert loaded.digest == small_bundle.digest
    assert loaded.manifest == small_bundle.manifest


def test_every_file_of_a_bundle_can_be_read_by_others(small_bundle: Bundle) -> None:
    for each in small_bundle.folder.rglob("*"):
        if each.is_file():
            assert each.stat().st_mode & 0o044 == 0o044, each


def test_one_flipped_byte_in_any_file_is_found(copy: Path) -> None:
    names = [*load_bundle(copy).manifest.files, MANIFEST]
    assert {"weights.safetensors", "openvino/model.bin", "openvino/model.xml"} < set(names)
    for name in names:
        whole = (copy / name).read_bytes()
        for place in (0, len(whole) // 3, len(whole) - 2):
            torn = bytearray(whole)
            torn[place] ^= 1
            (copy / name).write_bytes(torn)
            with pytest.raises(BundleError, match=r"damaged|not a bundle|bundle of schema"):
                load_bundle(copy)
        (copy / name).write_bytes(whole)
    load_bundle(copy)


def test_a_missing_file_is_named(copy: Path) -> None:
    (copy / "openvino" / "model.bin").unlink()
    with pytest.raises(BundleError, match=r"openvino/model\.bin: missing"):
        load_bundle(copy)


def test_a_bundle_of_a_newer_schema_says_what_reads_it(copy: Path) -> None:
    values = json.loads((copy / MANIFEST).read_text())
    values["schema_version"] = SCHEMA + 1
    (copy / MANIFEST).write_text(json.dumps(values))
    with pytest.raises(BundleError, match=rf"schema {SCHEMA + 1}; expected {SCHEMA} .*upgrade"):
        load_bundle(copy)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": "x", "digest": ""}'])
def test_a_manifest_that_is_none_is_refused(copy: Path, text: str) -> None:
    (copy / MANIFEST).write_text(text)
    with pytest.raises(BundleError, match="damaged"):
        load_bundle(copy)


def test_the_folder_that_holds_one_bundle_means_that_bundle(copy: Path) -> None:
    assert find_bundle(copy.parent) == copy
    shutil.copytree(copy, copy.with_name("second"))
    with pytest.raises(BundleError, match="2 bundles: copy, second"):
        find_bundle(copy.parent)


def test_a_folder_without_a_bundle_says_how_to_get_one(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(BundleError, match=r"no bundle here.*make reproduce"):
            find_bundle(path)


def test_each_opening_of_test_is_added_to_the_ledger(copy: Path) -> None:
    bundle = load_bundle(copy)
    assert bundle.openings() == []
    for n in (624, 625):
        assert bundle.record_opening("test", "pneumoniamnist", n, {"Pneumonia": 0.9})
    assert [opening["n"] for opening in bundle.openings()] == [624, 625]
    assert load_bundle(copy).digest == bundle.digest


def test_the_deployed_point_is_the_one_the_recipe_asked_for(small_bundle: Bundle) -> None:
    points = small_bundle.operating_points("Pneumonia")
    assert small_bundle.thresholds()["Pneumonia"] == {
        "deployed": points["youden"].threshold,
        "sensitivity_95": points["sensitivity_95"].threshold,
        "specificity_95": points["specificity_95"].threshold,
    }


def test_a_deployment_is_all_that_an_evaluation_needs(small_bundle: Bundle) -> None:
    deployment = small_bundle.deployments()["Pneumonia"]
    assert deployment.thresholds == small_bundle.thresholds()["Pneumonia"]
    assert deployment.rules == {
        "deployed": "youden: greatest sensitivity + specificity - 1",
        "sensitivity_95": "sensitivity >= 0.95",
        "specificity_95": "specificity >= 0.95",
    }
    limits = small_bundle.conformal_limits("Pneumonia")
    assert limits is not None
    assert deployment.set_limits == SetLimits(0.9, limits.present_from, limits.absent_to)


def write_schema_1(folder: Path) -> Path:
    """A bundle as version 0.1.0 wrote it, its manifest to the byte."""
    (folder / "openvino").mkdir(parents=True)
    text = Path(__file__).with_name("schema_1_bundle.json").read_text(encoding="utf-8")
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    (folder / "weights.safetensors").write_bytes(b"weights")
    (folder / "openvino" / "model.xml").write_bytes(b"network")
    (folder / "openvino" / "model.bin").write_bytes(b"its weights")
    return folder


def test_a_bundle_of_schema_1_still_loads(tmp_path: Path) -> None:
    bundle = load_bundle(write_schema_1(tmp_path / "old"))
    assert bundle.manifest.schema_version == 1
    assert bundle.calibrator("Pneumonia") == Temperature(0.6936036507306349)
    assert bundle.chosen_calibrator("Pneumonia").table_in_words() == "not cross-validated"
    assert bundle.thresholds() == {"Pneumonia": {"deployed": 0.25923799887395793}}
    deployment = bundle.deployments()["Pneumonia"]
    assert deployment.rules == {"deployed": "sensitivity: sensitivity >= 0.9"}
    assert deployment.set_limits is None
    assert bundle.conformal_limits("Pneumonia") is None


def test_one_changed_digit_in_a_manifest_of_schema_1_is_found(tmp_path: Path) -> None:
    manifest = write_schema_1(tmp_path / "old") / MANIFEST
    manifest.write_text(manifest.read_text().replace("0.25923799887395793", "0.15923799887395793"))
    with pytest.raises(BundleError, match="its digest does not match"):
        load_bundle(tmp_path / "old")


FITTED: list[tuple[str, Callable[[dict[str, Any]], dict[str, Any]], str]] = [
    ("calibrators", lambda c: {**c, "kind": "vector"}, "kind 'vector'"),
    ("calibrators", lambda c: {**c, "kind": "platt", "slope": -1.0, "intercept": 0.0}, "slope -1"),
    (
        "calibrators",
        lambda c: {**c, "kind": "isotonic", "thresholds": [1.0, 0.0], "values": [0.1, 0.2]},
        "thresholds out of order",
    ),
    ("calibrators", lambda c: {**c, "kind": "beta", "a": 1.0, "b": 1.0}, "c None"),
    ("calibrators", lambda c: {**c, "log_loss": {"none": None}}, "log_loss"),
    ("conformal", lambda c: {**c, "present_from": 1.5}, "present_from 1.5"),
    ("conformal", lambda c: {**c, "absent_to": None}, "absent_to None"),
    ("conformal", lambda c: {**c, "coverage": 0}, "coverage: 0"),
    ("conformal", lambda c: {}, "coverage None"),
]


@pytest.mark.parametrize(("part", "change", "line"), FITTED)
def test_a_fitted_number_that_makes_no_sense_is_refused(
    copy: Path, part: str, change: Callable[[dict[str, Any]], dict[str, Any]], line: str
) -> None:
    plain = json.loads((copy / MANIFEST).read_text())[part]["Pneumonia"]
    reseal(copy, **{part: {"Pneumonia": change(plain)}})
    with pytest.raises(BundleError, match=f"not a bundle of schema {SCHEMA} .*{line}"):
        load_bundle(copy)


def test_points_and_limits_that_do_not_fit_together_are_refused(copy: Path) -> None:
    values = json.loads((copy / MANIFEST).read_text())
    youden, sensitivity_95, specificity_95 = values["operating_points"]["Pneumonia"]
    for points, line in (
        ([sensitivity_95, specificity_95], "no operating point 'youden'"),
        ([youden, youden], "two operating points 'youden'"),
        ([youden, {**specificity_95, "name": "deployed"}], "reserved name 'deployed'"),
        ([youden, {**specificity_95, "name": "0.5"}], r"reserved name '0\.5'"),
        ([youden, {**specificity_95, "threshold": 1.2}], r"a threshold outside \[0, 1\]"),
        ([youden, {**specificity_95, "threshold": "0.2"}], "threshold '0.2'"),
    ):
        reseal(copy, operating_points={"Pneumonia": points})
        with pytest.raises(BundleError, match=line):
            load_bundle(copy)
    reseal(copy, operating_points=values["operating_points"])
    load_bundle(copy)
    reseal(copy, conformal={"Oedema": values["conformal"]["Pneumonia"]})
    with pytest.raises(BundleError, match="unknown finding 'Oedema'"):
        load_bundle(copy)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "platt", "slope": 0.7, "intercept": -0.4},
        {"kind": "beta", "a": 0.7, "b": 1.1, "c": 0.2},
        {"kind": "isotonic", "thresholds": [-1.0, 0.0, 1.0], "values": [0.1, 0.1, 0.8]},
    ],
)
def test_predictions_come_from_whatever_calibrator_the_bundle_holds(
    copy: Path, small_cohort: Cohort, fields: dict[str, Any]
) -> None:
    reseal(copy, calibrators={"Pneumonia": fields})
    predictions = predict(load_bundle(copy), small_cohort)
    expected_n = calibrator_from_dict(fields).prob(predictions.logit("Pneumonia"))
    assert (predictions.prob("Pneumonia") == expected_n).all()


def reseal(folder: Path, **changes: object) -> None:
    """Write a manifest with changes under a seal that fits, as a forger would."""
    values = json.loads((folder / MANIFEST).read_text()) | changes
    del values["digest"]
    values["digest"] = seal_of(values)
    (folder / MANIFEST).write_text(json.dumps(values))


def test_what_is_run_must_be_among_what_is_digested(copy: Path) -> None:
    manifest = load_bundle(copy).manifest
    files = {k: v for k, v in manifest.files.items() if not k.startswith("openvino")}
    reseal(copy, files=files)
    with pytest.raises(BundleError, match=r"openvino/model\.xml has no digest"):
        load_bundle(copy)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "openvino/../../secret"])
def test_a_manifest_that_names_files_outside_the_folder_is_refused(copy: Path, name: str) -> None:
    reseal(copy, files={**load_bundle(copy).manifest.files, name: "0" * 64})
    with pytest.raises(BundleError, match="lies outside the bundle"):
        load_bundle(copy)


def test_a_bundle_replaced_after_it_was_loaded_still_runs_what_was_verified(
    copy: Path, small_cohort: Cohort
) -> None:
    loaded = load_bundle(copy)
    before = predict(loaded, small_cohort).logit("Pneumonia")
    (copy / "openvino" / "model.bin").write_bytes(b"")
    assert (predict(loaded, small_cohort).logit("Pneumonia") == before).all()


def test_what_a_point_was_set_to_reach_goes_with_it(small_bundle: Bundle) -> None:
    (deployment,) = small_bundle.deployments().values()
    assert deployment.targets == {
        "sensitivity_95": ("sensitivity", 0.95),
        "specificity_95": ("specificity", 0.95),
    }


def test_every_file_of_a_bundle_stands_in_the_docs(small_bundle: Bundle) -> None:
    page = Path(__file__).parent.parent / "docs" / "bundle-format.md"
    files = page.read_text(encoding="utf-8").split("\n## Files\n")[1].split("\n## ")[0]
    named = set(re.findall(r"`([\w./]+)`", files))
    found = {f.relative_to(small_bundle.folder) for f in small_bundle.folder.rglob("*")}
    assert {f.as_posix() for f in found if (small_bundle.folder / f).is_file()} <= named
