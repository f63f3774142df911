"""The picture of the probes for shortcuts: each figure with its interval and its limit.

What is asked, and what counts as found, is `shortcuts`'.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import matplotlib
from matplotlib.figure import Figure

from hilum.evaluation.plots import INK, MUTED, PAPER, PRESENT, RULE
from hilum.evaluation.plots.style import DASHES, grid, restrain
from hilum.evaluation.report.drawing import NO_MATHS
from hilum.explanation.pictures import save
from hilum.explanation.shortcuts import LEANS, TELLS, Probe


def write_shortcuts(path: Path, probes: Sequence[Probe], finding: str, *, synthetic: bool) -> None:
    """What is left of the AUROC, and by how much it falls, as two forests; red where found."""
    falls = [each for each in probes if each.figure == "fall of the AUROC"]
    left = [each for each in probes if each.figure != "fall of the AUROC"]
    figure = Figure(figsize=(11.0, 1.3 + 0.42 * max(len(falls), len(left))), facecolor=PAPER)
    with matplotlib.rc_context(NO_MATHS):
        figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.06)
        for ax, some, limit, about, ends in zip(
            figure.subplots(1, 2),
            (left, falls),
            (TELLS, LEANS),
            ("AUROC of what is left", "fall of the AUROC"),
            ((0.3, 1.0), (-0.1, 0.5)),
            strict=True,
        ):
            for row, each in enumerate(some):
                estimate = each.estimate
                colour = PRESENT if each.found else MUTED if each.found is None else INK
                if estimate.value is None:
                    ax.text(sum(ends) / 2, row, "not given", fontsize=7, color=MUTED, va="center")
                    continue
                if estimate.low is not None and estimate.high is not None:
                    ax.plot([estimate.low, estimate.high], [row, row], color=colour, linewidth=1.6)
                ax.plot(estimate.value, row, marker="o", markersize=5, color=colour)
            ax.axvline(limit, color=MUTED, linewidth=0.9, linestyle=DASHES)
            ax.axvline(0.5 if some is left else 0.0, color=RULE, linewidth=0.9)
            ax.set_yticks(range(len(some)), [fill(each.question, 34) for each in some], fontsize=8)
            ax.set(xlim=ends, ylim=(len(some) - 0.5, -0.5), xlabel=about)
            restrain(ax)
            grid(ax, "x")
        found = [each.question for each in probes if each.found]
        head = f"shortcuts found: {len(found)}" if found else "no shortcut found"
        figure.suptitle(
            f"{finding}: {head}", fontsize=11, weight="bold", color=INK, x=0.02, ha="left"
        )
        figure.supxlabel(
            "dashed: the limit beyond which a whole interval has to lie; red: it does",
            fontsize=7.5, color=MUTED, x=0.02, ha="left",
        )  # fmt: skip
        save(figure, path, synthetic=synthetic)
