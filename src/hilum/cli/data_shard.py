"""`hilum data shard`: a data set as tar shards, for training from a disk, a server or a bucket."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from hilum.cli.options import Data, Json, KeepIds, Option


class Encoding(StrEnum):
    """How films are stored."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"
    ORIGINAL = "original"


def shard(
    source: Annotated[str, typer.Argument(help="A name, or kind:path; see 'hilum data list'.")],
    out: Annotated[str, typer.Option(help="Folder to write to, or s3://BUCKET/PREFIX.")],
    size: Annotated[
        int | None,
        typer.Option(help="Pixels of the shorter side; otherwise films stay as they are."),
    ] = None,
    encoding: Annotated[
        Encoding,
        typer.Option(help="png and webp lose nothing, jpeg little; original copies each file."),
    ] = Encoding.PNG,
    per_shard: Annotated[
        int | None, typer.Option(help="Images a shard. Otherwise 1,000, or what 256 MB hold.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Threads that read and encode. Otherwise one a processor.")
    ] = None,
    resume: Annotated[
        bool, typer.Option(help="Go on with an interrupted run; --no-resume replaces what it left.")
    ] = True,
    broken_limit: Annotated[
        float | None,
        typer.Option(help="Share of films that may be unreadable before it stops, 0.01 otherwise."),
    ] = None,
    option: Option = None,
    data: Data = None,
    keep_ids: KeepIds = False,
    as_json: Json = False,
) -> None:
    """Write a data set as WebDataset shards: tar files of films and labels, with a manifest.

    A run that was interrupted goes on when the same command is given again.

    Example: hilum data shard nih:/data/nih --out shards/nih --size 512 --encoding jpeg
    """
    from hilum.cli.options import source_options
    from hilum.cli.show import counting, print_json, say
    from hilum.cli.work import open_cohort, tell_broken
    from hilum.data.reading import Quarantine
    from hilum.data.shards.form import Form
    from hilum.data.shards.writing import write_shards

    changes = [*(option or ()), f"source={source}"]
    if broken_limit is not None:
        changes.append(f"broken_limit={broken_limit}")
    options, reading = source_options(changes)
    form = Form(encoding.value, size, per_shard)
    cohort = open_cohort(options, reading, data)
    quarantine = Quarantine(len(cohort), options.broken_limit)
    try:
        with counting(f"writing {out}", "films") as progress:
            manifest = write_shards(
                cohort,
                out,
                form,
                keep_ids=keep_ids,
                workers=workers,
                resume=resume,
                quarantine=quarantine,
                progress=progress,
            )
    except KeyboardInterrupt:
        say(f"{out}: not finished; the same command goes on after the last whole shard")
        raise
    tell_broken(quarantine.broken)
    total = sum(each.bytes for each in manifest.shards)
    if as_json:
        summary = manifest.model_dump(mode="json", exclude={"shards": {"__all__": {"sha256"}}})
        print_json({"out": out, "bytes": total, **summary})
        return
    print(
        f"{out}: {manifest.n:,} films in {len(manifest.shards):,} "
        f"shard{'s' * (len(manifest.shards) > 1)}, {total / 2**20:,.1f} MB"
        + (f"; {manifest.broken:,} of {len(cohort):,} could not be read" if manifest.broken else "")
    )
    print(f"use them as shards:{out}")
