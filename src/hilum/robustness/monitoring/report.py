"""What `hilum monitor` leaves behind: a page, a picture, and all of it as JSON.

What they say is put together in `words`, `pictures` and `page`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hilum.bundle import Bundle
from hilum.data.appearance import ATTRIBUTES
from hilum.estimates import rounded
from hilum.evaluation.report.drawing import figure_of, for_page, svg_of, unseen_letters
from hilum.robustness.monitoring.drift import DayFigures, Drift
from hilum.robustness.monitoring.measures import WINDOWS
from hilum.robustness.monitoring.page import NOTE, page
from hilum.robustness.monitoring.pictures import pictures, sheet
from hilum.robustness.monitoring.sequential import SequentialTest
from hilum.robustness.monitoring.words import verdict
from hilum.writing import replacing

SCHEMA = 1
FILES = ("monitor.html", "monitor.png", "monitor.json")
_DPI = 110


def write_monitor(
    folder: Path,
    drift: Drift,
    tests: Sequence[SequentialTest],
    *,
    bundle: Bundle,
    warnings: Sequence[str],
    synthetic: bool,
) -> dict[str, Any]:
    """Write FILES into the folder, and return what the JSON says. Raises OutputError."""
    told = verdict(drift, tests)
    shown = pictures(drift, tests)
    title = f"{bundle.manifest.name} in service"
    drawings = {
        picture.name: for_page(
            svg_of(figure_of(picture, synthetic=synthetic), picture, title), picture.name
        )
        for picture in shown
    }
    html = page(
        drift, tests, told, shown, drawings, title=title, warnings=warnings, synthetic=synthetic
    )
    plain = {
        "schema": SCHEMA,
        "bundle": bundle.digest,
        "synthetic": synthetic,
        "verdict": told.state,
        "told": list(told.sentences),
        "warnings": list(warnings),
        "first_alarm": None if drift.first is None else str(drift.days[drift.first].day.first),
        "moved": drift.moved,
        "n": sum(day.n for day in drift.days),
        "waiting": drift.waiting,
        "reference": [_day(day) for day in drift.reference],
        "limits": {
            "share_of_quiet_runs_with_an_alarm": drift.limits.exceeded,
            "horizon_days": drift.limits.horizon,
            "runs": drift.limits.runs,
            "day_effect": {"p": drift.limits.effect.p, "share": drift.limits.effect.share},
        },
        "windows": list(WINDOWS),
        "days": [_day(day) | _statistics(drift, t) for t, day in enumerate(drift.days)],
        "late_labels": [_test(each) for each in tests],
        "note": NOTE,
    }
    with replacing(folder / "monitor.html") as draft:
        draft.write_text(html, encoding="utf-8")
    with replacing(folder / "monitor.png") as draft, unseen_letters():
        sheet(shown, title, synthetic=synthetic).savefig(
            draft, format="png", dpi=_DPI, metadata={"Software": "hilum"}
        )
    with replacing(folder / "monitor.json") as draft:
        draft.write_text(json.dumps(plain, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return plain


def _day(figures: DayFigures) -> dict[str, Any]:
    return {
        "first": str(figures.day.first),
        "last": str(figures.day.last),
        "n": figures.n,
        "referred": figures.referred.to_dict(),
        "called": {f: share.to_dict() for f, share in figures.called.items()},
        "score_10_50_90": {f: [rounded(v) for v in three] for f, three in figures.score.items()},
        "attributes": {name: rounded(figures.attribute[name]) for name in ATTRIBUTES},
        "attribute_shift_sd": {name: rounded(figures.shift[name]) for name in ATTRIBUTES},
    }


def _statistics(drift: Drift, t: int) -> dict[str, Any]:
    return {
        "alarms": [vars(alarm) for alarm in drift.alarms(t)],
        "statistics": {name: list(_windows(drift, t, j)) for j, name in enumerate(drift.names)},
    }


def _windows(drift: Drift, t: int, j: int) -> Iterator[dict[str, Any]]:
    for w, window in enumerate(WINDOWS):
        yield {
            "window": window,
            "value": rounded(float(drift.value_twj[t, w, j])),
            "limit": rounded(float(drift.limit_twj[t, w, j])),
        }


def _test(each: SequentialTest) -> dict[str, Any]:
    return {
        "finding": each.finding,
        "figure": each.figure,
        "claimed": each.claimed,
        "found": each.found.to_dict(),
        "limit": each.limit,
        "rejected": None if each.rejected is None else str(each.rejected),
        "reason": each.reason,
        "days": [
            {"date": str(date), "evidence": rounded(float(evidence))}
            for date, evidence in zip(each.date_t, each.evidence_t, strict=True)
        ],
    }
