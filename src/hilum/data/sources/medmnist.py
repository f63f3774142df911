"""PneumoniaMNIST in its published archives, 28 to 224 px → Cohort; known by content, not by bytes.

Source: Yang et al. 2023, MedMNIST v2, Scientific Data 10:41; films of Kermany et al. 2018, Cell.
Roles are `roles`' business.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.data.cohort import Cohort
from hilum.data.download import Progress, fetch
from hilum.data.findings import meaning
from hilum.data.pixels import ArrayPixels
from hilum.data.preprocessing import reduction_to
from hilum.data.sources.medmnist_patients import with_patients
from hilum.errors import DataError, DataMissingError

SPLITS = ("train", "val", "test")
SIDES = (28, 64, 128, 224)

_RECORD = "https://zenodo.org/records/10519652/files"
_ARCHIVE_DIGESTS = {
    28: "sha256:e1792d3f03751cb101e99f19a63b3c1941436c988665f47853417b05be250cd8",
    64: "md5:8f4eceb4ccffa70c672198ea285246c6",
    128: "md5:05b46931834c231683c68f40c47b2971",
    224: "md5:d6a3c71de1b945ea11211b03746c1fe1",
}
# normal, pneumonia
_OFFICIAL_COUNTS = {"train": (1214, 3494), "val": (135, 389), "test": (234, 390)}
# Order-free digests of the official 28 px edition, see `content_digest`.
_OFFICIAL_CONTENT = {
    "train": "6923939e3f9b3720eb277351f5d43b9aabc0db319e6a88f88493708552dc443f",
    "val": "3a8657e17f07683f25843b4cebdb51338e3f2935f42efceaf81baebf9c22baed",
    "test": "ad56f18c4e0d7e655b399a0bfa31ce2a8d1233fe95a6616c519b223657f45354",
}


def pneumoniamnist(
    side: int = 28,
    *,
    data: Path | None = None,
    patients: str | None = None,
    progress: Progress = lambda done, total: None,
) -> Cohort:
    """PneumoniaMNIST, 4,708 / 524 / 624 films of children aged one to five.

    side: edition in pixels: 28, 64, 128 or 224
    data: the archive, or the folder that holds it; when given, nothing else is looked at.
        Otherwise `HILUM_DATA`, then `~/.medmnist`, then a download into the latter.
    patients: a table that tells whose film each image is, see `medmnist_patients`
    Raises DataMissingError when it can be neither found nor fetched, DataError when a file is
    cut off or is not PneumoniaMNIST. A file that differs from the official one is used with a
    warning that says how.
    """
    path = _locate(side, data, progress)
    arrays = _read_archive(path, side)
    cohort = Cohort(
        name="pneumoniamnist" if side == 28 else f"pneumoniamnist@{side}",
        findings=("Pneumonia",),
        table=_table(path, arrays),
        pixels=ArrayPixels(np.concatenate([arrays[f"{split}_images"] for split in SPLITS])),
        reduction=reduction_to(side),
        warnings=tuple(_differences(path, arrays, side)),
        public_ids=True,
        licence="CC BY 4.0, Kermany et al. 2018 and Yang et al. 2023",
        meanings={"Pneumonia": meaning("kermany", "Pneumonia")},
    )
    return cohort if patients is None else with_patients(cohort, patients, SPLITS)


def content_digest(image_nhw: NDArray[np.uint8], label_n: NDArray[np.uint8]) -> str:
    """SHA-256 over the sorted SHA-256 of each image's bytes and label byte: free of order."""
    each = sorted(
        hashlib.sha256(image.tobytes() + bytes([int(label)])).hexdigest()
        for image, label in zip(image_nhw, label_n.ravel(), strict=True)
    )
    return hashlib.sha256("".join(each).encode()).hexdigest()


def archive_name(side: int) -> str:
    """The published file of an edition. Raises DataError when there is no such edition."""
    if side not in SIDES:
        raise DataError(
            f"pneumoniamnist@{side}", f"no edition of {side} px", expected="28, 64, 128 or 224"
        )
    return "pneumoniamnist.npz" if side == 28 else f"pneumoniamnist_{side}.npz"


