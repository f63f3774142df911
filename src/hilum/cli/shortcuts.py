"""What `hilum explain --shortcuts` does: ask where the answer comes from."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hilum.bundle import Bundle
    from hilum.data.cohort import Cohort


def look_for_shortcuts(
    bundle: Bundle, films: Cohort, out: Path, lungs: Path | None
) -> dict[str, list[dict[str, Any]]]:
    """Probe every finding that the films have labels of; write `shortcuts.json` and
    `shortcuts.png`, and return what stands in the first.
    """
    from hilum.cli.show import counting, say
    from hilum.columns import column
    from hilum.explanation.evidence import Evidence, masks_in
    from hilum.explanation.shortcuts import probe
    from hilum.explanation.shortcuts_picture import write_shortcuts
    from hilum.units import units_of
    from hilum.writing import replacing

    found: dict[str, list[dict[str, Any]]] = {}
    for finding in bundle.findings:
        label_n = films.table.get(column("label", finding))
        if label_n is None or label_n.nunique() < 2:
            say(f"no probe for shortcuts of {finding}: it takes films with and without it")
            continue
        known = films.where(label_n.notna().to_numpy())
        evidence = Evidence(known, {}, masks_in(lungs, known) if lungs else {})
        units = units_of(known.table["patient_id"].to_numpy(dtype=object))
        with counting("looking for shortcuts", "probes") as progress:
            probes = probe(bundle, known, finding, evidence, units, progress=progress)
        name = "shortcuts.png" if len(bundle.findings) == 1 else f"shortcuts-{len(found)}.png"
        synthetic = films.synthetic or bundle.manifest.synthetic
        write_shortcuts(out / name, probes, finding, synthetic=synthetic)
        found[finding] = [asdict(each) for each in probes]
    with replacing(out / "shortcuts.json") as draft:
        draft.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return found
