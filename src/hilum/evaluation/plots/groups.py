"""Groups: a figure by subgroup, each with its interval, beside the figure of all images.

The groups are made in `subgroups`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from hilum.estimates import Estimate
from hilum.evaluation.plots.style import (
    ABSENT,
    DASHES,
    INK,
    MUTED,
    PAPER,
    PRESENT,
    SMALL,
    grid,
    middle,
    restrain,
    short,
)
from hilum.evaluation.results import Subgrouping

COLOURS = {"sensitivity": PRESENT, "specificity": ABSENT}
REASON = 40  # letters of a reason that fit into a row


def rows_of(subgroupings: Sequence[Subgrouping]) -> int:
    """How many lines `draw_groups` needs: a heading per column, a row per group."""
    return sum(1 + len(each.groups) for each in subgroupings)


def draw_groups(
    subgroupings: Sequence[Subgrouping], ax: Axes, *, figure: str, overall: Estimate
) -> Axes:
    """A forest plot: `figure` of each group with its interval, the reason where there is none.

    figure: a key of `Group.figures`
    overall: of all images, drawn as a line with its interval
    """
    colour = COLOURS.get(figure, INK)
    if overall.value is not None:
        ax.axvline(overall.value, color=MUTED, linewidth=1, linestyle=DASHES, zorder=1)
        if overall.low is not None and overall.high is not None:
            ax.axvspan(overall.low, overall.high, color=MUTED, alpha=0.1, linewidth=0, zorder=0)
    ticks: list[tuple[int, str]] = []
    headings: list[tuple[int, str]] = []
    missing: list[tuple[int, str]] = []
    lowest, row = 1.0, -1
    for subgrouping in subgroupings:
        row += 1
        headings.append((row, subgrouping.column))
        for group in subgrouping.groups:
            row += 1
            ticks.append((row, f"{middle(group.name, 19)}  ({group.n:,})"))
            estimate = group.figures.get(figure)
            if estimate is None or estimate.value is None:
                missing.append((row, "" if estimate is None else estimate.reason or ""))
                continue
            if estimate.low is not None and estimate.high is not None:
                ax.hlines(row, estimate.low, estimate.high, color=colour, linewidth=1.6, zorder=3)
                lowest = min(lowest, estimate.low)
            ax.plot(
                estimate.value,
                row,
                marker="s",
                markersize=6,
                color=colour,
                markeredgecolor=PAPER,
                linestyle="none",
                zorder=4,
            )
            lowest = min(lowest, estimate.value)
    lowest = max(0.0, min(lowest, overall.value if overall.value is not None else 1.0) - 0.05)
    ax.set(xlim=(lowest, 1.0 + 0.02 * (1 - lowest)), ylim=(row + 0.6, -0.6))
    ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    at: dict[str, Any] = {"fontsize": SMALL - 1, "va": "center", "clip_on": True}
    for y, reason in missing:
        left = lowest + 0.02 * (1 - lowest)
        ax.text(left, y, short(reason, REASON), color=MUTED, style="italic", **at)
    ax.set_yticks([y for y, _ in ticks], [name for _, name in ticks])
    ax.set_xlabel(figure.replace("_", " ").capitalize())
    restrain(ax)
    grid(ax, "x")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    for y, name in headings:
        ax.text(
            -0.02,
            y,
            short(name, 24),
            transform=ax.get_yaxis_transform(),
            ha="right",
            va="center",
            fontsize=SMALL,
            weight="bold",
            color=INK,
        )
    return ax
