"""Image files as they lie on a disk → Cohort without labels, for prediction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from hilum.columns import column
from hilum.data.cohort import Cohort
from hilum.data.pixels import FilePixels
from hilum.data.radiograph import SUFFIXES
from hilum.data.sources.listing import list_films
from hilum.errors import DataError
from hilum.recipe import ReadingPart

__all__ = ["films"]


def films(
    paths: Iterable[str | Path],
    findings: Sequence[str],
    reading: ReadingPart | None = None,
    *,
    strict: bool = False,
) -> Cohort:
    """Films named one by one or by folder (searched through, in order of name); labels unknown.

    A file named itself is taken whatever its name; in a folder those with a film's suffix, and
    DICOM files without one. Everything else there is in `excluded`, with the reason.
    strict: films that are no frontal chest film by their own header count as unreadable
    The image id is the path as given. What a film's header says is not in the table, for no film
    is opened here. Raises DataError when nothing is found.
    """
    named = [str(path) for path in paths]
    found: dict[str, None] = {}
    excluded: dict[str, str] = {}
    for name in named:
        path = Path(name)
        if path.is_dir():
            listing = list_films(path)
            found.update((str(path / film), None) for film in listing.films)
            excluded.update((str(path / other), reason) for other, reason in listing.excluded)
        elif not path.is_file():
            raise DataError(name, "no such file or folder", expected="a film or a folder of films")
        elif not name.isprintable():
            raise DataError(repr(name), "a file name that is not text", remedy="rename it")
        else:
            found[str(path)] = None
    if not found:
        raise DataError(
            ", ".join(named) or "films",
            f"no film among {len(excluded):,} files" if excluded else "no film",
            expected=f"files ending in {', '.join(SUFFIXES)}, or DICOM files without a suffix",
        )
    image_id_n = pd.Series([*found], dtype="str")
    table = pd.DataFrame({"image_id": image_id_n}).assign(
        patient_id=None, site=None, view=None, age=np.nan, sex=None, split=None, role=None
    )
    for finding in findings:
        table[column("label", finding)] = np.nan
    out = [(name, reason) for name, reason in excluded.items() if name not in found]
    return Cohort(
        "films",
        tuple(findings),
        table,
        FilePixels(Path(), image_id_n.array, reading or ReadingPart(), strict=strict),
        excluded=pd.DataFrame(out, columns=["image_id", "reason"]),
    )
