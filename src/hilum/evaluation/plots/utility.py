"""Utility: the decision curve, and risk against coverage.

The curves are computed in `hilum.evaluation.utility`.
"""

from __future__ import annotations

from matplotlib.axes import Axes

from hilum.evaluation.plots.style import (
    ABSENT,
    BAND_95,
    DASHES,
    INK,
    MUTED,
    PRESENT,
    at_least,
    grid,
    legend_above,
    percent_axis,
    restrain,
    shade,
)
from hilum.evaluation.results import DecisionCurve, RiskCoverageCurve


def draw_decision(
    curve: DecisionCurve, ax: Axes, *, deployed: float | None = None, band: str = BAND_95
) -> Axes:
    """Net benefit against the threshold probability, beside treating all and treating none.

    deployed: the threshold in use, drawn as a line
    """
    shade(ax, curve.threshold, curve.band, PRESENT, band)
    ax.plot(curve.threshold, curve.model, color=PRESENT, lw=1.8, label="follow the model", zorder=4)
    ax.plot(
        curve.threshold,
        curve.treat_all,
        color=ABSENT,
        linewidth=1.4,
        linestyle=(0, (6, 2)),
        label="treat all",
        zorder=3,
    )
    ax.axhline(0, color=INK, linewidth=1, label="treat none", zorder=2)
    if deployed is not None:
        words = f"deployed: {at_least(deployed)}"
        ax.axvline(deployed, color=MUTED, linewidth=1, linestyle=DASHES, label=words, zorder=1)
    # Treating all falls without end as the threshold nears 1; what matters lies above 0.
    top = max(*curve.model, curve.treat_all[0], 0.001)
    ax.set(xlim=(0, 1), ylim=(-0.12 * top, 1.12 * top))
    ax.set_xlabel("Threshold probability")
    ax.set_ylabel("Net benefit per image")
    restrain(ax)
    grid(ax, "both")
    legend_above(ax)
    return ax


def draw_risk_coverage(curve: RiskCoverageCurve, ax: Axes, *, band: str = BAND_95) -> Axes:
    """Errors among the images answered, against the share that is answered."""
    shade(ax, curve.coverage, curve.band, PRESENT, band)
    ax.plot(
        curve.coverage,
        curve.selective_risk,
        color=PRESENT,
        linewidth=1.8,
        label="of those answered",
        zorder=3,
    )
    ax.plot(
        curve.coverage,
        curve.generalised_risk,
        color=ABSENT,
        linewidth=1.4,
        linestyle=(0, (6, 2)),
        label="of all images",
        zorder=2,
    )
    highest = [*curve.selective_risk, *(curve.band.high if curve.band else ())]
    # One error among the first few answers would set the scale for all: it may leave the picture.
    last = max(curve.selective_risk[-1], curve.generalised_risk[-1])
    top = max(0.01, min(max(highest), 3 * last if last else 1.0))
    ax.set(xlim=(0, 1.012), ylim=(-0.02 * top, 1.08 * top))
    percent_axis(ax, "x")
    percent_axis(ax, "y")
    ax.set_xlabel("Share of images answered, most certain first")
    ax.set_ylabel("Wrong answers at the deployed point")
    restrain(ax)
    grid(ax, "both")
    legend_above(ax)
    return ax
