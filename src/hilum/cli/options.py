"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path | None,
    typer.Option(
        help="File or folder of the data set. Otherwise HILUM_DATA, ~/.medmnist, a download."
    ),
]
Out = Annotated[Path, typer.Option(help="Folder to write to.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe, e.g. train.epochs=3."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where a run was interrupted.")]
