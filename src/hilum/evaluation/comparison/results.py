"""Comparison: what two sets of predictions are worth on the same images; strict JSON in and out.

It is computed by `compare`, and put into words in `words`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from hilum.errors import EvaluationError
from hilum.estimates import Estimate, rounded
from hilum.evaluation.comparison.paired_tests import PairedDecisions
from hilum.writing import replacing

SCHEMA = 1

Verdict = Literal["a_better", "b_better", "not_told_apart", "same", "unknown"]


@dataclass(frozen=True)
class Difference:
    """One figure of two sets of predictions on the same images.

    a, b: the figure of each, with its interval; whether they overlap decides nothing
    difference: b less a
    bootstrap: the same difference by paired bootstrap where `difference` has an interval of its
        own; None where that is the bootstrap already
    test: what gave p; "" where the interval alone decides
    p, p_adjusted: two-sided, and after the multiplicity correction; None where not tested
    error: standard error of the difference, as estimated however few the images
    detectable: the smallest true difference that such data show with 80 % power at two-sided 5 %;
        None where they are too few to say
    verdict: whether the data tell the two apart, and which is better; "same" where they hold no
        difference at all, "unknown" where there is neither interval nor p, or no p
        and too few images of a class for an interval to decide
    """

    a: Estimate
    b: Estimate
    difference: Estimate
    bootstrap: Estimate | None
    test: str
    p: float | None
    p_adjusted: float | None
    error: float | None
    detectable: float | None
    verdict: Verdict


@dataclass(frozen=True)
class NetBenefit:
    """What acting on b rather than on a gains, where one acts from a stated probability upward.

    threshold_probability: in (0, 1); a needless intervention is worth p / (1 - p) missed patients
    figure: net benefit per image, see `utility.net_benefits`
    true_positives: more found per 1,000 with no more needless interventions
    interventions_avoided: fewer needless interventions per 1,000 with no fewer found
    """

    threshold_probability: float
    figure: Difference
    true_positives: Estimate
    interventions_avoided: Estimate


@dataclass(frozen=True)
class FindingComparison:
    """Everything `compare` says of one finding.

    n, present, absent: images in both with a known label, and how many of each kind
    missing: images in both without a label
    figures: by name, in the order of a report
    decisions: who was right on the same images: of those with the finding ("sensitivity"),
        without ("specificity"), and of all ("accuracy")
    net_benefit: one per threshold probability stated
    """

    n: int
    present: int
    absent: int
    missing: int
    figures: Mapping[str, Difference]
    decisions: Mapping[str, PairedDecisions]
    net_benefit: tuple[NetBenefit, ...]


@dataclass(frozen=True)
class Comparison:
    """Two sets of predictions on the same images, finding by finding; differences are b less a.

    a, b: where each was read from
    decided_a, decided_b: what each decision rests on, in words
    synthetic: True when no patient stands behind the images
    n: images in both; only_a, only_b: images in one of them, left out
    grouping, units, resamples: what was resampled, how many there are, and how often
    multiplicity: the correction behind every p_adjusted, in words
    cautions: what a reader of any of these figures must be told
    findings: those in both
    macro: each figure's plain mean over the findings that have it; empty for one finding
    """

    a: str
    b: str
    decided_a: str
    decided_b: str
    synthetic: bool
    n: int
    only_a: int
    only_b: int
    grouping: Literal["patient", "image"]
    units: int
    resamples: int
    multiplicity: str
    cautions: tuple[str, ...]
    findings: Mapping[str, FindingComparison]
    macro: Mapping[str, Difference]
    schema: int = SCHEMA

    def to_dict(self) -> dict[str, Any]:
        """Plain values in a stable order, schema first; figures to ten digits."""
        plain = _adapter().dump_python(self, mode="json")
        return {"schema": plain.pop("schema"), **_short(plain)}

    def to_json(self) -> str:
        """Strict JSON in a stable order."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str = "comparison.json") -> Comparison:
        """The inverse of `to_json`. Raises EvaluationError on anything else."""
        try:
            plain = json.loads(text)
            if plain["schema"] != SCHEMA:
                raise EvaluationError(
                    where,
                    f"schema {plain['schema']}",
                    expected=f"{SCHEMA}",
                    remedy="compare the predictions again",
                )
            return _adapter().validate_python(plain)
        except (KeyError, TypeError, ValueError, ValidationError) as error:
            line = " ".join(str(error).split())[:200]
            raise EvaluationError(
                where, f"no comparison ({line})", expected="JSON as `hilum compare` writes it"
            ) from error

    def write(self, path: Path) -> None:
        """Write `to_json` to a file. Raises OutputError."""
        with replacing(path) as draft:
            draft.write_text(self.to_json(), encoding="utf-8")


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[Comparison]:
    return TypeAdapter(Comparison)


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _short(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_short(entry) for entry in value]
    return rounded(value) if isinstance(value, float) else value
