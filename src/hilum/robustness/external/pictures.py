"""Pictures: sites as a forest, inside beside outside, and what labels bring; no arithmetic.

What they show is computed beside this; the page puts them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullFormatter, NullLocator

from hilum.estimates import Estimate
from hilum.evaluation.plots import (
    ABSENT,
    DASHES,
    INK,
    MUTED,
    PAPER,
    PRESENT,
    RULE,
    grid,
    legend_above,
    middle,
    restrain,
)
from hilum.evaluation.report.words import words
from hilum.robustness.external.local import Local
from hilum.robustness.external.pooling import Pooled
from hilum.robustness.external.validating import Drop

SHARES = ("auroc", "sensitivity", "specificity", "balanced_accuracy")
_SMALL = 8.0  # points


def draw_sides(drops: Mapping[str, Drop], ax: Axes) -> Axes:
    """Of SHARES, inside above outside, each with its interval."""
    shown = [name for name in SHARES if name in drops]
    for row, name in enumerate(shown):
        found = drops[name]
        for offset, side, colour, marker, label in (
            (-0.16, found.inside, ABSENT, "s", "inside"),
            (0.16, found.outside, PRESENT, "o", "outside"),
        ):
            _interval(ax, row + offset, side, colour, marker, label if row == 0 else None)
    ax.set_yticks(range(len(shown)), [words(name).capitalize() if name != "auroc" else "AUROC"
                                      for name in shown])  # fmt: skip
    ax.set(xlim=(-0.01, 1.01), ylim=(len(shown) - 0.45, -0.55))
    restrain(ax)
    grid(ax, "x")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    legend_above(ax)
    return ax


def draw_forest(
    auroc: Mapping[str, Estimate], pooled: Pooled, ax: Axes, *, inside: Estimate | None = None
) -> Axes:
    """AUROC of each site, then the summary as a diamond and what a further site may see.

    inside: of the bundle's own films, on top and no part of the summary
    """
    rows: list[tuple[str, str]] = []
    if inside is not None:
        _interval(ax, 0, inside, ABSENT, "s", None)
        rows.append(("inside", inside.in_brief(2)))
    for name, found in auroc.items():
        _interval(ax, len(rows), found, INK, "s", None)
        rows.append((f"{middle(name, 22)}  ({found.n:,})", found.in_brief(2)))
    at, summary = len(rows), pooled.summary
    if summary.value is not None and summary.low is not None and summary.high is not None:
        corners = [(summary.low, at), (summary.value, at - 0.26), (summary.high, at),
                   (summary.value, at + 0.26)]  # fmt: skip
        ax.fill(*zip(*corners, strict=True), color=PRESENT, linewidth=0, zorder=3)
        ax.axvline(summary.value, color=PRESENT, linewidth=1, linestyle=DASHES, zorder=1)
    rows.append(("summary", summary.in_brief(2)))
    expected = pooled.expected
    if expected.low is not None and expected.high is not None:
        ax.hlines(at + 1, expected.low, expected.high, color=PRESENT, linewidth=3, alpha=0.5)
        rows.append(("a further site", f"{expected.low:.2f} to {expected.high:.2f}"))
    ax.axvline(0.5, color=RULE, linewidth=1, zorder=0)
    ends = [end for each in (*auroc.values(), summary, expected) for end in (each.low, each.value)
            if end is not None]  # fmt: skip
    ax.set(xlim=(max(0.0, min([0.45, *ends]) - 0.03), 1.01), ylim=(len(rows) - 0.4, -0.6))
    ax.set_yticks(range(len(rows)), [name for name, _ in rows])
    ax.set_xlabel("AUROC")
    beside: dict[str, Any] = {"fontsize": _SMALL, "color": INK, "va": "center"}
    for row, (_, said) in enumerate(rows):
        ax.text(1.02, row, said, transform=ax.get_yaxis_transform(), **beside)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    restrain(ax)
    grid(ax, "x")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return ax


def draw_learning(local: Local, name: str, ax: Axes) -> Axes:
    """A figure over the patients that are labelled, beside what it is as deployed.

    name: of FIGURES. Bars: 95 % interval; band: 95 of 100 draws, what one site may meet
    """
    k = [step.k for step in local.steps]
    low, high = zip(*(step.spread[name] for step in local.steps), strict=True)
    ax.fill_between(k, low, high, color=PRESENT, alpha=0.14, linewidth=0,
                    label="95 % of draws")  # fmt: skip
    for step in local.steps:
        found = step.figures[name]
        if found.low is not None and found.high is not None:
            ax.vlines(step.k, found.low, found.high, color=PRESENT, linewidth=1.4, zorder=3)
    ax.plot(k, [_plain(step.figures[name]) for step in local.steps], color=PRESENT, marker="o",
            markersize=5, markeredgecolor=PAPER, linewidth=1.8, zorder=4,
            label="learnt from k labels")  # fmt: skip
    ax.axhline(local.as_deployed[name], color=ABSENT, linewidth=1.6, linestyle=(0, (6, 2)),
               label="as deployed", zorder=2)  # fmt: skip
    if name == "log_loss":
        for kind, style in (("intercept", (0, (1, 1.5))), ("platt", (0, (3, 1, 1, 1)))):
            ax.plot(k, [step.log_loss.get(kind, float("nan")) for step in local.steps],
                    color=MUTED, linewidth=1.2, linestyle=style,
                    label=f"always {kind.capitalize() if kind == 'platt' else kind}")  # fmt: skip
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(k))
    ax.xaxis.set_major_formatter(FixedFormatter([f"{each:,}" for each in k]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel(f"Labelled local {local.kind}s")
    ax.set_ylabel(words(name).capitalize() if name != "log_loss" else "Log loss, nats")
    restrain(ax)
    grid(ax, "both")
    legend_above(ax)
    return ax


def _plain(found: Estimate) -> float:
    return float("nan") if found.value is None else found.value


def _interval(
    ax: Axes, row: float, found: Estimate, colour: str, marker: str, label: str | None
) -> None:
    if found.value is None:
        return
    if found.low is not None and found.high is not None:
        ax.hlines(row, found.low, found.high, color=colour, linewidth=1.6, zorder=2)
    ax.plot(found.value, row, marker=marker, markersize=6, color=colour, markeredgecolor=PAPER,
            linestyle="none", label=label, zorder=4)  # fmt: skip
