"""NIH ChestX-ray14 in its published layout → Cohort: 112,120 frontal films of 30,805 patients.

Labels were mined from reports. Source: Wang et al. 2017, ChestX-ray8, CVPR. Roles are `roles`'
business; what the labels mean stands in `findings`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.columns import column
from hilum.data.cohort import Cohort
from hilum.data.findings import NIH, NIH_OPACITIES, asked, meaning, spelling
from hilum.data.pixels import FilePixels
from hilum.data.radiograph import read_header
from hilum.data.sources.published import (
    excluded_rows,
    film_names,
    numbers,
    possible_age,
    read_table,
    refuse_none,
    texts,
)
from hilum.data.sources.selection import exclude, select
from hilum.errors import DataError, DataMissingError, RadiographError
from hilum.recipe import DataPart, ReadingPart

OFFERED = (*NIH, "Lung Opacity", "No Finding")
LISTS = {"train": "train_val_list.txt", "test": "test_list.txt"}
LAYOUT = "images/*.png, or images_001/images/*.png to images_012/images/*.png"
BOX_SIDE = 1024  # boxes are given in pixels of films of this size

_IMAGE, _FINDINGS, _PATIENT, _AGE = "Image Index", "Finding Labels", "Patient ID", "Patient Age"
_VIEW, _SEX = "View Position", ("Patient Gender", "Patient Sex")
_CORNERS = ["x", "y", "width", "height"]
_BOX_CORNERS = ("Bbox [x", "y", "w", "h]")  # the header's own commas part `Bbox [x,y,w,h]`


def nih_cohort(folder: Path, options: DataPart, reading: ReadingPart) -> Cohort:
    """The whole data set as it lies in `folder`; the 14 findings unless others are asked for.

    `Lung Opacity` (derived, see `findings`) and `No Finding` are there on request. Split: that of
    train_val_list.txt and test_list.txt; missing without them. Boxes: those of BBox_List_2017.csv,
    in pixels of the films as they are. Rows without a file, and files without a row, are excluded.
    Raises DataMissingError when a file is not there, DataError when it is not what it should be.
    """
    findings = asked(options.findings, OFFERED, "nih") or NIH
    path, warnings = _label_table(folder)
    rows = read_table(path, (_IMAGE, _FINDINGS, _PATIENT, _AGE, _VIEW), _SEX)
    name_n, left_out = _located(folder, rows[_IMAGE], path.name)
    refuse_none(folder, int(name_n.notna().sum()), len(rows), LAYOUT)
    age_n, odd = possible_age(_years(path, rows[_AGE]))
    split_n, unlisted = _splits(folder, rows[_IMAGE])
    patient_n = pd.Series(numbers(path, rows, [_PATIENT])[:, 0])
    table = pd.DataFrame(
        {
            "image_id": rows[_IMAGE],
            "patient_id": patient_ids(patient_n),
            "site": "NIH Clinical Center",
            "view": texts(rows, _VIEW),
            "age": age_n,
            "sex": _sexes(rows),
            "split": split_n,
            "role": None,
            **_labels(path, rows[_FINDINGS], findings),
        }
    )
    cohort = Cohort(
        name="nih",
        findings=findings,
        table=table,
        pixels=FilePixels(folder, name_n.fillna("").tolist(), reading),
        public_ids=True,
        warnings=(*warnings, *odd, *unlisted),
        licence="free to use with attribution, Wang et al. 2017 and NIH Clinical Center",
        excluded=left_out,
        meanings={finding: meaning("nih", finding) for finding in findings},
    )
    cohort = exclude(cohort, name_n.isna().map({True: "no file", False: None}))
    cohort = select(cohort, options.model_copy(update={"findings": ()}))
    return _with_boxes(cohort, folder)


def patient_ids(patient_n: pd.Series) -> pd.Series:
    """`nih-2275` for NIH's patient 2275, also where another data set holds their films."""
    number_n = patient_n.astype(np.float64)
    return "nih-" + number_n.astype("Int64").astype("str").mask(number_n.isna())


def _label_table(folder: Path) -> tuple[Path, list[str]]:
    """The newest table of labels, and a warning when there is an older one beside it."""
    paths = sorted(folder.glob("Data_Entry_2017*.csv"))
    if not paths:
        raise DataMissingError(
            folder,
            "no table of labels",
            expected="Data_Entry_2017_v2020.csv or Data_Entry_2017.csv",
            remedy="name the folder that holds it, as in nih:/data/nih",
        )
    # "_v2020" stands after ".csv" in the alphabet.
    *others, newest = sorted(paths, key=lambda path: path.stem)
    left = [f"labels are those of {newest.name}; {path.name} is not used" for path in others]
    return newest, left


def _located(folder: Path, image_n: pd.Series, table: str) -> tuple[pd.Series, pd.DataFrame]:
    """Path below `folder` of each image, missing where there is no file, and files left out."""
    found: dict[str, str] = {}
    twice = []
    for part in (folder / "images", *sorted(folder.glob("images_[0-9]*/images"))):
        prefix = part.relative_to(folder).as_posix()
        for name in film_names(part):
            path = f"{prefix}/{name}"
            if found.setdefault(name, path) != path:
                twice.append(path)
    left_out = [
        excluded_rows(twice, "a second file of this name"),
        excluded_rows(sorted(found.keys() - set(image_n)), f"no row in {table}"),
    ]
    return image_n.map(found), pd.concat(left_out, ignore_index=True)


