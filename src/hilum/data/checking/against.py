"""What two sources have in common: films with equal pixels, films that are one, patients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hilum.data.checking.naming import EXAMPLES, Naming
from hilum.data.checking.results import Against, Bond
from hilum.data.cohort import Cohort
from hilum.data.fingerprints import Fingerprints, near_pairs

if TYPE_CHECKING:
    from hilum.data.checking.checking import Looked


def against(looked: Looked, other: Looked, naming: Naming) -> Against:
    """Images of `looked` that stand in `other`, too; ids name nobody."""
    mine, theirs = looked.cohort, other.cohort
    their_naming = naming.beside(theirs)
    pairs: dict[Bond, NDArray[np.intp]] = {
        "same pixels": np.empty((0, 2), dtype=np.intp),
        "same film": np.empty((0, 2), dtype=np.intp),
        "same patient": _equal(_patients(mine), _patients(theirs)),
    }
    if looked.prints is not None and other.prints is not None:
        exact = _equal(_digests(looked.prints), _digests(other.prints))
        near = near_pairs(looked.prints, other.prints)
        pairs["same pixels"] = exact
        pairs["same film"] = np.unique(np.concatenate([exact, near]), axis=0)
    id_n, their_id_n = mine.table["image_id"].to_numpy(), theirs.table["image_id"].to_numpy()

    def examples() -> Iterator[tuple[str, str, Bond]]:
        for bond, pair_k2 in pairs.items():
            for i, j in pair_k2[:EXAMPLES].tolist():
                yield naming(id_n[i]), their_naming(their_id_n[j]), bond

    return Against(
        source=theirs.name,
        n_images=len(theirs),
        pixels_compared=looked.prints is not None and other.prints is not None,
        patients_comparable=bool(
            mine.table["patient_id"].notna().any() and theirs.table["patient_id"].notna().any()
        ),
        same_pixels=_rows(pairs["same pixels"]),
        same_film=_rows(pairs["same film"]),
        same_patient=_rows(pairs["same patient"]),
        examples=tuple(examples()),
    )


def _rows(pair_k2: NDArray[np.intp]) -> int:
    return len(np.unique(pair_k2[:, 0]))


def _patients(cohort: Cohort) -> NDArray[np.object_]:
    patient_n = cohort.table["patient_id"]
    return patient_n.astype(object).where(patient_n.notna(), "").astype(str).to_numpy(dtype=object)


def _digests(prints: Fingerprints) -> NDArray[np.object_]:
    return prints.digest_n


def _equal(a_n: NDArray[np.object_], b_m: NDArray[np.object_]) -> NDArray[np.intp]:
    """Rows (i, j) of equal values, "" being none: for each i the first j alone."""
    first: dict[str, int] = {}
    for j, value in enumerate(b_m):
        if value:
            first.setdefault(str(value), j)
    found = [(i, first[value]) for i, value in enumerate(a_n) if value and value in first]
    return np.array(found, dtype=np.intp).reshape(-1, 2)
