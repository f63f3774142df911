"""Panel: what a threshold and a prevalence come to, from the counts that a page carries.

The page's script computes the same as `at` on every move; the two round alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hilum.evaluation.report.blocks import Panel
from hilum.evaluation.report.phrases import (
    DASH,
    fixed,
    per_1000,
    percent,
    ratio,
    short_percent,
    threshold_words,
)
from hilum.evaluation.results import ThresholdCounts

PREVALENCES = (
    *(k / 1000 for k in range(1, 10)),
    *(k / 200 for k in range(2, 20)),
    *(k / 100 for k in range(10, 100)),
)
SIDE = 200  # units of the small pictures' view boxes


@dataclass(frozen=True)
class Position:
    """Where the panel stands: the places of threshold and prevalence, each in its own grid."""

    threshold: int
    prevalence: int


def prevalences(counts: ThresholdCounts) -> tuple[float, ...]:
    """What the prevalence slider runs over, the observed one among them when there is one."""
    observed = observed_of(counts)
    inside = observed is not None and 0 < observed < 1
    return tuple(sorted({*PREVALENCES, *([observed] if inside and observed else [])}))


def observed_of(counts: ThresholdCounts) -> float | None:
    """The prevalence of these images."""
    n = counts.present + counts.absent
    return counts.present / n if n else None


def start(panel: Panel) -> Position:
    """The deployed threshold at the observed prevalence; at 10 % where one class is missing."""
    observed, grid = observed_of(panel.counts), prevalences(panel.counts)
    at = grid.index(observed) if observed in grid and observed is not None else grid.index(0.1)
    # Where 0.5 stands in for a deployed point it goes by another name.
    threshold = panel.points.get("deployed", 0.5)
    return Position(panel.counts.threshold.index(threshold), at)


def at(counts: ThresholdCounts, position: Position) -> dict[str, str]:
    """Every number on the panel as it is written there, by name; a dash where it is undefined."""
    t, p = counts.threshold[position.threshold], prevalences(counts)[position.prevalence]
    tp, fp = counts.tp[position.threshold], counts.fp[position.threshold]
    fn, tn = counts.present - tp, counts.absent - fp
    sens = tp / counts.present if counts.present else None
    spec = tn / counts.absent if counts.absent else None
    numbers: dict[str, float | None] = dict.fromkeys(
        ("ppv", "npv", "lr_positive", "lr_negative", "net_benefit", *_PER_1000)
    )
    if sens is not None and spec is not None:
        hit, false = sens * p, (1 - spec) * (1 - p)
        missed, cleared = (1 - sens) * p, spec * (1 - p)
        numbers |= {
            "ppv": hit / (hit + false) if hit + false else None,
            "npv": cleared / (cleared + missed) if cleared + missed else None,
            "lr_positive": sens / (1 - spec) if fp else None,
            "lr_negative": (1 - sens) / spec if tn else None,
            "net_benefit": hit - false * t / (1 - t) if t < 1 else None,
        }
        numbers |= dict(zip(_PER_1000, (hit, missed, false, cleared), strict=True))
    everyone = p - (1 - p) * t / (1 - t) if t < 1 else None
    said = {
        "threshold": threshold_words(t),
        "prevalence": short_percent(p),
        **{name: f"{n:,}" for name, n in (("tp", tp), ("fn", fn), ("fp", fp), ("tn", tn))},
        "sensitivity": _or_dash(sens, percent),
        "specificity": _or_dash(spec, percent),
        "ppv": _or_dash(numbers["ppv"], percent),
        "npv": _or_dash(numbers["npv"], percent),
        "lr_positive": _or_dash(numbers["lr_positive"], ratio),
        "lr_negative": _or_dash(numbers["lr_negative"], ratio),
        "net_benefit": _or_dash(numbers["net_benefit"], _three),
        "net_benefit_all": _or_dash(everyone, _three),
        **{name: _or_dash(numbers[name], per_1000) for name in _PER_1000},
    }
    said |= {"present": f"{counts.present:,}", "absent": f"{counts.absent:,}"}
    return said | {"sentence": SENTENCE.format(**said)}


_PER_1000 = ("tp_1000", "fn_1000", "fp_1000", "tn_1000")


SENTENCE = (
    "Threshold {threshold}: {tp} of {present} images with the finding called, {fn} missed; {fp} of "
    "{absent} without it falsely called, {tn} cleared. Sensitivity {sensitivity}, specificity "
    "{specificity}, LR+ {lr_positive}, LR− {lr_negative}. At a prevalence of {prevalence}: PPV "
    "{ppv}, NPV {npv}, net benefit {net_benefit} (acting on everyone {net_benefit_all}); of 1,000 "
    "patients {tp_1000} rightly called, {fn_1000} missed, {fp_1000} falsely called, {tn_1000} "
    "rightly cleared."
)


def data(panel: Panel) -> dict[str, Any]:
    """What the page's script needs, as plain values."""
    counts, position = panel.counts, start(panel)
    grid = prevalences(counts)
    observed = observed_of(counts)
    return {
        "threshold": counts.threshold,
        "tp": counts.tp,
        "fp": counts.fp,
        "present": counts.present,
        "absent": counts.absent,
        "prevalence": grid,
        "prevalence_words": [short_percent(prevalence) for prevalence in grid],
        "observed": grid.index(observed) if observed in grid and observed is not None else None,
        "start": [position.threshold, position.prevalence],
        "side": SIDE,
        "sentence": SENTENCE,
    }


def roc_path(counts: ThresholdCounts) -> str:
    """The curve for the panel's small picture, in a square of SIDE units; "" for one class."""
    if not counts.present or not counts.absent:
        return ""
    places = [
        f"{SIDE * fp / counts.absent:.1f},{SIDE - SIDE * tp / counts.present:.1f}"
        for tp, fp in zip(counts.tp, counts.fp, strict=True)
    ]
    return " ".join([*dict.fromkeys(places), f"0,{SIDE}"])


def bars(panel: Panel) -> list[dict[str, float | str]]:
    """Rectangles of the small histogram: with the finding above the middle, without it below."""
    scores, half = panel.scores, SIDE / 2
    most = max(1, *scores.present, *scores.absent)
    drawn: list[dict[str, float | str]] = []
    for k, (present, absent) in enumerate(zip(scores.present, scores.absent, strict=True)):
        x, right = (SIDE * edge for edge in scores.edge[k : k + 2])
        for count, kind in ((present, "present"), (absent, "absent")):
            height = round(0.98 * half * count / most, 2)
            if count:
                y = half - height if kind == "present" else half
                place = {"x": round(x + 0.4, 2), "y": round(y, 2)}
                size = {"width": round(right - x - 0.8, 2), "height": height}
                drawn.append({"kind": kind, **place, **size})
    return drawn


def _or_dash(number: float | None, words: Any) -> str:
    return DASH if number is None else str(words(number))


def _three(number: float) -> str:
    return fixed(number, 3)
