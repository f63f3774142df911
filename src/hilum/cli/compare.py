"""`hilum compare`: whether two classifiers can be told apart on the same images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.cli.options import Json

if TYPE_CHECKING:
    from hilum.evaluation.predictions import Predictions

_Predictions = Annotated[
    Path, typer.Argument(help="Predictions as Parquet or CSV, Hilum's own or anybody's.")
]


def compare(
    predictions_a: _Predictions,
    predictions_b: _Predictions,
    finding: Annotated[
        list[str] | None, typer.Option(help="A finding in both; may be repeated. Otherwise all.")
    ] = None,
    figure: Annotated[
        list[str] | None,
        typer.Option(
            help="auroc, brier, sensitivity ...; may be repeated. Otherwise the usual thirteen."
        ),
    ] = None,
    threshold_a: Annotated[
        float | None,
        typer.Option(metavar="P", help="A calls positive from P upward. Otherwise as A's file."),
    ] = None,
    threshold_b: Annotated[
        float | None,
        typer.Option(metavar="P", help="B calls positive from P upward. Otherwise as B's file."),
    ] = None,
    threshold_probability: Annotated[
        list[float] | None,
        typer.Option(metavar="P", help="Net benefit if one acts from P upward; may be repeated."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write: .json.")] = None,
    as_json: Json = False,
) -> None:
    """Compare two classifiers on the same images: differences, intervals, tests.

    Example: hilum compare old.parquet new.parquet --threshold-probability 0.1
    """
    import numpy as np

    from hilum.cli.show import counting, print_json
    from hilum.errors import HilumError
    from hilum.evaluation.comparison.comparing import compare as run
    from hilum.evaluation.comparison.words import in_words
    from hilum.writing import refuse_unwritable

    if out is not None:
        if out.suffix != ".json":
            raise HilumError(out, f"suffix {out.suffix!r}", expected=".json")
        refuse_unwritable(out.parent)
    a, said_a, threshold_a = _read("A", predictions_a, threshold_a)
    b, said_b, threshold_b = _read("B", predictions_b, threshold_b)
    with counting("comparing", "findings") as progress:
        comparison = run(
            a,
            b,
            rng=np.random.default_rng(0),
            findings=finding,
            figures=figure,
            threshold_a=threshold_a,
            threshold_b=threshold_b,
            threshold_probabilities=threshold_probability or (),
            cautions=[*said_a, *said_b],
            progress=progress,
        )
    if out is not None:
        comparison.write(out)
    if as_json:
        print_json(comparison.to_dict())
        return
    for line in in_words(comparison):
        print(line)
    for caution in comparison.cautions:
        print(f"caution: {caution}")
    if out is not None:
        print(out)
    print("Research use only: not a medical device.")


def _read(
    which: str, path: Path, threshold: float | None
) -> tuple[Predictions, list[str], float | None]:
    """The predictions, what reading them has told, and from where they call positive."""
    from hilum.errors import EvaluationError
    from hilum.evaluation.foreign import read_foreign

    try:
        read = read_foreign(path)
    except EvaluationError as error:
        if "--" not in (error.remedy or ""):
            raise
        # Its remedy names flags of another verb.
        remedy = (
            f"'hilum evaluate --predictions {path.name}' has flags that name columns; compare the "
            "predictions.parquet that it writes"
        )
        raise EvaluationError(
            error.where, error.found, expected=error.expected, remedy=remedy
        ) from error
    told = [f"{which}: {warning}" for warning in read.warnings]
    if threshold is None and all(each.decision is None for each in read.columns.findings):
        told.append(
            f"{which} holds no decisions: probability >= 0.5 stands in; set "
            f"--threshold-{which.lower()} to the one in use"
        )
        threshold = 0.5
    return read.predictions, told, threshold
