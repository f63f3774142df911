"""Everything that can be told of a data set, put together from its table, headers and pixels.

Films are looked at by `survey` and `fingerprints` beforehand; nothing is written here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import pandas as pd
from pydicom.uid import UID

from hilum.data.checking.against import against
from hilum.data.checking.counts import (
    ages,
    by_position,
    kinds,
    label_counts,
    patients,
    value_counts,
)
from hilum.data.checking.naming import Naming
from hilum.data.checking.problems import problems
from hilum.data.checking.results import DataCheck, Duplicates, Films, Kind, PlannedRoles
from hilum.data.checking.sharing import (
    Sets,
    conflicts,
    duplicate_table,
    leaks,
    of_two_patients,
    set_count,
    sets_of,
)
from hilum.data.checking.survey import Survey, unnamed
from hilum.data.cohort import Cohort
from hilum.data.fingerprints import Fingerprints
from hilum.data.oddities import Oddity
from hilum.data.pixels import FilePixels
from hilum.data.roles import Exclusion, assign_roles
from hilum.errors import DataError
from hilum.recipe import DataPart

_SIZES_TOLD = 12
UNREADABLE = "cannot be read"


@dataclass(frozen=True)
class Looked:
    """A cohort and what was seen of its films. prints: None where pixels were not to be read."""

    cohort: Cohort
    survey: Survey
    prints: Fingerprints | None

    def broken(self) -> dict[int, str]:
        """Row position -> why its film cannot be read, by header or by pixels."""
        by_pixels = self.prints.broken if self.prints else {}
        lines = {row: unnamed(self.cohort, row, line) for row, line in by_pixels.items()}
        return dict(sorted({**lines, **self.survey.broken}.items()))

    def odd(self) -> dict[int, tuple[str, ...]]:
        """Row position -> what is odd about a film that can be read; of those that only a decoder
        finds odd, the first of each kind."""
        rows = dict(self.survey.odd)
        known = {what for odd in rows.values() for what in odd}
        for what, oddity in self._noted().items():
            if what not in known:
                row = int(np.flatnonzero(self.cohort.table.index == oddity.first)[0])
                rows[row] = (*rows.get(row, ()), what)
        broken = self.broken()
        return {row: odd for row, odd in sorted(rows.items()) if row not in broken}

    def oddities(self, naming: Naming) -> tuple[Kind, ...]:
        """What is odd, and how many films have it."""
        rows, id_n = self.odd(), self.cohort.table["image_id"].to_numpy()
        noted = self._noted()
        found = kinds(((id_n[row], what) for row in rows for what in rows[row]), naming)
        return tuple(
            each.model_copy(update={"n": max(each.n, noted[each.what].films)})
            if each.what in noted
            else each
            for each in found
        )

    def _noted(self) -> Mapping[str, Oddity]:
        pixels = self.cohort.pixels
        return pixels.noted.by_kind if isinstance(pixels, FilePixels) else {}


@dataclass(frozen=True)
class Checked:
    """result: what was found; duplicates, excluded: the tables behind its counts."""

    result: DataCheck
    duplicates: pd.DataFrame
    excluded: pd.DataFrame


def check(
    looked: Looked,
    options: DataPart,
    naming: Naming,
    *,
    other: Looked | None = None,
    seed: int = 0,
) -> Checked:
    """All that is to be told of a cohort.

    options: how roles are to be planned
    other: another source, which may hold the same films or patients
    seed: of the planned roles
    """
    cohort = looked.cohort
    sets = sets_of(cohort, looked.prints)
    roles, excluded, refusal = _planned(looked, options, naming, seed)
    found = DataCheck(
        hilum=version("hilum"),
        source=cohort.name,
        synthetic=cohort.synthetic,
        licence=cohort.licence,
        ids=naming.how,
        n_images=len(cohort),
        pixels_read=looked.prints is not None,
        labels=label_counts(cohort),
        view=value_counts(cohort.table["view"]),
        sex=value_counts(cohort.table["sex"]),
        site=value_counts(cohort.table["site"]),
        split=value_counts(cohort.table["split"]),
        age=ages(cohort, naming),
        patients=patients(cohort),
        boxes=value_counts(cohort.boxes["finding"]),
        films=_films(looked, naming),
        broken=by_position(looked.broken(), cohort, naming),
        excluded=kinds(_pairs(cohort.excluded), naming),
        duplicates=_duplicates(cohort, sets, looked.prints),
        leaks=leaks(cohort, sets, naming),
        conflicts=conflicts(cohort, sets, naming),
        roles=roles,
        against=None if other is None else against(looked, other, naming),
        problems=(),
        warnings=cohort.warnings,
    )
    found = found.model_copy(
        update={"problems": problems(found, cohort, refusal, options.broken_limit)}
    )
    return Checked(found, duplicate_table(cohort, sets, naming), excluded)


def _pairs(table: pd.DataFrame) -> Iterator[tuple[object, str]]:
    return zip(table["image_id"], table["reason"].astype(str), strict=True)


def _films(looked: Looked, naming: Naming) -> Films:
    survey, cohort = looked.survey, looked.cohort
    size_n2 = survey.size_n2[survey.size_n2[:, 0] > 0]
    sizes = Counter(f"{columns} x {rows}" for rows, columns in size_n2.tolist())
    told = dict(sizes.most_common(_SIZES_TOLD))
    shorter_n = size_n2.min(axis=1) if len(size_n2) else None
    id_n = cohort.table["image_id"].to_numpy()
    differing = (
        (id_n[row], f"the file gives another {name} than the table")
        for name, rows in survey.differing.items()
        for row in rows
    )
    return Films(
        n=len(size_n2),
        formats=survey.counts("format"),
        sizes=told,
        other_sizes=len(size_n2) - sum(told.values()),
        shorter_side=None
        if shorter_n is None
        else (int(shorter_n.min()), float(np.median(shorter_n)), int(shorter_n.max())),
        bits=survey.counts("bits"),
        photometric=survey.counts("photometric"),
        modality=survey.counts("modality"),
        body_part=survey.counts("body_part"),
        transfer_syntax={
            _syntax_in_words(uid): n for uid, n in survey.counts("transfer_syntax").items()
        },
        oddities=looked.oddities(naming),
        disagreements=kinds(differing, naming),
    )


def _syntax_in_words(uid: str) -> str:
    return UID(uid).name


def _duplicates(cohort: Cohort, sets: Sets, prints: Fingerprints | None) -> Duplicates:
    pixel_sets, pixel_films = set_count(sets.pixels_n)
    film_sets, film_films = set_count(sets.film_n)
    return Duplicates(
        looked_for=prints is not None,
        hashed=0 if prints is None else int(prints.hashed_n.sum()),
        same_pixels_sets=pixel_sets,
        same_pixels_films=pixel_films,
        same_film_sets=film_sets,
        same_film_films=film_films,
        of_two_patients=of_two_patients(cohort, sets),
    )


def _planned(
    looked: Looked, options: DataPart, naming: Naming, seed: int
) -> tuple[PlannedRoles | None, pd.DataFrame, str | None]:
    """Roles as training would give them, every image without one, and why there are none."""
    cohort = looked.cohort
    columns = ["image_id", "left_out_by", "reason"]
    left_out = [(naming(name), "source", why) for name, why in _pairs(cohort.excluded)]
    # Broken films are told of here, however many; without pixels no duplicate can be kept apart.
    changes: dict[str, object] = {"broken_limit": 1.0}
    if looked.prints is None:
        changes["duplicates"] = "off"
    options = options.model_copy(update=changes)
    try:
        _, ledger = assign_roles(cohort, options, seed, looked.prints)
    except DataError as error:
        return None, pd.DataFrame(left_out, columns=columns), _refusal(error)
    reasons = [(each.image_id, _reason(each)) for each in ledger.excluded]
    planned = PlannedRoles(
        roles=ledger.roles,
        grouping=ledger.grouping,
        seed=ledger.seed,
        duplicates=options.duplicates,
        excluded=kinds(reasons, naming),
    )
    left_out += [(naming(name), "roles", why) for name, why in reasons]
    return planned, pd.DataFrame(left_out, columns=columns), None


def _refusal(error: DataError) -> str:
    """Why there are no roles, without the id of the first patient or film in question."""
    found = re.split(", (?:the )?first ", error.found)[0]
    parts = [found, f"expected {error.expected}" if error.expected else None, error.remedy]
    return "; ".join(filter(None, parts))


def _reason(exclusion: Exclusion) -> str:
    """Why an image has no role, without the id of the image it is like."""
    if exclusion.like is None:
        return exclusion.why if exclusion.why.startswith("no ") else UNREADABLE
    return f"{exclusion.why} an image of {exclusion.like_split or 'another split'}"
