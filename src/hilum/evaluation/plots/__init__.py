"""Plots: a curve or a count onto matplotlib Axes, in one palette; no arithmetic beyond layout.

What is drawn is computed beside this package and held in `results`; files are `report`'s.
"""

from hilum.evaluation.plots.counts import draw_confusion, draw_scores, draw_sets
from hilum.evaluation.plots.groups import draw_groups, rows_of
from hilum.evaluation.plots.ranking import draw_precision_recall, draw_prevalence, draw_roc
from hilum.evaluation.plots.reliability import draw_reliability
from hilum.evaluation.plots.style import (
    ABSENT,
    DASHES,
    GRID,
    INK,
    MUTED,
    PAPER,
    PRESENT,
    RULE,
    STANDING_IN,
    at_least,
    grid,
    legend_above,
    middle,
    point_name,
    point_words,
    restrain,
    stamp_synthetic,
)
from hilum.evaluation.plots.utility import draw_decision, draw_risk_coverage

__all__ = [
    "ABSENT",
    "DASHES",
    "GRID",
    "INK",
    "MUTED",
    "PAPER",
    "PRESENT",
    "RULE",
    "STANDING_IN",
    "at_least",
    "draw_confusion",
    "draw_decision",
    "draw_groups",
    "draw_precision_recall",
    "draw_prevalence",
    "draw_reliability",
    "draw_risk_coverage",
    "draw_roc",
    "draw_scores",
    "draw_sets",
    "grid",
    "legend_above",
    "middle",
    "point_name",
    "point_words",
    "restrain",
    "rows_of",
    "stamp_synthetic",
]
