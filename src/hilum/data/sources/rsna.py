"""RSNA Pneumonia Detection Challenge, stage 2, in its published layout → Cohort of 26,684 films.

Drawn from NIH ChestX-ray14 and read again by radiologists. Source: Shih et al. 2019, Radiology:
Artificial Intelligence 1(1):e180041. Roles are `roles`' business.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from hilum.columns import column
from hilum.data.cohort import Cohort
from hilum.data.findings import asked, meaning
from hilum.data.pixels import FilePixels
from hilum.data.radiograph import Header, read_header
from hilum.data.sources.nih import patient_ids
from hilum.data.sources.places import find_path
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
from hilum.errors import DataError, RadiographError
from hilum.recipe import DataPart, ReadingPart

OFFERED = ("Lung Opacity", "Pneumonia", "No Finding")
LABELS, CLASSES = "stage_2_train_labels.csv", "stage_2_detailed_class_info.csv"
FILMS, TEST_FILMS = "stage_2_train_images", "stage_2_test_images"
HEADERS = "stage_2_train_images_dicom_headers.csv"
# RSNA's own file, and a table of the same two columns.
MAPPINGS = ("pneumonia-challenge-dataset-mappings_2018.json", "nih_mapping.csv")

_CORNERS = ("x", "y", "width", "height")
_NORMAL, _OTHER, _OPACITY = "Normal", "No Lung Opacity / Not Normal", "Lung Opacity"
# What a mapping calls the film in RSNA, and the one in NIH: RSNA's own file first.
_FILM_COLUMNS = ("subset_img_id", "rsna_patient_id", "patientId")
_NIH_COLUMNS = ("img_id", "nih_image")


def rsna_cohort(folder: Path, options: DataPart, reading: ReadingPart) -> Cohort:
    """The labelled films as they lie in `folder`; `Lung Opacity` unless others are asked for.

    options.negatives: "all" takes every film without a box; "normal" leaves out those that
        radiologists called neither normal nor opaque
    options.patients: the mapping to NIH's images, as RSNA's JSON or as a table; one of MAPPINGS
        that lies in the folder is used unasked. Without it patients are unknown.
    The table adds `rsna_class` and `nih_image`. Age, sex and view come from HEADERS where it lies
    in the folder, else from each film's header. No split is published. Rows without a film, films
    without a row and the unlabelled films of the test set are excluded.
    Raises DataMissingError when a file is not there, DataError when it is not what it should be.
    """
    findings = asked(options.findings, OFFERED, "rsna") or OFFERED[:1]
    rows = read_table(folder / LABELS, ("patientId", *_CORNERS, "Target"))
    target_n = _targets(folder / LABELS, rows)
    image_n = target_n.index.to_series().reset_index(drop=True)
    class_n = _classes(folder / CLASSES, target_n, "No Finding" in findings, options)
    there = set(film_names(folder / FILMS))
    found_n = (image_n + ".dcm").isin(there)
    refuse_none(folder / FILMS, int(found_n.sum()), len(image_n), f"{FILMS}/*.dcm")
    nih_n, unmapped = _nih_images(folder, options, image_n)
    known, odd = _from_headers(folder, image_n, found_n)
    table = pd.DataFrame(
        {
            "image_id": image_n,
            "patient_id": patient_ids(nih_n.str.slice(0, 8)),
            "site": "NIH Clinical Center",
            **known,
            "split": None,
            "role": None,
            "rsna_class": class_n,
            "nih_image": nih_n,
        }
    )
    for finding in findings:
        present_n = class_n == _NORMAL if finding == "No Finding" else target_n == 1
        table[column("label", finding)] = present_n.to_numpy(dtype=np.float64)
    cohort = Cohort(
        name="rsna",
        findings=findings,
        table=table,
        pixels=FilePixels(folder / FILMS, (image_n + ".dcm").tolist(), reading),
        public_ids=True,
        warnings=(*unmapped, *odd),
        licence="RSNA's terms of use, with attribution: Shih et al. 2019 and NIH Clinical Center",
        boxes=_boxes(folder / LABELS, rows, findings),
        excluded=pd.concat(
            [
                _films_left(there - set(image_n + ".dcm"), f"no row in {LABELS}"),
                _films_left(film_names(folder / TEST_FILMS), "test film, no label published"),
            ],
            ignore_index=True,
        ),
        meanings={finding: meaning("rsna", finding) for finding in findings},
    )
    reason_n = pd.Series(None, index=table.index, dtype="str")
    if options.negatives == "normal":
        reason_n = reason_n.mask(class_n == _OTHER, "neither normal nor with lung opacity")
    cohort = exclude(cohort, reason_n.mask(~found_n, "no file"))
    cohort = select(cohort, options.model_copy(update={"findings": ()}))
    kept_n = cohort.boxes["image_id"].isin(cohort.table["image_id"])
    return replace(cohort, boxes=cohort.boxes[kept_n].reset_index(drop=True))


def _targets(path: Path, rows: pd.DataFrame) -> pd.Series:
    """0 or 1 by film, films in order of first appearance."""
    target_n = numbers(path, rows, ["Target"])[:, 0]
    if not np.isin(target_n, (0, 1)).all():
        raise DataError(path, "a Target that is neither 0 nor 1", expected="0 or 1 in each row")
    by_film = pd.Series(target_n).groupby(rows["patientId"].to_numpy(), sort=False)
    lowest, highest = by_film.min(), by_film.max()
    if (lowest != highest).any():
        raise DataError(
            path, f"{int((lowest != highest).sum()):,} films with both targets", expected="one each"
        )
    return highest


def _classes(path: Path, target_n: pd.Series, wanted: bool, options: DataPart) -> pd.Series:
    """The detailed class of each film, missing without the table. Raises where it must be there."""
    if not path.is_file() and not wanted and options.negatives == "all":
        return pd.Series(None, index=range(len(target_n)), dtype="str")
    rows = read_table(path, ("patientId", "class"), remedy="it tells normal films from others")
    class_of = rows.drop_duplicates()
    if class_of["patientId"].duplicated().any():
        raise DataError(path, "a film of two classes", expected="one class a film")
    class_n = class_of.set_index("patientId")["class"].reindex(target_n.index)
    unknown = set(class_n.dropna()) - {_NORMAL, _OTHER, _OPACITY}
    if unknown or class_n.isna().any():
        raise DataError(
            path,
            f"class {min(unknown)!r}"
            if unknown
            else f"no class for {class_n.isna().sum():,} films",
            expected=f"'{_NORMAL}', '{_OTHER}' or '{_OPACITY}' for each film of {LABELS}",
        )
    differ = int(((class_n == _OPACITY) != (target_n == 1)).sum())
    if differ:
        raise DataError(
            path,
            f"{differ:,} films whose class contradicts {LABELS}",
            expected=f"'{_OPACITY}' where Target is 1",
            remedy="take both tables of stage 2",
        )
    return class_n.reset_index(drop=True)


def _boxes(path: Path, rows: pd.DataFrame, findings: tuple[str, ...]) -> pd.DataFrame:
    """The radiologists' boxes, in pixels of the film as published, for each finding they mean."""
    drawn = rows[rows["Target"] == 1].rename(columns={"patientId": "image_id"})
    corner_nk = numbers(path, drawn, _CORNERS)
    wrong = int((~((corner_nk[:, :2] >= 0) & (corner_nk[:, 2:] > 0)).all(axis=1)).sum())
    if wrong:
        raise DataError(
            path,
            f"{wrong:,} boxes that are none",
            expected="x, y, width and height where Target is 1",
        )
    boxes = [
        drawn[["image_id", *_CORNERS]].assign(finding=finding)
        for finding in findings
        if finding != "No Finding"
    ]
    columns = ["image_id", "finding", *_CORNERS]
    return pd.concat(boxes, ignore_index=True)[columns] if boxes else pd.DataFrame(columns=columns)


