"""What is asked for when shards are written, and the digest by which a run knows its own.

What films become is done in `films`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import pandas as pd

from hilum.data.cohort import Cohort
from hilum.data.pixels import FilePixels
from hilum.data.shards.manifest import Encoding
from hilum.errors import DataError


@dataclass(frozen=True)
class Form:
    """How films are stored.

    encoding: "png" (8 bits, or 16 where the film has more than 8), "jpeg" (8 bits, quality 95),
        "webp" (8 bits, lossless), or "original", the very bytes of each file
    size: pixels of the shorter side, the aspect kept; smaller films and None stay as they are
    per_shard: images a shard; None: 1,000, or fewer when they would exceed 256 MB
    """

    encoding: Encoding = "png"
    size: int | None = None
    per_shard: int | None = None

    def __post_init__(self) -> None:
        if self.size is not None and not 16 <= self.size <= 4096:
            raise DataError("--size", f"{self.size}", expected="16 to 4,096 pixels")
        if self.size is not None and self.encoding == "original":
            raise DataError(
                "--size", "original files keep their size", expected="png, jpeg or webp with it"
            )
        if self.per_shard is not None and self.per_shard < 1:
            raise DataError("--per-shard", f"{self.per_shard}", expected="1 or more")


def plan_digest(cohort: Cohort, form: Form, keep_ids: bool) -> str:
    """Of what is asked for: the same images, facts and form have the same."""
    table = cohort.table.drop(columns="role")
    pixels = cohort.pixels
    squashed = pixels.aspect_n if isinstance(pixels, FilePixels) else None
    asked = {
        "name": cohort.name,
        "findings": cohort.findings,
        "columns": list(table.columns),
        "rows": _digest(table),
        "aspects": None if squashed is None else _digest(pd.DataFrame({"aspect": squashed})),
        "boxes": _digest(cohort.boxes),
        "excluded": _digest(cohort.excluded),
        "files": _files(pixels) if isinstance(pixels, FilePixels) else None,
        "reading": pixels.reading.model_dump() if isinstance(pixels, FilePixels) else None,
        "form": [form.encoding, form.size, form.per_shard],
        "keep_ids": keep_ids,
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _files(pixels: FilePixels) -> str:
    """Of each file's size and time of change, so that a changed film is not taken for written."""
    digest = hashlib.sha256()
    for index in range(len(pixels.name_n)):
        try:
            facts = pixels.path(index).stat()
        except OSError:  # told when it is read
            digest.update(b"missing")
            continue
        digest.update(f"{facts.st_size} {facts.st_mtime_ns},".encode())
    return digest.hexdigest()


def _digest(table: pd.DataFrame) -> str:
    """Of every cell and its row."""
    text = table.astype(object).where(table.notna(), None).map(str)
    rows = pd.util.hash_pandas_object(text, index=True)
    return hashlib.sha256(rows.to_numpy().tobytes()).hexdigest()
