"""Fingerprints of films kept between runs, so that an unchanged file is read once.

It lies in the user's cache folder and holds neither names nor paths: a film is known by a hash of
its path, size and time. Several processes may read and write at once. A cache that cannot be used
is as good as an empty one, so that is no error.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from hilum.data import radiograph
from hilum.data.pixels import FilePixels

_TABLE = """
CREATE TABLE IF NOT EXISTS prints
(film BLOB PRIMARY KEY, digest BLOB NOT NULL, hash BLOB) WITHOUT ROWID
"""
_AT_ONCE = 500  # films asked for in one query
_PATIENCE = 10.0  # seconds to wait for another process that writes


class Print(NamedTuple):
    """Of one film. digest: 32 bytes; hash: 32 bytes, empty when it has none, None: not made."""

    digest: bytes
    hash: bytes | None


def film_key(pixels: FilePixels, index: int) -> bytes | None:
    """What a film's file is known by; another as soon as it, or how it is read, has changed.

    None when there is no such file.
    """
    path = os.path.abspath(pixels.path(index))  # noqa: PTH100, a Path takes ten times as long
    try:
        facts = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    aspect = None if pixels.aspect_n is None else float(pixels.aspect_n[index])
    reading = (_reader(), pixels.reading.model_dump_json(), aspect, pixels.strict)
    return hashlib.sha256(
        repr((path, facts.st_size, facts.st_mtime_ns, reading)).encode("utf-8", "surrogateescape")
    ).digest()[:16]


def known_prints(keys: Sequence[bytes]) -> dict[bytes, Print]:
    """Those that are kept."""
    found: dict[bytes, Print] = {}
    with suppress(sqlite3.Error, OSError), closing(_open()) as base:
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            # Question marks are all that is put in.
            query = f"SELECT film, digest, hash FROM prints WHERE film IN ({marks})"  # nosec B608
            found |= {film: Print(*rest) for film, *rest in base.execute(query, some)}
    return found


def keep_prints(prints: Mapping[bytes, Print]) -> None:
    """Keep these; all or, on a full disk or a folder that may not be written to, none."""
    rows = ((film, *each) for film, each in prints.items())
    with suppress(sqlite3.Error, OSError), closing(_open()) as base, base:
        # The lock is taken at once: two that both read before they write cannot both wait.
        base.execute("BEGIN IMMEDIATE")
        base.execute(_TABLE)
        base.executemany("INSERT OR REPLACE INTO prints VALUES (?, ?, ?)", rows)


def _open() -> sqlite3.Connection:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hilum"
    folder.mkdir(parents=True, exist_ok=True)
    return sqlite3.connect(folder / "fingerprints.sqlite", timeout=_PATIENCE)


@cache
def _reader() -> str:
    """What reads films: a print made by other code, or another decoder, is not taken for ours."""
    folder = Path(radiograph.__file__).parent
    names = ("fingerprints.py", "grey.py", "pixels.py", "preprocessing.py")
    digest = hashlib.sha256()
    for source in (*sorted(folder.rglob("*.py")), *(folder.parent / name for name in names)):
        digest.update(source.read_bytes())
    for package in ("numpy", "pillow", "pydicom"):
        digest.update(version(package).encode())
    return digest.hexdigest()
