"""CheXpert in its published layouts, full size or small → Cohort of 223,414 films and more.

Labels were read from reports, with their doubt. Source: Irvin et al. 2019, CheXpert, AAAI 33:590.
Roles are `roles`' business; what the labels mean stands in `findings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.columns import column
from hilum.data.cohort import Cohort
from hilum.data.findings import CHEXPERT, CHEXPERT_OPACITIES, asked, meaning
from hilum.data.pixels import FilePixels
from hilum.data.sources.published import (
    excluded_rows,
    names_in,
    numbers,
    parsed_texts,
    possible_age,
    present,
    read_table,
    refuse_none,
    texts,
)
from hilum.data.sources.selection import exclude, select
from hilum.errors import DataError, DataMissingError
from hilum.recipe import DataPart, ReadingPart, Uncertain

LAYOUT = "train/patient00001/study1/view1_frontal.jpg, or the batches as downloaded"
# By folder: names of its table, and where its patients lie; the full size comes in batches.
_TABLES = {
    "train": ("train.csv", "CheXpert-v1.0 batch 1*/train.csv"),
    "valid": ("valid.csv", "CheXpert-v1.0 batch 1*/valid.csv"),
    "test": ("test.csv", "test_labels.csv"),
}
_PATIENTS = {
    "train": ("train", "CheXpert-v1.0 batch * (train *)"),
    "valid": ("valid", "CheXpert-v1.0 batch 1*/valid"),
    "test": ("test",),
}
_KNOWN = ("Sex", "Age", "Frontal/Lateral", "AP/PA")
_PATH = (
    r"(?:^|/)(?P<image_id>(?P<part>train|valid|test)/(?P<patient>patient\d+)"
    r"(?P<below>/(?P<study>study\d+)/[^/]+))$"
)
_COUNTS_AS = {"zeros": 0.0, "ones": 1.0, "ignore": np.nan}
_IN_WORDS = {"zeros": "absent", "ones": "present", "ignore": "unknown"}


def chexpert_cohort(folder: Path, options: DataPart, reading: ReadingPart) -> Cohort:
    """All tables that lie in `folder`, frontal films, the 14 findings unless others are asked for.

    options.uncertain: what -1 counts as; a finding that is not named counts as absent, as in
        table 1 of the publication. A Lung Opacity that is not named follows CHEXPERT_OPACITIES.
    options.views: PA, AP, LATERAL; empty keeps all that are frontal
    Split: train is train. The latest radiologists' labels are test: those of valid, or those of
    test where that lies there too, and then valid is val. Labels belong to studies: the table adds
    `study_id`. Rows without a file, other views and patients without a row are excluded.
    Raises DataMissingError when a file is not there, DataError when it is not what it should be.
    """
    findings = asked(options.findings, CHEXPERT, "chexpert") or CHEXPERT
    policies = _policies(options.uncertain, findings)
    parts = {name: path for name in _TABLES if (path := _table_path(folder, name)) is not None}
    if not parts:
        raise DataMissingError(
            folder,
            "no table of labels",
            expected="train.csv, valid.csv or both",
            remedy="name the folder that holds them, as in chexpert:/data/CheXpert-v1.0-small",
        )
    rows, value_nf = _read_all(parts)
    name_n, rowless = _located(folder, rows)
    found_n = present(folder, name_n)
    refuse_none(folder, int(found_n.sum()), len(rows), LAYOUT)
    reason_n = pd.Series(None, index=rows.index, dtype="str")
    if not options.views:
        reason_n = reason_n.mask(rows["view"] == "LATERAL", "lateral view")
    reason_n = reason_n.mask(~found_n, "no file")
    completed = _complete_opacity(value_nf, reason_n.isna().to_numpy())
    rows["age"], odd = possible_age(rows["age"], youngest=1)
    warnings = completed if "Lung Opacity" in findings else []
    if "train" in parts and len(parts) > 1:
        warnings.append("labels of train were read from reports by a program, others by eye")
    cohort = Cohort(
        name="chexpert",
        findings=findings,
        table=_table(rows, value_nf, policies),
        pixels=FilePixels(folder, name_n, reading),
        public_ids=True,
        warnings=(*warnings, *odd),
        licence="Stanford University's research use agreement, Irvin et al. 2019",
        excluded=excluded_rows(rowless, "a patient without a row"),
        meanings={
            finding: f"{meaning('chexpert', finding)}; uncertain counts as {_IN_WORDS[policy]}"
            for finding, policy in policies.items()
        },
    )
    cohort = exclude(cohort, reason_n)
    return select(cohort, options.model_copy(update={"findings": ()}))


def _table(
    rows: pd.DataFrame, value_nf: NDArray[np.float64], policies: Mapping[str, Uncertain]
) -> pd.DataFrame:
    """The cohort's table: a label is 1 where it is named, 0 where not, and in doubt by policy."""
    valid = "val" if (rows["part"] == "test").any() else "test"
    table = pd.DataFrame(
        {
            "image_id": rows["image_id"],
            "patient_id": "chexpert-" + rows["patient"],
            "site": "Stanford Hospital",
            "view": rows["view"],
            "age": rows["age"],
            "sex": rows["sex"],
            "split": rows["part"].map({"train": "train", "valid": valid, "test": "test"}),
            "role": None,
            "study_id": rows["patient"] + "/" + rows["study"],
        }
    )
    for finding, policy in policies.items():
        value_n = value_nf[:, CHEXPERT.index(finding)]
        label_n = np.where(value_n == -1, _COUNTS_AS[policy], np.nan_to_num(value_n))
        table[column("label", finding)] = label_n
    return table


