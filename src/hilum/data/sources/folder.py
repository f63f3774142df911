"""A hospital's own folder → Cohort: a table of films, a folder per class, or DICOM files alone.

A table is read by `film_table`; which files are films is told by `listing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from hilum.columns import column
from hilum.data.cohort import Cohort
from hilum.data.download import Progress
from hilum.data.findings import spelling
from hilum.data.pixels import FilePixels
from hilum.data.sources import tables
from hilum.data.sources.class_folders import class_labels, has_classes, places_of
from hilum.data.sources.film_table import NO_PATIENTS, table_cohort
from hilum.data.sources.header_facts import read_facts
from hilum.data.sources.headers import DEFAULT_FINDING
from hilum.data.sources.listing import is_dicom, list_films
from hilum.data.sources.patients import with_patients
from hilum.data.sources.selection import exclude
from hilum.errors import DataError
from hilum.recipe import DataPart, ReadingPart


def folder_cohort(
    path: Path,
    options: DataPart,
    reading: ReadingPart,
    *,
    progress: Progress = lambda done, total: None,
) -> Cohort:
    """The films of a table, or those below a folder.

    Lateral films are excluded, where the view is known, unless `options.views` is set.
    progress: called with the DICOM headers read and those in all
    Raises DataError when the layout says nothing of labels, or a table is not what it should be.
    """
    if not path.is_dir():
        cohort = table_cohort(path, options, reading)
    elif options.columns:
        raise DataError(
            f"data.columns.{next(iter(options.columns))}",
            f"{path} is a folder, which has no columns",
            remedy=_name_a_table(path),
        )
    else:
        cohort = _directory_cohort(path, options, reading, progress)
    cohort = replace(cohort, licence=options.licence)
    if options.patients is not None:
        cohort = with_patients(cohort, options.patients)
    return cohort if options.views else _frontal(cohort)


def _frontal(cohort: Cohort) -> Cohort:
    lateral_n = cohort.table["view"] == "LATERAL"
    if lateral_n.all():
        raise DataError(
            cohort.name, "only lateral films", remedy='set data.views = ["LATERAL"] to use them'
        )
    return exclude(cohort, lateral_n.map({True: "view LATERAL", False: None}))


def _directory_cohort(
    folder: Path, options: DataPart, reading: ReadingPart, progress: Progress
) -> Cohort:
    listing = list_films(folder)
    if not listing.films:
        raise DataError(folder, "no film in it", expected="PNG, JPEG, TIFF or DICOM files")
    places = dict(zip(listing.films, places_of(listing.films), strict=True))
    dicom = [name for name in listing.films if is_dicom(folder, name)]
    classes = has_classes([*places.values()])
    if not classes and len(dicom) < len(places):
        raise DataError(
            folder,
            "no folder of a class without finding, such as NORMAL",
            expected="a folder per class, DICOM files alone, or a table",
            remedy=_name_a_table(folder, listing.films),
        )
    facts = read_facts(folder, dicom, progress)
    excluded = dict(listing.excluded) | facts.broken
    if classes:
        loose = (name for name, place in places.items() if place.class_name is None)
        excluded |= dict.fromkeys(loose, "in no class folder")
    kept = [name for name in places if name not in excluded]
    if not kept:
        raise DataError(folder, f"none of its {len(places):,} films can be read")
    if classes:
        labels, meanings = class_labels(
            [places[name].class_name or "" for name in kept], options.findings
        )
        told: tuple[str, ...] = ()
    else:
        labels = {
            spelling(name) or name: np.full(len(kept), np.nan)
            for name in options.findings or (DEFAULT_FINDING,)
        }
        meanings = {}
        told = ("labels are unknown: there is neither a table nor a folder per class",)
    columns = facts.columns(kept)
    if columns["patient_id"].isna().all():
        told += (NO_PATIENTS,)
    image_id_n = pd.Series(kept, dtype="str")
    return Cohort(
        name=f"folder:{folder.resolve().name}",
        findings=tuple(labels),
        table=pd.DataFrame(
            {
                "image_id": image_id_n,
                "site": None,
                **columns,
                "split": pd.Series([places[name].split for name in kept], dtype="str"),
                "role": None,
                **{column("label", finding): label_n for finding, label_n in labels.items()},
            }
        ),
        pixels=FilePixels(folder, image_id_n.array, reading),
        warnings=(*told, *facts.warnings),
        excluded=pd.DataFrame([*excluded.items()], columns=["image_id", "reason"]),
        meanings=meanings,
    )


def _name_a_table(folder: Path, name_n: Sequence[str] = ()) -> str:
    """What to name instead of the folder: a table in it, or the one folder that holds classes."""
    found = sorted(each for each in folder.iterdir() if each.suffix.lower() in tables.SUFFIXES)
    if found:
        return f"name the table instead: folder:{found[0]}"
    tops = {name.partition("/")[0] for name in name_n}
    if len(tops) == 1 and has_classes(places_of([name.partition("/")[2] for name in name_n])):
        return f"name the folder of the classes: folder:{folder / tops.pop()}"
    return "write a table with the columns path and label, and name it: folder:labels.csv"
