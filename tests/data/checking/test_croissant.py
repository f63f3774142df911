"""The Croissant description, read back by mlcroissant itself."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.checking.made_site import NAME, RECORD, noise
from hilum.data.checking import croissant
from hilum.data.checking.checking import Looked
from hilum.data.checking.croissant import need_croissant, write_croissant
from hilum.data.checking.naming import Naming
from hilum.errors import MissingExtraError

mlc = pytest.importorskip("mlcroissant")
# rdflib, below mlcroissant, warns of its own old names.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
PUBLIC = Naming("published", None)


def records(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What a catalogue reads, with no network."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("asked for something on the network")

    monkeypatch.setattr("requests.get", refuse)
    dataset = mlc.Dataset(jsonld=folder / "croissant.json")
    assert not dataset.metadata.ctx.issues.errors
    return [
        {
            key.removeprefix("images/"): each.decode() if isinstance(each, bytes) else each
            for key, each in record.items()
        }
        for record in dataset.records("images")
    ]


def test_a_catalogue_reads_the_very_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = noise(40, 16)
    assert write_croissant(tmp_path, cohort, PUBLIC) == ["croissant.json", "images.csv"]
    rows = records(tmp_path, monkeypatch)
    assert [row["image_id"] for row in rows] == cohort.table["image_id"].tolist()
    assert [row["patient_id"] for row in rows] == cohort.table["patient_id"].tolist()
    assert [row["split"] for row in rows] == cohort.table["split"].tolist()
    assert np.array_equal([row["label_pneumonia"] for row in rows], cohort.label_nf[:, 0])
    assert np.allclose([row["age"] for row in rows], cohort.table["age"])
    plain = json.loads((tmp_path / "croissant.json").read_text())
    (table,) = plain["distribution"]
    assert table["sha256"] == hashlib.sha256((tmp_path / "images.csv").read_bytes()).hexdigest()
    assert plain["license"] == "Apache-2.0"
    assert "Synthetic" in plain["description"]
    assert "not a medical device" in plain["description"]


def test_a_hospital_is_described_without_a_name_or_a_file(
    site: Looked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_croissant(tmp_path, site.cohort, Naming("pseudonyms", "salt"))
    rows = records(tmp_path, monkeypatch)
    assert len(rows) == 29
    assert all("file" not in row for row in rows)
    assert max(row["age"] for row in rows) == 90
    text = (tmp_path / "croissant.json").read_text() + (tmp_path / "images.csv").read_text()
    assert NAME not in text
    assert RECORD not in text
    sets = {
        each["@id"]: each["includes"]
        for each in json.loads((tmp_path / "croissant.json").read_text())["distribution"]
        if each["@type"] == "cr:FileSet"
    }
    assert sets == {
        "films-dicom": "**/*.dcm", "films-jpeg": "**/*.jpg", "films-png": "**/*.png",
    }  # fmt: skip


def test_ids_as_they_are_come_with_the_files(
    site: Looked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_croissant(tmp_path, site.cohort, Naming("as in the source", None))
    rows = records(tmp_path, monkeypatch)
    assert rows[0]["file"] == rows[0]["image_id"] == f"films/{NAME}-00.png"
    assert max(row["age"] for row in rows) == 95


def test_nih_is_cited(data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hilum.data.sources import open_source

    cohort = open_source(f"nih:{data_folder / 'nih_sample'}")
    write_croissant(tmp_path, cohort, PUBLIC)
    rows = records(tmp_path, monkeypatch)
    assert len(rows) == 1000
    assert sum(row["label_cardiomegaly"] for row in rows) == 83
    plain = json.loads((tmp_path / "croissant.json").read_text())
    assert "CVPR 2017" in plain["citeAs"]
    assert plain["url"].startswith("https://nihcc.")


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(croissant, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"hilum\[croissant\]"):
        need_croissant()
