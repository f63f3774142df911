"""Units: what counts as one independent observation, the patient where one is known.

Several images of one patient are alike; here they are counted so, and a proportion of images gets
an interval that knows it. Other intervals are `evaluation.intervals`' work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from hilum.estimates import Z95, Estimate, wilson


@dataclass(frozen=True)
class Units:
    """What is resampled: the patient where one is known, the image otherwise.

    unit_n: which unit an image belongs to, 0 … count - 1 by first appearance, shape (n,)
    """

    kind: Literal["patient", "image"]
    unit_n: NDArray[np.intp]
    count: int

    @property
    def clustered(self) -> bool:
        """Whether any unit holds more than one image."""
        return self.count < len(self.unit_n)

    def where(self, keep_n: NDArray[np.generic]) -> Units:
        """The units of the images chosen by a mask or by positions, in that order."""
        return _numbered(self.kind, self.unit_n[keep_n])


def units_of(patient_id_n: NDArray[np.object_]) -> Units:
    """Units from patient ids, None where unknown, shape (n,).

    With no id at all the unit is the image; with some, an image without one counts as a patient.
    """
    known_n = np.array([patient is not None for patient in patient_id_n], dtype=bool)
    n = len(patient_id_n)
    if not known_n.any():
        return Units("image", np.arange(n), n)
    _, patient_k = np.unique(patient_id_n[known_n].astype(str), return_inverse=True)
    unit_n = np.empty(n, dtype=np.intp)
    unit_n[known_n] = patient_k
    unit_n[~known_n] = patient_k.max() + 1 + np.arange(n - int(known_n.sum()))
    return _numbered("patient", unit_n)


def _numbered(kind: Literal["patient", "image"], unit_n: NDArray[np.intp]) -> Units:
    """Numbers by first appearance: what is drawn then follows the order of the images alone."""
    seen, first_u, inverse_n = np.unique(unit_n, return_index=True, return_inverse=True)
    number_u = np.empty(len(seen), dtype=np.intp)
    number_u[np.argsort(first_u)] = np.arange(len(seen))
    return Units(kind, number_u[inverse_n], len(seen))


def proportion(hit_n: NDArray[np.bool_], units: Units, empty: str = "no image") -> Estimate:
    """The share of `hit_n` that is True, with its Wilson interval.

    hit_n: shape (n,), the denominator and nothing else; `units` of the same images
    empty: why there is no figure when n = 0
    Where units hold several images, n is replaced by `effective_size`. Source: Wilson 1927.
    """
    n, hits = len(hit_n), int(hit_n.sum())
    if n == 0:
        return Estimate.missing(empty, 0)
    return wilson(hits, n, effective_n=effective_size(hit_n, units))


def effective_size(hit_n: NDArray[np.bool_], units: Units) -> float | None:
    """As many independent images as these are worth for the share of hits; None where they are
    independent.

    n over the design effect, which is estimated from the units; with few of them it is uncertain,
    so it is shrunk as Student's t is wider than the normal. Where fewer than two units hold a hit
    or a miss it cannot be estimated, and each unit counts as one image.
    Source: Rao & Scott 1992, section 2; Korn & Graubard 1998 (few units).
    """
    if not units.clustered:
        return None
    n, p = len(hit_n), float(hit_n.mean())
    hitting, missing = (len(np.unique(units.unit_n[side_n])) for side_n in (hit_n, ~hit_n))
    if min(hitting, missing) < 2:
        return float(units.count)
    excess_u = np.bincount(units.unit_n, weights=hit_n - p, minlength=units.count)
    variance = units.count / (units.count - 1) * float(excess_u @ excess_u) / n**2
    # Never more than n: patients more alike than chance would have it are no extra evidence.
    independent = min(float(n), p * (1 - p) / variance) if variance else float(n)
    return independent * few_units(units.count)


def few_units(count: int) -> float:
    """What a variance estimated from `count` units (two or more) takes from the effective size."""
    return float((Z95 / stdtrit(count - 1, 0.975)) ** 2)
