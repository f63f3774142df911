"""The public data sets' own tables, from torchxrayvision's wheel, in their published layouts.

Films are empty files; those with boxes in ChestX-ray14 are real pictures of 1,024 pixels, black.
"""

from __future__ import annotations

import gzip
import importlib.util
import os
import shutil
import zipfile
from pathlib import Path

import pandas as pd
from PIL import Image

NIH_TABLE = "Data_Entry_2017_v2020.csv"
RSNA_TABLE = "stage_2_train_labels.csv"


def wheel_tables() -> Path | None:
    """The folder of tables, None without the wheel. The package itself would import torch."""
    spec = importlib.util.find_spec("torchxrayvision")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "data"


def write_nih(tables: Path, folder: Path) -> Path:
    """112,120 films in images_001 to images_012, as they are downloaded."""
    folder.mkdir(parents=True)
    _unpack(tables / f"{NIH_TABLE}.gz", folder / NIH_TABLE)
    _unpack(tables / "BBox_List_2017.csv.gz", folder / "BBox_List_2017.csv")
    names = pd.read_csv(folder / NIH_TABLE)["Image Index"].tolist()
    boxed = set(pd.read_csv(folder / "BBox_List_2017.csv")["Image Index"])
    black = folder / "black.png"
    Image.new("L", (1024, 1024)).save(black)
    for part in range(12):
        films = folder / f"images_{part + 1:03d}" / "images"
        films.mkdir(parents=True)
        for name in names[part::12]:
            if name in boxed:
                (films / name).hardlink_to(black)
            else:
                _touch(films / name)
    return folder


def write_rsna(tables: Path, folder: Path) -> Path:
    """26,684 films, their boxes, and the table of headers; classes are not in the wheel."""
    films = folder / "stage_2_train_images"
    films.mkdir(parents=True)
    with zipfile.ZipFile(tables / f"kaggle_{RSNA_TABLE}.zip") as archive:
        archive.extract(RSNA_TABLE, folder)
    headers = "stage_2_train_images_dicom_headers.csv"
    _unpack(tables / f"kaggle_{headers}.gz", folder / headers)
    for name in pd.read_csv(folder / RSNA_TABLE)["patientId"].unique():
        _touch(films / f"{name}.dcm")
    return folder


def write_chexpert(tables: Path, folder: Path) -> Path:
    """223,414 films in 64,540 patients' folders, all of them links to one that holds any film."""
    train = folder / "train"
    train.mkdir(parents=True)
    _unpack(tables / "chexpert_train.csv.gz", folder / "train.csv")
    parts = pd.read_csv(folder / "train.csv")["Path"].str.split("/", expand=True)
    study = folder / "any_study"
    study.mkdir()
    for name in parts[4].unique():
        _touch(study / name)
    patient = folder / "any_patient"
    patient.mkdir()
    for name in parts[3].unique():
        (patient / name).symlink_to(study)
    for name in parts[2].unique():
        (train / name).symlink_to(patient)
    return folder


def _unpack(packed: Path, path: Path) -> None:
    with gzip.open(packed) as source, path.open("wb") as target:
        shutil.copyfileobj(source, target)


def _touch(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
