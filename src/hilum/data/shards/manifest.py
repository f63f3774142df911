"""The manifest of a set of shards: what it is made of, what each file weighs, and its digest.

`manifest.json` is written last: without it a set is not finished.
"""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hilum.data.preprocessing import Step
from hilum.errors import DataError
from hilum.recipe import ReadingPart

SCHEMA = 1
MANIFEST = "manifest.json"
INDEX, BOXES, EXCLUDED = "index.parquet", "boxes.parquet", "excluded.parquet"

Encoding = Literal["png", "jpeg", "webp", "original"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class File(_Part):
    """One file of the set."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Shard(File):
    """One tar file with the films and facts of `n` images."""

    n: int = Field(ge=0)


class ShardManifest(_Part):
    """What `manifest.json` holds; all but the last fields are the cohort's own.

    encoding, size: how films are stored; `size` is the shorter side in pixels, None as they were
    formats: of the files they were read from, where the source has files
    reading: how these were read; of no account for "original", whose files are read when asked for
    salt: of the hashes that stand for ids; None where ids stand as they are
    plan: digest of what was asked for, by which an interrupted run knows its own
    n, broken: films in the shards, and films that could not be read
    tables: one row per image (INDEX), box (BOXES) and image left out (EXCLUDED)
    """

    schema_version: int = SCHEMA
    name: str
    findings: tuple[str, ...]
    meanings: dict[str, str]
    licence: str
    warnings: tuple[str, ...]
    synthetic: bool
    public_ids: bool
    reduction: tuple[Step, ...]
    encoding: Encoding
    size: int | None
    formats: tuple[str, ...]
    reading: ReadingPart
    salt: str | None
    plan: str
    n: int = Field(ge=0)
    broken: int = Field(ge=0)
    shards: tuple[Shard, ...]
    tables: dict[str, File]

    def to_json(self) -> bytes:
        """The file's bytes: the same for the same manifest."""
        return (self.model_dump_json(indent=2) + "\n").encode()


def file_of(name: str, data: bytes) -> File:
    """What the manifest says of a file with these bytes."""
    return File(name=name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def parse_manifest(data: bytes, where: str) -> ShardManifest:
    """Check the bytes of a `manifest.json`. Raises DataError."""
    remedy = "write the shards anew with hilum data shard"
    try:
        plain = json.loads(data)
    except ValueError as error:
        raise DataError(where, f"cannot be read as JSON ({error})", remedy=remedy) from error
    version = plain.get("schema_version") if isinstance(plain, dict) else None
    if version != SCHEMA:
        raise DataError(
            where,
            f"schema version {version!r}",
            expected=f"{SCHEMA}",
            remedy="read it with the Hilum that wrote it, or write the shards anew",
        )
    try:
        return ShardManifest.model_validate(plain)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise DataError(where, f"{key}: {first['msg'].lower()}", remedy=remedy) from error
