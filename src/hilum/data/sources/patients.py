"""Whose film each one is, from a table beside the data, where the source does not tell."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from hilum.data.cohort import Cohort
from hilum.data.pixels import FilePixels
from hilum.data.sources.film_table import NO_PATIENTS
from hilum.data.sources.places import find_path
from hilum.data.sources.tables import read_table
from hilum.errors import DataError

KEY = "data.patients"


def patient_table(named: str, needed: tuple[str, ...]) -> tuple[Path, pd.DataFrame]:
    """The table that `data.patients` names, as text. Raises DataError when a column is missing."""
    path = find_path(named)
    table = read_table(path)
    for header in needed:
        if header not in table.columns:
            raise DataError(
                path,
                f"no column {header!r} (columns: {', '.join(map(str, table.columns))})",
                expected=f"{KEY} to name a table with {', '.join(needed)}",
            )
    return path, table


def with_patients(cohort: Cohort, named: str) -> Cohort:
    """Patients filled in where they are missing, by a table with the columns path and patient_id.

    Its paths start at its own folder, or are the cohort's own. Raises DataError when not one fits,
    or when it gives one film to two patients.
    """
    path, table = patient_table(named, ("path", "patient_id"))
    table = table[["path", "patient_id"]].astype("str").dropna()
    assert isinstance(cohort.pixels, FilePixels)
    root, name_n = cohort.pixels.root, cohort.pixels.name_n
    film_n = pd.Series([str(name_n[i]) for i in cohort.table.index], index=cohort.table.index)
    patient_n = film_n.map(partial(_below, root)).map(
        _owners(path, table["path"].map(partial(_below, path.parent)), table["patient_id"])
    )
    if patient_n.isna().all():
        patient_n = film_n.map(_owners(path, table["path"], table["patient_id"]))
    if patient_n.isna().all():
        raise DataError(
            path,
            f"names none of the {len(film_n):,} films",
            expected="their paths, from its folder",
        )
    known_n = cohort.table["patient_id"]
    known_n = known_n.where(known_n.notna(), patient_n).astype("str")
    warnings = [warning for warning in cohort.warnings if warning != NO_PATIENTS]
    if unknown := int(known_n.isna().sum()):
        warnings.append(f"films of unknown patients, not in {path.name}: {unknown:,}")
    return replace(cohort.with_column("patient_id", known_n), warnings=tuple(warnings))


def _owners(path: Path, film_n: pd.Series, patient_n: pd.Series) -> pd.Series:
    """Patient by film."""
    pairs = pd.DataFrame({"film": film_n, "patient": patient_n}).drop_duplicates()
    twice = pairs["film"].duplicated()
    if twice.any():
        row = int(pairs.index[twice][0])
        raise DataError(
            path,
            f"row {row + 2} (the header is row 1) gives a film to a second patient",
            expected="one patient a film",
        )
    return pairs.set_index("film")["patient"]


def _below(folder: Path, name: str) -> str:
    return os.path.normpath(os.path.join(folder.absolute(), name))  # noqa: PTH118
