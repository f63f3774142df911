"""The gallery of errors: false positives and false negatives, the most confident first.

Which images those are follows from predictions and a threshold; paper and file are `sheet`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from hilum.evaluation.evaluation import Evaluation
from hilum.evaluation.failures import worst
from hilum.evaluation.plots import ABSENT, INK, MUTED, PRESENT, RULE, at_least, middle
from hilum.evaluation.predictions import Predictions
from hilum.evaluation.report.sheet import MARGIN, Sheet

MOST = 12  # examples a block
TILE, GAP, CAPTION = 1.32, 0.12, 0.34  # inches: side of an image, space between, lines below
BLOCK_HEAD, BETWEEN = 0.46, 0.5
NARROWEST = 5.0  # a page on which heading and footer are still at ease


@dataclass(frozen=True)
class Errors:
    """Wrong decisions at one threshold: rows of the predictions, the most confident first."""

    finding: str
    threshold: float
    false_positive: tuple[int, ...]
    false_negative: tuple[int, ...]
    prob_n: NDArray[np.float64]
    image_id_n: tuple[str, ...]


def errors_of(predictions: Predictions, finding: str, threshold: float) -> Errors:
    """The errors on one finding; positive is prob >= threshold, unknown labels are left out."""
    missed, alarms = worst(predictions, finding, threshold, most=len(predictions))
    prob_n, image_id_n = predictions.prob(finding), tuple(predictions.image_id_n)
    return Errors(finding, threshold, alarms, missed, prob_n, image_id_n)


def gallery(
    errors: Errors, evaluation: Evaluation, image_of: Callable[[int], NDArray[np.float32]]
) -> tuple[Sheet, Figure]:
    """Both blocks side by side, as wide as they need; a block without errors says so.

    image_of: row of the predictions to its image, float32 [h, w] in [0, 1]
    """
    blocks = (
        ("False positives", PRESENT, errors.false_positive),
        ("False negatives", ABSENT, errors.false_negative),
    )
    rows, columns = _grid([min(len(found), MOST) for _, _, found in blocks])
    wide = sum(columns) * (TILE + GAP) - 2 * GAP + BETWEEN
    sheet = Sheet(
        "Misclassified images",
        evaluation,
        errors.finding,
        max(NARROWEST, 2 * MARGIN + wide),
        f"called from {at_least(errors.threshold)}, most confident first",
    )
    inside = BLOCK_HEAD + rows * (TILE + CAPTION)
    figure = sheet.blank(inside)
    x, top = MARGIN, sheet.foot + inside
    for (name, colour, found), many in zip(blocks, columns, strict=True):
        _head(figure, (x, top), name, colour, len(found))
        for k, row in enumerate(found[:MOST]):
            left = x + (k % many) * (TILE + GAP)
            bottom = top - BLOCK_HEAD - (k // many) * (TILE + CAPTION) - TILE
            _tile(figure, (left, bottom), errors, row, image_of(row))
        x += many * (TILE + GAP) - GAP + BETWEEN
        if name == blocks[0][0]:
            _rule(figure, x - BETWEEN / 2, top, sheet.foot)
    return sheet, figure


def _grid(counts: list[int]) -> tuple[int, list[int]]:
    """Rows, and columns per block, that leave the fewest empty places on a page not too wide."""

    def columns(rows: int) -> list[int]:
        return [max(1, -(-count // rows)) for count in counts]

    def blank(rows: int) -> float:
        wide = sum(columns(rows))
        # An empty place weighs as much as two columns beyond a comfortable page of eight.
        return rows * wide - sum(counts) + 0.5 * max(0, wide - 8) + 0.1 * abs(wide - 6)

    rows = min((1, 2, 3, 4), key=blank) if any(counts) else 0
    return rows, columns(rows) if rows else [1, 1]


def _head(
    figure: Figure,
    at: tuple[float, float],
    name: str,
    colour: str,
    count: int,
) -> None:
    width, height = figure.get_size_inches()
    x, y = at[0] / width, at[1] / height
    figure.text(x, y, name, fontsize=10, weight="bold", color=colour, va="top")
    shown = "none" if count == 0 else "all shown" if count <= MOST else f"first {MOST} shown"
    words = shown if count == 0 else f"{count:,}, {shown}"
    figure.text(x, y - 0.2 / height, words, fontsize=8, color=MUTED, va="top")


def _tile(
    figure: Figure,
    at: tuple[float, float],
    errors: Errors,
    row: int,
    image_hw: NDArray[np.float32],
) -> None:
    width, height = figure.get_size_inches()
    ax = figure.add_axes((at[0] / width, at[1] / height, TILE / width, TILE / height))
    ax.imshow(image_hw, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.axis("off")
    below: dict[str, Any] = {"transform": ax.transAxes, "va": "top", "ha": "left", "clip_on": False}
    ax.text(0, -0.03, f"P = {errors.prob_n[row]:.3f}", fontsize=8, color=INK, **below)
    ax.text(0, -0.135, middle(errors.image_id_n[row]), fontsize=6.5, color=MUTED, **below)


def _rule(figure: Figure, x: float, top: float, bottom: float) -> None:
    width, height = figure.get_size_inches()
    ends = (top / height, (bottom + 0.08) / height)
    figure.add_artist(Line2D((x / width, x / width), ends, color=RULE, linewidth=0.8))
