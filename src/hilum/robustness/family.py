"""Families: corruptions that belong together, and what is published of them.

What they do to a film stands in `corruptions` and `medmnist_c`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hilum.data.faults import Fault
from hilum.robustness.relative_error import Reference


@dataclass(frozen=True)
class Family:
    """Corruptions that belong together.

    made_by: what applies them and its version, without which a run cannot be replayed
    reference: errors of another classifier under them, as published; None where there are none
    """

    name: str
    made_by: str
    corruptions: Mapping[str, Fault]
    reference: Reference | None = None
