"""The tables beside the shards: one row per image, box and image left out; and the way back.

The manifest that names them is written last, by `finish`.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from hilum.columns import column
from hilum.data.cohort import COLUMNS, Cohort
from hilum.data.preprocessing import ShorterSide
from hilum.data.seen import pseudonymised
from hilum.data.shards.form import Form
from hilum.data.shards.manifest import (
    BOXES,
    EXCLUDED,
    INDEX,
    MANIFEST,
    ShardManifest,
    file_of,
)
from hilum.data.shards.storage import WritableStore
from hilum.data.shards.unfinished import Plan, Written
from hilum.recipe import ReadingPart

# Before the names of columns that say where a film lies; all others are the cohort's.
MEMBER = "member_"


def finish(
    store: WritableStore,
    named: Cohort,
    shards: Sequence[Written],
    form: Form,
    reading: ReadingPart,
    plan: Plan,
) -> ShardManifest:
    """Write the tables, then the manifest. `named`: the cohort, its ids as they are to be read."""
    index = _index(named, shards)
    broken = {row: reason for each in shards for row, reason in each.broken.items()}
    tables = {
        "index": (INDEX, index),
        "boxes": (BOXES, _boxes(named, index)),
        "excluded": (EXCLUDED, _excluded(named, broken)),
    }
    files = {}
    for key, (name, table) in tables.items():
        data = _parquet(table)
        store.write(name, data)
        files[key] = file_of(name, data)
    shrunk = () if form.size is None else (ShorterSide(size=form.size),)
    lossy = ("films are stored as JPEG of quality 95",) if form.encoding == "jpeg" else ()
    manifest = ShardManifest(
        name=named.name,
        findings=named.findings,
        meanings=dict(named.meanings),
        licence=named.licence,
        warnings=(*named.warnings, *lossy),
        synthetic=named.synthetic,
        public_ids=named.public_ids,
        reduction=(*named.reduction, *shrunk),
        encoding=form.encoding,
        size=form.size,
        formats=tuple(sorted({kind for each in shards for kind in each.formats})),
        reading=reading,
        salt=plan.salt,
        plan=plan.digest,
        n=len(index),
        broken=len(broken),
        shards=tuple(each.shard for each in shards),
        tables=files,
    )
    store.write(MANIFEST, manifest.to_json())
    return manifest


def nameless(cohort: Cohort, salt: str) -> Cohort:
    """With hashes for ids, and without the columns of a hospital's own table: any of them may name
    a patient, an accession number or a day."""
    own = ("split", "role", *(column("label", finding) for finding in cohort.findings))
    others = [str(name) for name in cohort.table if name not in (*COLUMNS, *own)]
    if not others:
        return pseudonymised(cohort, salt)
    told = f"columns left out of the shards: {', '.join(others)}; --keep-ids keeps them"
    table = cohort.table.drop(columns=others)
    return pseudonymised(replace(cohort, table=table, warnings=(*cohort.warnings, told)), salt)


def read_table(data: bytes) -> pd.DataFrame:
    """A table from its Parquet file."""
    return pd.read_parquet(io.BytesIO(data))


def _index(named: Cohort, shards: Sequence[Written]) -> pd.DataFrame:
    position_n = np.array([row for each in shards for row in each.members.position], dtype=np.intp)
    members: dict[str, Any] = {
        MEMBER + "shard": np.repeat(
            np.arange(len(shards), dtype=np.int32), [each.shard.n for each in shards]
        )
    }
    for field in type(shards[0].members).model_fields:
        if field != "position":
            values = [value for each in shards for value in getattr(each.members, field)]
            members[MEMBER + field] = values
    index = named.table.iloc[position_n].reset_index(drop=True)
    return index.assign(**members).astype({MEMBER + "aspect": np.float64})


def _boxes(named: Cohort, index: pd.DataFrame) -> pd.DataFrame:
    """Boxes of the films that are in the shards, in pixels of the stored films."""
    places = index.set_index("image_id")
    boxes = named.boxes[named.boxes["image_id"].isin(places.index)].reset_index(drop=True)
    for side, names in (("height", ("y", "height")), ("width", ("x", "width"))):
        scale = places[MEMBER + side] / places[f"{MEMBER}from_{side}"]
        scale_n = boxes["image_id"].map(scale).to_numpy(dtype=np.float64)
        for name in names:
            boxes[name] = boxes[name].to_numpy(dtype=np.float64) * scale_n
    return boxes


def _excluded(named: Cohort, broken: dict[int, str]) -> pd.DataFrame:
    unread = pd.DataFrame(
        {
            "image_id": named.table["image_id"].iloc[list(broken)].to_numpy(),
            "reason": [f"cannot be read: {reason}" for reason in broken.values()],
        },
        dtype=object,
    )
    return pd.concat([named.excluded.astype(object), unread], ignore_index=True)


def _parquet(table: pd.DataFrame) -> bytes:
    """Parquet needs one kind of value a column: where kinds are mixed, they become text."""
    text = {
        str(name): values.map(str, na_action="ignore")
        for name, values in table.items()
        if values.dtype == object and pd.api.types.infer_dtype(values, skipna=True) != "string"
    }
    buffer = io.BytesIO()
    table.assign(**text).to_parquet(buffer, index=False)
    return buffer.getvalue()
