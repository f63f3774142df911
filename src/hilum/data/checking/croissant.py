"""A data set described in Croissant, the format that machine learning's catalogues read.

Beside croissant.json stands images.csv, the table as Hilum reads it, which the description
names with its digest: one row per image, ids as elsewhere in a check.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from hilum.columns import column
from hilum.data.checking.counts import OLDEST_TOLD
from hilum.data.checking.naming import Naming
from hilum.data.checking.origins import origin_of
from hilum.data.cohort import Cohort
from hilum.data.pixels import FilePixels
from hilum.errors import MissingExtraError
from hilum.writing import replacing

if TYPE_CHECKING:
    import mlcroissant as mlc

CROISSANT, IMAGES = "croissant.json", "images.csv"
_MEDIA = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".dcm": "application/dicom",
    ".dicom": "application/dicom",
}
_TOLD = {
    "image_id": "The image's id.",
    "patient_id": "The patient's id: films of one patient belong into one split.",
    "site": "Where the film was made.",
    "view": "The view: PA, AP or LATERAL where it is known.",
    "age": "The patient's age in years.",
    "sex": "The patient's sex, F or M.",
    "split": "The split as published: train, val or test.",
    "file": "The film's file, below the folder of the data set.",
}


def need_croissant() -> None:
    """Raise MissingExtraError where mlcroissant is not installed."""
    if find_spec("mlcroissant") is None:
        raise MissingExtraError("--croissant", "croissant", "check.json")


def write_croissant(out: Path, cohort: Cohort, naming: Naming) -> list[str]:
    """Write croissant.json and images.csv to `out`; their names. Raises OutputError.

    Where ids are pseudonyms no file is named, and ages above 89 are given as 90.
    """
    table = image_table(cohort, naming)
    data = table.to_csv(index=False).encode()
    plain = metadata(cohort, table, hashlib.sha256(data).hexdigest(), len(data)).to_json()
    with replacing(out / IMAGES) as draft:
        draft.write_bytes(data)
    with replacing(out / CROISSANT) as draft:
        draft.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")
    return [CROISSANT, IMAGES]


def image_table(cohort: Cohort, naming: Naming) -> pd.DataFrame:
    """One row per image; columns of which nothing is known are left out."""
    table = cohort.table
    columns = {
        "image_id": [naming(each) for each in table["image_id"]],
        "patient_id": [None if pd.isna(each) else naming(each) for each in table["patient_id"]],
        **{name: table[name] for name in ("site", "view", "age", "sex", "split")},
        **{column("label", f): table[column("label", f)] for f in cohort.findings},
    }
    plain = pd.DataFrame(columns, index=table.index)
    if naming.salt is not None:
        plain["age"] = plain["age"].clip(upper=OLDEST_TOLD)
    elif isinstance(cohort.pixels, FilePixels):
        plain["file"] = [str(cohort.pixels.name_n[int(index)]) for index in table.index]
    return plain.dropna(axis="columns", how="all")


def metadata(cohort: Cohort, table: pd.DataFrame, sha256: str, size: int) -> mlc.Metadata:
    """The description. table: what images.csv holds; sha256, size: of that file"""
    import mlcroissant as mlc

    origin = origin_of(cohort.name)
    return mlc.Metadata(
        name=cohort.name,
        description="\n".join(_description(cohort)),
        url=origin.url if origin else None,
        cite_as=origin.citation if origin else None,
        license=[cohort.licence] if cohort.licence else None,
        distribution=[
            mlc.FileObject(
                id="images-table",
                name=IMAGES,
                description="One row per image, as Hilum reads the data set.",
                content_url=IMAGES,
                content_size=f"{size} B",
                encoding_formats=["text/csv"],
                sha256=sha256,
            ),
            *_film_files(cohort),
        ],
        record_sets=[
            mlc.RecordSet(
                id="images",
                name="images",
                description="One record per image.",
                key="images/image_id",
                fields=[_field(cohort, name, table[name]) for name in table.columns],
            )
        ],
    )


def _description(cohort: Cohort) -> Iterator[str]:
    origin = origin_of(cohort.name)
    yield f"{origin.title if origin else cohort.name}: {len(cohort):,} chest radiographs."
    if cohort.synthetic:
        yield "Synthetic: no patient stands behind the images."
    for finding, meaning in cohort.meanings.items():
        yield f"{finding}, present: {meaning}."
    yield from cohort.warnings
    yield "Described by Hilum. Research use only: not a medical device."


def _film_files(cohort: Cohort) -> Iterator[mlc.FileSet]:
    """The films by suffix: their names may tell whose they are."""
    import mlcroissant as mlc

    if not isinstance(cohort.pixels, FilePixels):
        return
    names = (str(cohort.pixels.name_n[int(index)]) for index in cohort.table.index)
    suffixes = sorted({Path(name).suffix for name in names})
    for media in sorted({_MEDIA[s.lower()] for s in suffixes if s.lower() in _MEDIA}):
        yield mlc.FileSet(
            id=f"films-{media.rpartition('/')[2]}",
            name=f"films-{media.rpartition('/')[2]}",
            description="Films, below the folder of the data set.",
            encoding_formats=[media],
            includes=[f"**/*{s}" for s in suffixes if _MEDIA.get(s.lower()) == media],
        )


def _field(cohort: Cohort, name: str, value_n: pd.Series[Any]) -> mlc.Field:
    import mlcroissant as mlc

    numeric = pd.api.types.is_numeric_dtype(value_n)
    findings = {column("label", finding): finding for finding in cohort.findings}
    told = _TOLD.get(name)
    if told is None:
        finding = findings[name]
        told = f"{finding}: 1 present, 0 absent, empty unknown."
        if meaning := cohort.meanings.get(finding):
            told += f" Present means: {meaning}."
    return mlc.Field(
        id=f"images/{name}",
        name=name,
        description=told,
        data_types=mlc.DataType.FLOAT if numeric else mlc.DataType.TEXT,
        source=mlc.Source(file_object="images-table", extract=mlc.Extract(column=name)),
    )