def _policies(
    uncertain: Uncertain | Mapping[str, Uncertain], findings: tuple[str, ...]
) -> dict[str, Uncertain]:
    """By finding; one that a mapping does not name is ignored where it is uncertain."""
    if isinstance(uncertain, str):
        return dict.fromkeys(findings, uncertain)
    named = {
        asked((finding,), CHEXPERT, "chexpert", key="data.uncertain")[0]: policy
        for finding, policy in uncertain.items()
    }
    return {finding: named.get(finding, "ignore") for finding in findings}


def _table_path(folder: Path, part: str) -> Path | None:
    paths = [path for pattern in _TABLES[part] for path in sorted(folder.glob(pattern))]
    return paths[0] if paths else None


def _read_all(parts: Mapping[str, Path]) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    read = [_read(part, path) for part, path in parts.items()]
    rows = pd.concat([known for known, _ in read], ignore_index=True)
    return rows, np.concatenate([value_nf for _, value_nf in read])


def _read(part: str, path: Path) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Of each row of a table the groups of _PATH, view, age and sex, and its values [n, 14].

    The published table of test lacks age, sex and view; that a film is lateral is in its name.
    """
    rows = read_table(path, ("Path", *CHEXPERT), _KNOWN)
    parsed = parsed_texts(rows["Path"], _PATH)
    wrong_n = parsed["part"] != part
    if wrong_n.any():
        raise DataError(
            path,
            f"path {rows['Path'][wrong_n].iloc[0]!r}",
            expected=f"…/{part}/patient00001/study1/view1_frontal.jpg",
        )
    value_nf = numbers(path, rows, CHEXPERT)
    if not (np.isnan(value_nf) | np.isin(value_nf, (-1, 0, 1))).all():
        raise DataError(path, "a label that is none", expected="1, 0, -1 (uncertain) or nothing")
    if "Frontal/Lateral" in rows.columns:
        lateral_n = rows["Frontal/Lateral"] == "Lateral"
    else:
        lateral_n = parsed["image_id"].str.contains("_lateral", regex=False)
    known = parsed.assign(
        view=texts(rows, "AP/PA").mask(lateral_n, "LATERAL"),
        age=numbers(path, rows, ["Age"])[:, 0] if "Age" in rows.columns else np.nan,
        sex=texts(rows, "Sex").map({"Female": "F", "Male": "M"}).astype("str"),
    )
    return known, value_nf


def _located(folder: Path, rows: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Path of each film below `folder`, "" where its patient is not there, and patients of no row.

    Only patients' folders are listed; whether a film lies in its own is asked for film by film.
    """
    places = {}
    for part, patterns in _PATIENTS.items():
        for place in (place for pattern in patterns for place in sorted(folder.glob(pattern))):
            prefix = place.relative_to(folder).as_posix()
            for name in names_in(place):
                if name.startswith("patient"):
                    places[f"{part}/{name}"] = f"{prefix}/{name}"
    patient_n = rows["part"] + "/" + rows["patient"]
    name_n = patient_n.map(places).astype("str") + rows["below"]
    return name_n.fillna("").tolist(), sorted(places.keys() - set(patient_n.unique()))


def _complete_opacity(value_nf: NDArray[np.float64], kept_n: NDArray[np.bool_]) -> list[str]:
    """Make Lung Opacity, where it is not named, as positive or uncertain as what stands below it.

    Returns a warning that counts the films of `kept_n` in which that makes a difference.
    """
    opacity = CHEXPERT.index("Lung Opacity")
    below_nk = value_nf[:, [CHEXPERT.index(finding) for finding in CHEXPERT_OPACITIES]]
    blank_n = np.isnan(value_nf[:, opacity])
    present_n = blank_n & (below_nk == 1).any(axis=1)
    uncertain_n = blank_n & ~present_n & (below_nk == -1).any(axis=1)
    value_nf[present_n, opacity], value_nf[uncertain_n, opacity] = 1, -1
    positive, doubtful = int((present_n & kept_n).sum()), int((uncertain_n & kept_n).sum())
    if not positive + doubtful:
        return []
    return [
        f"Lung Opacity follows what it is made of in {positive + doubtful:,} films whose report "
        f"does not name it: {positive:,} count as present, {doubtful:,} as uncertain"
    ]
