"""`hilum export`: further engines beside a bundle, each held against torch first."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.cli.options import BundleName, Data, Json

if TYPE_CHECKING:
    from hilum.engines import Exported


ROLE = "calibrate"  # whose films every engine is held against


class Runtime(StrEnum):
    """What is to run the engine."""

    OPENVINO = "openvino"
    ONNX = "onnx"


def export(
    bundle: BundleName,
    to: Annotated[
        Runtime,
        typer.Option(
            help="openvino, which needs hilum\\[export] for --int8; or onnx, one file with its "
            "weights, which needs hilum\\[export,train]."
        ),
    ],
    int8: Annotated[
        bool, typer.Option("--int8", help="Convolutions in 8-bit integers: the fastest.")
    ] = False,
    bf16: Annotated[
        bool, typer.Option("--bf16", help="In bfloat16, where the processor multiplies in it.")
    ] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Put a further engine beside a bundle, once it is seen to agree with torch.

    Agreement is measured on the bundle's calibrate films, and kept. An engine that lies too far
    from torch is not written. Without --int8 or --bf16, OpenVINO's fp32 engine, which every bundle
    carries, is measured anew.

    Example: hilum export models/pneumoniamnist --to openvino --int8

    Example: hilum export models/pneumoniamnist --to onnx
    """
    from hilum.bundle import load_bundle
    from hilum.cli.images import choose
    from hilum.cli.options import refuse_beside
    from hilum.cli.show import counting, print_json, say
    from hilum.cli.work import open_cohort, tell_broken
    from hilum.data.reading import Quarantine
    from hilum.engines import CARRIED
    from hilum.exporting.agreement import read_films
    from hilum.exporting.exporting import export as run
    from hilum.exporting.exporting import (
        reference_engine,
        refuse_impossible,
        refuse_shipped,
    )

    if to is Runtime.ONNX:
        refuse_beside("--to onnx", {"--int8": int8 or None, "--bf16": bf16 or None})
        names = ["onnx-f32"]
    else:
        asked = {"openvino-int8": int8, "openvino-bf16": bf16}
        names = [name for name, wanted in asked.items() if wanted] or [CARRIED]
    for name in names:
        refuse_impossible(name)
    loaded = load_bundle(bundle)
    refuse_shipped(loaded)
    reference = reference_engine(loaded, fp32=names[0].endswith("-f32"))
    cohort = open_cohort(loaded.data, loaded.manifest.reading, data)
    chosen = choose(loaded, cohort, ROLE, loaded.data, seen="allow")
    for warning in chosen.told:
        say(f"warning: {warning}")
    quarantine = Quarantine(len(chosen.films), loaded.data.broken_limit)
    with counting(f"asking {reference.name}", "films") as progress:
        films = read_films(
            loaded, chosen.films, ROLE, reference, quarantine=quarantine, progress=progress
        )
    tell_broken(quarantine.broken)
    done = []
    for name in names:
        say(f"making {name}")
        done.append(run(loaded, name, films))
        if not as_json:
            print(f"{loaded.folder / 'engines' / name}: {in_words(done[-1])}")
    if as_json:
        print_json(
            {"bundle": loaded.digest, "engines": [each.record.model_dump() for each in done]}
        )


def in_words(engine: Exported) -> str:
    """What is known of an engine, in a line."""
    record = engine.record
    found, speed = record.agreement, record.speed
    ranks = ", ".join(
        f"AUROC of {finding} moves by {each.difference:.4f}"
        for finding, each in found.auroc.items()
        if each.difference is not None
    )
    decisions = sum(found.decisions_changed.values())
    referrals = sum(found.referrals_changed.values())
    opset = f", opset {record.opset}" if record.opset else ""
    return (
        f"{record.runtime} {record.precision}{opset}; against {found.reference} on {found.n:,} "
        f"{found.role} films a probability moves by up to "
        f"{found.largest_probability_difference:.2g}, on average by "
        f"{found.mean_probability_difference:.2g}; {ranks}; {decisions:,} decisions and "
        f"{referrals:,} referrals change; {speed.images_per_s:,.0f} images/s where the bundle's "
        f"own made {speed.carried_images_per_s:,.0f}"
    )
