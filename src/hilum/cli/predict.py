"""`hilum predict`: probabilities for films as they lie on a disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hilum.cli.options import Json


def predict(
    bundle: Annotated[Path, typer.Argument(help="A bundle, or the folder that holds one.")],
    paths: Annotated[list[Path], typer.Argument(help="Films (PNG, JPEG, TIFF) or folders.")],
    out: Annotated[
        Path | None, typer.Option(help="File to write: .parquet or .csv. Otherwise printed.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Give each film its probability and the decision at the deployed operating point.

    Example: hilum predict models/pneumoniamnist films/ --out predictions.csv
    """
    from hilum.bundle import load_bundle
    from hilum.cli.show import counting, print_json, say
    from hilum.data.sources.films import films
    from hilum.evaluation.predictions import refuse_suffix
    from hilum.predict import predict as run
    from hilum.writing import refuse_unwritable

    if out is not None:
        refuse_suffix(out)
        refuse_unwritable(out.parent)
    loaded = load_bundle(bundle)
    cohort = films(paths, loaded.findings)
    with counting("predicting", "films") as progress:
        predictions = run(loaded, cohort, progress=progress)
    if loaded.manifest.synthetic:
        say("warning: SYNTHETIC: trained on synthetic images; its answers mean nothing")
    if out is not None:
        predictions.write(out)
    thresholds = loaded.thresholds()
    rows = [
        {
            "image_id": image_id,
            "finding": finding,
            "probability": round(float(predictions.prob(finding)[i]), 6),
            "decision": int(predictions.decision(finding)[i]),
            "threshold": thresholds[finding]["deployed"],
        }
        for i, image_id in enumerate(predictions.image_id_n)
        for finding in predictions.findings
    ]
    if as_json:
        print_json({"bundle": loaded.digest, "synthetic": loaded.manifest.synthetic, "films": rows})
    elif out is not None:
        print(f"{out}: {len(predictions):,} films")
    else:
        for row in rows:
            sign = ">=" if row["decision"] else "<"
            print(
                f"{row['image_id']}: {row['finding']} {row['probability']:.4f} "
                f"({sign} {row['threshold']:.4g})"
            )
    say("Research use only: not a medical device.")
