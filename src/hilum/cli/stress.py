"""`hilum stress`: how a bundle holds up when films are not as they should be."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.cli.options import (
    AllowSeen,
    BundleName,
    Data,
    Json,
    LeaveOutSeen,
    On,
    Option,
    Out,
    what_of_seen,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hilum.data.faults import Fault
    from hilum.robustness.family import Family
    from hilum.robustness.relative_error import RelativeError
    from hilum.robustness.stress import Stress


class Corruptions(StrEnum):
    """Whose corruptions."""

    ACQUISITION = "acquisition"
    MEDMNIST_C = "medmnist-c"


def stress(
    bundle: BundleName,
    on: On = None,
    out: Out = Path("stressed"),
    family: Annotated[
        Corruptions,
        typer.Option(
            help="acquisition: faults at the X-ray unit, and artefacts. medmnist-c: "
            "PneumoniaMNIST's published ones, and errors relative to AlexNet's; needs the package "
            "medmnistc."
        ),
    ] = Corruptions.ACQUISITION,
    corruption: Annotated[
        list[str] | None,
        typer.Option(help="One of the family, such as blur; may be repeated. Otherwise all."),
    ] = None,
    severity: Annotated[
        list[int] | None,
        typer.Option(min=1, max=5, help="1 to 5; may be repeated. Otherwise all five."),
    ] = None,
    data: Data = None,
    option: Option = None,
    allow_seen: AllowSeen = False,
    leave_out_seen: LeaveOutSeen = False,
    as_json: Json = False,
) -> None:
    """Judge a bundle under faults and artefacts of films, each at five severities.

    Example: hilum stress models/pneumoniamnist --out stressed

    Example: hilum stress models/pneumoniamnist --corruption blur --corruption jpeg --severity 3

    Example: hilum stress models/pneumoniamnist --family medmnist-c --out stressed
    """
    from hilum.cli.images import asked_for, images_of_role
    from hilum.cli.judging import output_folder, record_opening, refuse_inside
    from hilum.cli.show import counting, print_json, say
    from hilum.cli.work import open_cohort, open_cohort_or_phantom, tell_broken
    from hilum.data.faults import SEVERITIES
    from hilum.data.reading import Quarantine
    from hilum.foreign import open_model
    from hilum.robustness.stress import stress as run
    from hilum.robustness.stress_report import FILES, write_stress

    seen = what_of_seen(allow_seen, leave_out_seen)
    loaded = open_model(bundle)
    corruptions = _family(family)
    chosen = _chosen(corruption, corruptions)
    refuse_inside(out, loaded)
    settings, role = asked_for(loaded, on or "", option or ())
    with output_folder(out):
        open_ = open_cohort if on else open_cohort_or_phantom
        cohort = open_(settings, loaded.manifest.reading, data)
        films, warnings = images_of_role(loaded, cohort, role, settings, seen=seen)
        reference = corruptions.reference and corruptions.reference.beside(films.name, role)
        quarantine = Quarantine(len(films), settings.broken_limit)
        with counting("corrupting", "conditions") as progress:
            found = run(
                loaded,
                films,
                corruptions=chosen,
                severities=sorted(set(severity or SEVERITIES)),
                reference=reference,
                quarantine=quarantine,
                progress=progress,
            )
        tell_broken(quarantine.broken)
        synthetic = films.synthetic or loaded.manifest.synthetic
        told = write_stress(
            out,
            found,
            corruptions,
            bundle=loaded.digest,
            source=films.name,
            synthetic=synthetic,
        )
        auroc = {f: each["auroc"].value for f, each in found.clean.items()}
        record_opening(loaded, role, films.name, found.n, auroc)
    if as_json:
        print_json({"out": str(out), "warnings": warnings, **told})
        return
    if synthetic:
        say("warning: SYNTHETIC: no patient stands behind these films or this bundle")
    _say_figures(found)
    for warning in warnings:
        print(f"warning: {warning}")
    print(f"{out}: {', '.join(FILES)}")
    print(told["note"])


def _family(name: Corruptions) -> Family:
    """Raises HilumError where the package that a family needs is not installed."""
    if name is Corruptions.MEDMNIST_C:
        from hilum.robustness.medmnist_c import medmnist_c

        return medmnist_c()
    from hilum.robustness.corruptions import ACQUISITION

    return ACQUISITION


def _chosen(names: list[str] | None, family: Family) -> Mapping[str, Fault]:
    """Corruptions of a family by name. Raises HilumError for one that is none."""
    from difflib import get_close_matches

    from hilum.errors import HilumError

    for name in names or ():
        if name not in family.corruptions:
            near = get_close_matches(name, family.corruptions, n=1)
            raise HilumError(
                "--corruption",
                f"no corruption {name!r} in the family {family.name}",
                expected=", ".join(family.corruptions),
                remedy=f"did you mean {near[0]}?" if near else None,
            )
    return {name: family.corruptions[name] for name in names or family.corruptions}


def _say_figures(found: Stress) -> None:
    """Each corruption at its worst, and the mean over all."""
    height, width = found.first_hw
    print(f"films are corrupted as they are stored; the first has {width} × {height} pixels")
    for finding, clean in found.clean.items():
        print(f"{finding}: {found.n:,} films")
        for name, each in clean.items():
            print(f"  as they are: {name.replace('_', ' '):20s} {each.in_words()}")
        mean = found.balanced_accuracy[finding].in_words()
        print(f"  balanced accuracy over {len(found.conditions)} conditions: {mean}")
        if finding in found.relative_error:
            _say_relative(found.relative_error[finding])
        for corruption in dict.fromkeys(each.corruption for each in found.conditions):
            rows = [each for each in found.conditions if each.corruption == corruption]
            worst = min(rows, key=lambda c: c.figures[finding]["balanced_accuracy"].b.value or 0.0)
            figures = worst.figures[finding]
            missed = max(
                (each.figures[finding]["false_negative_rate"].b for each in rows),
                key=lambda rate: rate.value or 0.0,
            )
            print(
                f"  {corruption.replace('_', ' '):18s} at its worst, severity {worst.severity}: "
                f"AUROC {figures['auroc'].b.in_words(3)}, "
                f"balanced accuracy {figures['balanced_accuracy'].b.in_words(3)}, "
                f"false-negative rate up to {missed.in_words(3)}"
            )


def _say_relative(error: RelativeError) -> None:
    name = error.reference.name
    print(f"  error as a multiple of {name}'s, BE: {error.relative.in_words()}")
    print(f"  its rise as a multiple of {name}'s, rBE: {error.relative_rise.in_words()}")
    if error.relative_rise.value is not None and error.left_out:
        print(
            f"    without {', '.join(error.left_out)}: under these {name} errs less than on the "
            "films as they are, and its rise is no denominator"
        )
