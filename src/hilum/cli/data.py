"""`hilum data`: which data sets there are, how one gets them, and what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.cli.completing import sources
from hilum.cli.data_shard import shard
from hilum.cli.options import Data, Json, KeepIds, Option

if TYPE_CHECKING:
    from hilum.data.checking.checking import Looked
    from hilum.recipe import DataPart, ReadingPart

data_app = typer.Typer(no_args_is_help=True, help="List, fetch, check and shard data sets.")
data_app.command()(shard)


@data_app.command("list")
def list_(as_json: Json = False) -> None:
    """Tell what kinds of source there are, and which data sets are at hand.

    Example: hilum data list
    """
    import os

    from hilum.cli.show import print_json
    from hilum.data.checking.at_hand import EXAMPLES, found_in
    from hilum.data.sources import SOURCES

    named = os.environ.get("HILUM_DATA")
    at_hand = found_in(Path(named)) if named else []
    if as_json:
        kinds = {name: vars(kind) | {"example": EXAMPLES[name]} for name, kind in SOURCES.items()}
        print_json({"kinds": kinds, "folder": named, "at_hand": at_hand})
        return
    for name, kind in SOURCES.items():
        print(f"{kind.spelled}")
        print(f"  {kind.what}")
        print(f"  options: {', '.join(kind.options)}")
        print(f"  hilum data check {EXAMPLES[name]}")
    if named is None:
        print("HILUM_DATA is not set: it may name the folder of data sets")
        return
    print(f"in {named}: {'' if at_hand else 'none of these'}")
    for source in at_hand:
        print(f"  {source}")


@data_app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="pneumoniamnist, or with @28, @64, @128, @224.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder to keep it in. Otherwise ~/.medmnist.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Download a public data set and see that it is whole; tell how to get those that forbid it.

    Example: hilum data fetch pneumoniamnist@224
    """
    from hilum.cli.show import counting, print_json, say
    from hilum.data.checking.origins import refuse_to_fetch
    from hilum.data.sources.medmnist import archive_name, fetch_archive, pneumoniamnist
    from hilum.errors import DataError

    kind, _, size = name.partition("@")
    if kind != "pneumoniamnist":
        refuse_to_fetch(name)
    if size and not size.isdecimal():
        raise DataError(name, f"size {size!r}", expected="28, 64, 128 or 224")
    side = int(size or 28)
    folder = data or Path.home() / ".medmnist"
    path = folder / archive_name(side)
    there = path.is_file()
    if not there:
        with counting(f"downloading {path.name}", "bytes") as progress:
            fetch_archive(side, folder, progress)
    cohort = pneumoniamnist(side, data=path)
    for warning in cohort.warnings:
        say(f"warning: {warning}")
    if as_json:
        print_json({"file": str(path), "n_images": len(cohort), "warnings": list(cohort.warnings)})
    else:
        print(f"{path}: {len(cohort):,} images{', was there already' if there else ''}")


@data_app.command()
def check(
    source: Annotated[
        str,
        typer.Argument(help="A name, or kind:path; see 'hilum data list'.", autocompletion=sources),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for check.json, contact sheet and tables. Otherwise none."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="Look for its films and patients in this one, too."),
    ] = None,
    pixels: Annotated[
        bool,
        typer.Option(
            "--pixels/--no-pixels",
            help="Read every film, which finds broken ones and duplicates; or headers alone.",
        ),
    ] = True,
    croissant: Annotated[
        bool, typer.Option("--croissant", help="Write croissant.json and images.csv, too.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the contact sheet and planned roles.")] = 0,
    option: Option = None,
    data: Data = None,
    keep_ids: KeepIds = False,
    as_json: Json = False,
) -> None:
    """Tell what a data set holds: labels, groups, films, duplicates, leaks, what cannot be read.

    Ids are pseudonyms, anew in each run, unless they are public. Films on the sheet are films of
    patients: it belongs where they belong.

    Example: hilum data check folder:site_b/labels.csv --option columns.label=pneumonia --out check

    Example: hilum data check rsna:rsna --against nih:nih
    """
    import secrets

    from hilum.cli.judging import output_folder
    from hilum.cli.options import source_options
    from hilum.cli.show import print_json, say
    from hilum.data.checking.checking import check as run
    from hilum.data.checking.croissant import need_croissant, write_croissant
    from hilum.data.checking.files import write_check
    from hilum.data.checking.naming import Naming
    from hilum.data.checking.words import summary
    from hilum.errors import HilumError
    from hilum.recipe import DataPart

    options, reading = source_options([*(option or ()), f"source={source}"])
    if croissant:
        if out is None:
            raise HilumError("--croissant", "needs a folder to write to", remedy="name it by --out")
        need_croissant()
    looked = _look(options, reading, data, pixels=pixels)
    other = None
    if against is not None:
        other = _look(DataPart(source=against), reading, None, pixels=pixels)
    naming = Naming.of(looked.cohort, secrets.token_hex(16), keep_ids=keep_ids)
    checked = run(looked, options, naming, other=other, seed=seed)
    files = []
    if out is not None:
        with output_folder(out):
            files = write_check(out, checked, looked, naming, seed=seed)
            if croissant:
                files += write_croissant(out, looked.cohort, naming)
    if as_json:
        print_json(checked.result.to_dict() | {"files": files})
        return
    for line in summary(checked.result):
        print(line)
    if out is not None:
        print(f"{out}: {', '.join(files)}")
    say("Research use only: not a medical device.")


def _look(options: DataPart, reading: ReadingPart, data: Path | None, *, pixels: bool) -> Looked:
    """Open a source and look at its films, with a bar for each."""
    from hilum.cli.show import counting
    from hilum.data.checking.checking import Looked
    from hilum.data.checking.survey import survey
    from hilum.data.fingerprints import fingerprints
    from hilum.data.sources import open_source

    with counting(f"opening {options.source}", "done") as progress:
        cohort = open_source(options.source, options, reading, data=data, progress=progress)
    with counting("reading headers", "films") as progress:
        found = survey(cohort, progress)
    if not pixels:
        return Looked(cohort, found, None)
    with counting("looking at films", "films") as progress:
        return Looked(cohort, found, fingerprints(cohort, read_anew=True, progress=progress))
