"""What `hilum explain --shortcuts` does: ask where the answer comes from."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hilum.bundle import Bundle
    from hilum.explanation.evidence import Evidence


def look_for_shortcuts(
    bundle: Bundle, evidence: Evidence, out: Path
) -> dict[str, list[dict[str, Any]]]:
    """Probe every finding that the films of the evidence have labels of; write `shortcuts.json` and
    `shortcuts.png`, and return what stands in the first.
    """
    from hilum.cli.show import counting, say
    from hilum.columns import column
    from hilum.explanation.shortcuts import probe
    from hilum.explanation.shortcuts_picture import write_shortcuts
    from hilum.units import units_of
    from hilum.writing import replacing

    films = evidence.cohort
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in bundle.findings:
        label_n = films.table.get(column("label", finding))
        if label_n is None or label_n.nunique() < 2:
            say(f"no probe for shortcuts of {finding}: it takes films with and without it")
            continue
        known = evidence.where(label_n.notna().to_numpy())
        units = units_of(known.cohort.patient_id_n)
        with counting("looking for shortcuts", "probes") as progress:
            probes = probe(bundle, known.cohort, finding, known, units, progress=progress)
        name = "shortcuts.png" if len(bundle.findings) == 1 else f"shortcuts-{len(found)}.png"
        synthetic = films.synthetic or bundle.manifest.synthetic
        write_shortcuts(out / name, probes, finding, synthetic=synthetic)
        found[finding] = [asdict(each) for each in probes]
    with replacing(out / "shortcuts.json") as draft:
        draft.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return found
