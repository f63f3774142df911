"""Evaluation: the figures of a set of predictions, with intervals; strict JSON in and out.

How one finding's figures are computed is left to `figures`; how they are shown, to `plots` and
`report`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hilum.errors import EvaluationError
from hilum.estimates import Estimate, rounded
from hilum.evaluation.discrimination import Confusion, RocCurve, ScoreHistogram
from hilum.evaluation.figures import Curves, PointFigures, finding_figures
from hilum.evaluation.intervals import Units, units_of
from hilum.evaluation.predictions import Predictions
from hilum.evaluation.reliability import ReliabilityCurve
from hilum.writing import replacing

SCHEMA = 1
RESAMPLES = 2000


@dataclass(frozen=True)
class Evaluation:
    """What a set of predictions is worth.

    bundle: digest of the bundle that made the predictions, None for anybody else's
    source, role: which images; synthetic: True when no patient stands behind them
    n, n_by_label: images, and per finding how many are absent, present and missing
    grouping: what was resampled, "patient" or "image"
    warnings: what a reader of any of these figures must be told
    figures: per finding and figure, an estimate
    operating_points: per finding and point; "0.5" and "deployed" are always there
    curves: per finding, with counts
    """

    bundle: str | None
    source: str
    role: str
    synthetic: bool
    n: int
    n_by_label: Mapping[str, Mapping[str, int]]
    grouping: str
    warnings: tuple[str, ...]
    figures: Mapping[str, Mapping[str, Estimate]]
    operating_points: Mapping[str, Mapping[str, PointFigures]]
    curves: Mapping[str, Curves]
    schema: int = SCHEMA

    @property
    def findings(self) -> tuple[str, ...]:
        return tuple(self.figures)

    def to_json(self) -> str:
        """Strict JSON in a stable order; figures to ten digits, thresholds in full."""
        plain = {
            "schema": self.schema,
            "bundle": self.bundle,
            "source": self.source,
            "role": self.role,
            "synthetic": self.synthetic,
            "n": self.n,
            "n_by_label": {finding: dict(counts) for finding, counts in self.n_by_label.items()},
            "grouping": self.grouping,
            "warnings": list(self.warnings),
            "figures": {finding: _plain(figures) for finding, figures in self.figures.items()},
            "operating_points": {
                finding: {name: _plain_point(point) for name, point in points.items()}
                for finding, points in self.operating_points.items()
            },
            "curves": {finding: _plain_curves(curves) for finding, curves in self.curves.items()},
        }
        text = json.dumps(plain, indent=2, allow_nan=False, ensure_ascii=False)
        # One line per curve column; strings hold no bare line breaks, so this touches none.
        return re.sub(r"\[\n[-+.eE0-9,\s]+\]", lambda row: " ".join(row[0].split()), text) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str = "evaluation.json") -> Evaluation:
        """The inverse of `to_json`. Raises EvaluationError on anything else."""
        try:
            plain = json.loads(text)
            if plain["schema"] != SCHEMA:
                raise EvaluationError(where, f"schema {plain['schema']}", expected=f"{SCHEMA}")
            return cls(
                bundle=plain["bundle"],
                source=plain["source"],
                role=plain["role"],
                synthetic=plain["synthetic"],
                n=plain["n"],
                n_by_label=plain["n_by_label"],
                grouping=plain["grouping"],
                warnings=tuple(plain["warnings"]),
                figures={f: _estimates(found) for f, found in plain["figures"].items()},
                operating_points={
                    finding: {name: _point(fields) for name, fields in points.items()}
                    for finding, points in plain["operating_points"].items()
                },
                curves={finding: _curves(fields) for finding, fields in plain["curves"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise EvaluationError(
                where, f"no evaluation ({error})", expected="JSON as `hilum evaluate` writes it"
            ) from error

    def write(self, path: Path) -> None:
        """Write `to_json` to a file. Raises OutputError."""
        with replacing(path) as draft:
            draft.write_text(self.to_json(), encoding="utf-8")


def evaluate(
    predictions: Predictions,
    operating_points: Mapping[str, Mapping[str, float]],
    *,
    bundle: str | None,
    source: str,
    role: str,
    synthetic: bool,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    warnings: Sequence[str] = (),
) -> Evaluation:
    """Every figure of every finding, with 95 % intervals.

    operating_points: threshold on calibrated probability by finding and name; "0.5" is added, and
        stands in for "deployed" (with a warning) where none is given
    rng: draws the resamples; the same generator gives the same evaluation
    warnings: what is known of the images already; more are added
    Raises EvaluationError on an unknown finding, a threshold outside [0, 1], or no resamples.
    """
    if resamples < 1:
        raise EvaluationError("resamples", f"{resamples}", expected="1 or more")
    unknown = [finding for finding in operating_points if finding not in predictions.findings]
    if unknown:
        raise EvaluationError(
            "operating points",
            f"finding {unknown[0]!r} is not among the predictions",
            expected=", ".join(predictions.findings),
        )
    units = units_of(predictions.patient_id_n)
    told = [*warnings, *_on_patients(predictions, units)]
    counts, results = {}, {}
    for finding in predictions.findings:
        y_n, prob_n = predictions.label(finding), predictions.prob(finding)
        known_n = ~np.isnan(y_n)
        points, said = _points(finding, operating_points.get(finding, {}))
        told += said
        told += _on_labels(finding, y_n)
        differ = int((predictions.decision(finding) != (prob_n >= points["deployed"])).sum())
        if differ:
            told.append(
                f"{differ} decisions on {finding} are not those of the deployed threshold "
                f"{points['deployed']:.4g}; figures follow the threshold"
            )
        counts[finding] = {
            "absent": int((y_n == 0).sum()),
            "present": int((y_n == 1).sum()),
            "missing": int((~known_n).sum()),
        }
        results[finding] = finding_figures(
            prob_n[known_n],
            predictions.logit(finding)[known_n],
            y_n[known_n],
            units.where(known_n),
            points,
            rng,
            resamples,
        )
    return Evaluation(
        bundle=bundle,
        source=source,
        role=role,
        synthetic=synthetic,
        n=len(predictions),
        n_by_label=counts,
        grouping=units.kind,
        warnings=tuple(told),
        figures={finding: result.figures for finding, result in results.items()},
        operating_points={f: result.operating_points for f, result in results.items()},
        curves={finding: result.curves for finding, result in results.items()},
    )


def _points(finding: str, given: Mapping[str, float]) -> tuple[dict[str, float], list[str]]:
    """Thresholds by name, "0.5" and "deployed" first, and what to say of them."""
    for name, threshold in given.items():
        if not 0 <= threshold <= 1 or (name == "0.5" and threshold != 0.5):
            expected = "0.5" if name == "0.5" else "a probability in [0, 1]"
            raise EvaluationError(
                f"operating point {name!r} of {finding}", f"{threshold:g}", expected=expected
            )
    points = {"0.5": 0.5, "deployed": 0.5, **given}
    if "deployed" in given:
        return points, []
    return points, [f"no deployed operating point is given for {finding}; 0.5 stands in for it"]


def _on_labels(finding: str, y_n: np.ndarray[Any, np.dtype[np.float64]]) -> list[str]:
    told = []
    missing = int(np.isnan(y_n).sum())
    if missing:
        told.append(f"{missing} of {len(y_n)} images have no label for {finding} and are left out")
    for y, word in ((1, "with"), (0, "without")):
        if missing < len(y_n) and not (y_n == y).any():
            told.append(f"no image {word} {finding}: figures that need both classes are missing")
    return told


def _on_patients(predictions: Predictions, units: Units) -> list[str]:
    nameless = sum(patient is None for patient in predictions.patient_id_n)
    if units.kind == "patient" and nameless:
        return [f"{nameless} images have no patient id; each counts as a patient of its own"]
    return []


def _plain(estimates: Mapping[str, Estimate]) -> dict[str, object]:
    return {name: estimate.to_dict() for name, estimate in estimates.items()}


def _plain_point(point: PointFigures) -> dict[str, object]:
    return {
        "threshold": point.threshold,
        "confusion": asdict(point.confusion),
        **_plain(point.figures),
        "by_class": {name: _plain(figures) for name, figures in point.by_class.items()},
    }


def _plain_curves(curves: Curves) -> dict[str, object]:
    return {
        name: None if curve is None else {k: _short(v) for k, v in asdict(curve).items()}
        for name, curve in (
            ("roc", curves.roc),
            ("reliability", curves.reliability),
            ("scores", curves.scores),
        )
    }


def _short(column: object) -> object:
    if isinstance(column, tuple):
        return [rounded(entry) if isinstance(entry, float) else entry for entry in column]
    return column


def _estimates(fields: Mapping[str, Mapping[str, object]]) -> dict[str, Estimate]:
    return {name: Estimate.from_dict(found) for name, found in fields.items()}


def _point(fields: Mapping[str, Any]) -> PointFigures:
    return PointFigures(
        fields["threshold"],
        Confusion(**fields["confusion"]),
        _estimates(
            {k: v for k, v in fields.items() if k not in ("threshold", "confusion", "by_class")}
        ),
        {name: _estimates(found) for name, found in fields["by_class"].items()},
    )


def _curves(fields: Mapping[str, Any]) -> Curves:
    def columns(name: str) -> dict[str, Any]:
        return {k: tuple(v) if isinstance(v, list) else v for k, v in fields[name].items()}

    return Curves(
        None if fields["roc"] is None else RocCurve(**columns("roc")),
        None if fields["reliability"] is None else ReliabilityCurve(**columns("reliability")),
        ScoreHistogram(**columns("scores")),
    )
