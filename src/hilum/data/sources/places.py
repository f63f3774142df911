"""Where a named file or folder is: as the path stands, or below the folder of data sets."""

from __future__ import annotations

import os
from pathlib import Path

from hilum.errors import DataMissingError


def find_path(named: str, *, below: Path | None = None) -> Path:
    """The file or folder that `named` means: absolute, in the working folder, or in HILUM_DATA.

    below: when given, a relative path is looked for there and nowhere else
    Raises DataMissingError, which names every place that was looked at.
    """
    path = Path(named).expanduser()
    environment = os.environ.get("HILUM_DATA")
    if path.is_absolute():
        folders = [Path()]
    elif below is not None:
        folders = [below]
    else:
        folders = [Path(), *([Path(environment)] if environment else [])]
    for folder in folders:
        if (folder / path).exists():
            return folder / path
    if path.is_absolute():
        raise DataMissingError(path, "no such file or folder")
    places = " or in ".join(str(folder.absolute()) for folder in folders)
    only_here = below is None and not environment
    raise DataMissingError(
        path,
        f"no such file or folder in {places}",
        remedy="HILUM_DATA may name the folder of data sets" if only_here else None,
    )
