"""`hilum card`: the model card of a bundle, with what has been found out about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hilum.cli.options import BundleName, Json


def card(
    bundle: BundleName,
    results: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            metavar="DIR",
            help="A folder that hilum evaluate, stress, novelty, explain or validate wrote for "
            "this bundle; may be repeated. What is not given the card names as not known.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Otherwise card.md in the bundle.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the model card: use, population, figures, failures, shortcuts, change plan.

    Its front matter is what the Hugging Face Hub reads.

    Example: hilum card models/pneumoniamnist --from outputs --from stressed

    Example: hilum card models/pneumoniamnist --from outputs --out hub/README.md
    """
    from hilum.card import read_results, write_card
    from hilum.cli.show import print_json
    from hilum.foreign import open_model

    loaded = open_model(bundle)
    path = write_card(loaded, read_results(results or (), loaded.digest), out)
    if as_json:
        print_json({"card": str(path), "bundle": loaded.digest})
        return
    print(f"{path}: the card of {loaded.manifest.name}, digest {loaded.digest[:16]}")
    print(loaded.manifest.intended_use)
