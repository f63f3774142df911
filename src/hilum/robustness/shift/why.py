"""Why: two places compared in features, labels and attributes, and the drop shared out.

Each part is computed in its own module; here they meet, and the attribute is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hilum.errors import EvaluationError
from hilum.estimates import Estimate
from hilum.evaluation.intervals import Resampling, delong, percentile
from hilum.robustness.shift.attributes import attribute_shifts
from hilum.robustness.shift.label_shift import label_shift
from hilum.robustness.shift.results import FIGURES, AttributeShift, Drop, Shift
from hilum.robustness.shift.side import Side
from hilum.robustness.shift.two_sample import two_sample
from hilum.robustness.shift.weighing import figures_of
from hilum.units import Units, proportion

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
    Raises EvaluationError where features differ in width, the thresholds differ, or inside labels
    lack a class.
    """
    _check(internal, external)
    drop = _drop(internal, external, rng, resamples)
    features = two_sample(
        internal.feature_nd, external.feature_nd, internal.units, external.units,
        rng=rng, permutations=permutations,
    )  # fmt: skip
    labels = label_shift(
        internal, external, rng=rng, resamples=resamples, permutations=permutations
    )
    attributes, left_out = attribute_shifts(
        internal, external, rng=rng, resamples=resamples, permutations=permutations
    )
    moved = [each for each in attributes if each.moved]
    return Shift(
        internal.name,
        external.name,
        len(internal),
        len(external),
        external.units.kind,
        drop,
        features,
        labels,
        attributes,
        {name: _explaining(moved, drop, name) for name in FIGURES},
        max(moved, key=lambda each: each.distance).name if moved else None,
        left_out,
    )


def _check(internal: Side, external: Side) -> None:
    widths = [side.feature_nd.shape[1] for side in (internal, external)]
    if widths[0] != widths[1]:
        raise EvaluationError(
            external.name, f"{widths[1]} features a film", expected=f"{widths[0]}, as inside"
        )
    if internal.threshold != external.threshold:
        raise EvaluationError(
            external.name,
            f"threshold {external.threshold:g}",
            expected=f"{internal.threshold:g}, as inside",
        )
    for label, word in ((1, "with"), (0, "without")):
        if not (internal.y_n == label).any():
            raise EvaluationError(
                internal.name, f"no film {word} the finding", expected="labels of both classes"
            )


def _explaining(moved: Sequence[AttributeShift], drop: Mapping[str, Drop], name: str) -> str | None:
    """The moved attribute that takes most off a figure, for certain more than nothing."""
    difference = drop[name].difference
    if difference.value is not None and not (difference.high is not None and difference.high < 0):
        return None
    taken = {each.name: each.explained.figures[name] for each in moved}
    sure = {a: e.value for a, e in taken.items() if e.value and e.low is not None and e.low > 0}
    return max(sure, key=lambda a: sure[a]) if sure else None


def _drop(
    internal: Side, external: Side, rng: np.random.Generator, resamples: int
) -> dict[str, Drop]:
    """FIGURES of both places; the difference from resamples of each place's own patients."""
    sides = [_figures(side, rng, resamples) for side in (internal, external)]
    (inside, inside_bf), (outside, outside_bf) = sides
    drop = {}
    for f, name in enumerate(FIGURES):
        a, b = inside[name], outside[name]
        n = a.n + b.n
        if a.value is None or b.value is None:
            difference = Estimate.missing(b.reason or a.reason or "", n)
        else:
            units = Units(external.units.kind, np.arange(n), n)
            difference = percentile(b.value - a.value, outside_bf[:, f] - inside_bf[:, f], n, units)
        drop[name] = Drop(a, b, difference)
    return drop


def _figures(
    side: Side, rng: np.random.Generator, resamples: int
) -> tuple[dict[str, Estimate], NDArray[np.float64]]:
    """Each of FIGURES with its own interval, and all of them per resample, shape (b, 3)."""
    known_n = ~np.isnan(side.y_n)
    y_n, called_n, score_n = side.y_n[known_n], side.called_n[known_n], side.score_n[known_n]
    units = side.units.where(known_n)
    given = {
        "auroc": delong(score_n, y_n, units),
        "sensitivity": proportion(
            called_n[y_n == 1], units.where(y_n == 1), "no labelled film with the finding"
        ),
        "specificity": proportion(
            ~called_n[y_n == 0], units.where(y_n == 0), "no labelled film without the finding"
        ),
    }
    if len(y_n) == 0:
        return given, np.full((resamples, len(FIGURES)), np.nan)
    called = called_n.astype(np.float64)
    drawn = Resampling.of(units, rng, resamples).over(
        units.unit_n,
        lambda count_bn: {"figures": figures_of(score_n, y_n, called, count_bn.astype(np.float64))},
    )
    return given, drawn["figures"]
