"""Whose film each image of PneumoniaMNIST is: the set does not tell, a table of its films may.

Such a table counts images in the order of one archive; whether it is this one is seen in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.data.cohort import Cohort
from hilum.data.grey import Grey
from hilum.data.pixels import FilePixels
from hilum.data.preprocessing import preprocess, reduction_to
from hilum.data.sources.listing import present
from hilum.data.sources.patients import patient_table
from hilum.errors import DataError

_NEEDED = ("path", "patient_id", "medmnist_split", "medmnist_index")
_ASPECTS = ("aspect", "est_aspect_w_over_h")
# The right film correlates by .97 or more, another child's seldom by .9.
SAMPLE = 34  # films of each split
CORRELATION = 0.9
SHARE = 0.95


def with_patients(cohort: Cohort, named: str, splits: Sequence[str]) -> Cohort:
    """Patients of the images that a table matches to films; of others they stay missing.

    named: table with path (from its folder), patient_id, medmnist_split and medmnist_index, and
        aspect (or est_aspect_w_over_h) where its films are squashed. The index counts within the
        split in the order of the archive
    Raises DataError when films of the table do not look like the images they are matched to.
    """
    path, table = patient_table(named, _NEEDED)
    table = table.dropna(subset=["patient_id", "medmnist_split", "medmnist_index"])
    first = _first_rows(cohort, splits)
    row_m = _rows(path, table, first)
    _verify(path, table, row_m, cohort)
    patient_n = pd.Series(None, index=cohort.table.index, dtype="str")
    patient_n.iloc[row_m] = table["patient_id"].astype("str").to_numpy()
    cohort = cohort.with_column("patient_id", patient_n)
    return replace(cohort, warnings=(*cohort.warnings, *_shared(cohort, path)))


def _first_rows(cohort: Cohort, splits: Sequence[str]) -> dict[str, tuple[int, int]]:
    """The first row of each split and the number of its images."""
    split_n = cohort.table["split"].to_numpy()
    return {
        split: (int(np.argmax(split_n == split)), int((split_n == split).sum())) for split in splits
    }


def _rows(
    path: Path, table: pd.DataFrame, first: Mapping[str, tuple[int, int]]
) -> NDArray[np.intp]:
    """The cohort's row that each row of the table is matched to."""
    index_m = pd.to_numeric(table["medmnist_index"], errors="coerce").to_numpy(dtype=np.float64)
    rows = np.empty(len(table), dtype=np.intp)
    for m, (split, index) in enumerate(zip(table["medmnist_split"], index_m, strict=True)):
        start, n = first.get(split, (0, 0))
        if not (0 <= index < n and index == int(index)):
            at = f"row {int(table.index[m]) + 2} (the header is row 1) is matched to"
            raise DataError(path, f"{at} image {index:g} of {split!r}", expected=_in_words(first))
        rows[m] = start + int(index)
    twice = pd.Series(rows).duplicated().to_numpy()
    if twice.any():
        row = int(table.index[int(np.argmax(twice))]) + 2
        raise DataError(
            path,
            f"row {row} (the header is row 1) is matched to an image that another row has",
            expected="one film an image",
        )
    return rows


def _in_words(first: Mapping[str, tuple[int, int]]) -> str:
    return ", ".join(f"{split} 0 to {n - 1:,}" for split, (_, n) in first.items())


def _verify(path: Path, table: pd.DataFrame, row_m: NDArray[np.intp], cohort: Cohort) -> None:
    """Compare a sample of each split's films with the images they are matched to."""
    aspect = next((name for name in _ASPECTS if name in table.columns), None)
    name_m = table["path"].fillna("").astype("str").to_list()
    if absent := int((~present(path.parent, name_m)).sum()):
        raise DataError(
            path,
            f"{absent:,} of its {len(name_m):,} films are not there",
            expected="its films, to see that it counts images in the order of this archive",
        )
    films = FilePixels(
        path.parent,
        name_m,
        aspect_n=None
        if aspect is None
        else pd.to_numeric(table[aspect], errors="coerce").to_numpy(dtype=np.float64),
    )
    rng = np.random.default_rng(0)
    split_m = table["medmnist_split"].to_numpy()
    for split in sorted(set(split_m)):
        there_m = np.flatnonzero(split_m == split)
        sample = rng.choice(there_m, min(SAMPLE, len(there_m)), replace=False)
        close = sum(
            _correlation(films.read(int(m)), cohort.radiograph(int(row_m[m]))) >= CORRELATION
            for m in sample
        )
        if close < SHARE * len(sample):
            raise DataError(
                path,
                f"of {len(sample)} films of {split}, {close} look like the image they are "
                "matched to",
                expected=f"{SHARE:.0%} of them",
                remedy="the table counts in the order of another archive; leave data.patients out",
            )


def _correlation(film_hw: Grey, image_hw: Grey) -> float:
    """Pearson's r of two films, each as PneumoniaMNIST would have it at 28 px; 0 for a flat one."""
    a, b = (preprocess(each, reduction_to(28)).ravel() for each in (film_hw, image_hw))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _shared(cohort: Cohort, path: Path) -> list[str]:
    """How many images of val and test share a patient with train; how many patients are unknown."""
    known = cohort.table.dropna(subset=["patient_id"])
    in_train = set(known["patient_id"][known["split"] == "train"])
    told = []
    for split in ("val", "test"):
        patient_n = known["patient_id"][known["split"] == split]
        if shared := int(patient_n.isin(in_train).sum()):
            told.append(
                f"{shared:,} of the {len(patient_n):,} {split} images whose patient is known "
                f"share that patient with a train image ({path.name})"
            )
    if unknown := len(cohort) - len(known):
        told.append(f"images of unknown patients, not in {path.name}: {unknown:,}")
    return told
