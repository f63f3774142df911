"""Data sets and bundles that are at hand, told without a name of anybody's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

import hilum.shipped
from hilum.doctor.places import data_at_hand, environment, kinds, shipped


def test_folders_are_told_by_kind_and_count_alone() -> None:
    found = kinds(["pneumoniamnist@224", "nih:st_elsewhere", "folder:a/x.csv", "folder:b.csv"])
    assert found == {"pneumoniamnist@224": 1, "nih": 1, "folder": 2}


def test_pneumoniamnist_is_found_in_either_place(tmp_path: Path) -> None:
    home, named = tmp_path / "home", tmp_path / "named"
    (home / ".medmnist").mkdir(parents=True)
    named.mkdir()
    (told,) = data_at_hand(str(named), home).problems
    assert told.where == "PneumoniaMNIST"
    assert "hilum data fetch pneumoniamnist" in told.remedy
    for folder in (home / ".medmnist", named):
        archive = folder / "pneumoniamnist.npz"
        archive.touch()
        assert not data_at_hand(str(named), home).problems
        archive.unlink()


def test_a_folder_of_data_that_is_not_there_is_told_without_its_name(tmp_path: Path) -> None:
    found = data_at_hand(str(tmp_path / "st_elsewhere"), tmp_path)
    assert found.found == {"HILUM_DATA": None, "~/.medmnist": None}
    assert "HILUM_DATA: names no folder" in found.problems[0].line
    assert not any("elsewhere" in each.line or each.broken for each in found.problems)


def test_a_bundle_that_is_not_as_it_was_shipped_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hilum.shipped, "FOLDER", tmp_path)
    assert shipped() == ({}, [])
    (tmp_path / "pneumoniamnist").mkdir()
    (tmp_path / "pneumoniamnist/bundle.json").write_text("{}")
    found, (told,) = shipped()
    assert found == {}
    assert told.broken
    assert told.line.startswith("bundle pneumoniamnist: not as it was shipped (")
    assert str(tmp_path) not in told.line


def test_the_bundles_that_came_with_hilum_are_whole() -> None:
    found, told = shipped()
    assert set(found) == {"kermany-224", "pneumoniamnist"}
    assert told == []


def test_a_user_without_a_home_has_no_cache_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert environment()[1] is None
    assert data_at_hand(None, None).found == {"HILUM_DATA": None, "~/.medmnist": None}
