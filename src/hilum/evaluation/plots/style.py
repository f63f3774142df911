"""Style: the palette, and what every plot's axes, bands, legends and operating points look like.

What is drawn is left to the modules beside this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator, PercentFormatter

from hilum.evaluation.results import Band, PointFigures

# Blue and vermilion stay apart for every common colour vision, and in greyscale print.
ABSENT, PRESENT = "#2f6690", "#c8502e"
INK, MUTED, RULE, GRID, PAPER = "#1d2733", "#66727f", "#b9c1c9", "#e9ecef", "#ffffff"
MARKERS = ("o", "D", "s", "^", "v", "P")
DASHES = (0, (4, 3))
BAND_95 = "95\N{NO-BREAK SPACE}% band, bootstrap"
STANDING_IN = "0.5 (stands in for deployed)"  # the name of 0.5 where no point is deployed

LABEL, SMALL = 9.0, 8.0  # points
TWO_COLUMNS = 27  # letters of a legend entry beside which another one fits
DETAILED = 3  # operating points whose figures still fit into a legend
NAMED = 5  # operating points whose names do; a table has them all


def point_name(name: str, point: PointFigures) -> str:
    """`deployed: P ≥ 0.432`, or `P ≥ 0.5` for the point that is its own name."""
    if name == STANDING_IN:
        return name
    rule = at_least(point.threshold)
    return rule if name == "0.5" else f"{point_words(name)}: {rule}"


def point_words(name: str) -> str:
    """An operating point's name as words: `sensitivity 95`."""
    return name.replace("_", " ")


def at_least(threshold: float) -> str:
    """`P ≥ 0.432`, without a place to break the line."""
    return f"P\N{NO-BREAK SPACE}\N{GREATER-THAN OR EQUAL TO}\N{NO-BREAK SPACE}{threshold:.3g}"


def stamp_synthetic(figure: Figure) -> None:
    """A large SYNTHETIC across the picture, so that it cannot pass for a result on patients."""
    width, height = figure.get_size_inches()
    figure.text(
        0.5,
        0.5,
        "SYNTHETIC",
        ha="center",
        va="center",
        rotation=float(np.degrees(np.arctan2(height, width))) * 0.8,
        fontsize=min(width * 11.5, height * 16),
        weight="bold",
        color=PRESENT,
        alpha=0.22,
        zorder=100,
    )


def unit_square(ax: Axes) -> None:
    """Both axes from 0 to 1, with room for a line that runs along the edge."""
    ax.set(xlim=(-0.012, 1.012), ylim=(-0.012, 1.012), aspect="equal")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MultipleLocator(0.2))
    restrain(ax)
    grid(ax, "both")


def restrain(ax: Axes) -> None:
    """Two quiet spines, small ticks, labels in ink."""
    ax.set_facecolor(PAPER)
    ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=SMALL, width=0.8)
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(RULE)
    for label in (ax.xaxis.label, ax.yaxis.label):
        label.set(fontsize=LABEL, color=INK)


def grid(ax: Axes, axis: Literal["both", "x", "y"]) -> None:
    """Faint lines below what is drawn."""
    ax.grid(axis=axis, color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)


def diagonal(ax: Axes, label: str | None = None) -> None:
    """The line on which both axes say the same."""
    ax.plot([0, 1], [0, 1], color=RULE, linewidth=1, linestyle=DASHES, label=label, zorder=1)


def shade(ax: Axes, x: Sequence[float], band: Band | None, colour: str, label: str | None) -> None:
    """The band around a curve, where there is one."""
    if band is not None:
        ax.fill_between(
            x, band.low, band.high, color=colour, alpha=0.16, linewidth=0, label=label, zorder=2
        )


def legend_inside(ax: Axes) -> None:
    """A legend in the lower right of the axes, over a nearly opaque ground."""
    ax.legend(
        loc="lower right",
        fontsize=SMALL,
        labelcolor=INK,
        frameon=True,
        framealpha=0.92,
        facecolor=PAPER,
        edgecolor="none",
        labelspacing=0.7,
        borderpad=0.6,
    )


def legend_above(ax: Axes) -> None:
    """A legend above the axes, where no place inside is free for certain."""
    names = [line for name in ax.get_legend_handles_labels()[1] for line in name.splitlines()]
    ax.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=2 if max(map(len, names)) <= TWO_COLUMNS else 1,
        fontsize=SMALL,
        frameon=False,
        labelcolor=INK,
        borderaxespad=0.2,
        handlelength=1.6,
        columnspacing=1.2,
    )


def mark_points(
    ax: Axes,
    points: Mapping[str, PointFigures],
    at: Mapping[str, tuple[float, float]],
    figures: Mapping[str, str],
) -> None:
    """A marker for each operating point that has a place, named in the legend.

    at: where, by name
    figures: what the legend adds while there are few points: figure name to word
    """
    for k, (name, (x, y)) in enumerate(at.items()):
        label = point_name(name, points[name]) if k < NAMED else "_nolegend_"
        # With many points the legend would hide the curve: then only the one in use has figures.
        in_use = name in ("deployed", STANDING_IN)
        if len(points) <= DETAILED or in_use:
            values = {word: points[name].figures[key].value for key, word in figures.items()}
            known = [f"{word} {value:.3f}" for word, value in values.items() if value is not None]
            label = "\n".join([label, ", ".join(known)]) if known else label
        ax.plot(
            x,
            y,
            marker=MARKERS[k % len(MARKERS)],
            # A wide ring at 0.5 still shows where the deployed point is 0.5 itself.
            markersize=11.5 if name == "0.5" else 7.5,
            markerfacecolor=PRESENT if in_use else "none" if name == "0.5" else PAPER,
            markeredgecolor=PRESENT if in_use else INK,
            markeredgewidth=1.4,
            linestyle="none",
            clip_on=False,
            label=label,
            zorder=5 if in_use else 4,
        )


def percent_axis(ax: Axes, axis: Literal["x", "y"]) -> None:
    """Ticks of shares as percentages."""
    which = ax.xaxis if axis == "x" else ax.yaxis
    which.set_major_formatter(PercentFormatter(1.0, symbol=" %"))


def tint(share: float) -> float:
    """How strongly a colour is laid on paper; never so strongly that ink cannot be read on it,
    be the paper light or dark."""
    return 0.06 + 0.49 * share


def short(name: str, most: int = 22) -> str:
    """A long name with its end left out."""
    return name if len(name) <= most else name[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def middle(name: str, most: int = 24) -> str:
    """A long name without its middle: what tells names apart stands at their ends."""
    if len(name) <= most:
        return name
    keep = (most - 1) // 2
    return f"{name[:keep]}\N{HORIZONTAL ELLIPSIS}{name[-keep:]}"
