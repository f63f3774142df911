"""Plots: a curve or a count onto matplotlib Axes, in one palette; no arithmetic beyond layout.

What is drawn is computed in `discrimination` and `reliability`; files are `report`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MultipleLocator

from hilum.estimates import Estimate
from hilum.evaluation.discrimination import Confusion, RocCurve, ScoreHistogram
from hilum.evaluation.figures import PointFigures
from hilum.evaluation.reliability import ReliabilityCurve

# Blue and vermilion stay apart for every common colour vision, and in greyscale print.
ABSENT, PRESENT = "#2f6690", "#c8502e"
INK, MUTED, RULE, GRID, PAPER = "#1d2733", "#66727f", "#b9c1c9", "#e9ecef", "#ffffff"
MARKERS = ("o", "D", "s", "^", "v", "P")

LABEL, SMALL = 9.0, 8.0  # points


def draw_roc(
    curve: RocCurve,
    ax: Axes,
    *,
    auroc: Estimate,
    points: Mapping[str, PointFigures],
    band: str = "95 % band, bootstrap",
) -> Axes:
    """The ROC curve with its band, its area, and the operating points on it.

    auroc: shown in the legend with its interval
    points: each marked, with its threshold, sensitivity and specificity in the legend
    band: what the shading is, for the legend
    """
    ax.plot([0, 1], [0, 1], color=RULE, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    if curve.band_fpr:
        ax.fill_between(
            curve.band_fpr,
            curve.band_low,
            curve.band_high,
            color=ABSENT,
            alpha=0.16,
            linewidth=0,
            label=band,
            zorder=2,
        )
    ax.plot(
        [0, *(fp / curve.absent for fp in curve.fp)],
        [0, *(tp / curve.present for tp in curve.tp)],
        color=ABSENT,
        linewidth=1.8,
        label=f"AUROC {auroc.in_words()}",
        solid_joinstyle="round",
        zorder=3,
    )
    for marker, (name, point) in zip(MARKERS, points.items(), strict=False):
        sensitivity, specificity = point.figures["sensitivity"], point.figures["specificity"]
        if sensitivity.value is None or specificity.value is None:
            continue
        ax.plot(
            1 - specificity.value,
            sensitivity.value,
            marker=marker,
            # A wide ring at 0.5 still shows where the deployed point is 0.5 itself.
            markersize=11.5 if name == "0.5" else 7.5,
            markerfacecolor={"deployed": PRESENT, "0.5": "none"}.get(name, PAPER),
            markeredgecolor=PRESENT if name == "deployed" else INK,
            markeredgewidth=1.4,
            linestyle="none",
            clip_on=False,
            label=(
                f"{point_name(name, point)}\n"
                f"sensitivity {sensitivity.value:.3f}, specificity {specificity.value:.3f}"
            ),
            zorder=5 if name == "deployed" else 4,
        )
    ax.set_xlabel("1 - specificity (false-positive rate)".replace("-", "\N{MINUS SIGN}", 1))
    ax.set_ylabel("Sensitivity (true-positive rate)")
    _unit_square(ax)
    _legend(ax, "lower right")
    return ax


def draw_confusion(
    confusion: Confusion, ax: Axes, *, classes: tuple[str, str] = ("absent", "present")
) -> Axes:
    """Counts and shares of each row: truth downward, decision across; errors in vermilion.

    classes: names of the class without and with the finding
    """
    for row, (counts, shares) in enumerate(zip(confusion.rows, confusion.row_shares, strict=True)):
        for column, (count, share) in enumerate(zip(counts, shares, strict=True)):
            fill = _tint(ABSENT if row == column else PRESENT, share)
            ax.add_patch(Rectangle((column, row), 1, 1, facecolor=fill, edgecolor=PAPER, lw=3))
            ink = PAPER if _dark(fill) else INK
            at: dict[str, Any] = {"ha": "center", "va": "center", "color": ink}
            ax.text(column + 0.5, row + 0.44, f"{count:,}", fontsize=19, weight="bold", **at)
            ax.text(column + 0.5, row + 0.66, f"{100 * share:.1f} % of row", fontsize=LABEL, **at)
    ax.set(xlim=(0, 2), ylim=(2, 0), aspect="equal")
    ax.set_xticks([0.5, 1.5], [_short(name) for name in classes])
    ax.set_yticks([0.5, 1.5], [_short(name) for name in classes], rotation=90, va="center")
    ax.set_xlabel("Called")
    ax.set_ylabel("Truth")
    _restrain(ax)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return ax


def draw_reliability(
    curve: ReliabilityCurve, ax: Axes, *, ece: Estimate, intercept: Estimate, slope: Estimate
) -> Axes:
    """Observed share against mean probability per bin, with 95 % Wilson bars.

    ece, intercept, slope: named in the legend with their intervals
    """
    ax.plot(
        [0, 1],
        [0, 1],
        color=RULE,
        linewidth=1,
        linestyle=(0, (4, 3)),
        label="stated = observed",
        zorder=1,
    )
    ax.vlines(curve.mean_prob, curve.low, curve.high, color=PRESENT, linewidth=1.2, alpha=0.7)
    fewest, most = min(curve.n), max(curve.n)
    images = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    ax.plot(
        curve.mean_prob,
        curve.observed,
        color=PRESENT,
        marker="o",
        markersize=6,
        markeredgecolor=PAPER,
        linewidth=1.2,
        label=f"{len(curve.n)} bins of {images} images, 95 % Wilson bars",
        zorder=3,
    )
    for name, estimate in (
        ("calibration error", ece),
        ("intercept (0 is right)", intercept),
        ("slope (1 is right)", slope),
    ):
        ax.plot([], [], linestyle="none", label=f"{name}: {estimate.in_words(2)}")
    ax.set_xlabel("Stated probability")
    ax.set_ylabel("Share that has the finding")
    _unit_square(ax)
    _legend(ax, "upper left")
    return ax


def draw_scores(
    histogram: ScoreHistogram,
    ax: Axes,
    *,
    points: Mapping[str, PointFigures],
    classes: tuple[str, str] = ("absent", "present"),
) -> Axes:
    """Images per probability bin and class: with the finding upward, without it downward.

    points: thresholds drawn as lines
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
            label=f"{name} ({sum(counts):,})",
        )
    for style, (name, point) in zip(("--", "-", "-.", ":"), points.items(), strict=False):
        ax.axvline(
            point.threshold,
            color=INK,
            linestyle=style,
            linewidth=1.1,
            label=point_name(name, point),
        )
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.set_xlim(0, 1)
    ax.margins(y=0.08)
    ax.yaxis.set_major_formatter(lambda count, _: f"{abs(count):,.0f}")
    ax.set_xlabel("Calibrated probability")
    ax.set_ylabel("Images")
    _restrain(ax)
    ax.grid(axis="y", color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    # Above the plot: scores pile up at either end, so no place inside is free for certain.
    ax.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=2,
        fontsize=SMALL,
        frameon=False,
        labelcolor=INK,
        borderaxespad=0.2,
    )
    return ax


