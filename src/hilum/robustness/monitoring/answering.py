"""Answering on the record: predictions, and a line for each film of them.

What stands in a line is left to `record`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from hilum.bundle import Bundle, sha256_of
from hilum.data.cohort import Cohort
from hilum.data.fingerprints import pixel_digest
from hilum.data.pixels import FilePixels
from hilum.data.reading import Quarantine
from hilum.engines import Engine
from hilum.evaluation.predictions import Predictions
from hilum.observing import observe
from hilum.robustness.monitoring.record import append, lines_of


def answer_on_record(
    bundle: Bundle,
    cohort: Cohort,
    folder: Path,
    *,
    engine: Engine,
    quarantine: Quarantine,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Predictions:
    """Predict, and add a line a film to the record; films that cannot be read have none.

    Raises what `observe` and `append` raise.
    """
    observed = observe(bundle, cohort, engine=engine, quarantine=quarantine, progress=progress)
    digests = film_digests(cohort.where(quarantine.readable_n))
    append(folder, lines_of(bundle, observed, digests, datetime.now(UTC), engine.name))
    return observed.predictions


def film_digests(cohort: Cohort) -> list[str]:
    """SHA-256 of each film: of its file, or of its pixels where it has none of its own."""
    pixels = cohort.pixels
    if isinstance(pixels, FilePixels):
        return [sha256_of(pixels.path(int(index))) for index in cohort.table.index]
    return [pixel_digest(pixels.read(int(index))) for index in cohort.table.index]
