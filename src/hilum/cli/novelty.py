"""`hilum novelty`: does a bundle know what it should not answer?"""

from __future__ import annotations

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
    from hilum.bundle import Bundle
    from hilum.data.cohort import Cohort
    from hilum.robustness.novelty import NoveltyCheck


def novelty(
    bundle: BundleName,
    on: On = None,
    out: Out = Path("novelty"),
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=WHERE",
            help="Images that should be told from the films: a folder, or a SOURCE; may be "
            "repeated, e.g. hips=films/hips or adults=nih:/data/nih.",
        ),
    ] = None,
    data: Data = None,
    option: Option = None,
    allow_seen: AllowSeen = False,
    leave_out_seen: LeaveOutSeen = False,
    as_json: Json = False,
) -> None:
    """Ask a bundle's gate and novelty about films, outliers made from them, and others.

    Example: hilum novelty models/pneumoniamnist --out novelty

    Example: hilum novelty models/pneumoniamnist --against hips=films/hips --against adults=nih:nih
    """
    from hilum.cli.images import asked_for, images_of_role
    from hilum.cli.judging import output_folder, record_opening, refuse_inside
    from hilum.cli.show import counting, print_json, say
    from hilum.cli.work import open_cohort, open_cohort_or_phantom, tell_broken
    from hilum.data.reading import Quarantine
    from hilum.foreign import open_model
    from hilum.robustness.novelty import check_novelty
    from hilum.robustness.novelty_report import FILES, write_novelty

    seen = what_of_seen(allow_seen, leave_out_seen)
    loaded = open_model(bundle)
    refuse_inside(out, loaded)
    settings, role = asked_for(loaded, on or "", option or ())
    with output_folder(out):
        others = {name: _others(loaded, name, where, data) for name, where in _pairs(against or [])}
        open_ = open_cohort if on else open_cohort_or_phantom
        cohort = open_(settings, loaded.manifest.reading, data)
        films, warnings = images_of_role(loaded, cohort, role, settings, seen=seen)
        quarantine = Quarantine(len(films), settings.broken_limit)
        with counting("asking", "kinds") as progress:
            found = check_novelty(loaded, films, others, quarantine=quarantine, progress=progress)
        tell_broken(quarantine.broken)
        shown = (films, *others.values())
        synthetic = loaded.manifest.synthetic or any(each.synthetic for each in shown)
        policy = loaded.policy()
        told = write_novelty(
            out,
            found,
            bundle=loaded.digest,
            source=films.name,
            policy="" if policy is None else policy.in_words(),
            synthetic=synthetic,
        )
        unknown = dict.fromkeys(loaded.findings)
        record_opening(loaded, role, films.name, found.n, unknown)
    if as_json:
        print_json({"out": str(out), "warnings": warnings, **told})
        return
    if synthetic:
        say("warning: SYNTHETIC: no patient stands behind these films or this bundle")
    _say(found)
    for warning in warnings:
        print(f"warning: {warning}")
    print(f"{out}: {', '.join(FILES)}")
    print(told["note"])


def _pairs(texts: list[str]) -> list[tuple[str, str]]:
    """`NAME=WHERE` as it was meant. Raises HilumError for anything else, and for a name twice."""
    from hilum.errors import HilumError

    pairs: list[tuple[str, str]] = []
    for text in texts:
        name, equals, where = text.partition("=")
        if not (name and equals and where):
            raise HilumError("--against", text, expected="NAME=FOLDER or NAME=SOURCE")
        if name in dict(pairs):
            raise HilumError("--against", f"two of the name {name!r}", expected="a name each")
        pairs.append((name, where))
    return pairs


def _others(bundle: Bundle, name: str, where: str, data: Path | None) -> Cohort:
    """Images that are given: a folder of films, or every image of a source."""
    from hilum.cli.images import is_source
    from hilum.cli.work import open_cohort
    from hilum.data.sources import NAMES
    from hilum.data.sources.films import films
    from hilum.errors import HilumError
    from hilum.recipe import source_options

    reading = bundle.manifest.reading
    if Path(where).exists():
        return films([where], bundle.findings, reading)
    if is_source([where]) or where.partition("@")[0] in NAMES:
        return open_cohort(source_options([f"source={where}"])[0], reading, data)
    raise HilumError(
        f"--against {name}", f"{where}: no such file, folder or source", expected="images"
    )


def _say(found: NoveltyCheck) -> None:
    """False refusals, then every kind by the measure that knows it best."""
    print(f"{found.n:,} films")
    for name, each in found.false_refusals.items():
        print(f"  refused by {name:8s} {each.in_words()}")
    for kind in found.kinds:
        gate = kind.measures.get("gate")
        by_gate = "" if gate is None else f", gate {gate.auroc.in_words(3)}"
        film = kind.measures["film"].auroc.in_words(3)
        print(
            f"  {kind.name.replace('_', ' '):18s} {kind.n:5,}: refused {kind.refused.in_words(3)}; "
            f"AUROC of outline and appearance {film}{by_gate}"
            + (f"; {kind.unreadable:,} cannot be read" if kind.unreadable else "")
        )
