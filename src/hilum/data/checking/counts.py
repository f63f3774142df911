"""A cohort's table in counts: labels, groups, ages, patients, and what was left out and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from hilum.columns import column
from hilum.data.checking.naming import EXAMPLES, Naming
from hilum.data.checking.results import Ages, Kind, LabelCount, Patients
from hilum.data.cohort import Cohort

UNKNOWN = "unknown"
OLDEST_TOLD = 90  # of people who are not public: ages above 89 name few, 45 CFR 164.514(b)(2)
# Band -> the age it ends before.
_BANDS = {
    "0 to 4": 5,
    "5 to 17": 18,
    "18 to 39": 40,
    "40 to 59": 60,
    "60 to 79": 80,
    "80 or more": np.inf,
}
_VALUES_TOLD = 30  # of a column such as site; the rest are counted together


def label_counts(cohort: Cohort) -> tuple[LabelCount, ...]:
    counts = []
    for finding in cohort.findings:
        label_n = cohort.table[column("label", finding)]
        counts.append(
            LabelCount(
                finding=finding,
                meaning=cohort.meanings.get(finding, ""),
                present=int((label_n == 1).sum()),
                absent=int((label_n == 0).sum()),
                unknown=int(label_n.isna().sum()),
            )
        )
    return tuple(counts)


def value_counts(value_n: pd.Series) -> dict[str, int]:
    """Value -> images, the commonest first; missing ones and those past the thirtieth last."""
    counts = {str(value): int(n) for value, n in value_n.value_counts().items()}
    told = dict(list(counts.items())[:_VALUES_TOLD])
    if rest := len(counts) - len(told):
        told[f"{rest:,} others"] = sum(counts.values()) - sum(told.values())
    if missing := int(value_n.isna().sum()):
        told[UNKNOWN] = missing
    return told


def ages(cohort: Cohort, naming: Naming) -> Ages:
    age_n = pd.to_numeric(cohort.table["age"], errors="coerce").to_numpy(dtype=np.float64)
    known = age_n[np.isfinite(age_n)]
    bands, low = {}, -np.inf
    for band, high in _BANDS.items():
        if n := int(((known >= low) & (known < high)).sum()):
            bands[band] = n
        low = high
    if missing := len(age_n) - len(known):
        bands[UNKNOWN] = missing
    if len(known) == 0:
        return Ages(bands=bands, lowest=None, median=None, highest=None)
    highest = float(known.max())
    return Ages(
        bands=bands,
        lowest=float(known.min()),
        median=float(np.median(known)),
        highest=highest if naming.salt is None else min(highest, OLDEST_TOLD),
    )


def patients(cohort: Cohort) -> Patients:
    films_p = cohort.table["patient_id"].dropna().value_counts()
    counts = films_p.value_counts().sort_index()
    with_films = {str(films): int(n) for films, n in counts.items() if int(str(films)) < 5}
    if more := int((films_p >= 5).sum()):
        with_films["5 or more"] = more
    return Patients(
        n=len(films_p),
        known=int(films_p.sum()),
        with_films=with_films,
        most_films=int(films_p.max()) if len(films_p) else 0,
    )


def kinds(reasons: Iterable[tuple[object, str]], naming: Naming) -> tuple[Kind, ...]:
    """Images grouped by a reason, the commonest first.

    reasons: image id, and why
    """
    ids: dict[str, list[str]] = defaultdict(list)
    n: dict[str, int] = defaultdict(int)
    for image_id, why in reasons:
        n[why] += 1
        if len(ids[why]) < EXAMPLES:
            ids[why].append(naming(image_id))
    order = sorted(n, key=lambda why: (-n[why], why))
    return tuple(Kind(what=why, n=n[why], examples=tuple(ids[why])) for why in order)


def by_position(
    why_by_position: Mapping[int, str], cohort: Cohort, naming: Naming
) -> tuple[Kind, ...]:
    """As `kinds`, of rows of the cohort."""
    id_n = cohort.table["image_id"].to_numpy()
    return kinds(((id_n[row], why) for row, why in sorted(why_by_position.items())), naming)
