"""Roles: what each image may be used for, with every duplicate and exclusion written down.

`train` fits weights, `tune` stops training, `calibrate` fits temperature and operating points,
`test` is opened by verbs that judge, and by no other. No patient and no duplicate image stands in
two roles.
Which images hang together is found in `grouping`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hilum.columns import column
from hilum.data.cohort import ROLES, Cohort, Role
from hilum.data.fingerprints import Fingerprints, fingerprints_for
from hilum.data.grouping import Grouping, count_joined, grouped
from hilum.data.seen import pseudonym
from hilum.errors import DataError
from hilum.recipe import DataPart

Progress = Callable[[int, int], None]
Fractions = dict[Role, float]

_SPLITS = ("train", "val", "test")  # an image in two of them stays in the later one
_CALIBRATE_FRACTION, _TEST_FRACTION = 0.1, 0.2  # where nothing is published, and nothing asked for


@dataclass(frozen=True)
class Exclusion:
    """One image left out of every role, and why.

    split: as published, "" where none is
    why: in words; where there is an image that it is like, these stand before its id
    like, like_split: that image
    """

    image_id: str
    split: str
    why: str
    like: str | None = None
    like_split: str = ""

    @property
    def reason(self) -> str:
        return self.why if self.like is None else f"{self.why} {self.like} ({self.like_split})"

    def pseudonymised(self, salt: str) -> Exclusion:
        if self.like is None:
            # Why a film is broken begins with its path, which may hold a name.
            return replace(self, image_id=pseudonym(self.image_id, salt), why="cannot be read")
        image_id, like = pseudonym(self.image_id, salt), pseudonym(self.like, salt)
        return replace(self, image_id=image_id, like=like)


@dataclass(frozen=True)
class RoleLedger:
    """What stands in which role, and how it came there.

    roles: counts, and `digest` over the sorted digests of the role's images
    digest_of: what these are digests of: "pixels", or "image ids" where pixels were not looked at
    grouping: "patient" where any is known, else "image"
    duplicates: what was looked for: "near", "exact" or "off"
    exact_groups: sets of two or more images of equal pixels
    near_groups: sets of images of one film with different pixels, by perceptual hash
    largest_group: images of the largest set that had to share a role
    drawn: role -> how its images were chosen, in words
    """

    roles: dict[str, dict[str, object]]
    excluded: tuple[Exclusion, ...]
    grouping: str
    seed: int
    duplicates: str
    digest_of: str
    exact_groups: int
    near_groups: int
    largest_group: int
    drawn: dict[str, str]

    def pseudonymised(self, cohort: Cohort, salt: str) -> RoleLedger:
        """Without ids and file names, unless the cohort's ids are public."""
        if cohort.public_ids:
            return self
        return replace(self, excluded=tuple(each.pseudonymised(salt) for each in self.excluded))

    def to_dict(self) -> dict[str, object]:
        excluded = [
            {"image_id": each.image_id, "split": each.split, "reason": each.reason}
            for each in self.excluded
        ]
        return {**vars(self), "excluded": excluded}


def assign_roles(
    cohort: Cohort,
    settings: DataPart | None = None,
    seed: int = 0,
    prints: Fingerprints | None = None,
    progress: Progress = lambda done, total: None,
) -> tuple[Cohort, RoleLedger]:
    """Give each image its role.

    Published test → test, val → calibrate, train → train and tune. With `calibrate_fraction`, val
    is pooled with train. What is not published is drawn from train, as tune is: whole patients, and
    with them all images of equal pixels and of the same film; stratified by finding, the rarest
    that a patient has; by pixels, patients and seed, not by the order of the rows.
    An image that stands in two published splits, as it is or altered, stays in the later one alone.
    Where patients are known for some images, those of unknown patients are never drawn: they might
    be anybody's.
    prints: of the cohort's rows, when they are at hand; else every image is read
    Raises DataError: an unknown split, a patient in two published splits, fractions that cannot be
    had, more broken films than `broken_limit`.
    """
    settings = settings or DataPart()
    split_n = _published(cohort)
    fractions = _fractions(cohort.name, settings, split_n)
    prints = prints or fingerprints_for(cohort, settings, progress=progress)
    broken = prints.broken if prints and settings.duplicates != "off" else {}
    refuse_broken(cohort.name, broken, len(cohort), settings.broken_limit)
    sets = grouped(cohort, prints, settings.duplicates)
    usable_n = ~np.isin(np.arange(len(cohort)), list(broken))

    # Which published split comes first when an image stands in two; drawn from rank 0.
    rank_of = {"train": 0, "val": 1 if "calibrate" not in fractions else 0, "test": 2}
    rank_n = np.array([rank_of.get(split, 0) for split in split_n], dtype=np.intp)
    _refuse_shared_patients(cohort, sets.patient_n, split_n, rank_n, usable_n)
    top_n = _highest(rank_n, sets.group_n, usable_n)
    role_n = np.array(["train", "calibrate", "test"], dtype=object)[rank_n]
    role_n[~usable_n | (rank_n < top_n)] = None
    _draw(role_n, cohort, sets, fractions, seed)

    excluded = [
        Exclusion(str(cohort.table["image_id"].iat[row]), split_n[row], line)
        for row, line in broken.items()
    ]
    excluded += _left_out(cohort, split_n, sets, usable_n, rank_n, top_n)
    ledger = RoleLedger(
        roles={role: _summary(cohort, sets, role_n == role) for role in ROLES},
        excluded=tuple(sorted(excluded, key=lambda each: each.image_id)),
        grouping="patient" if cohort.table["patient_id"].notna().any() else "image",
        seed=seed,
        duplicates=settings.duplicates,
        digest_of="image ids" if settings.duplicates == "off" else "pixels",
        exact_groups=count_joined(sets.key_n[usable_n]),
        near_groups=sets.near_groups,
        largest_group=int(np.bincount(sets.group_n[usable_n]).max(initial=0)),
        drawn=_in_words(fractions, split_n),
    )
    return cohort.with_column("role", role_n), ledger


