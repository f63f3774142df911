"""Estimates: one figure with its 95 % interval, how it was made, and why it is missing when it is.

How each figure is computed is left to `evaluation` and `calibration`, which both stand on this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, sqrt

Z95 = 1.959963984540054  # standard normal, 97.5 %


@dataclass(frozen=True)
class Estimate:
    """A figure, its 95 % interval, and what it rests on.

    value: the figure, or None when it cannot be computed
    low, high: the limits, or None when they cannot be computed
    n: how many images (for a proportion: its denominator) the figure rests on
    method: how the interval was made; "none" where there is none
    reason: why the value or the interval is missing; None when nothing is
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    method: str
    reason: str | None = None

    def __post_init__(self) -> None:
        for number in (self.value, self.low, self.high):
            if number is not None and not isfinite(number):
                raise ValueError(f"an estimate holds finite numbers or None, not {number}")
        if self.reason is None and None in (self.value, self.low, self.high):
            raise ValueError("an estimate with a missing number says why")

    @classmethod
    def missing(cls, reason: str, n: int) -> Estimate:
        """A figure that cannot be computed from these `n` images."""
        return cls(None, None, None, n, "none", reason)

    def in_words(self, digits: int = 3) -> str:
        """`0.921 (0.899 to 0.938)`, or why there is no figure or no interval."""
        if self.value is None:
            return f"not given: {self.reason}"
        if self.low is None or self.high is None:
            return f"{self.value:.{digits}f} (no interval: {self.reason})"
        return f"{self.value:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"

    def in_brief(self, digits: int = 3) -> str:
        """`in_words` without the reasons, where a table beside it gives them."""
        if self.value is None:
            return "not given"
        if self.low is None or self.high is None:
            return f"{self.value:.{digits}f} (no interval)"
        return self.in_words(digits)

    def to_dict(self) -> dict[str, object]:
        """Plain numbers for strict JSON, ten significant digits."""
        return {
            "value": rounded(self.value),
            "low": rounded(self.low),
            "high": rounded(self.high),
            "n": self.n,
            "method": self.method,
            "reason": self.reason,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, object]) -> Estimate:
        """The inverse of `to_dict`. Raises KeyError, TypeError or ValueError on other shapes."""
        value, low, high = (_number(fields[key]) for key in ("value", "low", "high"))
        n, reason = fields["n"], fields["reason"]
        if not isinstance(n, int) or not (reason is None or isinstance(reason, str)):
            raise TypeError("an estimate has an integer n and a reason in words or null")
        return cls(value, low, high, n, str(fields["method"]), reason)


def wilson(successes: int, n: int, *, effective_n: float | None = None) -> Estimate:
    """A proportion with its Wilson score interval, 95 %.

    successes: 0 … n
    n: the denominator; 0 gives a missing estimate
    effective_n: what `n` independent images would weigh as much, when images of one patient
        are alike (n over the design effect, Rao & Scott 1992); `n` when None
    Source: Wilson 1927.
    """
    if n == 0:
        return Estimate.missing("no image in the denominator", 0)
    weight = float(n) if effective_n is None else effective_n
    p = successes / n
    z2 = Z95 * Z95
    centre = (p + z2 / (2 * weight)) / (1 + z2 / weight)
    half = Z95 / (1 + z2 / weight) * sqrt(p * (1 - p) / weight + z2 / (4 * weight * weight))
    # At 0 and at n one limit is the value itself; say so exactly, without float noise.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    method = "Wilson" if effective_n is None else "Wilson, n over the design effect of patients"
    return Estimate(p, low, high, n, method)


def rounded(number: float | None) -> float | None:
    """Ten significant digits: more than any figure means, few enough to read and to compare."""
    return None if number is None else float(f"{number:.10g}")


def _number(found: object) -> float | None:
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise TypeError(f"{found!r} is no number")
    return float(found)
