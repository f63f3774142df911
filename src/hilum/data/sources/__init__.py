"""One module per public data set, each turning it into a Cohort; opened here by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hilum.data.cohort import Cohort, RememberedPixels
from hilum.data.download import Progress
from hilum.data.sources.medmnist import SIDES, pneumoniamnist
from hilum.data.sources.phantom import phantom_cohort
from hilum.errors import DataError

NAMES = "pneumoniamnist, pneumoniamnist@64, @128, @224, phantom, phantom@SIZE"


def open_source(
    source: str,
    *,
    data: Path | None = None,
    progress: Progress = lambda done, total: None,
) -> Cohort:
    """The cohort that a source's name means, such as `pneumoniamnist`, `phantom@224`.

    data: file or folder to read it from; when given, nowhere else is looked
    Raises DataError for an unknown name, DataMissingError when the data are not to be had.
    """
    name, at, size = source.partition("@")
    if at and not size.isdecimal():
        raise DataError(source, f"size {size!r}", expected="a number of pixels, as in phantom@224")
    match name:
        case "pneumoniamnist":
            return pneumoniamnist(int(size or SIDES[0]), data=data, progress=progress)
        case "phantom":
            cohort = phantom_cohort(size=int(size or SIDES[0]))
            return replace(cohort, pixels=RememberedPixels(cohort.pixels))
        case _:
            raise DataError(source, "no source of this name", expected=NAMES)
