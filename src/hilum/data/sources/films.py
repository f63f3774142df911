"""Image files as they lie on a disk → Cohort without labels, for prediction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.columns import column
from hilum.data.cohort import Cohort
from hilum.data.radiograph import SUFFIXES, read_radiograph
from hilum.errors import DataError


@dataclass(frozen=True)
class FilePixels:
    """Pixels read from files, one film each, when they are asked for."""

    paths: tuple[Path, ...]

    def read(self, index: int) -> NDArray[np.float32]:
        return read_radiograph(self.paths[index])


def films(paths: Iterable[str | Path], findings: Sequence[str]) -> Cohort:
    """Films named one by one or by folder (searched through, in order of name); labels unknown.

    The image id is the path as given. Raises DataError when nothing is found.
    """
    named = [Path(path) for path in paths]
    found: dict[Path, None] = {}
    for path in named:
        if path.is_dir():
            inside = (each for each in sorted(path.rglob("*")) if each.suffix.lower() in SUFFIXES)
            found.update(dict.fromkeys(each for each in inside if each.is_file()))
        elif path.is_file():
            found[path] = None
        else:
            raise DataError(path, "no such file or folder", expected="a film or a folder of films")
    if not found:
        raise DataError(
            ", ".join(map(str, named)), "no film", expected=f"files ending in {', '.join(SUFFIXES)}"
        )
    for path in found:
        if not str(path).isprintable():
            raise DataError(repr(str(path)), "a file name that is not text", remedy="rename it")
    table = pd.DataFrame({"image_id": [str(path) for path in found]}).assign(
        patient_id=None, site=None, view=None, age=np.nan, sex=None, split=None, role=None
    )
    for finding in findings:
        table[column("label", finding)] = np.nan
    return Cohort("films", tuple(findings), table, FilePixels(tuple(found)))
