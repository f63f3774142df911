"""What `hilum stress` leaves behind: a table as a picture and as CSV, and all of it as JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from hilum.evaluation.plots import INK, MUTED, PAPER, PRESENT, stamp_synthetic
from hilum.evaluation.report.drawing import NO_MATHS, unseen_letters
from hilum.robustness.family import Family
from hilum.robustness.stress import Stress
from hilum.writing import replacing

SCHEMA = 1
FILES = ("stress.png", "stress.csv", "stress.json")
SHOWN: Mapping[str, str] = {
    "auroc": "AUROC",
    "balanced_accuracy": "balanced accuracy",
    "false_negative_rate": "false-negative rate",
    "specificity": "specificity",
    "ece": "calibration error",
}
_LOWER_IS_BETTER = ("false_negative_rate", "ece")
_WORST = 0.3  # worse by so much is as red as it gets
_FALL = LinearSegmentedColormap.from_list("fall", [PAPER, "#f3d5c9", PRESENT])
_DPI = 110
_NOTE = (
    "Bold: the paired 95 % interval of the difference from the films as they are leaves nought "
    "out. Balanced accuracy, false-negative rate (1 - sensitivity) and specificity at the deployed "
    "point."
)


def write_stress(
    folder: Path, stress: Stress, family: Family, *, bundle: str, source: str, synthetic: bool
) -> dict[str, Any]:
    """Write FILES into the folder, with one picture a finding, and return what the JSON says.

    family: that the corruptions are of
    """
    told = {
        "schema": SCHEMA,
        "bundle": bundle,
        "source": source,
        "synthetic": synthetic,
        "family": family.name,
        "made_by": family.made_by,
        "seed": stress.seed,
        "first_film": {"height": stress.first_hw[0], "width": stress.first_hw[1]},
        "n": stress.n,
        "grouping": stress.grouping,
        "clean": {f: _plain(figures) for f, figures in stress.clean.items()},
        "balanced_accuracy_over_conditions": _plain(stress.balanced_accuracy),
        "relative_error": _plain(stress.relative_error),
        "conditions": [asdict(each) for each in stress.conditions],
        "note": "Research use only: not a medical device.",
    }
    for k, finding in enumerate(stress.clean):
        name = "stress.png" if k == 0 else f"stress-{k}.png"
        with replacing(folder / name) as draft, unseen_letters():
            draw(stress, finding, family.name, synthetic=synthetic).savefig(
                draft, format="png", dpi=_DPI, metadata={"Software": "hilum"}
            )
    with (
        replacing(folder / "stress.csv") as draft,
        draft.open("w", encoding="utf-8", newline="") as file,
    ):
        _write_rows(csv.writer(file), stress)
    with replacing(folder / "stress.json") as draft:
        draft.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return told


def draw(stress: Stress, finding: str, family: str, *, synthetic: bool) -> Figure:
    """Corruptions down, severities across, a table a figure; redder is worse."""
    rows = list(dict.fromkeys(each.corruption for each in stress.conditions))
    columns = sorted({each.severity for each in stress.conditions})
    wide = 1.9 + len(SHOWN) * max(0.43 * len(columns) + 0.25, 1.6)
    figure = Figure(figsize=(wide, 1.7 + 0.27 * len(rows)), facecolor=PAPER)
    with matplotlib.rc_context(NO_MATHS):
        figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.06)
        axes = figure.subplots(1, len(SHOWN), sharey=True)
        for ax, figure_name in zip(axes, SHOWN, strict=True):
            _table(ax, stress, finding, figure_name, rows, columns)
        figure.suptitle(
            f"{finding}: {stress.n:,} films under corruptions ({family}), by severity",
            fontsize=11, weight="bold", color=INK, x=0.02, ha="left",
        )  # fmt: skip
        # Fifteen letters of this size are as wide as an inch.
        lines = fill(_NOTE, int(15 * wide))
        figure.supxlabel(lines, fontsize=7.5, color=MUTED, x=0.02, ha="left")
        if synthetic:
            stamp_synthetic(figure)
    return figure


def _table(
    ax: Axes, stress: Stress, finding: str, name: str, rows: list[str], columns: list[int]
) -> None:
    worse_rc = np.full((len(rows), len(columns)), np.nan)
    sign = 1 if name in _LOWER_IS_BETTER else -1
    for each in stress.conditions:
        cell = rows.index(each.corruption), columns.index(each.severity)
        found = each.figures[finding][name]
        difference = found.difference
        if found.b.value is None or difference.value is None:
            ax.text(cell[1], cell[0], "–", ha="center", va="center", fontsize=8, color=MUTED)
            continue
        worse_rc[cell] = sign * difference.value
        told = (
            difference.low is not None
            and difference.high is not None
            and not difference.low <= 0 <= difference.high
        )
        ax.text(
            cell[1], cell[0], f"{found.b.value:.2f}", ha="center", va="center", fontsize=8,
            color=INK, weight="bold" if told else "normal",
        )  # fmt: skip
    ax.imshow(np.clip(worse_rc, 0, _WORST), cmap=_FALL, vmin=0, vmax=_WORST, aspect="auto")
    clean = stress.clean[finding][name].value
    as_it_is = "" if clean is None else f"\nas they are {clean:.2f}"
    ax.set_title(f"{SHOWN[name]}{as_it_is}", fontsize=9, color=INK, loc="left")
    ax.set_xticks(range(len(columns)), [str(severity) for severity in columns])
    ax.set_yticks(range(len(rows)), [row.replace("_", " ") for row in rows])
    ax.set_xlabel("severity", fontsize=8, color=MUTED)
    ax.tick_params(length=0, labelsize=8, labelcolor=INK)
    for side in ax.spines.values():
        side.set_visible(False)


def _write_rows(file: Any, stress: Stress) -> None:
    file.writerow(
        ["finding", "corruption", "severity", "figure", "value", "low", "high", "difference",
         "difference_low", "difference_high"]
    )  # fmt: skip
    for finding, figures in stress.clean.items():
        for name, e in figures.items():
            file.writerow([finding, "none", 0, name, e.value, e.low, e.high, 0, "", ""])
        for each in stress.conditions:
            for name, found in each.figures[finding].items():
                b, d = found.b, found.difference
                file.writerow(
                    [finding, each.corruption, each.severity, name, b.value, b.low, b.high,
                     d.value, d.low, d.high]
                )  # fmt: skip


def _plain(estimates: Mapping[str, Any]) -> dict[str, Any]:
    return {name: asdict(each) for name, each in estimates.items()}
