"""Engines exported beside a bundle: what is kept of each, written whole, and verified when read.

They stand in `engines/NAME/` outside the files that the bundle's digest covers, so that an export
does not make it another bundle. Making them is left to `exporting`, running them to `running`.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hilum.bundle import Bundle, folder_draft, seal_of, sha256_of, verified
from hilum.engines.running import Runtime
from hilum.errors import BundleError

SCHEMA = 1
FOLDER = "engines"
RECORD = "engine.json"
CARRIED = "openvino-f32"
# The files of each, the network first; those without any run the network that the bundle carries.
FILES: Mapping[str, tuple[str, ...]] = {
    "openvino-int8": ("model.xml", "model.bin"),
    "openvino-bf16": (),
    CARRIED: (),
    "onnx-f32": ("model.onnx",),
}
NAMES = tuple(FILES)  # the order in which they are tried where no speed was measured


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Ranking(_Part):
    """AUROC of a finding on the same films by the reference and by the engine; None: one class."""

    reference: float | None
    engine: float | None

    @property
    def difference(self) -> float | None:
        if self.reference is None or self.engine is None:
            return None
        return abs(self.engine - self.reference)


class Agreement(_Part):
    """How an engine's answers lie to the reference's, over `n` films of `role`.

    reference: "torch", or "openvino-f32", which itself lies within 1e-4 of torch
    largest, mean: difference of a probability, before calibration
    auroc: by finding
    decisions_changed, referrals_changed: films, by finding, at the deployed point
    """

    reference: str
    source: str
    role: str
    n: int
    largest_probability_difference: float
    mean_probability_difference: float
    auroc: dict[str, Ranking]
    decisions_changed: dict[str, int]
    referrals_changed: dict[str, int]


class Speed(_Part):
    """Images a second in batches of `batch`, turn about with the bundle's own engine.

    processor: that it was measured on, `threads` of it
    """

    processor: str
    threads: int
    batch: int
    images_per_s: float
    carried_images_per_s: float

    @property
    def gain(self) -> float:
        """How many times as fast as the engine that the bundle carries."""
        return self.images_per_s / self.carried_images_per_s


class Record(_Part):
    """What `engine.json` holds.

    bundle: digest of the bundle that it belongs to; files: with their SHA-256
    opset: of ONNX; quantisation: of int8, how it was done
    """

    schema_version: int = SCHEMA
    name: str
    runtime: Runtime
    precision: str
    opset: int | None = None
    quantisation: dict[str, str | int] | None = None
    bundle: str
    agreement: Agreement
    speed: Speed
    created: str
    versions: dict[str, str]
    files: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class Exported:
    """A verified engine. content: its files, the very bytes that were verified."""

    record: Record
    content: tuple[bytes, ...] = field(repr=False)

    @property
    def name(self) -> str:
        return self.record.name


def exported_engines(bundle: Bundle) -> dict[str, Exported]:
    """Every engine beside the bundle by its name, verified. Raises BundleError."""
    folder = bundle.folder / FOLDER
    there = {each.name for each in folder.iterdir()} if folder.is_dir() else set()
    return {name: read_exported(bundle, name) for name in NAMES if name in there}


def read_exported(bundle: Bundle, name: str) -> Exported:
    """One engine beside the bundle: record, bundle and every file's digest.

    Raises BundleError: none of that name, damaged, of another bundle, or a newer schema.
    """
    folder = bundle.folder / FOLDER / name
    path = folder / RECORD
    if name not in FILES or not path.is_file():
        raise BundleError(path, "missing", expected="an engine", remedy=_RENEW)
    record = _read_record(path)
    if record.name != name or record.bundle != bundle.digest:
        raise BundleError(
            path,
            f"belongs to another bundle, {record.bundle[:12]}…"
            if record.name == name
            else f"says that it is {record.name}",
            expected=f"{name} of {bundle.digest[:12]}…",
            remedy=_RENEW,
        )
    content = tuple(verified(folder / file, record.files[file]) for file in FILES[name])
    return Exported(record, content)


_RENEW = "export it again by 'hilum export', or remove its folder"


def _read_record(path: Path) -> Record:
    try:
        values = json.loads(path.read_bytes())
        sealed = values.pop("digest")
        version = int(values["schema_version"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(path, f"damaged ({error})", expected="JSON", remedy=_RENEW) from error
    except OSError as error:
        raise BundleError(path, f"cannot be read ({error.strerror or error})") from error
    if version > SCHEMA:
        raise BundleError(
            path, f"engine of schema {version}", expected=f"{SCHEMA}", remedy="upgrade Hilum"
        )
    if sealed != seal_of(values):
        raise BundleError(path, "damaged: its digest does not match", remedy=_RENEW)
    try:
        record = Record.model_validate(values)
        if {*record.files} != {*FILES.get(record.name, ())}:
            raise ValueError(f"not the files of {record.name}")
    except (ValidationError, ValueError) as error:
        line = str(error).splitlines()[0]
        raise BundleError(path, f"not an engine of schema {version} ({line})") from error
    return record


@contextmanager
def engine_draft(bundle: Bundle, name: str) -> Iterator[Path]:
    """A temporary folder beside the engine's place; what fails inside leaves an old one as it was.

    Raises OutputError when the bundle cannot be written or the disk is full.
    """
    target = bundle.folder / FOLDER / name
    remedy = "copy the bundle to a disk with room, where you may write"
    try:
        with folder_draft(target, "the engine", remedy) as draft:
            yield draft
    finally:
        if target.parent.is_dir() and not any(target.parent.iterdir()):
            target.parent.rmdir()


def seal_engine(draft: Path, bundle: Bundle, record: Record) -> Exported:
    """Write `engine.json` with every file's digest, and put the draft in its place.

    An earlier engine of that name is replaced whole.
    """
    files = {name: sha256_of(draft / name) for name in FILES[record.name]}
    values = record.model_copy(update={"files": files}).model_dump(mode="json")
    values["digest"] = seal_of(values)
    with (draft / RECORD).open("w", encoding="utf-8") as file:
        json.dump(values, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    for each in draft.iterdir():
        each.chmod(0o644)
    target = bundle.folder / FOLDER / record.name
    old = target.with_name(f".{target.name}.{time.monotonic_ns()}.old")
    if target.exists():  # two renames, since a folder cannot be renamed over one with files in it
        target.rename(old)
    try:
        draft.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
    return read_exported(bundle, record.name)
