"""Conformal: limits from which each class is in the set of what an image may be.

What such sets do on other images is left to `hilum.evaluation.prediction_sets`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, isfinite

import numpy as np
from numpy.typing import NDArray

from hilum.errors import EvaluationError


@dataclass(frozen=True)
class ConformalLimits:
    """Limits on calibrated probability, from the `calibrate` role.

    coverage: asked for in each class, in (0, 1)
    present_from: "present" is in the set when prob >= this, in [0, 1]; 0 is always
    absent_to: "absent" is in the set when prob <= this, in [0, 1]; 1 is always
    n_present, n_absent: how many images each limit rests on
    Raises EvaluationError on anything else.
    """

    coverage: float
    present_from: float
    absent_to: float
    n_present: int
    n_absent: int

    def __post_init__(self) -> None:
        _refuse_coverage(self.coverage)
        for name in ("present_from", "absent_to"):
            limit = getattr(self, name)
            if not (isfinite(limit) and 0 <= limit <= 1):
                raise EvaluationError(
                    "conformal limits", f"{name} {limit}", expected="a probability in [0, 1]"
                )
        if min(self.n_present, self.n_absent) < 0:
            raise EvaluationError("conformal limits", "a negative count", expected="0 or more")

    def in_words(self) -> str:
        """Coverage, and which probabilities hold which class."""
        present, absent = f"from {self.present_from:.4g}", f"to {self.absent_to:.4g}"
        return (
            f"{100 * self.coverage:g} % coverage in each class, "
            f"present {present if self.present_from > 0 else 'always'} ({self.n_present} images), "
            f"absent {absent if self.absent_to < 1 else 'always'} ({self.n_absent} images)"
        )

    def to_dict(self) -> dict[str, object]:
        """Plain values for strict JSON; limits keep every digit."""
        return {
            "coverage": self.coverage,
            "present_from": self.present_from,
            "absent_to": self.absent_to,
            "n_present": self.n_present,
            "n_absent": self.n_absent,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, object]) -> ConformalLimits:
        """The inverse of `to_dict`. Raises EvaluationError on other shapes."""
        return cls(
            _number(fields, "coverage"),
            _number(fields, "present_from"),
            _number(fields, "absent_to"),
            _count(fields, "n_present"),
            _count(fields, "n_absent"),
        )


def conformal_limits(
    prob_n: NDArray[np.floating], y_n: NDArray[np.floating], coverage: float
) -> ConformalLimits:
    """Class-conditional split conformal limits.

    prob_n: calibrated probability in [0, 1], shape (n,)
    y_n: 1 = finding present, 0 absent, NaN unknown (left out), shape (n,)
    coverage: in (0, 1): of new images with the finding at least this share will have "present" in
        their set, and of those without it "absent"; on average over calibrate roles

    Of the m images of a class, the limit is that of the k-th most typical, k = ceil((m + 1) ·
    coverage). Where k > m there are too few, and the class is always in the set. Given the limits,
    the share that is covered follows Beta(k, m + 1 - k) over calibrate roles when no probabilities
    tie, and lies above it when some do.
    The calibrator may have been fitted on the same images: no calibrator turns their order round,
    so a set holds a class at least whenever one on the raw logit would. Images are taken as
    independent: where patients have several, the promise is for the average image, and the share
    varies more than the Beta law says.
    Raises EvaluationError on a coverage or a score out of range.
    Source: Vovk 2012, proposition 2b (the Beta law) and section 3 (by class); Sadinle, Lei &
    Wasserman 2019; Angelopoulos & Bates 2023, sections 3.2 and 4.2.
    """
    _refuse_coverage(coverage)
    prob_n, y_n = np.asarray(prob_n, dtype=np.float64), np.asarray(y_n, dtype=np.float64)
    present_k, absent_k = np.sort(prob_n[y_n == 1])[::-1], np.sort(prob_n[y_n == 0])
    known_m = prob_n[~np.isnan(y_n)]
    if not ((known_m >= 0) & (known_m <= 1)).all():
        raise EvaluationError(
            "conformal limits", "a score outside [0, 1]", expected="calibrated probabilities"
        )
    rank_present, rank_absent = (_rank(len(each), coverage) for each in (present_k, absent_k))
    return ConformalLimits(
        coverage,
        float(present_k[rank_present - 1]) if rank_present <= len(present_k) else 0.0,
        float(absent_k[rank_absent - 1]) if rank_absent <= len(absent_k) else 1.0,
        len(present_k),
        len(absent_k),
    )


def _rank(n: int, coverage: float) -> int:
    # 0.1 * 30 is 3.0000000000000004 in floats; the third is meant.
    return ceil((n + 1) * coverage * (1 - 1e-12))


def _refuse_coverage(coverage: float) -> None:
    if not 0 < coverage < 1:
        raise EvaluationError(
            "coverage", f"{coverage:g}", expected="a share between 0 and 1, such as 0.9"
        )


def _number(fields: Mapping[str, object], key: str) -> float:
    found = fields.get(key)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise EvaluationError("conformal limits", f"{key} {found!r:.60}", expected="a number")
    return float(found)


def _count(fields: Mapping[str, object], key: str) -> int:
    found = fields.get(key)
    if isinstance(found, bool) or not isinstance(found, int):
        raise EvaluationError("conformal limits", f"{key} {found!r:.60}", expected="a count")
    return found
