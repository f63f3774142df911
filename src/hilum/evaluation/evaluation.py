"""Evaluation: what a set of predictions is worth, as one frozen value; strict JSON in and out.

The figures are computed by `evaluate`; how they are shown is left to `plots` and `report`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from hilum.errors import EvaluationError
from hilum.estimates import Estimate, rounded
from hilum.evaluation.results import Curves, PointFigures, PredictionSets, Subgrouping
from hilum.writing import replacing

SCHEMA = 2


@dataclass(frozen=True)
class Evaluation:
    """What a set of predictions is worth. Documented key by key in docs/evaluation-json.md.

    bundle: digest of the bundle that made the predictions, None for anybody else's
    source, role: which images; synthetic: True when no patient stands behind them
    n, n_by_label: images, and per finding how many are absent, present and missing
    grouping: what was resampled, "patient" or "image"; units: how many of them; resamples: how
        often
    warnings: what a reader of any of these figures must be told
    figures: per finding and figure, an estimate
    macro: each figure's plain mean over the findings that have it
    operating_points: per finding and point; "0.5" and "deployed" are always there
    prediction_sets: per finding; empty without conformal limits
    subgroups: per finding, one breakdown per column
    curves: per finding, with counts
    """

    bundle: str | None
    source: str
    role: str
    synthetic: bool
    n: int
    n_by_label: Mapping[str, Mapping[str, int]]
    grouping: Literal["patient", "image"]
    units: int
    resamples: int
    warnings: tuple[str, ...]
    figures: Mapping[str, Mapping[str, Estimate]]
    macro: Mapping[str, Estimate]
    operating_points: Mapping[str, Mapping[str, PointFigures]]
    prediction_sets: Mapping[str, PredictionSets]
    subgroups: Mapping[str, tuple[Subgrouping, ...]]
    curves: Mapping[str, Curves]
    schema: int = SCHEMA

    @property
    def findings(self) -> tuple[str, ...]:
        return tuple(self.figures)

    def to_json(self) -> str:
        """Strict JSON in a stable order; figures to ten digits, thresholds in full."""
        plain = _adapter().dump_python(self, mode="json")
        plain = {"schema": plain.pop("schema"), **plain}
        for points in plain["operating_points"].values():
            for name, point in points.items():
                figures = point.pop("figures")
                points[name] = {
                    **{key: point.pop(key) for key in ("threshold", "rule", "confusion")},
                    **figures,
                    **point,
                }
        text = json.dumps(_short(plain), indent=2, allow_nan=False, ensure_ascii=False)
        # One line per curve column; strings hold no bare line breaks, so this touches none.
        return re.sub(r"\[\n[-+.eE0-9,\s]+\]", lambda row: " ".join(row[0].split()), text) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str = "evaluation.json") -> Evaluation:
        """The inverse of `to_json`. Raises EvaluationError on anything else."""
        try:
            plain = json.loads(text)
            if plain["schema"] != SCHEMA:
                raise EvaluationError(
                    where,
                    f"schema {plain['schema']}",
                    expected=f"{SCHEMA}",
                    remedy="evaluate the predictions again",
                )
            for points in plain["operating_points"].values():
                for point in points.values():
                    point["figures"] = {
                        name: point.pop(name) for name in [*point] if name not in _POINT_KEYS
                    }
            return _adapter().validate_python(plain)
        except (KeyError, TypeError, ValueError, AttributeError, ValidationError) as error:
            line = " ".join(str(error).split())[:200]
            raise EvaluationError(
                where, f"no evaluation ({line})", expected="JSON as `hilum evaluate` writes it"
            ) from error

    def write(self, path: Path) -> None:
        """Write `to_json` to a file. Raises OutputError."""
        with replacing(path) as draft:
            draft.write_text(self.to_json(), encoding="utf-8")


_POINT_KEYS = ("threshold", "rule", "confusion", "by_class", "at_prevalence")


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[Evaluation]:
    return TypeAdapter(Evaluation)


def _short(value: Any, key: str = "") -> Any:
    """Floats to ten digits, but for thresholds, which decide on which side an image falls."""
    if isinstance(value, dict):
        return {name: _short(entry, name) for name, entry in value.items()}
    if isinstance(value, list):
        return [_short(entry, key) for entry in value]
    if isinstance(value, float) and key not in ("threshold", "present_from", "absent_to"):
        return rounded(value)
    return value