def _published(cohort: Cohort) -> NDArray[np.object_]:
    """The published split of each image, "" throughout where there is none."""
    split = cohort.table["split"]
    if split.isna().all():
        return np.full(len(split), "", dtype=object)
    unknown = sorted(map(str, set(split.dropna().unique()) - set(_SPLITS)))
    if unknown or split.isna().any():
        raise DataError(
            cohort.name,
            f"split {unknown[0]!r}" if unknown else "some images without a split",
            expected="train, val or test for each image, or no split at all",
        )
    return split.to_numpy(dtype=object)


def _fractions(name: str, settings: DataPart, split_n: NDArray[np.object_]) -> Fractions:
    """What is drawn from the training images, of all their groups."""
    published = set(split_n)
    fractions: Fractions = {"tune": settings.tune_fraction}
    if settings.calibrate_fraction is not None or "val" not in published:
        fractions["calibrate"] = settings.calibrate_fraction or _CALIBRATE_FRACTION
    if "test" not in published:
        fractions["test"] = settings.test_fraction or _TEST_FRACTION
    elif settings.test_fraction is not None:
        raise DataError(
            name,
            f"data.test_fraction = {settings.test_fraction:g}, and a published test split",
            remedy="leave test_fraction out: the published test is the test",
        )
    if sum(fractions.values()) >= 1:
        drawn = ", ".join(f"{role} {share:g}" for role, share in fractions.items())
        raise DataError(name, f"fractions {drawn}", expected="a sum below 1: train is the rest")
    return fractions


def refuse_broken(name: str, broken: Mapping[int, str], n: int, limit: float) -> None:
    if len(broken) > (max(1, limit * n) if limit else 0):
        first = next(iter(broken.values()))
        raise DataError(
            name,
            f"{len(broken):,} of {n:,} films cannot be read, the first: {first}",
            expected=f"at most {limit:.3g} of them",
            remedy="mend the films, or raise data.broken_limit",
        )


def _refuse_shared_patients(
    cohort: Cohort,
    patient_n: NDArray[np.intp],
    split_n: NDArray[np.object_],
    rank_n: NDArray[np.intp],
    usable_n: NDArray[np.bool_],
) -> None:
    known_n = usable_n & (patient_n >= 0)
    pairs = np.unique(np.column_stack([patient_n, rank_n])[known_n], axis=0)
    patient, ranks = np.unique(pairs[:, 0], return_counts=True)
    shared = patient[ranks > 1]
    if len(shared) == 0:
        return
    theirs_n = known_n & np.isin(patient_n, shared)
    row = int(np.argmax(patient_n == shared[0]))
    first = cohort.table["image_id"].iloc[row]  # a patient's number has no place in a log
    raise DataError(
        cohort.name,
        f"patients in two published splits: {len(shared):,}, the first that of image {first!r}",
        expected="each patient in one split",
        remedy="split the data set by patient"
        if "test" in split_n[theirs_n]
        else "set data.calibrate_fraction: val is then pooled with train and drawn by patient",
    )


def _highest(
    rank_n: NDArray[np.intp], set_n: NDArray[np.intp], usable_n: NDArray[np.bool_]
) -> NDArray[np.intp]:
    """Of each image, the highest rank in its set."""
    highest = np.zeros(int(set_n.max(initial=-1)) + 1, dtype=np.intp)
    np.maximum.at(highest, set_n[usable_n], rank_n[usable_n])
    return highest[set_n]


