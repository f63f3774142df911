"""Roles: what each image may be used for, with every duplicate and exclusion written down.

`train` fits weights, `tune` stops training, `calibrate` fits temperature and operating points,
`test` is opened by evaluation alone. No patient and no duplicate image stands in two roles.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from hilum.columns import column
from hilum.data.cohort import ROLES, Cohort, Role
from hilum.errors import DataError

_ROLE_OF_SPLIT: dict[str, Role] = {"train": "train", "val": "calibrate", "test": "test"}


@dataclass(frozen=True)
class Exclusion:
    """One image left out of every role, and why."""

    image_id: str
    split: str
    reason: str


@dataclass(frozen=True)
class RoleLedger:
    """What stands in which role. `digest` is over the sorted digests of the role's images."""

    roles: dict[str, dict[str, object]]
    excluded: tuple[Exclusion, ...]
    grouping: str
    seed: int

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


def pixel_digests(cohort: Cohort) -> list[str]:
    """SHA-256 of each image's shape and 16-bit grey values: equal for equal pixels in any file."""
    digests = []
    for position in range(len(cohort)):
        image_hw = cohort.radiograph(position)
        grey = np.rint(image_hw * 65535).astype("<u2")
        digests.append(hashlib.sha256(repr(grey.shape).encode() + grey.tobytes()).hexdigest())
    return digests


def assign_roles(
    cohort: Cohort, *, tune_fraction: float = 0.1, seed: int = 0
) -> tuple[Cohort, RoleLedger]:
    """Give each image its role: published val → calibrate, test → test, train → train and tune.

    tune_fraction: share of the published train split, in (0, 1), drawn stratified by the first
        finding, whole patients (or whole sets of equal images) together. The draw depends on
        pixels and seed, not on the order of the file.
    An image that stands in two published splits stays in the later one alone.
    Raises DataError when a split is unknown or a patient stands in two published splits.
    """
    unknown = set(cohort.table["split"].dropna().unique()) - set(_ROLE_OF_SPLIT)
    if unknown or cohort.table["split"].isna().any():
        raise DataError(
            cohort.name,
            f"split {sorted(map(str, unknown))[0]!r}" if unknown else "images without a split",
            expected="train, val or test for each image",
        )
    table = cohort.table.assign(digest=pixel_digests(cohort))
    _refuse_shared_patients(cohort.name, table)
    excluded = _left_out(table)
    role_n = table["split"].map(_ROLE_OF_SPLIT).astype(object)
    role_n[table["image_id"].isin([each.image_id for each in excluded])] = None
    in_train = table.loc[(role_n == "train").to_numpy()]
    role_n[_draw_tune(in_train, column("label", cohort.findings[0]), tune_fraction, seed)] = "tune"

    grouping = "patient" if cohort.table["patient_id"].notna().any() else "image"
    ledger = RoleLedger(
        roles={role: _summary(cohort, table[(role_n == role).to_numpy()]) for role in ROLES},
        excluded=tuple(excluded),
        grouping=grouping,
        seed=seed,
    )
    return cohort.with_column("role", role_n.to_numpy()), ledger


def _refuse_shared_patients(name: str, table: pd.DataFrame) -> None:
    known = table.dropna(subset=["patient_id"])
    splits = known.groupby("patient_id")["split"].nunique()
    shared = splits[splits > 1]
    if len(shared):
        raise DataError(
            name,
            f"{len(shared)} patients stand in two published splits, first {shared.index[0]!r}",
            expected="each patient in one split",
            remedy="split the data set by patient",
        )


def _left_out(table: pd.DataFrame) -> list[Exclusion]:
    """Images whose equal stands in a later split: test is kept whole, then val."""
    rank = {"train": 0, "val": 1, "test": 2}
    excluded = []
    twins = table[table["digest"].duplicated(keep=False)]
    for _, group in twins.groupby("digest", sort=True):
        rank_n = group["split"].map(rank)
        keeper = group.iloc[int(rank_n.to_numpy().argmax())]
        for _, row in group[rank_n < rank_n.max()].iterrows():
            reason = f"same pixels as {keeper['image_id']} ({keeper['split']})"
            excluded.append(Exclusion(str(row["image_id"]), str(row["split"]), reason))
    return sorted(excluded, key=lambda each: each.image_id)


def _draw_tune(table: pd.DataFrame, label: str, fraction: float, seed: int) -> pd.Index[int]:
    # Equal images, and images of one patient, are drawn together.
    group_n = table["patient_id"].where(table["patient_id"].notna(), table["digest"])
    groups = table.assign(group=group_n).groupby("group")[label].max().sort_index()
    rng = np.random.default_rng(seed)
    drawn: list[str] = []
    for value in sorted(groups.dropna().unique()):
        names = groups.index[groups == value].to_numpy()
        drawn.extend(rng.permutation(names)[: max(1, round(fraction * len(names)))])
    return table.index[group_n.isin(drawn)]


def _summary(cohort: Cohort, table: pd.DataFrame) -> dict[str, object]:
    each = "".join(sorted(table["digest"]))
    counts = {}
    for finding in cohort.findings:
        label_n = table[column("label", finding)]
        counts[finding] = {
            "absent": int((label_n == 0).sum()),
            "present": int((label_n == 1).sum()),
            "unknown": int(label_n.isna().sum()),
        }
    return {
        "n": len(table),
        "n_by_label": counts,
        "digest": hashlib.sha256(each.encode()).hexdigest(),
    }
