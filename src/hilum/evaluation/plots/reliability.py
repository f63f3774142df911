"""Reliability: what is stated against what is observed, after calibration and before.

The curves are computed in `hilum.evaluation.reliability`.
"""

from __future__ import annotations

from matplotlib.axes import Axes

from hilum.evaluation.plots.style import (
    MUTED,
    PAPER,
    PRESENT,
    diagonal,
    legend_above,
    shade,
    unit_square,
)
from hilum.evaluation.results import ReliabilityCurve


def draw_reliability(
    curve: ReliabilityCurve, ax: Axes, *, before: ReliabilityCurve | None = None
) -> Axes:
    """Observed share against mean probability: bins with Wilson bars, smooth curve with band.

    before: the same without calibration, drawn faintly
    """
    diagonal(ax, "stated = observed")
    if before is not None:
        _draw_before(before, ax)
    if curve.smooth:
        ax.plot(
            curve.smooth_prob, curve.smooth, color=PRESENT, lw=1.8, label="smooth curve", zorder=3
        )
    shade(ax, curve.smooth_prob, curve.band, PRESENT, "its 95\N{NO-BREAK SPACE}% band")
    ax.vlines(curve.mean_prob, curve.low, curve.high, color=PRESENT, linewidth=1.2, alpha=0.7)
    fewest, most = min(curve.n), max(curve.n)
    images = f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"
    ax.plot(
        curve.mean_prob,
        curve.observed,
        color=PRESENT,
        marker="o",
        markersize=6,
        markeredgecolor=PAPER,
        linestyle="none" if curve.smooth else "-",
        linewidth=1.2,
        label=f"{len(curve.n)} bins of {images} images",
        zorder=4,
    )
    ax.set_xlabel("Stated probability")
    ax.set_ylabel("Share that has the finding")
    unit_square(ax)
    legend_above(ax)
    return ax


def _draw_before(curve: ReliabilityCurve, ax: Axes) -> None:
    x, y = (curve.smooth_prob, curve.smooth) if curve.smooth else (curve.mean_prob, curve.observed)
    ax.plot(x, y, color=MUTED, linewidth=1.2, linestyle=(0, (2, 1.5)), label="before calibration")
    ax.plot(
        curve.mean_prob,
        curve.observed,
        color=MUTED,
        marker="o",
        markersize=4,
        markerfacecolor=PAPER,
        linestyle="none",
        zorder=2,
    )