def point_name(name: str, point: PointFigures) -> str:
    """`deployed: P ≥ 0.432`, or `P ≥ 0.5` for the point that is its own name."""
    rule = at_least(point.threshold)
    return rule if name == "0.5" else f"{name}: {rule}"


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


def _unit_square(ax: Axes) -> None:
    ax.set(xlim=(-0.012, 1.012), ylim=(-0.012, 1.012), aspect="equal")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MultipleLocator(0.2))
    _restrain(ax)
    ax.grid(color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)


def _restrain(ax: Axes) -> None:
    ax.set_facecolor(PAPER)
    ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=SMALL, width=0.8)
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(RULE)
    for label in (ax.xaxis.label, ax.yaxis.label):
        label.set(fontsize=LABEL, color=INK)


def _legend(ax: Axes, place: Literal["lower right", "upper left"]) -> None:
    ax.legend(
        loc=place,
        fontsize=SMALL,
        labelcolor=INK,
        frameon=True,
        framealpha=0.92,
        edgecolor="none",
        labelspacing=0.7,
        borderpad=0.6,
    )


def _tint(colour: str, share: float) -> tuple[float, float, float]:
    """From nearly white at 0 to the colour itself at 1."""
    strength = 0.07 + 0.93 * share
    r, g, b = (1 - strength * (1 - part) for part in to_rgb(colour))
    return r, g, b


def _dark(rgb: tuple[float, float, float]) -> bool:
    """Whether white has more contrast on it than ink has (relative luminance, WCAG 2.1)."""
    r, g, b = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in rgb)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b < 0.22


def _short(name: str, most: int = 22) -> str:
    return name if len(name) <= most else name[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"
