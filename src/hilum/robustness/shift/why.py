"""Why: two places compared in features, labels and attributes, and the drop shared out.

Each part is computed in its own module; here they meet, and the attribute is named.
"""

from __future__ import annotations

import numpy as np

from hilum.robustness.shift.results import Shift
from hilum.robustness.shift.side import Side

RESAMPLES = 1000
PERMUTATIONS = 999


def why(
    internal: Side,
    external: Side,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
) -> Shift:
    """What differs between two places, and how much of the drop it explains.

    internal: labelled films of the classifier's own source that it was not made from
    external: films of another place; labels may be missing, there is then no drop to explain
    Raises EvaluationError where features differ in width, or inside labels lack a class.
    """
    raise NotImplementedError
