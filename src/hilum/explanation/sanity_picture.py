"""The picture of a method's sanity checks.

What is asked, and what decides, is `sanity`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from hilum.evaluation.plots import INK, MUTED, PAPER, PRESENT, RULE
from hilum.evaluation.plots.style import DASHES, grid, restrain
from hilum.evaluation.report.drawing import NO_MATHS
from hilum.explanation.pictures import save
from hilum.explanation.saliency import NAMES, Method
from hilum.explanation.sanity import ALIKE, SHARES, Cascade, Check, Curves


def write_sanity(
    path: Path,
    cascade: Cascade,
    curves: Curves,
    checks: Sequence[Check],
    method: Method,
    *,
    synthetic: bool,
) -> None:
    """How a method stood its checks: weights made random, the film taken away and put back."""
    figure = Figure(figsize=(11.5, 3.9), facecolor=PAPER)
    with matplotlib.rc_context(NO_MATHS):
        figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.06)
        left, middle_, right, words = figure.subplots(1, 4, width_ratios=(1.25, 1, 1, 1.25))
        at = np.arange(len(cascade.stages))
        alike_s = np.nanmean(cascade.alike_sn, axis=1)
        left.plot(at, alike_s, color=PRESENT, marker="o", markersize=4)
        for low in (0.25, 0.75):
            left.plot(at, np.nanquantile(cascade.alike_sn, low, axis=1), color=RULE, linewidth=0.9)
        left.axhline(ALIKE, color=MUTED, linewidth=0.9, linestyle=DASHES)
        left.set(ylim=(-1.02, 1.02), ylabel="rank correlation with the trained map")
        left.set_xticks(at, cascade.stages, rotation=60, ha="right", fontsize=7)
        left.set_title("weights made random", fontsize=9, color=INK, loc="left")
        for ax, name, salient_ns, random_ns in (
            (middle_, "deletion", curves.deletion_ns, curves.random_deletion_ns),
            (right, "insertion", curves.insertion_ns, curves.random_insertion_ns),
        ):
            ax.plot(SHARES, salient_ns.mean(axis=0), color=PRESENT, label="by the map")
            ax.plot(SHARES, random_ns.mean(axis=0), color=MUTED, label="in random order")
            done = "taken away" if name == "deletion" else "put back"
            ax.set(xlabel=f"share of the film {done}", ylabel="mean logit")
            ax.set_title(name, fontsize=9, color=INK, loc="left")
            ax.legend(fontsize=7, frameon=False)
        for ax in (left, middle_, right):
            restrain(ax)
            grid(ax, "y")
        words.axis("off")
        for k, check in enumerate(checks):
            verdict = {True: "stands", False: "FAILS", None: "undecided"}[check.passed]
            words.text(
                0, 1 - 0.16 * k,
                f"{check.question}: {verdict}\n   {check.figure.in_brief(2)}; {check.rule}",
                fontsize=7.5, color=PRESENT if check.passed is False else INK, va="top",
                transform=words.transAxes, linespacing=1.4,
            )  # fmt: skip
        figure.suptitle(
            f"Is {NAMES[method]} about what was learnt?", fontsize=11, weight="bold",
            color=INK, x=0.02, ha="left",
        )  # fmt: skip
        save(figure, path, synthetic=synthetic)
