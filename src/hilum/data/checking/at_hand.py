"""Which data sets lie in a folder, told by the files that each layout is known by.

Nothing is opened beyond a table's first line; whether a set is whole is found when it is.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

from hilum.data.sources.medmnist import SIDES, archive_name
from hilum.errors import DataError

# A file that only this layout has -> the kind of source.
_MARKS = {
    "Data_Entry_2017*.csv": "nih",
    "stage_2_train_labels.csv": "rsna",
    "manifest.json": "shards",
}
_PATH_HEADERS = ("path", "file", "filename", "file_name", "filepath", "image_path")


# How each kind is asked for, to try out.
EXAMPLES = {
    "pneumoniamnist": "pneumoniamnist",
    "phantom": "phantom@224",
    "nih": "nih:nih --option views=PA",
    "rsna": "rsna:rsna --option negatives=normal --against nih:nih",
    "chexpert": "chexpert:chexpert --option uncertain=ones",
    "folder": "folder:site_b/labels.csv --option columns.label=finding",
    "shards": "shards:shards/nih",
}


def found_in(folder: Path) -> list[str]:
    """Sources that can be opened, as they are named: those in the folder, and one level below.

    Raises DataError when the folder cannot be listed.
    """
    try:
        return list(_found_in(folder))
    except OSError as error:
        raise DataError(folder, f"cannot be listed ({error.strerror})") from error


def _found_in(folder: Path) -> Iterator[str]:
    for side in SIDES:
        if (folder / archive_name(side)).is_file():
            yield "pneumoniamnist" if side == 28 else f"pneumoniamnist@{side}"
    with os.scandir(folder) as entries:
        below = sorted(Path(entry.path) for entry in entries if entry.is_dir())
    for place in (folder, *below):
        name = "." if place == folder else place.name
        kind = _kind(place)
        if kind is not None:
            yield f"{kind}:{name}"
            continue
        for table in sorted(place.glob("*.csv")):
            if _names_films(table):
                yield f"folder:{table.name if name == '.' else f'{name}/{table.name}'}"


def _kind(place: Path) -> str | None:
    for mark, kind in _MARKS.items():
        if any(place.glob(mark)):
            return kind
    # CheXpert's two tables have plain names; the header tells.
    if (place / "valid.csv").is_file() and "Path" in _header(place / "train.csv"):
        return "chexpert"
    return None


def _names_films(table: Path) -> bool:
    return any(name.strip().lower() in _PATH_HEADERS for name in _header(table))


def _header(table: Path) -> list[str]:
    """The first line of a CSV file; none where there is no such file or it is not text."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader([file.readline(10_000)]), [])
    except (FileNotFoundError, UnicodeDecodeError, csv.Error):
        return []
