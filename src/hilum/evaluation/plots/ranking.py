"""Ranking: the ROC curve, precision against recall, and predictive values by prevalence.

The curves are computed in `discrimination`.
"""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from hilum.estimates import Estimate
from hilum.evaluation.plots.style import (
    ABSENT,
    BAND_95,
    DASHES,
    MUTED,
    PRESENT,
    diagonal,
    grid,
    legend_above,
    legend_inside,
    mark_points,
    restrain,
    shade,
    unit_square,
)
from hilum.evaluation.results import (
    PointFigures,
    PrecisionRecallCurve,
    PrevalenceCurve,
    RocCurve,
)

PREVALENCES = {0.001: "0.1", 0.01: "1", 0.05: "5", 0.2: "20", 0.5: "50", 0.8: "80", 0.95: "95"}
BETWEEN = 12  # places at which precision is drawn between two of its points


def draw_roc(
    curve: RocCurve,
    ax: Axes,
    *,
    auroc: Estimate,
    points: Mapping[str, PointFigures],
    band: str = BAND_95,
) -> Axes:
    """The ROC curve with its band, its area, and the operating points on it.

    auroc: shown in the legend with its interval
    points: each marked, with its threshold and, while they are few, sensitivity and specificity
    band: what the shading is, for the legend
    """
    diagonal(ax)
    shade(ax, curve.band_fpr, curve.band, ABSENT, band)
    ax.plot(
        [0, *(fp / curve.absent for fp in curve.fp)],
        [0, *(tp / curve.present for tp in curve.tp)],
        color=ABSENT,
        linewidth=1.8,
        label=f"AUROC {auroc.in_brief()}",
        solid_joinstyle="round",
        zorder=3,
    )
    mark_points(
        ax,
        points,
        {
            name: (point.confusion.fp / curve.absent, point.confusion.tp / curve.present)
            for name, point in points.items()
        },
        {"sensitivity": "sensitivity", "specificity": "specificity"},
    )
    ax.set_xlabel("1 \N{MINUS SIGN} specificity (false-positive rate)")
    ax.set_ylabel("Sensitivity (true-positive rate)")
    unit_square(ax)
    legend_inside(ax)
    return ax


def draw_precision_recall(
    curve: PrecisionRecallCurve,
    ax: Axes,
    *,
    average_precision: Estimate,
    points: Mapping[str, PointFigures],
    band: str = BAND_95,
) -> Axes:
    """Precision against recall, with its band, the prevalence as the level of chance, and points.

    average_precision: shown in the legend with its interval
    points: each marked, with its threshold; one that calls no image positive has no precision
    """
    prevalence = curve.present / (curve.present + curve.absent)
    ax.axhline(
        prevalence,
        color=MUTED,
        linewidth=1,
        linestyle=DASHES,
        label=f"prevalence {prevalence:.3g}",
        zorder=1,
    )
    shade(ax, curve.band_recall, curve.band, ABSENT, band)
    tp, fp = _between(curve.tp, curve.fp)
    ax.plot(
        [t / curve.present for t in tp],
        [t / (t + f) for t, f in zip(tp, fp, strict=True)],
        color=ABSENT,
        linewidth=1.8,
        label=f"AP {average_precision.in_brief()}",
        solid_joinstyle="round",
        zorder=3,
    )
    mark_points(
        ax,
        points,
        {
            name: (counts.tp / curve.present, counts.tp / (counts.tp + counts.fp))
            for name, counts in ((name, point.confusion) for name, point in points.items())
            if counts.tp + counts.fp
        },
        {},
    )
    ax.set_xlabel("Recall (sensitivity)")
    ax.set_ylabel("Precision (PPV)")
    unit_square(ax)
    legend_above(ax)
    return ax


def _between(tp: tuple[int, ...], fp: tuple[int, ...]) -> tuple[list[float], list[float]]:
    """Counts with places in between: where counts run straight, precision does not.

    Source: Davis & Goadrich 2006, section 3.
    """
    all_tp, all_fp = [float(tp[0])], [float(fp[0])]
    for k in range(1, len(tp)):
        more_tp, more_fp = tp[k] - tp[k - 1], fp[k] - fp[k - 1]
        steps = min(BETWEEN, max(more_tp, more_fp, 1))
        for step in range(1, steps + 1):
            all_tp.append(tp[k - 1] + more_tp * step / steps)
            all_fp.append(fp[k - 1] + more_fp * step / steps)
    return all_tp, all_fp


def draw_prevalence(
    curve: PrevalenceCurve,
    ax: Axes,
    *,
    observed: float | None,
    band: str = "95\N{NO-BREAK SPACE}% band",
) -> Axes:
    """PPV and NPV of the deployed point against the prevalence, on a logit scale.

    observed: prevalence among these images, drawn as a line; None where no label is known
    """
    for value, limits, colour, style, name in (
        (curve.ppv, curve.ppv_band, PRESENT, "-", "PPV at the deployed point"),
        (curve.npv, curve.npv_band, ABSENT, (0, (6, 2)), "NPV at the deployed point"),
    ):
        shade(ax, curve.prevalence, limits, colour, None)
        ax.plot(
            curve.prevalence, value, color=colour, linestyle=style, lw=1.8, label=name, zorder=3
        )
    if observed is not None and 0 < observed < 1:
        words = f"observed: {100 * observed:.3g} %"
        ax.axvline(observed, color=MUTED, linewidth=1, linestyle=DASHES, label=words, zorder=1)
    if curve.ppv_band is not None or curve.npv_band is not None:
        ax.fill([], [], color=MUTED, alpha=0.25, label=band)
    ax.set_xscale("logit")
    ax.set_xlim(min(0.001, curve.prevalence[0]), max(0.95, curve.prevalence[-1]))
    ax.set_xticks([*PREVALENCES], [*PREVALENCES.values()])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_ylim(-0.012, 1.012)
    ax.set_xlabel("Prevalence where it is used (%, logit scale)")
    ax.set_ylabel("Predictive value")
    restrain(ax)
    grid(ax, "both")
    legend_above(ax)
    return ax
