"""Cohort → tar shards with a manifest: in parallel, in bounded memory, and resumable.

What a film's bytes are is left to `films`, what the finished tables hold, to `tables`.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hilum.data.cohort import Cohort
from hilum.data.pixels import FilePixels
from hilum.data.reading import Quarantine
from hilum.data.shards.fetching import read_whole
from hilum.data.shards.films import Film, encode
from hilum.data.shards.form import Form, plan_digest
from hilum.data.shards.manifest import (
    MANIFEST,
    Shard,
    ShardManifest,
    parse_manifest,
)
from hilum.data.shards.storage import FolderStore, WritableStore, open_writable_store
from hilum.data.shards.tables import finish, nameless
from hilum.data.shards.tar import TarWriter
from hilum.data.shards.unfinished import Members, Plan, Unfinished, Written, new_salt, remove_all
from hilum.data.shards.verifying import damaged, difference
from hilum.errors import DataError, RadiographError
from hilum.recipe import ReadingPart

Progress = Callable[[int, int], None]

PER_SHARD = 1000
SHARD_BYTES = 256 << 20
_SAMPLE = 16  # films by which the size of a shard is judged


def write_shards(
    cohort: Cohort,
    out: str,
    form: Form | None = None,
    *,
    keep_ids: bool = False,
    salt: str | None = None,
    workers: int | None = None,
    resume: bool = True,
    quarantine: Quarantine | None = None,
    progress: Progress = lambda done, total: None,
) -> ShardManifest:
    """Write every film of the cohort, with what is known of it, as WebDataset shards to `out`.

    out: a folder or a URL that fsspec can write to, such as `s3://bucket/prefix`
    form: how films are stored; PNG of their own size when None
    keep_ids: leave ids as they are; otherwise those not public become hashes, salted by `salt`
        (a random one when None), which the manifest keeps. "original" needs it, or public ids,
        since a file's header may name the patient.
    workers: threads that read and encode; None: one for each processor
    resume: go on where an interrupted run stopped, or see that a finished set is whole; False
        removes what it wrote and starts again
    quarantine: takes films that cannot be read; without one the first ends the run
    progress: called with the films done and the films in all
    The same cohort, form and salt give the same bytes. Raises RadiographError or DataError when
    films cannot be read, OutputError when `out` cannot be written or holds something else.
    """
    form = form or Form()
    if form.encoding == "original" and not (keep_ids or cohort.public_ids):
        raise DataError(
            "--encoding original",
            "copies files with their headers, which may name patients",
            expected="png, jpeg or webp",
            remedy="or add --keep-ids, to keep what names them",
        )
    if not len(cohort):
        raise DataError(cohort.name, "no image", expected="one or more")
    store = open_writable_store(out)
    work = Unfinished(store)
    asked = plan_digest(cohort, form, keep_ids)
    if not resume:
        remove_all(store)
    elif (done := _finished(store, asked)) is not None:
        work.clear()
        progress(len(cohort), len(cohort))
        return done
    plan = work.plan()
    if plan is None:
        fresh_salt = None if keep_ids or cohort.public_ids else salt or new_salt()
        plan = Plan(digest=asked, per_shard=_per_shard(cohort, form), salt=fresh_salt)
        work.begin(plan)
    elif plan.digest != asked:
        raise _of_another_kind(out, "an unfinished run", "the same command goes on with it")
    named = cohort if plan.salt is None else nameless(cohort, plan.salt)
    quarantine = quarantine or Quarantine(len(cohort))
    shards = _sound(store, work.written())
    for each in shards.values():
        quarantine.broken.update(each.broken)

    starts = range(0, len(cohort), plan.per_shard)
    rows = {
        f"{number:06d}.tar": range(start, min(start + plan.per_shard, len(cohort)))
        for number, start in enumerate(starts)
    }
    todo = {name: rows_k for name, rows_k in rows.items() if name not in shards}
    count = _Count(sum(len(rows[name]) for name in shards), len(cohort), progress)
    positions = [position for rows_k in todo.values() for position in rows_k]
    with closing(_encoded(cohort, form, positions, workers or _processors())) as films:
        for name, rows_k in todo.items():
            shards[name] = _write_shard(store, name, rows_k, films, named, quarantine, count)
            work.note(shards[name])
    ordered = [shards[name] for name in rows]
    reading = cohort.pixels.reading if isinstance(cohort.pixels, FilePixels) else ReadingPart()
    manifest = finish(store, named, ordered, form, reading, plan)
    work.clear()
    return manifest


@dataclass
class _Count:
    done: int
    total: int
    progress: Progress

    def one_more(self) -> None:
        self.done += 1
        self.progress(self.done, self.total)


def _write_shard(
    store: WritableStore,
    name: str,
    rows: range,
    films: Iterator[Film | RadiographError],
    named: Cohort,
    quarantine: Quarantine,
    count: _Count,
) -> Written:
    """One tar file, which stands in its place when this returns."""
    members: defaultdict[str, list[Any]] = defaultdict(list)
    broken: dict[int, str] = {}
    formats: set[str] = set()
    facts = named.table.iloc[rows.start : rows.stop].to_dict("records")
    with store.committing(name) as draft, draft.open("wb") as file, TarWriter(file) as tar:
        for position, row in zip(rows, facts, strict=True):
            film = next(films)
            if isinstance(film, RadiographError):
                quarantine.add(position, film)
                # Where it lies may name the patient.
                broken[position] = film.found.replace(film.where, "the film")
            else:
                key = f"{position:09d}"
                members["position"].append(position)
                members["key"].append(key)
                members["offset"].append(tar.add(f"{key}.{film.suffix}", film.data))
                members["length"].append(len(film.data))
                members["crc32"].append(zlib.crc32(film.data))
                members["aspect"].append(None if math.isnan(film.aspect) else film.aspect)
                for fact in ("suffix", "height", "width", "from_height", "from_width"):
                    members[fact].append(getattr(film, fact))
                if film.format is not None:
                    formats.add(film.format)
                tar.add(f"{key}.json", _facts(row))
            count.one_more()
    return Written(
        shard=Shard(name=name, bytes=tar.n_bytes, sha256=tar.sha256, n=len(members["key"])),
        members=Members(**{field: tuple(members[field]) for field in Members.model_fields}),
        broken=broken,
        formats=tuple(sorted(formats)),
    )


def _facts(row: dict[Any, Any]) -> bytes:
    """A row of the table as JSON; a role is this project's own business, and goes by recipe."""
    plain = {}
    for key, value in row.items():
        value = value.item() if isinstance(value, np.generic) else value
        if pd.isna(value):
            value = None
        elif key.startswith("label_"):
            value = int(value)
        if key != "role":
            plain[key] = value
    return json.dumps(plain, ensure_ascii=False, sort_keys=True, default=str).encode()


