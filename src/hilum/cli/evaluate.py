"""`hilum evaluate`: what a bundle, or anybody's predictions, are worth on known images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hilum.cli.options import (
    AllowSeen,
    Data,
    EngineName,
    Group,
    Json,
    KeepIds,
    LeaveOutSeen,
    On,
    Option,
    OptionalBundleName,
    Out,
    Prevalence,
)

_PREDICTIONS = "Of anybody's predictions"


def _column(flag: str, what: str) -> Any:
    """A flag that names a column of the file."""
    return typer.Option(flag, metavar="COLUMN", help=what, rich_help_panel=_PREDICTIONS)


def evaluate(
    bundle: OptionalBundleName = None,
    on: On = None,
    out: Out = Path("outputs"),
    data: Data = None,
    option: Option = None,
    allow_seen: AllowSeen = False,
    leave_out_seen: LeaveOutSeen = False,
    keep_ids: KeepIds = False,
    prevalence: Prevalence = None,
    group: Group = None,
    as_json: Json = False,
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV or Parquet from any framework, one row per image, instead of a bundle.",
            rich_help_panel=_PREDICTIONS,
        ),
    ] = None,
    image_id: Annotated[str | None, _column("--id", "The image's id.")] = None,
    label: Annotated[
        str | None, _column("--label", "1 present, 0 absent, empty unknown (or true, false).")
    ] = None,
    prob: Annotated[str | None, _column("--prob", "The probability, in [0, 1].")] = None,
    logit: Annotated[
        str | None, _column("--logit", "The raw logit, when there is no probability.")
    ] = None,
    patient: Annotated[str | None, _column("--patient", "The patient's id.")] = None,
    finding: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=LABEL,PROB]",
            help="The finding, and its columns; for several, repeat it. Without columns: "
            "label_name and prob_name or logit_name. With a logit: NAME=LABEL,,LOGIT.",
            rich_help_panel=_PREDICTIONS,
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help="The deployed operating point, on probability. Otherwise 0.5.",
            rich_help_panel=_PREDICTIONS,
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What the report calls the images. Otherwise the file's name.",
            rich_help_panel=_PREDICTIONS,
        ),
    ] = None,
    lungs: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Lung masks, named as the films are, to align maps by."),
    ] = None,
    engine: EngineName = None,
    role: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What the images were used for. Otherwise test.",
            rich_help_panel=_PREDICTIONS,
        ),
    ] = None,
) -> None:
    """Evaluate a bundle or anybody's predictions: figures with intervals, pictures, a report.

    Columns are found by their usual names (image_id, label, prob, logit, patient_id, …); flags
    name others.

    Example: hilum evaluate models/pneumoniamnist --on pneumoniamnist:test --out outputs

    Example: hilum evaluate --predictions theirs.csv --label y --prob p --out outputs
    """
    from hilum.cli import judging, options
    from hilum.errors import HilumError
    from hilum.evaluation.foreign import Headers

    by = options.groups_of(group)
    options.refuse_outside("--prevalence", prevalence or [], ends=False)
    theirs = {
        "--id": image_id, "--label": label, "--prob": prob, "--logit": logit,
        "--patient": patient, "--finding": finding, "--threshold": threshold,
        "--source": source, "--role": role,
    }  # fmt: skip
    if predictions is not None:
        options.refuse_beside(
            "--predictions",
            {
                "BUNDLE": bundle,
                "--on": on,
                "--data": data,
                "--option": option,
                "--lungs": lungs,
                "--engine": engine,
            },
        )
        options.refuse_outside("--threshold", [] if threshold is None else [threshold], ends=True)
        judging.evaluate_predictions(
            predictions,
            Headers(image_id, label, prob, logit, patient, tuple(finding or ()), by or ()),
            out,
            threshold=threshold,
            source=source or predictions.name,
            role=role or "test",
            prevalences=prevalence or (),
            as_json=as_json,
        )
    elif bundle is not None:
        seen = options.what_of_seen(allow_seen, leave_out_seen)
        options.refuse_beside("a BUNDLE", theirs)
        judging.evaluate_on(
            bundle,
            on or "",
            data,
            out,
            options=option or (),
            seen=seen,
            keep_ids=keep_ids,
            prevalences=prevalence or (),
            by=by,
            lungs=lungs,
            engine=engine,
            as_json=as_json,
        )
    else:
        raise HilumError(
            "evaluate", "nothing to evaluate", expected="a BUNDLE, or --predictions FILE"
        )