def _years(path: Path, age_n: pd.Series) -> pd.Series:
    """Years from numbers, or from 058Y, 011M and 013D as the older table has them."""
    if pd.api.types.is_numeric_dtype(age_n):
        return age_n.astype(np.float64)
    parts = age_n.astype("str").str.strip().str.extract(r"^(\d+)([YMD]?)$")
    wrong = age_n[parts[0].isna() & age_n.notna()]
    if len(wrong):
        raise DataError(
            path,
            f"{len(wrong):,} of {len(age_n):,} ages cannot be read",
            expected="years, or such as 058Y and 011M",
        )
    per_year = parts[1].map({"Y": 1.0, "": 1.0, "M": 12.0, "D": 365.25})
    return parts[0].astype(np.float64) / per_year


def _sexes(rows: pd.DataFrame) -> pd.Series:
    name = next((name for name in _SEX if name in rows.columns), _SEX[0])
    sex_n = texts(rows, name)
    return sex_n.where(sex_n.isin(["F", "M"]))


def _splits(folder: Path, image_n: pd.Series) -> tuple[pd.Series, list[str]]:
    """train or test as the published lists have it, missing where neither names a film."""
    lists = {split: folder / name for split, name in LISTS.items()}
    there = {split: path for split, path in lists.items() if path.is_file()}
    split_n = pd.Series(None, index=image_n.index, dtype="str")
    if len(there) < len(lists):
        lone = [f"{path.name} is not used without the other list" for path in there.values()]
        return split_n, lone
    for split, path in there.items():
        named_n = image_n.isin(_listed(path))
        both_n = named_n & split_n.notna()
        if both_n.any():
            raise DataError(
                path,
                f"names {int(both_n.sum()):,} of the films that {LISTS['train']} names",
                expected="each film in one list",
                remedy="fetch both lists again",
            )
        split_n = split_n.mask(named_n, split)
    missing = int(split_n.isna().sum())
    warning = f"neither list of the split names {missing:,} of {len(split_n):,} films"
    return split_n, [warning] if missing else []


def _listed(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            path,
            f"cannot be read as text ({type(error).__name__})",
            expected="one name of a film in each line",
        ) from error


def _labels(
    path: Path, text_n: pd.Series, findings: tuple[str, ...]
) -> dict[str, NDArray[np.float64]]:
    """A column of 0 and 1 a finding, from texts such as `Mass|Pleural_Thickening`."""
    # The 112,120 rows hold fewer than 900 different texts.
    code_n, distinct = pd.factorize(text_n)
    named = [{_spelt(path, part) for part in text.split("|")} for text in distinct]
    for names in named:
        if names & set(NIH_OPACITIES):
            names.add("Lung Opacity")
    labels = {}
    for finding in findings:
        label_d = np.array([float(finding in names) for names in named] + [np.nan])
        labels[column("label", finding)] = label_d[code_n]  # -1, an empty cell, takes the NaN
    return labels


def _spelt(path: Path, finding: str) -> str:
    name = spelling(finding)
    if name is None:
        raise DataError(path, f"unknown finding {finding!r}", expected=f"{', '.join(NIH)}")
    return name


def _with_boxes(cohort: Cohort, folder: Path) -> Cohort:
    """With the published boxes of the cohort's findings, in pixels of each film as it lies there.

    A box of one of NIH_OPACITIES is one of Lung Opacity too.
    """
    path = folder / "BBox_List_2017.csv"
    if not path.is_file():
        return cohort
    rows = read_table(path, (_IMAGE, "Finding Label", *_BOX_CORNERS))
    boxes = pd.DataFrame(numbers(path, rows, _BOX_CORNERS), columns=_CORNERS)
    boxes.insert(0, "image_id", rows[_IMAGE])
    boxes.insert(1, "finding", rows["Finding Label"].map(lambda text: _spelt(path, text)))
    opacities = boxes[boxes["finding"].isin(NIH_OPACITIES)].assign(finding="Lung Opacity")
    boxes = pd.concat([boxes, opacities], ignore_index=True)
    boxes = boxes[boxes["finding"].isin(cohort.findings)]
    row_of = pd.Series(cohort.table.index, index=cohort.table["image_id"])
    boxes = boxes[boxes["image_id"].isin(row_of.index)]
    return _scaled(cohort, boxes, row_of)


def _scaled(cohort: Cohort, boxes: pd.DataFrame, row_of: pd.Series) -> Cohort:
    """Boxes in pixels of 1,024 a side → pixels of each film; none for a film that is unreadable."""
    assert isinstance(cohort.pixels, FilePixels)
    scale = {}
    unreadable = []
    for image_id in boxes["image_id"].unique():
        try:
            header = read_header(cohort.pixels.path(row_of[image_id]))
        except RadiographError:
            unreadable.append(image_id)
            continue
        scale[image_id] = (header.columns / BOX_SIDE, header.rows / BOX_SIDE)
    boxes = boxes[~boxes["image_id"].isin(unreadable)].reset_index(drop=True)
    scale_n2 = np.array([scale[each] for each in boxes["image_id"]]).reshape(-1, 2)
    boxes[_CORNERS] = boxes[_CORNERS].to_numpy() * np.tile(scale_n2, 2)
    warnings = cohort.warnings
    if unreadable:
        films = f"{len(unreadable):,} of {len(unreadable) + len(scale):,} films with boxes"
        warnings += (f"boxes left out, for the film is unreadable: {films}",)
    return replace(cohort, boxes=boxes, warnings=warnings)
