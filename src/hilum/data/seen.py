"""Seen: which images and patients a bundle was made from, in salted hashes that name nobody.

It is written into the bundle; who is refused because of it is decided by the verbs.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.data.cohort import ROLES, Cohort
from hilum.data.fingerprints import Fingerprints, near_pairs
from hilum.errors import BundleError
from hilum.writing import replacing

_COLUMNS = ("role", "pixels", "hash", "patient")


def pseudonym(identifier: str, salt: str) -> str:
    """16 hex digits of HMAC-SHA256; the same id and salt give the same.

    It hides an id from those who have the bundle. One who also has a list of all ids that there
    may be can try each, since the salt stands in the bundle.
    """
    return hmac.digest(salt.encode(), identifier.encode(), "sha256").hex()[:16]


def pseudonymised(cohort: Cohort, salt: str) -> Cohort:
    """Image and patient ids (boxes, excluded too) replaced by pseudonyms, unless the cohort's ids
    are public."""
    if cohort.public_ids:
        return cohort
    table = cohort.table.assign(
        image_id=_pseudonyms(cohort.table["image_id"], salt),
        patient_id=_pseudonyms(cohort.table["patient_id"], salt),
    )
    boxes, excluded = (
        each.assign(image_id=_pseudonyms(each["image_id"], salt))
        for each in (cohort.boxes, cohort.excluded)
    )
    return replace(cohort, table=table, boxes=boxes, excluded=excluded)


def _pseudonyms(ids: pd.Series, salt: str) -> NDArray[np.object_]:
    """Missing stays missing."""
    known_n = ids.notna().to_numpy()
    names = np.full(len(ids), None, dtype=object)
    names[known_n] = [pseudonym(str(each), salt) for each in ids[known_n]]
    return names


@dataclass(frozen=True)
class Overlap:
    """What a bundle has seen of a cohort's rows before, each as row -> the role it had then.

    images: same pixels; near: same film by perceptual hash, other pixels; patients: same patient
    patient_of: pseudonym of the patient of each of `patients`
    """

    images: dict[int, str]
    near: dict[int, str]
    patients: dict[int, str]
    patient_of: Mapping[int, str]

    def among(self, chosen_n: NDArray[np.bool_]) -> Overlap:
        """Of the rows where `chosen_n` is True alone."""
        images, near, patients = (
            {row: role for row, role in each.items() if chosen_n[row]}
            for each in (self.images, self.near, self.patients)
        )
        return replace(self, images=images, near=near, patients=patients)

    @property
    def rows(self) -> tuple[int, ...]:
        return tuple(sorted({*self.images, *self.near, *self.patients}))

    def in_words(self) -> str:
        """Such as "12 images and 30 more images of 9 patients that the bundle was trained on"."""
        others = set(self.patients) - set(self.images) - set(self.near)
        parts = []
        if self.images:
            parts.append(_count(len(self.images), "image"))
        if self.near:
            altered = (
                "altered copy of an image" if len(self.near) == 1 else "altered copies of images"
            )
            parts.append(f"{len(self.near):,} {altered}")
        if others:
            more = "more " if parts else ""
            of = _count(len({self.patient_of[row] for row in others}), "patient")
            parts.append(f"{_count(len(others), f'{more}image')} of {of}")
        if not parts:
            return "no image and no patient that the bundle has seen"
        roles = {role for each in (self.images, self.near, self.patients) for role in each.values()}
        uses = [_USE[role] for role in ROLES if role in roles]
        return f"{_listed(parts)} that the bundle was {_listed(uses)}"


_USE = {
    "train": "trained on",
    "tune": "tuned on",
    "calibrate": "calibrated on",
    "test": "tested on",
}


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


@dataclass(frozen=True)
class Seen:
    """One row per image that had a role: role, pixels (salted digest), hash (hex), patient
    (salted; missing when unknown).

    The perceptual hash is not salted, since a salted one could not be compared bit by bit. It
    names nobody: it says which of 256 coarse waves a film holds more of than of the median one.
    That is at most a blur of a chest, and a film is found by it only by one who has that film.
    Empty where the film has none.
    """

    salt: str
    table: pd.DataFrame

    @classmethod
    def of(cls, cohort: Cohort, prints: Fingerprints | None, salt: str) -> Seen:
        """The rows that have a role. prints: None where pixels were not looked at."""
        used = np.flatnonzero(cohort.table["role"].notna())
        table = pd.DataFrame(
            {
                "role": cohort.table["role"].to_numpy(dtype=object)[used],
                "pixels": None,
                "hash": "",
                "patient": _pseudonyms(cohort.table["patient_id"].iloc[used], salt),
            }
        )
        if prints is not None:
            table["pixels"] = [pseudonym(prints.digest_n[row], salt) for row in used]
            table["hash"] = [
                prints.hash_nk[row].tobytes().hex() if prints.hashed_n[row] else "" for row in used
            ]
        # In an order of their own, so that the rows do not tell which image each one is.
        by = ["pixels", "role", "patient"]
        return cls(salt, table.sort_values(by, kind="stable", ignore_index=True))

    def write(self, path: Path) -> None:
        """As Parquet. Raises OutputError."""
        with replacing(path) as draft:
            self.table.to_parquet(draft, index=False, compression="zstd")

    @classmethod
    def read(cls, path: Path, salt: str) -> Seen:
        """Raises BundleError when the file is not one that `write` wrote."""
        try:
            table = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise BundleError(
                path,
                f"cannot be read ({type(error).__name__})",
                expected="the films a bundle has seen",
            ) from error
        if tuple(table.columns) != _COLUMNS:
            raise BundleError(
                path, f"columns {', '.join(table.columns)}", expected=", ".join(_COLUMNS)
            )
        return cls(salt, table)

    def cannot_know(self, cohort: Cohort, prints: Fingerprints | None) -> str | None:
        """Why a film or patient of the cohort could have been seen without being known again."""
        patients = self.table["patient"].notna().any() and cohort.table["patient_id"].notna().any()
        if prints is None or self.table["pixels"].isna().all():
            if patients:
                return None
            return "pixels were not looked at (data.duplicates = off), and patients are not known"
        if (self.table["hash"] == "").all() and not patients:
            return "the films it was made from are too small to be known again at another size"
        return None

    def overlap(self, cohort: Cohort, prints: Fingerprints | None, roles: Sequence[str]) -> Overlap:
        """Which rows of the cohort were seen in these roles.

        A row that was seen in several counts for the first of train, tune, calibrate and test.
        prints: of the cohort's rows; None looks at patients alone
        """
        rank_n = self.table["role"].map({role: rank for rank, role in enumerate(ROLES)})
        seen = self.table[self.table["role"].isin(roles)].assign(rank=rank_n)
        seen = seen.sort_values("rank", kind="stable", ignore_index=True)
        role_n = seen["role"].to_numpy(dtype=object)

        images: dict[int, str] = {}
        near: dict[int, str] = {}
        if prints is not None:
            readable = np.flatnonzero(prints.digest_n != "")
            pixels = {row: pseudonym(prints.digest_n[row], self.salt) for row in readable.tolist()}
            images = _roles_of(pixels, seen["pixels"], role_n)
            for i, row in near_pairs(_as_prints(seen["hash"]), prints).tolist():
                if row not in images:
                    near.setdefault(row, role_n[i])  # the pairs are sorted by i, and i by role
        of_rows = _pseudonyms(cohort.table["patient_id"], self.salt)
        patient = {row: each for row, each in enumerate(of_rows) if each is not None}
        patients = _roles_of(patient, seen["patient"], role_n)
        return Overlap(images, near, patients, {row: patient[row] for row in patients})


def _roles_of(
    name_of: dict[int, str], seen: pd.Series[str], role_n: NDArray[np.object_]
) -> dict[int, str]:
    """Row -> role, of the rows whose name was seen; the first counts."""
    known = ~(seen.isna() | seen.duplicated()).to_numpy()
    role_of = dict(zip(seen[known], role_n[known], strict=True))
    return {row: role_of[name] for row, name in name_of.items() if name in role_of}


def _as_prints(hashes: pd.Series[str]) -> Fingerprints:
    """Hashes alone."""
    hashed_n = (hashes != "").to_numpy(dtype=bool)
    hash_nk = np.zeros((len(hashes), 32), dtype=np.uint8)
    joined = bytes.fromhex("".join(hashes[hashed_n]))
    hash_nk[hashed_n] = np.frombuffer(joined, dtype=np.uint8).reshape(-1, 32)
    return Fingerprints(np.full(len(hashes), "", dtype=object), hash_nk, hashed_n, {})
