"""Shift: how films of one place differ from films of another, and what of a drop that explains."""

from hilum.robustness.shift.results import (
    AttributeShift,
    Distribution,
    Drop,
    Explained,
    LabelShift,
    Shift,
    TwoSample,
)
from hilum.robustness.shift.side import Side
from hilum.robustness.shift.why import why

__all__ = [
    "AttributeShift",
    "Distribution",
    "Drop",
    "Explained",
    "LabelShift",
    "Shift",
    "Side",
    "TwoSample",
    "why",
]
