"""What the headers of DICOM films say of patient, view, age and sex; no pixel is decoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hilum.data.download import Progress
from hilum.data.radiograph import read_header
from hilum.data.sources.words import sex_in_words, view_in_words
from hilum.errors import RadiographError


class _Film(NamedTuple):
    patient_id: str | None = None
    view: str | None = None
    age: float | None = None
    sex: str | None = None


@dataclass(frozen=True)
class Facts:
    """By path: what headers say, and which cannot be read and why. `warnings` count oddities."""

    films: dict[str, _Film]
    broken: dict[str, str]
    warnings: tuple[str, ...]

    def columns(self, name_n: Sequence[str]) -> dict[str, Any]:
        """patient_id, view, age and sex of these films, missing where no header tells."""
        rows = [self.films.get(name, _Film()) for name in name_n]
        return {
            "patient_id": pd.Series([row.patient_id for row in rows], dtype="str"),
            "view": pd.Series([row.view for row in rows], dtype="str"),
            "age": np.array([np.nan if row.age is None else row.age for row in rows]),
            "sex": pd.Series([row.sex for row in rows], dtype="str"),
        }


def read_facts(folder: Path, name_n: Sequence[str], progress: Progress) -> Facts:
    """Read the header of each film; `progress` is called with those done and those in all."""
    films, broken = {}, {}
    oddities: Counter[str] = Counter()
    for done, name in enumerate(name_n, start=1):
        try:
            header = read_header(folder / name)
        except RadiographError as error:
            broken[name] = f"unreadable: {error.found}"
        else:
            oddities.update(header.warnings)
            films[name] = _Film(
                header.patient_id,
                view_in_words(header.view) if header.view else None,
                header.age,
                sex_in_words(header.sex) if header.sex else None,
            )
        progress(done, len(name_n))
    odd = (
        f"{count:,} {'film' if count == 1 else 'films'}: {oddity}"
        for oddity, count in oddities.most_common()
    )
    return Facts(films, broken, tuple(odd))
