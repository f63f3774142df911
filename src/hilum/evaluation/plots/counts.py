"""Counts: the confusion matrix, scores per class, and prediction sets per class.

They are counted in `discrimination` and `prediction_sets`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle

from hilum.evaluation.plots.style import (
    ABSENT,
    INK,
    LABEL,
    MUTED,
    NAMED,
    PAPER,
    PRESENT,
    RULE,
    SMALL,
    grid,
    legend_above,
    percent_axis,
    point_name,
    restrain,
    short,
    tint,
)
from hilum.evaluation.results import Confusion, PointFigures, PredictionSets, ScoreHistogram

CLASSES = ("absent", "present")
DIGIT = 0.028  # share of a row that one digit of its count takes


def draw_confusion(confusion: Confusion, ax: Axes, *, classes: tuple[str, str] = CLASSES) -> Axes:
    """Counts and shares of each row: truth downward, decision across; errors in vermilion.

    classes: names of the class without and with the finding
    """
    for row, (counts, shares) in enumerate(zip(confusion.rows, confusion.row_shares, strict=True)):
        for column, (count, share) in enumerate(zip(counts, shares, strict=True)):
            fill = to_rgba(ABSENT if row == column else PRESENT, tint(share or 0.0))
            ax.add_patch(Rectangle((column, row), 1, 1, facecolor=fill, edgecolor=PAPER, lw=3))
            at: dict[str, Any] = {"ha": "center", "va": "center", "color": INK}
            ax.text(column + 0.5, row + 0.44, f"{count:,}", fontsize=19, weight="bold", **at)
            if share is not None:
                said = f"{100 * share:.1f}\N{NO-BREAK SPACE}% of row"
                ax.text(column + 0.5, row + 0.66, said, fontsize=LABEL, **at)
    ax.set(xlim=(0, 2), ylim=(2, 0), aspect="equal")
    ax.set_xticks([0.5, 1.5], [short(name) for name in classes])
    ax.set_yticks([0.5, 1.5], [short(name) for name in classes], rotation=90, va="center")
    ax.set_xlabel("Called")
    ax.set_ylabel("Truth")
    restrain(ax)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return ax


def draw_scores(
    histogram: ScoreHistogram,
    ax: Axes,
    *,
    points: Mapping[str, PointFigures],
    classes: tuple[str, str] = CLASSES,
    score: str = "Probability",
) -> Axes:
    """Images per probability bin and class: with the finding upward, without it downward.

    points: thresholds drawn as lines; score: what the horizontal axis is called
    """
    edges = list(histogram.edge)
    widths = [right - left for left, right in pairwise(edges)]
    for counts, sign, colour, name in (
        (histogram.present, 1, PRESENT, classes[1]),
        (histogram.absent, -1, ABSENT, classes[0]),
    ):
        ax.bar(
            edges[:-1],
            [sign * count for count in counts],
            width=widths,
            align="edge",
            color=colour,
            edgecolor=PAPER,
            linewidth=0.8,
            label=f"{short(name)} ({sum(counts):,})",
        )
    for k, (name, point) in enumerate(points.items()):
        ax.axvline(
            point.threshold,
            color=INK,
            linestyle=("--", "-", "-.", ":")[min(k, 3)],
            linewidth=1.1,
            label=point_name(name, point) if k < NAMED else "_nolegend_",
        )
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.set_xlim(0, 1)
    ax.margins(y=0.08)
    ax.yaxis.set_major_formatter(lambda count, _: f"{abs(count):,.0f}")
    ax.set_xlabel(score)
    ax.set_ylabel("Images")
    restrain(ax)
    grid(ax, "y")
    legend_above(ax)
    return ax


def draw_sets(sets: PredictionSets, ax: Axes, *, classes: tuple[str, str] = CLASSES) -> Axes:
    """What each true class was answered, as shares of it: one bar a class.

    Both classes, or none where neither is likely enough, means: refer to a person.

    classes: names of the class without and with the finding
    """
    answers = (
        ("absent", ABSENT, f"{short(classes[0])} alone", PAPER),
        ("present", PRESENT, f"{short(classes[1])} alone", PAPER),
        ("both", RULE, "both: refer", INK),
        ("none", MUTED, "none: refer", PAPER),
    )
    for row, truth in enumerate(CLASSES):
        total = max(1, sum(sets.counts[truth].values()))
        left = 0.0
        for answer, colour, name, ink in answers:
            count = sets.counts[truth].get(answer, 0)
            share = count / total
            ax.barh(
                row,
                share,
                left=left,
                height=0.62,
                color=colour,
                edgecolor=PAPER,
                linewidth=1,
                label=name if row == 0 else None,
            )
            if share > DIGIT * (len(f"{count:,}") + 1):
                at: dict[str, Any] = {"ha": "center", "va": "center", "color": ink}
                ax.text(left + share / 2, row, f"{count:,}", fontsize=LABEL, weight="bold", **at)
            left += share
    names = [
        f"{short(name, 16)}\n{sum(sets.counts[truth].values()):,}"
        for truth, name in zip(CLASSES, classes, strict=True)
    ]
    ax.set_yticks([0, 1], names)
    ax.set(xlim=(0, 1), ylim=(1.5, -0.5))
    percent_axis(ax, "x")
    ax.set_xlabel("Share of the images of each class")
    restrain(ax)
    ax.tick_params(axis="y", length=0, labelsize=SMALL)
    legend_above(ax)
    return ax
