"""A run's figures epoch by epoch, as JSON lines and as a table: `metrics.jsonl`, `metrics.csv`.

Which figures there are is `watching`'s to say; when they are written, the loop's.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from hilum.training.watching import EpochReport
from hilum.writing import replacing

METRICS = "metrics.jsonl"
TABLE = "metrics.csv"


def write_metrics(folder: Path, reports: Sequence[EpochReport]) -> None:
    """Write both files anew, all epochs of them, so that neither can lag behind the other.

    Raises OutputError.
    """
    with replacing(folder / METRICS) as draft:
        draft.write_text("".join(json.dumps(asdict(report)) + "\n" for report in reports))
    with replacing(folder / TABLE) as draft, draft.open("w", newline="") as file:
        table = csv.DictWriter(file, [field.name for field in fields(EpochReport)])
        table.writeheader()
        table.writerows(asdict(report) for report in reports)


def read_metrics(folder: Path) -> list[EpochReport]:
    """What a run has written so far; none where it has not come to the end of an epoch."""
    return [EpochReport(**line) for line in metric_lines(folder)]


def metric_lines(folder: Path) -> list[dict[str, Any]]:
    """The same as plain values, also of a run whose version of Hilum had other figures."""
    path = folder / METRICS
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
