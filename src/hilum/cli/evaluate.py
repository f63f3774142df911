"""`hilum evaluate`: what a bundle is worth on images it was not trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hilum.cli.options import Data, Json, Out


def evaluate(
    bundle: Annotated[Path, typer.Argument(help="A bundle, or the folder that holds one.")],
    on: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE[:ROLE]", help="By default the bundle's own source, role test."
        ),
    ] = None,
    out: Out = Path("outputs"),
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Evaluate a bundle: figures with intervals, pictures, every prediction.

    Example: hilum evaluate models/pneumoniamnist --on pneumoniamnist:test --out outputs
    """
    from hilum.bundle import load_bundle
    from hilum.cli.work import evaluate_bundle, open_cohort, open_cohort_or_phantom
    from hilum.data.cohort import ROLES
    from hilum.errors import HilumError
    from hilum.writing import refuse_unwritable

    loaded = load_bundle(bundle)
    refuse_unwritable(out)
    source, _, role = (on or "").partition(":")
    if role and role not in ROLES:
        raise HilumError("--on", f"role {role!r}", expected=", ".join(ROLES))
    if source and role not in ("", "test") and source != loaded.manifest.source:
        raise HilumError(
            f"--on {on}",
            f"the bundle was trained on {loaded.manifest.source}, which may hold these very films",
            expected="role test of another source",
        )
    if source:
        cohort = open_cohort(source, data)
    else:
        cohort = open_cohort_or_phantom(loaded.manifest.source, data)
    evaluate_bundle(loaded, cohort, role or "test", out, as_json=as_json)
