"""Fields: a calibrator's plain values as they come out of JSON, checked before one is made of them.

What the numbers mean, and which are in range, is each calibrator's own business.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

from hilum.errors import EvaluationError


def numbers(fields: Mapping[str, object], kind: str, *keys: str) -> tuple[float, ...]:
    """The finite numbers under `keys`. Raises EvaluationError on another kind or anything else."""
    refuse_other_kind(fields, kind)
    return tuple(_number(fields.get(key), kind, key) for key in keys)


def number_list(fields: Mapping[str, object], kind: str, key: str) -> tuple[float, ...]:
    """The list of finite numbers under `key`; errors as in `numbers`."""
    refuse_other_kind(fields, kind)
    found = fields.get(key)
    if not isinstance(found, list | tuple):
        raise EvaluationError(kind, f"{key} {found!r:.60}", expected="a list of numbers")
    return tuple(_number(each, kind, key) for each in found)


def refuse_other_kind(fields: Mapping[str, object], kind: str) -> None:
    """Raise EvaluationError when the fields are another calibrator's."""
    if fields.get("kind") != kind:
        raise EvaluationError("calibrator", f"kind {fields.get('kind')!r}", expected=repr(kind))


def _number(found: object, kind: str, key: str) -> float:
    # An integer beyond the floats passes isinstance and fails isfinite: it is refused by size.
    if (
        isinstance(found, bool)
        or not isinstance(found, int | float)
        or abs(found) > 1e308
        or not isfinite(found)
    ):
        raise EvaluationError(kind, f"{key} {found!r:.60}", expected="a finite number")
    return float(found)
