"""`hilum doctor`: what is installed, what this machine can do, what is wrong and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hilum.cli.options import Json


def doctor(
    measure: Annotated[
        Path | None,
        typer.Option(metavar="BUNDLE", help="Also time this bundle's engines, in a few seconds."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check this installation and this machine; exit code 1 when something is broken.

    Libraries, decoders and engines are tried, not looked up. What is printed names no person, host
    or folder: paste it into an issue as it is.

    Example: hilum doctor

    Example: hilum doctor --measure models/pneumoniamnist
    """
    from dataclasses import asdict

    from hilum.cli.show import print_json, say
    from hilum.doctor.checkup import examine
    from hilum.doctor.words import page

    found = examine()
    measured = []
    if measure is not None and found.broken:
        say(f"note: {measure} is not measured; mend what is broken first")
    elif measure is not None:
        from hilum.doctor.measuring import measure as run
        from hilum.foreign import open_model

        measured = run(open_model(measure))
    if as_json:
        print_json(found.to_dict() | {"measured": [asdict(each) for each in measured]})
    else:
        for line in page(found):
            print(line)
        for each in measured:
            print(f"measured: {each.engine} {each.images_per_s:,.0f} images/s")
    if found.broken:
        raise typer.Exit(1)
