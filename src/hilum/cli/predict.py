"""`hilum predict`: probabilities for films as they lie on a disk."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from hilum.cli.options import BundleName, EngineName, Json, KeepIds, Option


def predict(
    bundle: BundleName,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Films (DICOM, PNG, JPEG, TIFF) or folders; or one SOURCE, such as shards:DIR.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="File to write: .parquet or .csv. Otherwise printed.")
    ] = None,
    explain: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Also show where each answer comes from: a panel a film, raw maps."
        ),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Also add a line a film to a record, for 'hilum monitor'."
        ),
    ] = None,
    engine: EngineName = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse what is no chest film by its own header.")
    ] = False,
    broken_limit: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Stop when more than this share cannot be read."),
    ] = 0.1,
    option: Option = None,
    keep_ids: KeepIds = False,
    as_json: Json = False,
) -> None:
    """Give each film its probability and the decision at the deployed operating point.

    A bundle that knows when not to answer says which films it refers to a reader, and why. Of the
    engines that were exported beside it ('hilum export'), the fastest answers.

    Example: hilum predict models/pneumoniamnist films/ --out predictions.csv
    """
    import pandas as pd

    from hilum.abstention import REASONS
    from hilum.cli.images import is_source
    from hilum.cli.judging import output_folder, refuse_inside
    from hilum.cli.options import refuse_beside, refuse_outside
    from hilum.cli.show import counting, print_json, say
    from hilum.cli.work import oddities, open_cohort, tell_broken, tell_excluded, tell_oddities
    from hilum.data.reading import Quarantine
    from hilum.data.seen import pseudonymised
    from hilum.data.sources.films import films
    from hilum.engines import CARRIED, open_engine
    from hilum.evaluation.predictions import refuse_suffix
    from hilum.foreign import open_model
    from hilum.predict import predict as run
    from hilum.recipe import source_options
    from hilum.writing import refuse_unwritable, replacing

    refuse_outside("--broken-limit", [broken_limit], ends=True)
    if log is not None:
        refuse_beside("--log", {"--explain": explain})
    if out is not None:
        refuse_suffix(out)
        refuse_unwritable(out.parent)
    loaded = open_model(bundle)
    running = open_engine(loaded, engine)
    if log is not None:
        refuse_inside(log, loaded, "--log")
        refuse_unwritable(log)
    reading = loaded.manifest.reading
    of_source = is_source(paths)
    if of_source:
        refuse_beside("a SOURCE", {"--strict": strict or None})
        settings = source_options([*(option or ()), f"source={paths[0]}"])[0]
        cohort = open_cohort(settings, reading, None)
        if not keep_ids and loaded.manifest.salt is not None:
            cohort = pseudonymised(cohort, loaded.manifest.salt)
    else:
        refuse_beside("films", {"--option": option, "--keep-ids": keep_ids or None})
        cohort = films(paths, loaded.findings, reading, strict=strict)
    # One film alone is refused in its own words.
    quarantine = Quarantine(len(cohort), broken_limit if len(cohort) > 1 else 0)
    if explain is not None:
        from hilum.cli.explain import explain_films
        from hilum.explanation.evidence import Evidence
        from hilum.explanation.report import clear

        refuse_inside(explain, loaded, "--explain")
        with output_folder(explain):
            clear(explain)
            evidence = Evidence(cohort)
            found, _ = explain_films(
                loaded, evidence, explain, engine=running, quarantine=quarantine
            )
        predictions = found.predictions
    elif log is not None:
        from hilum.robustness.monitoring.answering import answer_on_record

        with counting("predicting", "films") as progress:
            predictions = answer_on_record(
                loaded, cohort, log, engine=running, quarantine=quarantine, progress=progress
            )
    else:
        with counting("predicting", "films") as progress:
            predictions = run(
                loaded, cohort, engine=running, quarantine=quarantine, progress=progress
            )
    tell_broken(quarantine.broken)
    tell_excluded(cohort)
    tell_oddities(cohort)
    if loaded.manifest.synthetic:
        say("warning: SYNTHETIC: trained on synthetic images; its answers mean nothing")
    if out is not None:
        predictions.write(out)
        if quarantine.broken:
            unread = [
                (cohort.table["image_id"].iloc[row], line.partition(": ")[2])
                for row, line in quarantine.broken.items()
            ]
            beside = out.with_suffix(".unreadable.csv")
            with replacing(beside) as draft:
                pd.DataFrame(unread, columns=["image_id", "reason"]).to_csv(draft, index=False)
            say(f"{beside}: {len(unread):,} films that could not be read")
    thresholds, policy = loaded.thresholds(), loaded.policy()
    unknown = [""] * len(predictions)
    refers = {
        finding: unknown if (said := predictions.referrals(finding)) is None else said
        for finding in predictions.findings
    }
    rows = [
        {
            "image_id": image_id,
            "finding": finding,
            "probability": round(float(predictions.prob(finding)[i]), 6),
            "decision": int(predictions.decision(finding)[i]),
            "threshold": thresholds[finding]["deployed"],
            "refer": refers[finding][i] or None,
        }
        for i, image_id in enumerate(predictions.image_id_n)
        for finding in predictions.findings
    ]
    if as_json:
        print_json(
            {
                "bundle": loaded.digest,
                "engine": running.name,
                "synthetic": loaded.manifest.synthetic,
                "policy": None if policy is None else policy.in_words(),
                "films": rows,
                "warnings": oddities(cohort),
                "unreadable": [
                    # What a source calls its films, which may be a pseudonym, and no path.
                    cohort.table["image_id"].iloc[row] if of_source else line
                    for row, line in quarantine.broken.items()
                ],
            }
        )
    elif out is not None:
        counts = Counter((row["finding"], row["refer"]) for row in rows if row["refer"])
        several = len(predictions.findings) > 1
        by = ", ".join(
            f"{n:,} by {reason}{f' for {finding}' if several else ''}"
            for (finding, reason), n in counts.items()
        )
        print(f"{out}: {len(predictions):,} films" + (f"; referred: {by}" if by else ""))
    else:
        for row in rows:
            sign = ">=" if row["decision"] else "<"
            referred = f"; refer: {REASONS[str(row['refer'])]}" if row["refer"] else ""
            print(
                f"{row['image_id']}: {row['finding']} {row['probability']:.4f} "
                f"({sign} {row['threshold']:.4g}){referred}"
            )
    if running.name != CARRIED:
        say(f"engine: {running.name}")
    say("Research use only: not a medical device.")