def fetch_archive(side: int, folder: Path, progress: Progress) -> Path:
    """Download an edition into `folder`. Raises DataError, OutputError."""
    name = archive_name(side)
    url = f"{_RECORD}/{name}?download=1"
    return fetch(url, folder / name, _ARCHIVE_DIGESTS[side], progress=progress)


def _locate(side: int, data: Path | None, progress: Progress) -> Path:
    name = archive_name(side)
    if data is not None:
        path = data / name if data.is_dir() else data
        if not path.is_file():
            raise DataMissingError(
                path,
                "no such file",
                expected=f"PneumoniaMNIST's {name}",
                remedy="leave --data out to search HILUM_DATA and ~/.medmnist, and to download",
            )
        return path
    cache = Path.home() / ".medmnist"
    folders = [cache]
    if environment := os.environ.get("HILUM_DATA"):
        folders.insert(0, Path(environment))
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    try:
        return fetch_archive(side, cache, progress)
    except DataError as error:
        raise DataMissingError(
            name,
            f"not in {' or '.join(map(str, folders))}, and {error}",
            remedy="fetch it by other means and name its folder by --data or HILUM_DATA",
        ) from error


def _read_archive(path: Path, side: int) -> dict[str, NDArray[np.uint8]]:
    names = [f"{split}_{kind}" for split in SPLITS for kind in ("images", "labels")]
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("a single array")
            missing = [name for name in names if name not in archive]
            if missing:
                raise DataError(
                    path, f"lacks the array {missing[0]}", expected=f"arrays {', '.join(names)}"
                )
            arrays = {name: archive[name] for name in names}
    except (zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
        raise DataError(
            path,
            f"cannot be read as an npz archive ({error})",
            remedy="it may be cut off; delete it and fetch it again",
        ) from error
    for split in SPLITS:
        image_nhw, label_n1 = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        if image_nhw.dtype != np.uint8 or image_nhw.shape[1:] != (side, side):
            raise DataError(
                path,
                f"{split}_images is {image_nhw.dtype} of shape {image_nhw.shape}",
                expected=f"uint8 of shape (n, {side}, {side})",
            )
        if label_n1.size != len(image_nhw):
            raise DataError(
                path,
                f"{len(image_nhw)} {split} images and {label_n1.size} labels",
                expected="one label an image",
            )
        wrong = sorted(set(np.unique(label_n1).tolist()) - {0, 1})
        if wrong:
            raise DataError(
                path, f"{split}_labels holds {wrong[0]}", expected="0 (normal) or 1 (pneumonia)"
            )
    return arrays


def _table(path: Path, arrays: dict[str, NDArray[np.uint8]]) -> pd.DataFrame:
    parts = []
    for split in SPLITS:
        label_n = arrays[f"{split}_labels"].ravel().astype(np.float64)
        parts.append(
            pd.DataFrame(
                {
                    "image_id": [f"{split}-{i:04d}" for i in range(len(label_n))],
                    "split": split,
                    "label_pneumonia": label_n,
                }
            )
        )
    table = pd.concat(parts, ignore_index=True)
    # What the archive does not tell stays missing; all films are children's, ages are not given.
    return table.assign(
        patient_id=None, site="Guangzhou", view=None, age=np.nan, sex=None, role=None
    )


def _differences(path: Path, arrays: dict[str, NDArray[np.uint8]], side: int) -> Iterable[str]:
    for split in SPLITS:
        image_nhw, label_n1 = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        present = int(label_n1.sum())
        counts = (label_n1.size - present, present)
        official = _OFFICIAL_COUNTS[split]
        if counts != official:
            yield (
                f"{path.name} is not the official PneumoniaMNIST: its {split} split holds "
                f"{counts[0]:,} normal and {counts[1]:,} pneumonia, "
                f"officially {official[0]:,} and {official[1]:,}"
            )
        elif side == 28 and content_digest(image_nhw, label_n1) != _OFFICIAL_CONTENT[split]:
            yield (
                f"{path.name} is not the official PneumoniaMNIST: its {split} split has the "
                "official counts, but pixels or labels differ"
            )
