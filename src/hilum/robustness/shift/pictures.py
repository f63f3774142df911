"""Pictures: one figure of what moved between two places and what that takes off; no arithmetic.

What is drawn is held in `results`; the files are the caller's.
"""

from __future__ import annotations

from textwrap import fill

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hilum.evaluation.plots import (
    ABSENT,
    GRID,
    INK,
    MUTED,
    PAPER,
    PRESENT,
    RULE,
    grid,
    restrain,
    stamp_synthetic,
)
from hilum.evaluation.report.drawing import NO_MATHS
from hilum.robustness.shift.results import AttributeShift, Shift
from hilum.robustness.shift.words import SHOWN, attribute_words, p_words

MOST = 3  # attributes whose distributions are drawn
_WIDE = 9.4


def draw_shift(shift: Shift, title: str, *, synthetic: bool) -> Figure:
    """Distributions of what moved most on top; below, what each attribute takes off, and tests.

    title: such as the finding and the two places
    """
    shown = sorted(shift.attributes, key=lambda each: -each.distance)[:MOST]
    below = max(3.7, 1.2 + 0.3 * len(shift.attributes))
    figure = Figure(figsize=(_WIDE, 2.4 + below), facecolor=PAPER)
    with matplotlib.rc_context(NO_MATHS):
        figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.1)
        cells = figure.add_gridspec(2, 1, height_ratios=(2.4, below))
        top, bottom = figure.add_subfigure(cells[0]), figure.add_subfigure(cells[1])
        for part in (top, bottom):
            part.set_facecolor(PAPER)
        if shown:
            axes = np.atleast_1d(top.subplots(1, len(shown)))
            for ax, attribute in zip(axes, shown, strict=True):
                _distribution(ax, attribute)
            top.legend(
                *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2,
                fontsize=8, frameon=False, labelcolor=INK,
            )  # fmt: skip
            left, right = bottom.subplots(1, 2, width_ratios=(1.25, 1))
            _taken(left, shift)
        else:
            right = bottom.subplots()
        _tests(right, shift)
        figure.suptitle(title, fontsize=11, weight="bold", color=INK, x=0.02, ha="left")
        if synthetic:
            stamp_synthetic(figure)
    return figure


def _distribution(ax: Axes, attribute: AttributeShift) -> None:
    """Inside as an area, outside as a line; words as pairs of bars."""
    found = attribute.distribution
    if found.names:
        place_k = np.arange(len(found.names))
        ax.bar(place_k - 0.2, found.internal, 0.38, color=ABSENT, alpha=0.55, label="inside")
        ax.bar(place_k + 0.2, found.external, 0.38, color=PRESENT, label="outside")
        ax.set_xticks(place_k, found.names)
    else:
        ax.stairs(found.internal, found.edges, fill=True, color=ABSENT, alpha=0.35, label="inside")
        ax.stairs(found.external, found.edges, color=PRESENT, linewidth=1.6, label="outside")
    restrain(ax)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    moved = p_words(attribute.p_holm)
    ax.set_title(
        f"{attribute_words(attribute.name)}\ndistance {attribute.distance:.2f}, {moved}",
        fontsize=9, color=INK, loc="left",
    )  # fmt: skip


def _taken(ax: Axes, shift: Shift) -> None:
    """What each attribute takes off the figure that is explained; the drop itself as a line."""
    name = shift.explained_figure
    rows = sorted(shift.attributes, key=lambda each: each.distance)
    for row, each in enumerate(rows):
        taken = each.explained.figures[name]
        if taken.value is None:
            ax.text(
                0.02, row, _brief(taken.reason), fontsize=7.5, color=MUTED, va="center",
                transform=ax.get_yaxis_transform(),
            )  # fmt: skip
            continue
        colour = PRESENT if each.name == shift.explains_most else RULE
        ax.barh(row, taken.value, 0.62, color=colour)
        if taken.low is not None and taken.high is not None:
            ax.plot([taken.low, taken.high], [row, row], color=INK, linewidth=1.2)
    difference = shift.drop[name].difference
    if difference.value is not None:
        ax.axvline(-difference.value, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        ax.annotate(
            "the drop", (-difference.value, 1), xycoords=("data", "axes fraction"),
            xytext=(0, 2), textcoords="offset points", fontsize=8, color=INK, ha="center",
        )  # fmt: skip
    ax.axvline(0, color=RULE, linewidth=1)
    restrain(ax)
    grid(ax, "x")
    ax.set_yticks(range(len(rows)), [attribute_words(each.name) for each in rows])
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.margins(x=0.08)
    ax.set_title(f"{SHOWN[name]} that it takes off\n", fontsize=9, color=INK, loc="left")


def _tests(ax: Axes, shift: Shift) -> None:
    """The tests as a small table of words."""
    features, labels = shift.two_sample, shift.labels
    rows = [(SHOWN[n], f"{d.internal.in_brief(2)}\n{d.external.in_brief(2)} outside")
            for n, d in shift.drop.items() if d.external.value is not None]  # fmt: skip
    if features.auroc_p is not None and features.mmd2_p is not None and features.mmd2 is not None:
        told = f"AUROC {features.auroc.in_brief(2)}\n{p_words(features.auroc_p)}"
        rows.append(("place, told by\na classifier", told))
        rows.append(("MMD²", f"{features.mmd2:.4f}, {p_words(features.mmd2_p)}"))
    rows.append(("answers", f"distance {labels.distance:.2f}, {p_words(labels.p)}"))
    estimated = labels.prevalence_estimated
    rows.append(("prevalence outside,\nestimated", fill(_brief(estimated.reason), 30)
                 if estimated.value is None else estimated.in_brief(2)))  # fmt: skip
    if labels.prevalence_external.value is not None:
        rows.append(("by its labels", labels.prevalence_external.in_brief(2)))
    ax.set(xlim=(0, 1), ylim=(len(rows), 0))
    ax.axis("off")
    for row, (what, told) in enumerate(rows):
        ax.axhline(row, color=GRID, linewidth=0.8)
        for x, words, colour in ((0.0, what, MUTED), (0.4, told, INK)):
            ax.text(x, row + 0.5, words, fontsize=8, color=colour, va="center")


def _brief(reason: str | None) -> str:
    """A reason without what stands behind its colon."""
    return (reason or "").partition(":")[0]
