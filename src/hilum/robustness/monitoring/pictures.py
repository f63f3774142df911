"""Pictures: a service by day, one plot a question, and all of them on one sheet.

What is drawn is computed in `drift` and `sequential`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import matplotlib
import matplotlib.dates as mdates
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from numpy.typing import NDArray

from hilum.data.appearance import ATTRIBUTES
from hilum.evaluation.plots import (
    ABSENT,
    DASHES,
    INK,
    MUTED,
    PAPER,
    PRESENT,
    RULE,
    grid,
    restrain,
    stamp_synthetic,
)
from hilum.evaluation.report.blocks import Picture
from hilum.evaluation.report.drawing import NO_MATHS
from hilum.robustness.monitoring.drift import DayFigures, Drift
from hilum.robustness.monitoring.sequential import SequentialTest

SIZE = (5.9, 2.7)  # inches
_SMALL = 8.0
_TOP = 8.0  # times a limit: beyond, a line leaves the plot


def pictures(drift: Drift, tests: Sequence[SequentialTest] = ()) -> list[Picture]:
    """What the page and the sheet show, in order."""
    shown = [
        Picture(
            "statistics",
            "Statistics against their limits",
            "Each is drawn as a multiple of its limit, over whichever of its windows of 1, 3 and 7 "
            "days is furthest. Days with an alarm are shaded.",
            _alarm_words(drift),
            SIZE,
            partial(draw_statistics, drift),
        ),
        Picture(
            "attributes",
            "How films look",
            "Mean of a day less the mean of the reference, in standard deviations of a film.",
            "Shift of exposure, contrast, sharpness, field of view and noise by day.",
            SIZE,
            partial(draw_attributes, drift),
        ),
    ]
    for k, finding in enumerate(drift.findings):
        shown.append(
            Picture(
                f"scores-{k}",
                f"Scores: {finding}",
                "Probability: median of a day, and from its 10th to its 90th percentile.",
                f"Median and spread of the probability of {finding} by day.",
                SIZE,
                partial(draw_scores, drift, finding),
            )
        )
    shown.append(
        Picture(
            "shares",
            "Called and referred",
            "Share of a day's films that were called, and that were referred to a person.",
            "Shares of films called and referred by day.",
            SIZE,
            partial(draw_shares, drift),
        )
    )
    if any(len(each.date_t) for each in tests):
        shown.append(
            Picture(
                "labels",
                "Evidence against what was claimed",
                "Grows while labelled films are answered worse than claimed; above the line the "
                "claim is rejected.",
                "Evidence against the claimed sensitivity and specificity by day.",
                SIZE,
                partial(draw_evidence, tests),
            )
        )
    return shown


def sheet(shown: Sequence[Picture], title: str, *, synthetic: bool) -> Figure:
    """All pictures below one another."""
    height = sum(picture.size[1] for picture in shown)
    with matplotlib.rc_context(NO_MATHS):
        figure = Figure(figsize=(SIZE[0], height + 0.4), facecolor=PAPER)
        figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.08)
        axes = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
        for ax, picture in zip(axes, shown, strict=True):
            picture.draw(ax)
            ax.set_title(picture.title, fontsize=10, weight="bold", color=INK, loc="left", pad=14)
        figure.suptitle(title, fontsize=11, weight="bold", color=INK, x=0.02, ha="left")
        if synthetic:
            stamp_synthetic(figure)
    return figure


def draw_statistics(drift: Drift, ax: Axes) -> Axes:
    """Each statistic as a multiple of its limit; those that ever pass it by name."""
    x_t = _dates(drift.days)
    _shade_alarms(drift, ax)
    named = []
    for name, times_t in drift.furthest.items():
        over = bool((times_t > 1).any())
        ax.plot(
            x_t, np.clip(times_t, 0, _TOP), color=PRESENT if over else RULE,
            linewidth=1.5 if over else 1.0, zorder=3 if over else 2,
        )  # fmt: skip
        if over:
            named.append((float(min(times_t[-1], _TOP)), name))
    ax.axhline(1, color=INK, linewidth=1, linestyle=DASHES, zorder=4)
    ax.set_ylim(0, None)
    ax.set_ylabel("times the limit")
    _finish(ax)
    _name_lines(ax, x_t[-1], named, PRESENT)
    return ax


def draw_attributes(drift: Drift, ax: Axes) -> Axes:
    """Shift of each attribute; the one that moved most in colour."""
    x_t = _dates(drift.reference + drift.days)
    _mark_reference(drift, ax)
    _shade_alarms(drift, ax)
    named = []
    for name in ATTRIBUTES:
        shift_t = [day.shift[name] for day in drift.reference + drift.days]
        most = name == drift.moved
        ax.plot(
            x_t, shift_t, color=PRESENT if most else MUTED, linewidth=1.8 if most else 0.9,
            zorder=4 if most else 2,
        )  # fmt: skip
        named.append((shift_t[-1], name.replace("_", " ")))
    ax.axhline(0, color=RULE, linewidth=1, zorder=1)
    ax.set_ylabel("standard deviations")
    _finish(ax)
    _name_lines(ax, x_t[-1], named, INK)
    return ax


def draw_scores(drift: Drift, finding: str, ax: Axes) -> Axes:
    """Median and spread of the probability."""
    days = drift.reference + drift.days
    x_t = _dates(days)
    _mark_reference(drift, ax)
    _shade_alarms(drift, ax)
    low_t, middle_t, high_t = zip(*(day.score[finding] for day in days), strict=True)
    ax.fill_between(x_t, low_t, high_t, color=ABSENT, alpha=0.16, linewidth=0, zorder=2)
    ax.plot(x_t, middle_t, color=ABSENT, linewidth=1.6, zorder=3)
    ax.set_ylim(-0.02, 1.02)
    ax.set_ylabel("probability")
    _finish(ax)
    return ax


def draw_shares(drift: Drift, ax: Axes) -> Axes:
    """Shares called, a line a finding, and the share referred."""
    days = drift.reference + drift.days
    x_t = _dates(days)
    _mark_reference(drift, ax)
    _shade_alarms(drift, ax)
    named = []
    for finding in drift.findings:
        called_t = [day.called[finding].value or 0.0 for day in days]
        ax.plot(x_t, called_t, color=ABSENT, linewidth=1.4, zorder=3)
        named.append((called_t[-1], f"called: {finding}"))
    referred_t = [day.referred.value or 0.0 for day in days]
    ax.plot(x_t, referred_t, color=INK, linewidth=1.4, zorder=3)
    named.append((referred_t[-1], "referred"))
    ax.set_ylim(-0.02, 1.02)
    ax.set_ylabel("share of films")
    _finish(ax)
    _name_lines(ax, x_t[-1], named, INK)
    return ax


def draw_evidence(tests: Sequence[SequentialTest], ax: Axes) -> Axes:
    """Evidence against each claim, on a logarithmic axis."""
    named = []
    for each in tests:
        if len(each.date_t) == 0:
            continue
        colour = PRESENT if each.rejected is not None else MUTED
        ax.plot(each.date_t, each.evidence_t, color=colour, linewidth=1.6, zorder=3)
        named.append((float(each.evidence_t[-1]), each.figure))
        ax.axhline(each.limit, color=INK, linewidth=1, linestyle=DASHES, zorder=2)
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda factor, _: f"{factor:g}"))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_ylabel("evidence, as a factor")
    _finish(ax)
    _name_lines(ax, max(each.date_t[-1] for each in tests if len(each.date_t)), named, INK)
    return ax


def _dates(days: Sequence[DayFigures]) -> NDArray[np.datetime64]:
    return np.array([day.day.last for day in days])


def _mark_reference(drift: Drift, ax: Axes) -> None:
    last = drift.reference[-1].day.last
    if last < drift.days[0].day.first:
        ax.axvline(last + np.timedelta64(12, "h"), color=RULE, linewidth=1, linestyle=DASHES)  # type: ignore[arg-type]
        ax.annotate(
            "reference", (last, 1), xycoords=("data", "axes fraction"), ha="right", va="bottom",
            fontsize=_SMALL, color=MUTED, xytext=(0, 2), textcoords="offset points",
        )  # fmt: skip


def _shade_alarms(drift: Drift, ax: Axes) -> None:
    half = np.timedelta64(12, "h")
    for figures, on in zip(drift.days, drift.alarmed_t, strict=True):
        if on:
            first, last = figures.day.first - half, figures.day.last + half
            ax.axvspan(first, last, color=PRESENT, alpha=0.12, linewidth=0, zorder=0)  # type: ignore[arg-type]


def _finish(ax: Axes) -> None:
    locator = mdates.AutoDateLocator(minticks=3, maxticks=6)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(mdates.DateFormatter("%-d %b"))  # type: ignore[no-untyped-call]
    restrain(ax)
    grid(ax, "y")


def _name_lines(
    ax: Axes, x: np.datetime64, named: Sequence[tuple[float, str]], colour: str
) -> None:
    """Names at the ends of lines, kept apart by a letter's height."""
    figure = ax.figure
    height = ax.get_position().height * figure.get_size_inches()[1] * 72  # type: ignore[union-attr]
    taken = -np.inf
    for y, name in sorted(named):
        y_axes = ax.transAxes.inverted().transform(ax.transData.transform((0, y)))[1]
        place = max(float(y_axes) * height, taken + _SMALL * 1.25)
        taken = place
        ax.annotate(
            name, (x, place / height), xycoords=("data", "axes fraction"), xytext=(6, 0),
            textcoords="offset points", fontsize=_SMALL, color=colour, va="center",
            annotation_clip=False,
        )  # fmt: skip


def _alarm_words(drift: Drift) -> str:
    days = [str(d.day) for d, on in zip(drift.days, drift.alarmed_t, strict=True) if on]
    return (
        f"Statistics by day; above a limit on {len(days)} days, first {days[0]}."
        if days
        else "Statistics by day; none above its limit."
    )
