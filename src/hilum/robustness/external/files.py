"""Files: what `hilum validate` leaves behind: one page, all of it as JSON, and pictures.

What stands on the page is `page`'s; each file is whole or not written at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hilum.evaluation.predictions import Predictions
from hilum.evaluation.report.drawing import write_picture
from hilum.robustness.external.page import Shown, forest, html, learning_pictures
from hilum.robustness.external.validating import Site, Validation
from hilum.writing import replacing

SCHEMA = 1
PAGE, JSON = "validation.html", "validation.json"
# Of the learning curves, those that answer how many labels a site needs.
KEPT = ("learning_log_loss", "learning_balanced_accuracy")
NOTE = "Research use only: not a medical device."


def write_validation(
    out: Path, found: Validation, shown: Shown, predictions: Mapping[str, Predictions]
) -> tuple[list[str], dict[str, Any]]:
    """Write the page, the JSON, the pictures, and each site's evaluation and predictions.

    predictions: by site; a folder each, as `shown.folders` names them
    Returns the files' names below `out`, and what the JSON says. Raises OutputError.
    """
    written = [PAGE, JSON]
    told = plain(found, shown)
    for site in found.sites:
        folder = shown.folders[site.name]
        site.evaluation.write(out / folder / "evaluation.json")
        predictions[site.name].write(out / folder / "predictions.parquet")
        written += [f"{folder}/evaluation.json", f"{folder}/predictions.parquet"]
        for picture in (p for finding in found.findings[:1] for p in _learning(site, finding)):
            write_picture(picture, out / folder, found.name, synthetic=found.synthetic)
            written += [f"{folder}/{picture.name}.{suffix}" for suffix in ("png", "svg")]
    for finding in found.pooled:
        picture = forest(found, finding)
        write_picture(picture, out, found.name, synthetic=found.synthetic)
        written += [f"{picture.name}.{suffix}" for suffix in ("png", "svg")]
    with replacing(out / JSON) as draft:
        draft.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with replacing(out / PAGE) as draft:
        draft.write_text(html(found, shown), encoding="utf-8")
    return written, told


def plain(found: Validation, shown: Shown) -> dict[str, Any]:
    """All of it as plain values for strict JSON; evaluations stand in files of their own."""
    return {
        "schema": SCHEMA,
        "bundle": found.bundle,
        "name": found.name,
        "deployed": found.deployed,
        "synthetic": found.synthetic,
        "inside": {
            "source": found.inside.source,
            "role": found.inside.role,
            "figures": _figures(found.inside.figures),
            "note": found.inside.note,
        },
        "sites": [_site(site, found.findings, shown) for site in found.sites],
        "pooled": {finding: asdict(pooled) for finding, pooled in found.pooled.items()},
        "notes": list(found.notes),
        "note": NOTE,
    }


def folder_names(names: Sequence[str]) -> dict[str, str]:
    """A folder for each site: letters and digits of its name, none of them twice."""
    taken: dict[str, str] = {}
    for name in names:
        folder = re.sub(r"[^a-z0-9.-]+", "_", name.lower()).strip("_.") or "site"
        while folder in taken.values():
            folder += "_"
        taken[name] = folder
    return taken


def _learning(site: Site, finding: str) -> list[Any]:
    drawn = learning_pictures(site, finding) if finding in site.remedies else ()
    return [picture for picture in drawn if picture.name in KEPT]


def _site(site: Site, findings: Sequence[str], shown: Shown) -> dict[str, Any]:
    evaluation = site.evaluation
    shifts = {
        finding: shown.shifts[site.name, finding].to_dict()
        for finding in findings
        if (site.name, finding) in shown.shifts
    }
    return {
        "name": site.name,
        "source": evaluation.source,
        "role": evaluation.role,
        "n": evaluation.n,
        "n_by_label": {f: dict(counts) for f, counts in evaluation.n_by_label.items()},
        "grouping": evaluation.grouping,
        "units": evaluation.units,
        "folder": shown.folders[site.name],
        "seen": list(site.seen),
        "referrals": {f: each.to_dict() for f, each in site.referrals.items()},
        "warnings": list(evaluation.warnings),
        "drop": {
            finding: {name: asdict(each) for name, each in drops.items()}
            for finding, drops in site.drops.items()
        },
        "remedies": {finding: asdict(each) for finding, each in site.remedies.items()},
        "labellings": {finding: asdict(each) for finding, each in site.labellings.items()},
        "shift": shifts,
    }


def _figures(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        finding: {name: asdict(each) for name, each in of.items()}
        for finding, of in figures.items()
    }
