"""What in a checked data set a person should look into, in words, the gravest first."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from hilum.data.checking.results import DataCheck
from hilum.data.cohort import Cohort

OLDEST = 120  # years; ChestX-ray14 as first published holds ages up to 414
_FEW = 20  # of a class: no figure from fewer says much


def implausible_ages(cohort: Cohort) -> int:
    """Images whose age no person has."""
    age_n = pd.to_numeric(cohort.table["age"], errors="coerce").to_numpy(dtype=np.float64)
    return int(((age_n < 0) | (age_n > OLDEST)).sum())


def problems(
    found: DataCheck, cohort: Cohort, refusal: str | None, limit: float
) -> tuple[str, ...]:
    """refusal: why roles cannot be given, None where they can; limit: share of broken films"""
    return tuple(_problems(found, cohort, refusal, limit))


def _problems(found: DataCheck, cohort: Cohort, refusal: str | None, limit: float) -> Iterator[str]:
    if refusal is not None:
        yield f"no roles can be given: {refusal}"
    for leak in found.leaks:
        what = counted(leak.n, "patient" if leak.bond == "same patient" else "film")
        bond = " with equal pixels" if leak.bond == "same pixels" else ""
        theirs = " and ".join(
            f"{counted(n, 'image')} of {split}"
            for n, split in zip(leak.images, leak.splits, strict=True)
        )
        yield f"{what}{bond} in both {' and '.join(leak.splits)}: {theirs}"
    for conflict in found.conflicts:
        what = counted(conflict.sets, "film")
        yield f"{what} given more than once, with different labels for {conflict.finding}"
    if n := found.duplicates.of_two_patients:
        yield f"{counted(n, 'film')} given under two patients: one person, or two that look alike"
    if broken := sum(kind.n for kind in found.broken):
        share = 100 * broken / found.n_images
        bearable = max(1, limit * found.n_images) if limit else 0
        stops = f", and training stops above {100 * limit:.3g} %" if broken > bearable else ""
        yield f"{counted(broken, 'film')} cannot be read: {share:.3g} %{stops}"
    for kind in found.films.oddities:
        yield f"{counted(kind.n, 'film')}: {kind.what}"
    for kind in found.films.disagreements:
        yield f"{counted(kind.n, 'film')}: {kind.what}"
    if found.against is not None:
        yield from _overlap(found)
    for label in found.labels:
        if label.present + label.absent == 0:
            yield f"no image has a label for {label.finding}"
            continue
        for n, word in ((label.present, "with"), (label.absent, "without")):
            if n < _FEW:
                yield f"{counted(n, 'image')} {word} {label.finding}: too few to judge by"
    if n := implausible_ages(cohort):
        yield f"{counted(n, 'image')} with an age below 0 or above {OLDEST} years"
    if found.patients.known == 0:
        yield "no patient is known: films of one patient may stand in two roles"
    elif unknown := found.n_images - found.patients.known:
        yield f"{counted(unknown, 'image')} of unknown patients, who may stand in two roles"


def _overlap(found: DataCheck) -> Iterator[str]:
    against = found.against
    assert against is not None
    for n, what in (
        (against.same_film, "of the same film"),
        (against.same_patient, "of the same patient"),
    ):
        if n:
            yield f"{counted(n, 'image')} shared with {against.source} ({what})"


def counted(n: int, noun: str) -> str:
    """`1 film`, `2,000 films`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
