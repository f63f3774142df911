"""Pairing: the images that stand in two sets of predictions, side by side, and what forbids it.

What is computed on them is left to `comparing`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.columns import column
from hilum.errors import EvaluationError
from hilum.evaluation.predictions import Predictions
from hilum.units import Units, units_of


@dataclass(frozen=True)
class Pairing:
    """The images in both, by ascending id, so that no file's order leaves a trace.

    image_id_n: shape (n,); row_a_n, row_b_n: where each stands in a and in b
    units: of these images, from the patient ids of either; nameless: how many have no such id
    """

    a: Predictions
    b: Predictions
    image_id_n: NDArray[np.object_]
    row_a_n: NDArray[np.intp]
    row_b_n: NDArray[np.intp]
    units: Units
    nameless: int

    @property
    def where(self) -> str:
        return f"{self.a.where} and {self.b.where}"

    @property
    def only_a(self) -> int:
        return len(self.a) - len(self.image_id_n)

    @property
    def only_b(self) -> int:
        return len(self.b) - len(self.image_id_n)

    @classmethod
    def of(cls, a: Predictions, b: Predictions) -> Pairing:
        """Raises EvaluationError when no image stands in both, or one has another patient in
        each."""
        where = f"{a.where} and {b.where}"
        index_a, index_b = (pd.Index(each.image_id_n, dtype=object) for each in (a, b))
        common = index_a.intersection(index_b).sort_values()
        if len(common) == 0:
            raise EvaluationError(
                where,
                f"no image id stands in both ({index_a[0]!r} in the first, {index_b[0]!r} in the "
                "second)",
                expected="predictions for the same images",
            )
        row_a_n, row_b_n = index_a.get_indexer(common), index_b.get_indexer(common)
        of_a_n, of_b_n = a.patient_id_n[row_a_n], b.patient_id_n[row_b_n]
        known_n = pd.notna(of_a_n)
        conflict_n = known_n & pd.notna(of_b_n) & (of_a_n.astype(str) != of_b_n.astype(str))
        if conflict_n.any():
            first = int(np.argmax(conflict_n))
            raise EvaluationError(
                where,
                f"image {common[first]!r} is of patient {of_a_n[first]!r} in the first and "
                f"{of_b_n[first]!r} in the second",
                expected="one patient an image",
            )
        patient_n = np.where(known_n, of_a_n, of_b_n)
        nameless = sum(patient is None for patient in patient_n)
        image_id_n = common.to_numpy(dtype=object)
        return cls(a, b, image_id_n, row_a_n, row_b_n, units_of(patient_n), nameless)

    def label(self, finding_a: str, finding_b: str) -> NDArray[np.float64]:
        """Labels from either, NaN where neither knows, shape (n,). Raises EvaluationError when
        they differ."""
        y_a_n = self.a.label(finding_a)[self.row_a_n]
        y_b_n = self.b.label(finding_b)[self.row_b_n]
        differ_n = (y_a_n != y_b_n) & ~np.isnan(y_a_n) & ~np.isnan(y_b_n)
        if differ_n.any():
            first = int(np.argmax(differ_n))
            raise EvaluationError(
                self.where,
                f"label of {finding_a} for image {self.image_id_n[first]!r} is {y_a_n[first]:g} in "
                f"the first and {y_b_n[first]:g} in the second "
                f"({int(differ_n.sum())} such images)",
                expected="the same truth for both",
            )
        return np.where(np.isnan(y_a_n), y_b_n, y_a_n)


def findings_in_both(
    a: Predictions, b: Predictions, asked: tuple[str, ...] | None
) -> dict[str, str]:
    """Findings as a spells them, to how b does; case and underscores do not count.

    asked: None for all in both. Raises EvaluationError on one that is not in both, or when there is
    none.
    """
    spelt_a, spelt_b = ({_key(f): f for f in each.findings} for each in (a, b))
    where = f"{a.where} and {b.where}"
    listed = f"{', '.join(a.findings)} in the first and {', '.join(b.findings)} in the second"
    both = {spelt_a[key]: spelt_b[key] for key in spelt_a if key in spelt_b}
    if not both:
        raise EvaluationError(where, f"no finding in both: {listed}", expected="a common finding")
    if asked is None:
        return both
    for finding in asked:
        if spelt_a.get(_key(finding)) not in both:
            raise EvaluationError(
                where, f"finding {finding!r} is not in both: {listed}", expected=", ".join(both)
            )
    chosen = {_key(finding) for finding in asked}
    return {name: other for name, other in both.items() if _key(name) in chosen}


def _key(finding: str) -> str:
    return column("", finding)
