"""Films and patients that stand more than once: duplicates, leaks between splits, label conflicts.

How two films are known to be one is left to `fingerprints`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hilum.columns import column
from hilum.data.checking.naming import EXAMPLES, Naming
from hilum.data.checking.results import Bond, Conflict, Leak
from hilum.data.cohort import Cohort
from hilum.data.fingerprints import Fingerprints, near_pairs


@dataclass(frozen=True)
class Sets:
    """For each row the number of the set it belongs to, -1 for rows that stand alone.

    pixels_n: of films with equal pixels; film_n: of films that are one, by pixels or by
    perceptual hash; patient_n: of films of one patient
    """

    pixels_n: NDArray[np.intp]
    film_n: NDArray[np.intp]
    patient_n: NDArray[np.intp]


def sets_of(cohort: Cohort, prints: Fingerprints | None) -> Sets:
    """prints: None where pixels were not looked at"""
    patient_n = _codes(cohort.table["patient_id"])
    if prints is None:
        alone = np.full(len(cohort), -1, dtype=np.intp)
        return Sets(alone, alone, patient_n)
    pixels_n = _codes(pd.Series(prints.digest_n).replace("", None))
    return Sets(pixels_n, _joined(pixels_n, near_pairs(prints)), patient_n)


def _codes(value_n: pd.Series) -> NDArray[np.intp]:
    """The number of each value that stands twice or more, -1 for others and missing ones."""
    twice = value_n.duplicated(keep=False) & value_n.notna()
    return np.asarray(pd.factorize(value_n.where(twice))[0], dtype=np.intp)


def _joined(pixels_n: NDArray[np.intp], pair_k2: NDArray[np.intp]) -> NDArray[np.intp]:
    """Films that hang together by equal pixels or by pairs."""
    n = len(pixels_n)
    member = np.flatnonzero(pixels_n >= 0)
    _, first = np.unique(pixels_n[member], return_index=True)
    row = np.concatenate([member[first][pixels_n[member]], pair_k2[:, 0]])
    other = np.concatenate([member, pair_k2[:, 1]])
    links = coo_array((np.ones(len(row), dtype=np.int8), (row, other)), shape=(n, n))
    _, set_n = connected_components(links, directed=False)
    return _codes(pd.Series(set_n))


def set_count(set_n: NDArray[np.intp]) -> tuple[int, int]:
    """How many sets there are, and how many films in them."""
    member = set_n[set_n >= 0]
    return len(np.unique(member)), len(member)


def of_two_patients(cohort: Cohort, sets: Sets) -> int:
    """Films that stand more than once, under different patients."""
    member_n = sets.film_n >= 0
    patients = cohort.table["patient_id"].to_numpy(dtype=object)[member_n]
    return int((pd.Series(patients).groupby(sets.film_n[member_n]).nunique() > 1).sum())


def leaks(cohort: Cohort, sets: Sets, naming: Naming) -> tuple[Leak, ...]:
    """What each two published splits share."""
    split_n = cohort.table["split"].to_numpy(dtype=object)
    id_n = cohort.table["image_id"].to_numpy()
    bonds: dict[Bond, NDArray[np.intp]] = {
        "same patient": sets.patient_n,
        "same pixels": sets.pixels_n,
        "same film": sets.film_n,
    }
    splits = sorted(pd.unique(cohort.table["split"].dropna()), key=_order)
    found = []
    for bond, set_n in bonds.items():
        for first, second in combinations(splits, 2):
            a, b = set_n[split_n == first], set_n[split_n == second]
            shared = np.intersect1d(a[a >= 0], b[b >= 0])
            if len(shared) == 0:
                continue
            rows = np.flatnonzero(np.isin(set_n, shared) & np.isin(split_n, [first, second]))
            found.append(
                Leak(
                    bond=bond,
                    splits=(str(first), str(second)),
                    n=len(shared),
                    images=(int(np.isin(a, shared).sum()), int(np.isin(b, shared).sum())),
                    examples=tuple(
                        naming(id_n[row]) for row in rows[np.argsort(set_n[rows], kind="stable")]
                    )[:EXAMPLES],
                )
            )
    # Where no film is the same with other pixels, the second line would repeat the first.
    told = {(each.splits, each.n, each.images) for each in found if each.bond == "same pixels"}
    return tuple(
        each
        for each in found
        if each.bond != "same film" or (each.splits, each.n, each.images) not in told
    )


def _order(split: object) -> tuple[int, str]:
    usual = ("train", "val", "test")
    return (usual.index(split) if split in usual else len(usual)), str(split)


def conflicts(cohort: Cohort, sets: Sets, naming: Naming) -> tuple[Conflict, ...]:
    """Films that are one and have different labels."""
    found = []
    for finding in cohort.findings:
        pairs = list(_differing(cohort, sets.film_n, finding))
        if pairs:
            id_n = cohort.table["image_id"].to_numpy()
            examples = tuple((naming(id_n[a]), naming(id_n[b])) for a, b in pairs[:EXAMPLES])
            found.append(Conflict(finding=finding, sets=len(pairs), examples=examples))
    return tuple(found)


def _differing(cohort: Cohort, film_n: NDArray[np.intp], finding: str) -> Iterator[tuple[int, int]]:
    """Of each set with both labels, one film that has the finding and one that has not."""
    label_n = cohort.table[column("label", finding)].to_numpy(dtype=np.float64)
    rows = np.flatnonzero((film_n >= 0) & np.isfinite(label_n))
    table = pd.DataFrame({"film": film_n[rows], "label": label_n[rows], "row": rows})
    first = table.groupby(["film", "label"])["row"].first().unstack("label")
    if {0.0, 1.0} <= set(first.columns):
        for with_, without in first[[1.0, 0.0]].dropna().to_numpy(dtype=np.intp):
            yield int(with_), int(without)


def duplicate_table(cohort: Cohort, sets: Sets, naming: Naming) -> pd.DataFrame:
    """Every film that stands more than once, the films of one set below each other."""
    rows = np.flatnonzero(sets.film_n >= 0)
    rows = rows[np.argsort(sets.film_n[rows], kind="stable")]
    table = cohort.table.iloc[rows]
    labels = [column("label", finding) for finding in cohort.findings]
    return pd.DataFrame(
        {
            "set": sets.film_n[rows] + 1,
            "same_pixels": sets.pixels_n[rows] >= 0,
            "image_id": [naming(each) for each in table["image_id"]],
            "patient_id": [None if pd.isna(each) else naming(each) for each in table["patient_id"]],
            "split": table["split"].to_numpy(),
            **{name: table[name].to_numpy() for name in labels},
        }
    )
