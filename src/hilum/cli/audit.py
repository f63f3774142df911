"""`hilum audit`: whether the record of a service is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hilum.cli.options import Json

audit_app = typer.Typer(no_args_is_help=True, help="The record that 'hilum serve --audit' writes.")


@audit_app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="The folder that was given with --audit.")],
    expect: Annotated[
        str | None,
        typer.Option(
            metavar="HASH",
            help="The head that was noted before and must still be there: only so is it known that "
            "the last lines were not cut off.",
        ),
    ] = None,
    begins: Annotated[
        str | None,
        typer.Option(
            metavar="HASH", help="Head of the earlier files, where these were moved away."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Hold every line of a record against its hash and the line before; exit code 1 when broken.

    Example: hilum audit verify record --expect 3f9c…
    """
    from dataclasses import asdict

    from hilum.cli.show import print_json
    from hilum.errors import HilumError
    from hilum.serving.audit import FIRST, is_hash
    from hilum.serving.audit import verify as run

    for flag, value in (("--expect", expect), ("--begins", begins)):
        if value is not None and not is_hash(value):
            raise HilumError(flag, f"{value!r}", expected="64 hexadecimal digits")
    found = run(folder, begins=begins or FIRST, expect=expect)
    if as_json:
        print_json({**asdict(found), "intact": found.intact})
    else:
        for problem in found.problems:
            print(f"broken: {problem}")
        for note in found.notes:
            print(f"note: {note}")
        print(
            f"{folder}: {'intact' if found.intact else 'BROKEN'}, {found.lines:,} lines in "
            f"{found.files:,} files ({found.answered:,} answered, {found.explained:,} explained, "
            f"{found.rejected:,} rejected)"
        )
        print(f"head: {found.head}")
    if not found.intact:
        raise typer.Exit(1)
