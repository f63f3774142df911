"""`hilum monitor`: a bundle in service, watched from its record alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.cli.options import BundleName, Json, Out

if TYPE_CHECKING:
    from hilum.bundle import Bundle
    from hilum.robustness.monitoring.days import Stream


def monitor(
    bundle: BundleName,
    log: Annotated[
        Path, typer.Option(metavar="DIR", help="The record, as 'hilum predict --log' writes it.")
    ],
    out: Out = Path("monitored"),
    reference: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A record of quiet days. Otherwise the log's first days."),
    ] = None,
    reference_days: Annotated[
        int | None,
        typer.Option(
            min=1, help="How many first days are the reference; whole weeks. Otherwise 14."
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV of late labels: input (digest) or image_id (file), label_{finding}.",
        ),
    ] = None,
    least: Annotated[
        int, typer.Option(min=2, help="Films of a day that can be judged; fewer are pooled.")
    ] = 20,
    horizon: Annotated[int, typer.Option(min=1, help="Days for which --false-alarms holds.")] = 60,
    false_alarms: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Of quiet services, how many may raise any alarm."),
    ] = 0.05,
    as_json: Json = False,
) -> None:
    """Watch a bundle in service: drift of films, scores and refusals by day, and late labels.

    Example: hilum monitor models/pneumoniamnist --log record --out monitored

    Example: hilum monitor models/pneumoniamnist --log record --labels labels.csv
    """
    import numpy as np

    from hilum.cli.judging import SEED, output_folder, refuse_inside
    from hilum.cli.options import refuse_beside, refuse_outside
    from hilum.cli.show import counting, print_json, say
    from hilum.foreign import open_model
    from hilum.robustness.monitoring.drift import first_days, judged_days, watch
    from hilum.robustness.monitoring.labels import read_labels
    from hilum.robustness.monitoring.report import FILES, write_monitor
    from hilum.robustness.monitoring.sequential import judged_claims

    refuse_outside("--false-alarms", [false_alarms], ends=False)
    if reference is not None:
        refuse_beside("--reference", {"--reference-days": reference_days})
    loaded = open_model(bundle)
    refuse_inside(out, loaded)
    stream, synthetic, warnings = _stream(loaded, log)
    if reference is None:
        quiet, later = first_days(stream, reference_days or 14)
    else:
        quiet, made, more = _stream(loaded, reference)
        later, synthetic, warnings = stream, synthetic or made, [*more, *warnings]
    judged_days(later, least)  # before the minute that limits take
    late = read_labels(labels, stream) if labels is not None else None
    with output_folder(out):
        with counting("simulating", "quiet services") as progress:
            limits = watch(
                quiet,
                rng=np.random.default_rng(SEED),
                least=least,
                share=false_alarms,
                horizon=horizon,
                progress=progress,
            )
        found = limits.judge(later)
        tests = judged_claims(loaded, stream, late.label_nf) if late is not None else []
        if late is not None and late.unknown:
            warnings.append(f"{labels}: {late.unknown:,} films are not in the record")
        if len(found.days) > horizon:
            warnings.append(
                f"{len(found.days)} days were judged and limits hold for {horizon}: take the last "
                "quiet days as a new --reference"
            )
        told = write_monitor(
            out, found, tests, bundle=loaded, warnings=warnings, synthetic=synthetic
        )
    if as_json:
        print_json({"out": str(out), **told})
        return
    if synthetic:
        say("warning: SYNTHETIC: no patient stands behind these films or this bundle")
    for sentence in told["told"]:
        print(sentence)
    for warning in warnings:
        print(f"warning: {warning}")
    print(f"{out}: {', '.join(FILES)}")
    print(told["note"])


def _stream(bundle: Bundle, folder: Path) -> tuple[Stream, bool, list[str]]:
    """The bundle's own lines of a record, whether any is synthetic, and what to tell of others."""
    from hilum.errors import DataError
    from hilum.robustness.monitoring.days import stream_of
    from hilum.robustness.monitoring.record import read_record

    record = read_record(folder)
    own = [line for line in record.lines if line.bundle == bundle.digest]
    notes: Sequence[str] = record.notes
    if not own:
        raise DataError(
            folder,
            f"none of its {len(record.lines):,} lines is of this bundle",
            expected=f"lines of the bundle {bundle.digest[:12]}",
            remedy="name the bundle that answered",
        )
    if len(own) < len(record.lines):
        others = len(record.lines) - len(own)
        notes = [*notes, f"{folder}: {others:,} lines are of other bundles and are left out"]
    stream = stream_of(own, bundle.findings)
    if len(stream) < len(own):
        again = len(own) - len(stream)
        notes = [*notes, f"{folder}: {again:,} films were answered again and count once"]
    return stream, any(line.synthetic for line in own), list(notes)
