"""Shards that `hilum data shard` wrote → Cohort, from a folder, a web server or object storage."""

from __future__ import annotations

import os

from hilum.data.cohort import Cohort
from hilum.data.shards.fetching import CACHE_BYTES, ShardCache, default_cache, read_whole
from hilum.data.shards.manifest import MANIFEST, ShardManifest, parse_manifest
from hilum.data.shards.pixels import Places, ShardPixels
from hilum.data.shards.storage import open_store
from hilum.data.shards.tables import MEMBER, read_table
from hilum.errors import DataError
from hilum.recipe import DataPart, ReadingPart


def shards_cohort(location: str, options: DataPart, reading: ReadingPart) -> Cohort:
    """The cohort that lies in a set of shards, as its source gave it.

    location: a folder, `http://…`, `https://…`, or another URL that fsspec knows, such as `s3://…`.
        Shards that are not on this disk are fetched one by one into a bounded cache.
    Raises DataError when there is no finished set, when it is damaged, or when its films were read
    otherwise than `reading` says; MissingExtraError when the library for the URL is not installed.
    """
    store = open_store(location)
    where = f"{location.rstrip('/')}/{MANIFEST}"
    try:
        manifest = parse_manifest(read_whole(store, MANIFEST), where)
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(
            where,
            "no such file",
            expected="a finished set of shards",
            remedy="run hilum data shard, which also goes on with an unfinished set",
        ) from None
    _refuse_other_reading(where, manifest, reading)
    try:
        index, boxes, excluded = (
            read_table(read_whole(store, manifest.tables[key]))
            for key in ("index", "boxes", "excluded")
        )
    except FileNotFoundError as error:
        raise DataError(
            where, f"a table that it names is missing ({error})", remedy="copy the whole set again"
        ) from None
    pixels = ShardPixels(
        store,
        manifest.shards,
        Places.of(index),
        manifest.encoding,
        reading=reading if manifest.encoding == "original" else ReadingPart(),
        cache=ShardCache(default_cache(), _cache_bytes()),
        broken=options.broken_shards,
    )
    table = index.drop(columns=[name for name in index if str(name).startswith(MEMBER)])
    return Cohort(
        name=manifest.name,
        findings=manifest.findings,
        table=table,
        pixels=pixels,
        synthetic=manifest.synthetic,
        public_ids=manifest.public_ids,
        warnings=(*manifest.warnings, *_hashed_ids(manifest)),
        licence=manifest.licence,
        reduction=manifest.reduction,
        boxes=boxes,
        excluded=excluded,
        meanings=manifest.meanings,
    )


def _hashed_ids(manifest: ShardManifest) -> list[str]:
    if manifest.public_ids or manifest.salt is None:
        return []
    return ["ids were hashed when the shards were written: patients cannot be compared elsewhere"]


def _refuse_other_reading(where: str, manifest: ShardManifest, reading: ReadingPart) -> None:
    """Raise DataError when films were made grey by another window or range than is asked for."""
    if manifest.encoding == "original":
        return
    held, asked = manifest.reading, reading
    concerns = {"window": {"DICOM"}, "bits": {"PNG", "TIFF"}}
    for key, formats in concerns.items():
        was, wanted = getattr(held, key), getattr(asked, key)
        if was != wanted and formats & set(manifest.formats):
            raise DataError(
                where,
                f"its films were read with reading.{key} = {was}",
                expected=f"{wanted}",
                remedy=f"set reading.{key} = {was}, or write the shards anew with "
                f"--option reading.{key}={wanted}",
            )


def _cache_bytes() -> int:
    text = os.environ.get("HILUM_CACHE_GB")
    if not text:
        return CACHE_BYTES
    try:
        gigabytes = float(text)
        if not gigabytes > 0:
            raise ValueError
    except ValueError:
        raise DataError("HILUM_CACHE_GB", repr(text), expected="gigabytes, such as 20") from None
    return int(gigabytes * 2**30)
