"""Which files on a disk are films: told by suffix, or by content where the name says nothing.

Whether a film can be read is found when it is read.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hilum.data.radiograph import SUFFIXES
from hilum.errors import DataError

_CLUTTER = frozenset(("__MACOSX", "Thumbs.db", "desktop.ini"))
_DICOM_SUFFIXES = (".dcm", ".dicom")
# Below this many films in a folder, asking for each is quicker than listing the folder.
_FEW = 4


@dataclass(frozen=True)
class Listing:
    """What lies below a folder, as paths relative to it, in order.

    excluded: everything else, with the reason
    """

    films: list[str] = field(default_factory=list)
    excluded: list[tuple[str, str]] = field(default_factory=list)


def list_films(folder: Path) -> Listing:
    """All films below a folder, however deep; links are followed, each folder is entered once.

    Raises DataError when a folder cannot be listed.
    """
    listing = Listing()
    for name, reason in _walk(folder):
        reason = reason or _no_film(folder, name)
        if reason is None:
            listing.films.append(name)
        else:
            listing.excluded.append((_printable(name), reason))
    return listing


def is_dicom(folder: Path, name: str) -> bool:
    """True for a film that is DICOM by its suffix, or has none that says what it is."""
    suffix = _suffix(name)
    return suffix in _DICOM_SUFFIXES or (suffix not in SUFFIXES and _has_dicom_mark(folder / name))


def present(root: Path, name_n: Sequence[str]) -> NDArray[np.bool_]:
    """True where a file lies at `root / name`, shape (n,); folders are listed, not files asked."""
    parent_n = [os.path.dirname(name) for name in name_n]  # noqa: PTH120
    wanted = Counter(parent_n)
    names = {
        parent: _names(os.path.join(root, parent))  # noqa: PTH118, a million joins
        for parent, count in wanted.items()
        if count > _FEW
    }
    return np.fromiter(
        (
            name.rpartition("/")[2] in names[parent]
            if parent in names
            else os.path.isfile(os.path.join(root, name))  # noqa: PTH113, PTH118
            for name, parent in zip(name_n, parent_n, strict=True)
        ),
        dtype=np.bool_,
        count=len(name_n),
    )


def _names(folder: str) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.is_file())
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except OSError as error:
        raise _unlistable(folder, error) from error


def _walk(folder: Path) -> Iterator[tuple[str, str | None]]:
    """Every file below, and every folder that is not entered with the reason; relative paths."""

    def refuse(error: OSError) -> None:
        raise _unlistable(error.filename, error) from error

    entered: set[tuple[int, int]] = set()
    for path, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        below = Path(path).relative_to(folder).as_posix()
        prefix = "" if below == "." else f"{below}/"
        status = os.stat(path)  # noqa: PTH116
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            yield below, "a link to a folder that is here already"
            continue
        entered.add((status.st_dev, status.st_ino))
        for name in folders:
            if _is_clutter(name):
                yield prefix + name, "hidden folder"
        folders[:] = sorted(name for name in folders if not _is_clutter(name))
        for name in sorted(files):
            yield prefix + name, None


def _no_film(folder: Path, name: str) -> str | None:
    """Why a file is no film, None where it is one."""
    base = name.rpartition("/")[2]
    if _is_clutter(base):
        return "hidden file"
    if not name.isprintable():
        return "a file name that is not text"
    suffix = _suffix(name)
    if suffix in SUFFIXES:
        return None
    if suffix:
        return f"not a film ({suffix})"
    return None if _has_dicom_mark(folder / name) else "not a film (no suffix, not DICOM)"


def _suffix(name: str) -> str:
    """`.png`; none for a name like 1.2.840.113619, whose last part is a number."""
    stem, dot, suffix = name.rpartition("/")[2].rpartition(".")
    return f".{suffix.lower()}" if stem and dot and not suffix.isdecimal() else ""


def _has_dicom_mark(path: Path) -> bool:
    # DICOM PS3.10, section 7.1: a preamble of 128 bytes, then DICM.
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _is_clutter(name: str) -> bool:
    return name.startswith(".") or name in _CLUTTER


def _printable(name: str) -> str:
    return name if name.isprintable() else repr(name)


def _unlistable(folder: str | Path, error: OSError) -> DataError:
    return DataError(folder, f"cannot be listed ({error.strerror})", remedy="check who may read it")
