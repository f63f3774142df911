"""What `hilum generalise` leaves behind: the matrix as a picture and as CSV, and all of it as JSON.

What stands in it is computed in `sites`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hilum.evaluation.plots import INK, MUTED, PAPER, stamp_synthetic
from hilum.evaluation.report.drawing import NO_MATHS, unseen_letters
from hilum.robustness.sites import Cell, Matrix
from hilum.writing import replacing

SCHEMA = 1
FILES = ("generalise.png", "generalise.csv", "generalise.json")
NOTE = "Research use only: not a medical device."
_SHADE = LinearSegmentedColormap.from_list("auroc", [PAPER, "#dbe6ee", "#86a7c1"])
_DPI = 110
_ABOUT = (
    "AUROC with its 95 % interval. Framed: films of its own place that training set aside. "
    "Bold: the interval of the difference from there leaves nought out."
)


@dataclass(frozen=True)
class Place:
    """One place, as it was asked for and found.

    bundle: the digest of its classifier, None where it is only tested on
    why_not: why none was trained there, None where one was
    meanings: finding -> what a 1 means there
    told: what must be known beside the figures of its classifier, by place of test
    """

    name: str
    source: str
    films: int
    synthetic: bool
    bundle: str | None
    why_not: str | None
    meanings: Mapping[str, str]
    told: Mapping[str, Sequence[str]]


def write_sites(
    folder: Path, matrices: Sequence[Matrix], places: Sequence[Place], recipe: Mapping[str, Any]
) -> dict[str, Any]:
    """Write FILES into the folder, with one picture a finding, and return what the JSON says."""
    synthetic = any(each.synthetic for each in places)
    told = {
        "schema": SCHEMA,
        "synthetic": synthetic,
        "recipe": dict(recipe),
        "places": [asdict(each) for each in places],
        "findings": {each.finding: asdict(each) for each in matrices},
        "note": NOTE,
    }
    for k, each in enumerate(matrices):
        name = "generalise.png" if k == 0 else f"generalise-{k}.png"
        with replacing(folder / name) as draft, unseen_letters():
            draw(each, places, synthetic=synthetic).savefig(
                draft, format="png", dpi=_DPI, metadata={"Software": "hilum"}
            )
    with (
        replacing(folder / "generalise.csv") as draft,
        draft.open("w", encoding="utf-8", newline="") as file,
    ):
        _write_rows(csv.writer(file), matrices)
    with replacing(folder / "generalise.json") as draft:
        draft.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return told


def draw(found: Matrix, places: Sequence[Place], *, synthetic: bool) -> Figure:
    """Places of training down, places of test across; bluer ranks better."""
    wide = max(5.6, 2.0 + 1.55 * len(found.test))
    lines = [_ABOUT, f"Mean at home {found.at_home.in_words(2)}, away {found.away.in_words(2)}, "
             f"difference {found.difference.in_words(2)}."]  # fmt: skip
    lines += [f"{each.name} is only tested on: {each.why_not}." for each in places if each.why_not]
    # Sixteen letters of this size are as wide as an inch.
    note = "\n".join(fill(line, int(16 * wide)) for line in lines)
    tall = 1.3 + 0.85 * len(found.train) + 0.15 * (note.count("\n") + 1)
    figure = Figure(figsize=(wide, tall), facecolor=PAPER)
    with matplotlib.rc_context(NO_MATHS):
        figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.08)
        _table(figure.subplots(), found)
        figure.suptitle(
            f"{found.finding}: trained on one place, tested on another",
            fontsize=11, weight="bold", color=INK, x=0.02, ha="left",
        )  # fmt: skip
        figure.supxlabel(note, fontsize=7.5, color=MUTED, x=0.02, ha="left")
        if synthetic:
            stamp_synthetic(figure)
    return figure


def _table(ax: Axes, found: Matrix) -> None:
    shade_rc = np.full((len(found.train), len(found.test)), np.nan)
    for row, train in enumerate(found.train):
        for column, test in enumerate(found.test):
            cell = found.cell(train, test)
            if cell.auroc.value is None:
                words = fill(cell.auroc.reason or "", 22, max_lines=3, placeholder=" …")
                ax.text(column, row, words, fontsize=6.5, color=MUTED, ha="center", va="center")
                continue
            shade_rc[row, column] = cell.auroc.value
            ax.text(
                column, row - 0.1, f"{cell.auroc.value:.3f}", ha="center", va="center",
                fontsize=11, color=INK, weight="bold" if falls(cell) else "normal",
            )  # fmt: skip
            limits = (
                f"{cell.auroc.low:.3f} to {cell.auroc.high:.3f}"
                if cell.auroc.low is not None and cell.auroc.high is not None
                else "no interval"
            )
            ax.text(
                column, row + 0.2, f"{limits}\n{cell.n:,} films", ha="center", va="center",
                fontsize=7, color=INK, linespacing=1.25,
            )  # fmt: skip
            if train == test:
                ax.add_patch(
                    Rectangle((column - 0.48, row - 0.47), 0.96, 0.94, fill=False,
                              edgecolor=INK, linewidth=1.4)
                )  # fmt: skip
    ax.imshow(shade_rc, cmap=_SHADE, vmin=0.5, vmax=1, aspect="auto")
    ax.set_xticks(range(len(found.test)), found.test)
    ax.set_yticks(range(len(found.train)), found.train)
    ax.xaxis.set_ticks_position("top")
    ax.xaxis.set_label_position("top")
    ax.set_xlabel("tested on", fontsize=8, color=MUTED)
    ax.set_ylabel("trained on", fontsize=8, color=MUTED)
    ax.tick_params(length=0, labelsize=9, labelcolor=INK)
    for side in ax.spines.values():
        side.set_visible(False)


def falls(cell: Cell) -> bool:
    """Whether the difference from home leaves nought out."""
    drop = cell.drop
    return drop.low is not None and drop.high is not None and not drop.low <= 0 <= drop.high


def _write_rows(file: Any, matrices: Sequence[Matrix]) -> None:
    parts = ("auroc", "drop", "behind")
    head = [f"{p}{end}" for p in parts for end in ("", "_low", "_high", "_reason")]
    file.writerow(["finding", "train", "test", "n", "present", *head])
    for found in matrices:
        for c in found.cells:
            estimates = (c.auroc, c.drop, c.behind)
            values = [part for e in estimates for part in (e.value, e.low, e.high, e.reason)]
            file.writerow([found.finding, c.train, c.test, c.n, c.present, *values])