def _encoded(
    cohort: Cohort, form: Form, positions: Sequence[int], workers: int
) -> Generator[Film | RadiographError]:
    """The films of these rows in order, a few ahead of whoever asks."""

    def one(position: int) -> Film | RadiographError:
        try:
            return encode(cohort, position, form.encoding, form.size)
        except RadiographError as error:
            return error

    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="hilum-shard") as pool:
        waiting: deque[Future[Film | RadiographError]] = deque()
        try:
            for position in positions:
                waiting.append(pool.submit(one, position))
                if len(waiting) > 4 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _per_shard(cohort: Cohort, form: Form) -> int:
    """Images a shard, judged from films spread over the cohort where nothing was asked."""
    if form.per_shard is not None:
        return form.per_shard
    spread = np.unique(np.linspace(0, len(cohort) - 1, _SAMPLE).astype(int)).tolist()
    films = _encoded(cohort, form, spread, _processors())
    lengths = [len(film.data) for film in films if isinstance(film, Film)]
    mean = sum(lengths) / len(lengths) if lengths else 1.0
    return max(1, min(PER_SHARD, int(SHARD_BYTES / mean)))


def _finished(store: WritableStore, asked: str) -> ShardManifest | None:
    """The manifest of a finished set that is just what is asked for, and whole."""
    try:
        data = read_whole(store, MANIFEST)
    except FileNotFoundError:
        return None
    manifest = parse_manifest(data, f"{store.location}/{MANIFEST}")
    if manifest.plan != asked:
        raise _of_another_kind(store.location, "a finished set", "--no-resume replaces it")
    if wrong := damaged(store, manifest):
        raise DataError(
            f"{store.location}/{wrong[0][0]}",
            wrong[0][1],
            expected="what the manifest says",
            remedy="--no-resume writes the set again",
        )
    return manifest


def _sound(store: WritableStore, written: dict[str, Written]) -> dict[str, Written]:
    """Those whose files are whole; on a disk each is read and its digest compared, elsewhere a put
    is whole or not there at all."""
    if not isinstance(store, FolderStore):
        return written
    return {name: each for name, each in written.items() if difference(store, each.shard) is None}


def _of_another_kind(out: str, what: str, remedy: str) -> DataError:
    return DataError(
        out,
        f"holds {what} with other images or other settings",
        remedy=f"name another place; {remedy}",
    )


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
