"""Grouping: which images of a cohort may not stand in two roles.

Those of one patient, those of equal pixels, those of one film; and whoever hangs together by them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hilum.data.cohort import Cohort
from hilum.data.fingerprints import Fingerprints, near_pairs


@dataclass(frozen=True)
class Grouping:
    """Of each image the numbers of the sets that it is in; shape (n,).

    patient_n: one patient, in the order of their ids; -1 where unknown
    key_n: equal pixels; film_n: one film, altered or not; group_n: these, and one patient
    text_n: digest of pixels; the image id where they were not looked at
    name_n: number of the group, which does not depend on the order of the rows
    drawable_n: False where patients are known, but not whose this image is
    near_groups: sets of images of one film with different pixels
    """

    patient_n: NDArray[np.intp]
    key_n: NDArray[np.intp]
    film_n: NDArray[np.intp]
    group_n: NDArray[np.intp]
    text_n: NDArray[np.object_]
    name_n: NDArray[np.intp]
    drawable_n: NDArray[np.bool_]
    near_groups: int


def grouped(
    cohort: Cohort, prints: Fingerprints | None, duplicates: Literal["near", "exact", "off"]
) -> Grouping:
    """prints: of the cohort's rows; not needed when duplicates are "off" """
    n = len(cohort)
    broken = np.empty(0, dtype=np.intp)
    near = np.empty((0, 2), dtype=np.intp)
    if prints is None or duplicates == "off":
        text_n = cohort.table["image_id"].to_numpy(dtype=object)
    else:
        text_n = prints.digest_n
        broken = np.fromiter(prints.broken, dtype=np.intp)
        near = near_pairs(prints) if duplicates == "near" else near
    patient_n, key_n = _numbered(cohort.table["patient_id"]), _numbered(text_n)
    key_n[broken] = key_n.max(initial=-1) + 1 + np.arange(len(broken))  # unread: like no other
    film_n = _joined(n, _links(key_n), near)
    group_n = _joined(n, _links(key_n), near, _links(patient_n))

    # A group is called by the first in the alphabet of its patients, of its digests where no
    # patient of the cohort is known: by whatever does not depend on the order of the rows.
    known_n = patient_n >= 0
    number_n = patient_n if known_n.any() else key_n
    unnamed = np.iinfo(np.intp).max
    name_g = np.full(int(group_n.max(initial=-1)) + 1, unnamed)
    np.minimum.at(name_g, group_n[number_n >= 0], number_n[number_n >= 0])
    films = pd.DataFrame({"film": film_n, "key": key_n}).drop_duplicates()
    return Grouping(
        patient_n=patient_n,
        key_n=key_n,
        film_n=film_n,
        group_n=group_n,
        text_n=text_n,
        name_n=name_g[group_n],
        drawable_n=name_g[group_n] < unnamed,
        near_groups=count_joined(films["film"].to_numpy()),
    )


def count_joined(set_n: NDArray[np.intp]) -> int:
    """How many sets hold two or more."""
    return int((np.bincount(set_n) > 1).sum())


def _numbered(value_n: pd.Series | NDArray[np.object_]) -> NDArray[np.intp]:
    """A number for each distinct value, in their order; -1 where it is missing."""
    return np.asarray(pd.factorize(value_n, sort=True)[0], dtype=np.intp)


def _links(set_n: NDArray[np.intp]) -> NDArray[np.intp]:
    """Pairs that join each image to the first of its set; none for -1; shape (p, 2)."""
    row = np.flatnonzero(set_n >= 0)
    first = np.empty(int(set_n.max(initial=-1)) + 1, dtype=np.intp)
    first[set_n[row[::-1]]] = row[::-1]
    return np.column_stack([first[set_n[row]], row])


def _joined(n: int, *pairs: NDArray[np.intp]) -> NDArray[np.intp]:
    """The number of the set that each of n images is in when all pairs are joined."""
    i, j = np.concatenate(pairs).T
    graph = coo_array((np.ones(len(i), dtype=np.int8), (i, j)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.intp)
