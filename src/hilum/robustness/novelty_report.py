"""What `hilum novelty` leaves behind: a table as a picture, and all of it as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from hilum.evaluation.plots import ABSENT, INK, MUTED, PAPER, stamp_synthetic
from hilum.evaluation.report.drawing import NO_MATHS, unseen_letters
from hilum.robustness.novelty import Kind, NoveltyCheck
from hilum.writing import replacing

SCHEMA = 1
FILES = ("novelty.png", "novelty.json")
NAMES = {
    "gate": "gate",
    "film": "outline and\nappearance",
    "mahalanobis": "features,\nMahalanobis",
    "knn": "features,\nneighbours",
    "energy": "energy",
}
_SHADE = LinearSegmentedColormap.from_list("told", [PAPER, "#cfdfee", ABSENT])
_DPI = 110


def write_novelty(
    folder: Path, found: NoveltyCheck, *, bundle: str, source: str, policy: str, synthetic: bool
) -> dict[str, Any]:
    """Write FILES into the folder, and return what the JSON says.

    policy: what the bundle asks before it answers, in words
    """
    told = {
        "schema": SCHEMA,
        "bundle": bundle,
        "source": source,
        "synthetic": synthetic,
        "policy": policy,
        **asdict(found),
        "note": "Research use only: not a medical device.",
    }
    with replacing(folder / "novelty.png") as draft, unseen_letters():
        draw(found, source, policy, synthetic=synthetic).savefig(
            draft, format="png", dpi=_DPI, metadata={"Software": "hilum"}
        )
    with replacing(folder / "novelty.json") as draft:
        draft.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return told


def draw(found: NoveltyCheck, source: str, policy: str, *, synthetic: bool) -> Figure:
    """Kinds down; AUROC by measure and the share that is refused across."""
    measures = [name for name in NAMES if name in found.kinds[0].measures]
    figure = Figure(figsize=(7.6, 2.0 + 0.26 * len(found.kinds)), facecolor=PAPER)
    with matplotlib.rc_context(NO_MATHS):
        figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.06)
        ranked, refused = figure.subplots(
            1, 2, sharey=True, gridspec_kw={"width_ratios": (len(measures), 2)}
        )
        _cells(
            ranked,
            "AUROC, outlier against film",
            [NAMES[name] for name in measures],
            [[each.measures[name].auroc.value for name in measures] for each in found.kinds],
            least=0.5,
        )
        _cells(
            refused,
            "share refused",
            ["by the\ngate", "by either"],
            [[each.gate.value, each.refused.value] for each in found.kinds],
            least=0.0,
        )
        ranked.set_yticks(range(len(found.kinds)), [_label(each) for each in found.kinds])
        figure.suptitle(
            f"What is no film to answer, against {found.n:,} films of {source}",
            fontsize=11, weight="bold", color=INK, x=0.02, ha="left",
        )  # fmt: skip
        either = found.false_refusals["either"].in_words()
        gate = found.false_refusals["gate"].in_words()
        note = (
            f"Of the films themselves {either} are refused, by the gate {gate}. Policy: {policy}."
        )
        figure.supxlabel(fill(note, 116), fontsize=7.5, color=MUTED, x=0.02, ha="left")
        if synthetic:
            stamp_synthetic(figure)
    return figure


def _label(kind: Kind) -> str:
    return f"{kind.name.replace('_', ' ')} ({kind.n:,})"


def _cells(
    ax: Axes, title: str, columns: list[str], value: list[list[float | None]], *, least: float
) -> None:
    value_rc = np.array(
        [[np.nan if each is None else each for each in row] for row in value], dtype=np.float64
    )
    ax.imshow(np.clip(value_rc, least, 1), cmap=_SHADE, vmin=least, vmax=1, aspect="auto")
    for (row, column), each in np.ndenumerate(value_rc):
        dark = each > least + 0.75 * (1 - least)
        ax.text(
            column, row, "–" if np.isnan(each) else f"{each:.2f}", ha="center", va="center",
            fontsize=8, color=PAPER if dark else INK,
        )  # fmt: skip
    ax.set_title(title, fontsize=9, color=INK, loc="left")
    ax.set_xticks(range(len(columns)), columns)
    ax.tick_params(length=0, labelsize=8, labelcolor=INK)
    for side in ax.spines.values():
        side.set_visible(False)
