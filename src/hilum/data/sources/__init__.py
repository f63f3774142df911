"""One module per public data set, each turning it into a Cohort; opened here by name."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from pathlib import Path

from hilum.data.cohort import Cohort
from hilum.data.download import Progress
from hilum.data.pixels import RememberedPixels
from hilum.data.sources.places import find_path
from hilum.data.sources.selection import refuse_unused, select
from hilum.errors import DataError
from hilum.recipe import DataPart, ReadingPart


@dataclass(frozen=True)
class Kind:
    """One kind of source, as a user is told of it.

    spelled: how it is asked for
    options: the keys of the recipe's [data] table that mean something to it
    """

    spelled: str
    what: str
    options: tuple[str, ...]


# By name, with a size in pixels after an @ where one is wanted.
NAMES = {
    "pneumoniamnist": Kind(
        "pneumoniamnist[@28|64|128|224]",
        "PneumoniaMNIST, children's films with and without pneumonia",
        ("findings", "views", "patients"),
    ),
    "phantom": Kind(
        "phantom[@SIZE]", "synthetic films, drawn when read", ("findings", "views", "phantom")
    ),
}
# By kind and place, `kind:PATH`.
KINDS = {
    "nih": Kind("nih:PATH", "NIH ChestX-ray14 as published", ("findings", "views")),
    "rsna": Kind(
        "rsna:PATH",
        "RSNA Pneumonia Detection Challenge, stage 2, as published",
        ("findings", "views", "negatives", "patients"),
    ),
    "chexpert": Kind("chexpert:PATH", "CheXpert as published", ("findings", "views", "uncertain")),
    "folder": Kind(
        "folder:PATH",
        "a table of films (CSV, TSV, Parquet), a folder per class, or a folder of DICOM files",
        ("findings", "views", "columns", "patients", "licence"),
    ),
    "shards": Kind(
        "shards:PATH|URL", "what `hilum data shard` wrote", ("findings", "views", "broken_shards")
    ),
}
SOURCES = {**NAMES, **KINDS}


def open_source(
    source: str,
    options: DataPart | None = None,
    reading: ReadingPart | None = None,
    *,
    data: Path | None = None,
    progress: Progress = lambda done, total: None,
) -> Cohort:
    """The cohort that a source's name means, such as `pneumoniamnist`, `nih:PATH`, `phantom@224`.

    options: what is asked of it; its own `source` is not looked at
    data: file or folder to read it from; when given, nowhere else is looked
    progress: called with what is done and what there is in all, where opening takes time
    Raises DataError for an unknown name or an option that this source has no use for,
    DataMissingError when the data are not to be had.
    """
    options, reading = options or DataPart(), reading or ReadingPart()
    kind, colon, place = source.partition(":")
    if colon and kind in KINDS:
        refuse_unused(kind, options, KINDS[kind].options)
        return select(_placed(kind, place, options, reading, data, progress), options)
    name, at, size = source.partition("@")
    if name not in NAMES:
        raise DataError(source, "no source of this name", **_nearest(source))
    if at and not size.isdecimal():
        raise DataError(source, f"size {size!r}", expected="a number of pixels, as in phantom@224")
    refuse_unused(name, options, NAMES[name].options)
    return select(_named(name, int(size or 28), options, reading, data, progress), options)


def _named(
    name: str,
    size: int,
    options: DataPart,
    reading: ReadingPart,
    data: Path | None,
    progress: Progress,
) -> Cohort:
    if name == "phantom":
        from hilum.data.sources.phantom import phantom_cohort, sites_named

        asked = options.phantom
        drawn = asked.model_dump(exclude={"sites"})
        cohort = phantom_cohort(size=size, sites=sites_named(asked.sites), **drawn)
        return replace(cohort, pixels=RememberedPixels(cohort.pixels))
    from hilum.data.sources.medmnist import pneumoniamnist

    return pneumoniamnist(size, data=data, patients=options.patients, progress=progress)


def _placed(
    kind: str,
    place: str,
    options: DataPart,
    reading: ReadingPart,
    data: Path | None,
    progress: Progress,
) -> Cohort:
    if not place:
        raise DataError(f"{kind}:", "no path", expected=KINDS[kind].spelled)
    if kind == "shards":
        from hilum.data.sources.shards import shards_cohort

        location = place if "://" in place else str(find_path(place, below=data))
        return shards_cohort(location, options, reading)
    path = find_path(place, below=data)
    match kind:
        case "nih":
            from hilum.data.sources.nih import nih_cohort

            return nih_cohort(path, options, reading)
        case "rsna":
            from hilum.data.sources.rsna import rsna_cohort

            return rsna_cohort(path, options, reading)
        case "chexpert":
            from hilum.data.sources.chexpert import chexpert_cohort

            return chexpert_cohort(path, options, reading)
        case _:
            from hilum.data.sources.folder import folder_cohort

            return folder_cohort(path, options, reading, progress=progress)


def _nearest(source: str) -> dict[str, str]:
    """What is said of an unknown name: the nearest one, and all there are."""
    expected = ", ".join(each.spelled for each in SOURCES.values())
    if Path(source).exists():
        return {"expected": expected, "remedy": f"did you mean folder:{source}?"}
    kind, colon, place = source.partition(":")
    asked, at, size = kind.partition("@")
    near = difflib.get_close_matches(asked.lower(), SOURCES, n=1)
    if not near:
        return {"expected": expected}
    rest = colon + place if near[0] in KINDS else at + size
    if near[0] in KINDS and not colon:
        rest = ":PATH"
    return {"expected": expected, "remedy": f"did you mean {near[0]}{rest}?"}
