"""A check as files: check.json, the tables behind its counts, and the contact sheet."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from hilum.data.checking.checking import Checked, Looked
from hilum.data.checking.naming import Naming
from hilum.data.checking.sheet import write_sheet
from hilum.writing import replacing

CHECK, SHEET = "check.json", "contact_sheet.png"
DUPLICATES, EXCLUDED = "duplicates.csv", "excluded.csv"


def write_check(
    out: Path, checked: Checked, looked: Looked, naming: Naming, *, seed: int = 0
) -> list[str]:
    """Write what was found to the folder `out`; the names of the files.

    The sheet is left out where pixels were not read, a table where it has no row; what an earlier
    check left of these is taken away. check.json lists whose films the sheet shows, in its order.
    Raises OutputError.
    """
    films: list[dict[str, object]] = []
    if looked.prints is not None:
        shown = write_sheet(
            out / SHEET,
            looked.cohort,
            size_n2=looked.survey.size_n2,
            broken=looked.broken(),
            odd=looked.odd(),
            rng=np.random.default_rng(seed),
        )
        id_n = looked.cohort.table["image_id"].to_numpy()
        films = [
            {"heading": heading, "image_ids": [naming(id_n[row]) for row in rows]}
            for heading, rows in shown
        ]
    else:
        (out / SHEET).unlink(missing_ok=True)
    for name, table in ((DUPLICATES, checked.duplicates), (EXCLUDED, checked.excluded)):
        _write_table(out / name, table)
    plain = {**checked.result.to_dict(), "contact_sheet": films}
    with replacing(out / CHECK) as draft:
        draft.write_text(json.dumps(plain, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return [name for name in (CHECK, SHEET, DUPLICATES, EXCLUDED) if (out / name).exists()]


def _write_table(path: Path, table: pd.DataFrame) -> None:
    if table.empty:
        path.unlink(missing_ok=True)
        return
    with replacing(path) as draft:
        table.to_csv(draft, index=False)