def _left_out(
    cohort: Cohort,
    split_n: NDArray[np.object_],
    sets: Grouping,
    usable_n: NDArray[np.bool_],
    rank_n: NDArray[np.intp],
    top_n: NDArray[np.intp],
) -> list[Exclusion]:
    """Images with a fellow in a later split: test is kept whole, then val."""
    kept = np.flatnonzero(usable_n & (rank_n == top_n))[::-1]
    ties = []
    for why, set_n in (
        ("same pixels as", sets.key_n),
        ("same film as", sets.film_n),
        ("its patient shares a film with that of", sets.group_n),
    ):
        first = np.full(int(set_n.max(initial=-1)) + 1, -1)
        first[set_n[kept]] = kept  # the last to be written is the first of the table
        ties.append((why, first[set_n]))
    id_n = cohort.table["image_id"].to_numpy()
    excluded = []
    for row in np.flatnonzero(usable_n & (rank_n < top_n)):
        why, like = next((why, like_n[row]) for why, like_n in ties if like_n[row] >= 0)
        excluded.append(
            Exclusion(str(id_n[row]), split_n[row], why, str(id_n[like]), split_n[like])
        )
    return excluded


def _draw(
    role_n: NDArray[np.object_], cohort: Cohort, sets: Grouping, fractions: Fractions, seed: int
) -> None:
    """Give groups of the training images another role, each role its share of each stratum."""
    rows = np.flatnonzero((role_n == "train") & sets.drawable_n)
    # In the order of their names, so that the order of the rows has no say.
    name_g, group_n = np.unique(sets.name_n[rows], return_inverse=True)
    stratum_g = strata(cohort, rows, group_n, len(name_g))
    drawn_g = np.full(len(name_g), "train", dtype=object)
    rng = np.random.default_rng(seed)
    for stratum in np.unique(stratum_g[stratum_g >= 0]):
        members = rng.permutation(np.flatnonzero(stratum_g == stratum))
        if len(members) <= len(fractions):
            continue  # too few to go round: all stay in train
        start = 0
        for role, fraction in fractions.items():
            count = max(1, round(fraction * len(members)))
            drawn_g[members[start : start + count]] = role
            start += count
    role_n[rows] = drawn_g[group_n]


def strata(
    cohort: Cohort, rows: NDArray[np.intp], group_n: NDArray[np.intp], groups: int
) -> NDArray[np.intp]:
    """Of each group of the rows 1 + the rarest finding that it has, 0 when it has none, -1 when
    nothing is known of it."""
    stratum_g = np.full(groups, -1)
    has_fg = np.zeros((len(cohort.findings), groups), dtype=bool)
    for finding, has_g in zip(cohort.findings, has_fg, strict=True):
        label_n = cohort.table[column("label", finding)].to_numpy(dtype=np.float64)[rows]
        has_g[group_n[label_n == 1]] = True
        stratum_g[group_n[~np.isnan(label_n)]] = 0
    for f in np.argsort(has_fg.sum(axis=1), kind="stable")[::-1]:  # a rarer one takes its place
        stratum_g[has_fg[f]] = f + 1
    return stratum_g


def _summary(cohort: Cohort, sets: Grouping, chosen_n: NDArray[np.bool_]) -> dict[str, object]:
    counts = {}
    for finding in cohort.findings:
        label_n = cohort.table[column("label", finding)].to_numpy(dtype=np.float64)[chosen_n]
        counts[finding] = {
            "absent": int((label_n == 0).sum()),
            "present": int((label_n == 1).sum()),
            "unknown": int(np.isnan(label_n).sum()),
        }
    digest = hashlib.sha256()
    for each in np.sort(sets.text_n[chosen_n]):
        digest.update(each.encode())
    told = {"n": int(chosen_n.sum()), "n_by_label": counts, "digest": digest.hexdigest()}
    age_n = cohort.table["age"].to_numpy(dtype=np.float64)[chosen_n]
    age_n = np.minimum(age_n[~np.isnan(age_n)], 90)  # who is older might be known by it
    if len(age_n):
        told["ages"] = {"n": len(age_n), "low": float(age_n.min()), "high": float(age_n.max())}
    for name, of in (("sexes", "sex"), ("views", "view")):
        known = cohort.table[of][chosen_n].dropna().astype(str).value_counts()
        if len(known):
            told[name] = {value: int(n) for value, n in sorted(known.items())}
    if sites := int(cohort.table["site"][chosen_n].nunique()):
        told["sites"] = sites  # how many: their names are the source's to tell
    return told


def _in_words(fractions: Fractions, split_n: NDArray[np.object_]) -> dict[str, str]:
    pool = [split for split in ("train", "val") if (split_n == split).any()]
    if "calibrate" not in fractions:
        pool.remove("val")
    of = "published " + " and ".join(pool) if pool else "all"
    words = {"train": "the rest", "calibrate": "published val", "test": "published test"}
    return words | {role: f"{share:g} of {of}, drawn" for role, share in fractions.items()}
