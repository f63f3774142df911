"""Folds: patient-disjoint parts of the films that training may see, each held out once.

What hangs together is found in `grouping`; which films are `test`, and so in no fold, in `roles`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.data.cohort import Cohort
from hilum.data.fingerprints import Fingerprints
from hilum.data.grouping import Grouping, grouped
from hilum.data.roles import strata
from hilum.errors import DataError
from hilum.recipe import DataPart


@dataclass(frozen=True)
class Fold:
    """One part held out, and the rest shared between training and its early stopping.

    train, tune, held_out: row positions in the cohort
    digest: of what these films are and of their labels
    """

    train: NDArray[np.intp]
    tune: NDArray[np.intp]
    held_out: NDArray[np.intp]
    digest: str

    def parts(self, cohort: Cohort) -> tuple[Cohort, Cohort, Cohort]:
        """The rows to train on, to tune on, and held out."""
        every = np.arange(len(cohort))
        train, tune, held_out = (
            cohort.where(np.isin(every, rows)) for rows in (self.train, self.tune, self.held_out)
        )
        return train, tune, held_out


def draw_folds(
    cohort: Cohort, settings: DataPart, folds: int, *, seed: int, prints: Fingerprints | None
) -> list[Fold]:
    """Share the films of train, tune and calibrate among `folds` parts; `tune_fraction` of the
    rest of each part is its tune.

    cohort: with roles; prints: of its rows, not needed when duplicates are "off"
    Whole patients, with all images of equal pixels and of one film, stratified by finding, as
    roles are drawn. Where patients are known for some images, those of unknown patients are always
    trained on: they might be anybody's. The order of the rows has no say.
    Raises DataError when a part lacks a class of a finding.
    """
    sets = grouped(cohort, prints, settings.duplicates)
    pool = np.flatnonzero(cohort.table["role"].isin(["train", "tune", "calibrate"]))
    part_n = _dealt(cohort, sets, pool, folds, np.random.default_rng((seed, 0)))
    drawn = []
    for k in range(folds):
        held_out, rest = pool[part_n == k], pool[part_n != k]
        tenths = round(1 / settings.tune_fraction)
        tune_n = _dealt(cohort, sets, rest, tenths, np.random.default_rng((seed, k + 1))) == 0
        train, tune = rest[~tune_n], rest[tune_n]
        for word, rows in (("to train on", train), ("to tune on", tune), ("held out", held_out)):
            _refuse_one_class(cohort, rows, f"fold {k + 1} of {folds}", word)
        digest = _digest(cohort, sets, (train, tune, held_out))
        drawn.append(Fold(train, tune, held_out, digest))
    return drawn


def _dealt(
    cohort: Cohort, sets: Grouping, rows: NDArray[np.intp], parts: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """The part, 0 … parts - 1, of each of the rows; -1 for what is never drawn."""
    drawable_n = sets.drawable_n[rows]
    name_g, group_n = np.unique(sets.name_n[rows[drawable_n]], return_inverse=True)
    stratum_g = strata(cohort, rows[drawable_n], group_n, len(name_g))
    part_g = np.full(len(name_g), -1, dtype=np.intp)
    for stratum in np.unique(stratum_g[stratum_g >= 0]):
        members = rng.permutation(np.flatnonzero(stratum_g == stratum))
        part_g[members] = np.arange(len(members)) % parts
    part_n = np.full(len(rows), -1, dtype=np.intp)
    part_n[drawable_n] = part_g[group_n]
    return part_n


def _refuse_one_class(cohort: Cohort, rows: NDArray[np.intp], fold: str, word: str) -> None:
    label_nf = cohort.label_nf[rows]
    for f, finding in enumerate(cohort.findings):
        for value, having in ((1, "with"), (0, "without")):
            if not (label_nf[:, f] == value).any():
                raise DataError(
                    cohort.name,
                    f"{fold}: among its {len(rows):,} films {word} none is {having} {finding}",
                    expected="both classes in each part",
                    remedy="set a lower select.folds, or use more patients",
                )


def _digest(cohort: Cohort, sets: Grouping, parts: tuple[NDArray[np.intp], ...]) -> str:
    digest, label_nf = hashlib.sha256(), cohort.label_nf
    for rows in parts:
        films = sorted(f"{sets.text_n[row]} {label_nf[row].tolist()}" for row in rows)
        digest.update("\n".join((*films, "")).encode())
        digest.update(b"\n")
    return digest.hexdigest()
