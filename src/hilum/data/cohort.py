"""Cohort: one row per image, what is known of it, and how to read its pixels.

Which images may be used for what is decided in `roles`; how a file becomes pixels, in `radiograph`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.columns import SUBGROUPS, column
from hilum.data.grey import as_float
from hilum.data.pixels import Pixels
from hilum.data.preprocessing import Step
from hilum.errors import DataError

Role = Literal["train", "tune", "calibrate", "test"]
ROLES: tuple[Role, ...] = get_args(Role)

# Columns every cohort has; what a source does not know stands as missing, never as a guess.
COLUMNS = ("image_id", "patient_id", *SUBGROUPS)


@dataclass(frozen=True)
class Cohort:
    """One row per image.

    table: the columns of COLUMNS, `split` (as published: train, val, test, or missing), `role`
        (see `roles`; missing until assigned), `label_{finding}`: 1 present, 0 absent, NaN unknown
    pixels: read by the table's index, which stays with a row when rows are selected
    reduction: what the source did to its films before it published them; a bundle repeats it
    boxes: image_id, finding, x, y, width, height in pixels of the image; empty when none are known
    synthetic: True when no patient stands behind the images
    public_ids: True when image and patient ids are published pseudonyms, which name nobody;
        others are hashed before they are written anywhere
    excluded: image_id, reason: every image of the source that is not in the table
    meanings: finding -> what a 1 means in this source, in a sentence
    warnings: what a reader of any figure from this cohort must be told
    """

    name: str
    findings: tuple[str, ...]
    table: pd.DataFrame
    pixels: Pixels
    synthetic: bool = False
    public_ids: bool = False
    warnings: tuple[str, ...] = ()
    licence: str = ""
    reduction: tuple[Step, ...] = ()
    boxes: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(
            columns=["image_id", "finding", "x", "y", "width", "height"]
        )
    )
    excluded: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=["image_id", "reason"])
    )
    meanings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        needed = [*COLUMNS, "split", "role", *(column("label", f) for f in self.findings)]
        missing = [column for column in needed if column not in self.table.columns]
        if missing:
            raise DataError(
                self.name,
                f"the cohort's table lacks the columns {', '.join(missing)}",
                expected=", ".join(needed),
            )
        twice = self.table["image_id"][self.table["image_id"].duplicated()]
        if len(twice):
            raise DataError(
                self.name,
                f"image id {twice.iloc[0]!r} stands more than once",
                expected="one row per image",
            )
        for finding in self.findings:
            label_n = self.table[column("label", finding)].dropna()
            wrong = sorted(set(label_n.unique()) - {0, 1})
            if wrong:
                raise DataError(
                    self.name,
                    f"label {wrong[0]:g} for {finding}",
                    expected="0 (absent), 1 (present) or missing",
                    remedy="map the labels first",
                )

    def left_out(self) -> list[str]:
        """What of the source is not in the table, a line for each reason."""
        counts = self.excluded["reason"].value_counts(sort=False)
        return [f"left out of {self.name}: {n:,}, {reason}" for reason, n in counts.items()]

    def __len__(self) -> int:
        return len(self.table)

    @property
    def label_nf(self) -> NDArray[np.float64]:
        """Labels, shape (n, f): 1 present, 0 absent, NaN unknown."""
        columns = [column("label", finding) for finding in self.findings]
        return self.table[columns].to_numpy(dtype=np.float64)

    @property
    def patient_id_n(self) -> NDArray[np.object_]:
        """Patient ids, None where unknown, shape (n,)."""
        patient = self.table["patient_id"].astype(object)
        return patient.where(patient.notna(), None).to_numpy(dtype=object)

    def radiograph(self, position: int) -> NDArray[np.float32]:
        """The image in row `position` (0 … n-1) as float32 [h, w] in [0, 1]."""
        return as_float(self.pixels.read(int(self.table.index[position])))

    def with_role(self, role: Role) -> Cohort:
        """The rows of one role. Raises DataError when a finding lacks a class there."""
        chosen = self.where((self.table["role"] == role).to_numpy())
        if len(chosen) == 0:
            raise DataError(self.name, f"no image has the role '{role}'", expected="one or more")
        for finding in self.findings:
            label_n = chosen.table[column("label", finding)]
            for value, word in ((1, f"with {finding}"), (0, f"without {finding}")):
                if not (label_n == value).any():
                    raise DataError(
                        self.name,
                        f"role '{role}' has no image {word} among {len(chosen)}",
                        expected="both classes in each role",
                        remedy="use a data set, or a split of it, that holds both",
                    )
        return chosen

    def where(self, keep_n: NDArray[np.bool_]) -> Cohort:
        """The rows where `keep_n` is True."""
        return replace(self, table=self.table.loc[keep_n])

    def with_column(self, column: str, values: Any) -> Cohort:
        """A copy with one column of the table set."""
        return replace(self, table=self.table.assign(**{column: values}))
