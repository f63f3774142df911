from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hilum.bundle import MANIFEST, SCHEMA, Bundle, _seal, find_bundle, load_bundle
from hilum.data.cohort import Cohort
from hilum.errors import BundleError
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
    assert small_bundle.thresholds()["Pneumonia"]["deployed"] == points["youden"].threshold


def reseal(folder: Path, **changes: object) -> None:
    """Write a manifest with changes under a seal that fits, as a forger would."""
    values = json.loads((folder / MANIFEST).read_text()) | changes
    del values["digest"]
    values["digest"] = _seal(values)
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