def _nih_images(
    folder: Path, options: DataPart, image_n: pd.Series
) -> tuple[pd.Series, tuple[str, ...]]:
    """The NIH image that each film is, such as 00002275_018.png, missing where unknown."""
    if options.patients is not None:
        path = find_path(options.patients)
    else:
        path = next((folder / name for name in MAPPINGS if (folder / name).is_file()), folder)
    if path == folder:
        return pd.Series(None, index=image_n.index, dtype="str"), (
            "patients are unknown, for RSNA's patientId names a film: films of one patient may "
            f"stand in two roles; put RSNA's {MAPPINGS[0]} into the folder, or name it by "
            "data.patients",
        )
    mapping = _mapping(path)
    nih_n = image_n.map(mapping)
    missing = int(nih_n.isna().sum())
    if missing == len(nih_n):
        raise DataError(path, f"names none of the {missing:,} films", expected="the ids of RSNA")
    warning = f"{path.name} tells no patient for {missing:,} of {len(nih_n):,} films"
    return nih_n, (warning,) if missing else ()


def _mapping(path: Path) -> pd.Series:
    """NIH image by RSNA film."""
    if path.suffix.lower() == ".json":
        try:
            rows = pd.DataFrame(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, AttributeError) as error:
            raise DataError(
                path, f"cannot be read as a table in JSON ({type(error).__name__})"
            ) from error
    else:
        rows = read_table(path, (), (*_FILM_COLUMNS, *_NIH_COLUMNS))
    names = []
    for choices in (_FILM_COLUMNS, _NIH_COLUMNS):
        name = next((name for name in choices if name in rows.columns), None)
        if name is None:
            raise DataError(path, "no mapping to NIH", expected=f"a column {' or '.join(choices)}")
        names.append(name)
    rows = rows[names].drop_duplicates()
    film_n, nih_n = rows[names[0]].astype("str"), rows[names[1]].astype("str")
    wrong = int((~nih_n.str.fullmatch(r"\d{8}_\d{3}\.png")).sum())
    if wrong or film_n.duplicated().any():
        raise DataError(
            path,
            f"{wrong:,} names that no NIH image has" if wrong else "a film with two NIH images",
            expected="one image such as 00002275_018.png for each film",
        )
    return nih_n.set_axis(film_n)


def _from_headers(
    folder: Path, image_n: pd.Series, found_n: pd.Series
) -> tuple[dict[str, pd.Series], list[str]]:
    """View, age and sex of each film: from a table of headers, else from the films themselves."""
    path = folder / HEADERS
    if path.is_file():
        rows = read_table(path, ("PatientID", "PatientAge", "PatientSex", "ViewPosition"))
        rows = rows.drop_duplicates("PatientID")
        known = pd.DataFrame(
            {
                "view": texts(rows, "ViewPosition"),
                "age": numbers(path, rows, ["PatientAge"])[:, 0],
                "sex": texts(rows, "PatientSex"),
            }
        )
        known = known.set_axis(rows["PatientID"]).reindex(image_n).set_axis(image_n.index)
    else:
        headers = [
            _header(folder / FILMS / f"{image}.dcm") if found else None
            for image, found in zip(image_n, found_n, strict=True)
        ]
        known = pd.DataFrame(
            {
                "view": [header and header.view for header in headers],
                "age": [np.nan if header is None else header.age for header in headers],
                "sex": [header and header.sex for header in headers],
            },
            index=image_n.index,
        ).astype({"view": "str", "age": np.float64, "sex": "str"})
    age_n, odd = possible_age(known["age"])
    sex_n = known["sex"].where(known["sex"].isin(["F", "M"]))
    return {"view": known["view"], "age": age_n, "sex": sex_n}, odd


def _header(path: Path) -> Header | None:
    """None for a film that is unreadable: whoever reads its pixels will say so."""
    try:
        return read_header(path)
    except RadiographError:
        return None


def _films_left(names: list[str] | set[str], reason: str) -> pd.DataFrame:
    return excluded_rows([name.rpartition(".")[0] for name in sorted(names)], reason)
