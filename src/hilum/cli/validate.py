"""`hilum validate`: a frozen bundle on other people's patients."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.cli.options import (
    AllowSeen,
    BundleName,
    Data,
    Group,
    Json,
    KeepIds,
    LeaveOutSeen,
    Option,
    Out,
    groups_of,
    what_of_seen,
)

if TYPE_CHECKING:
    from hilum.robustness.external.page import Shown
    from hilum.robustness.external.validating import Validation


def validate(
    bundle: BundleName,
    on: Annotated[
        list[str],
        typer.Option(
            metavar="SOURCE[:ROLE]",
            help="Another place's films; may be repeated. SOURCE:all takes every image.",
        ),
    ],
    out: Out = Path("validated"),
    internal: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE[:ROLE]",
            help="What to hold it against. By default the bundle's own source, role test.",
        ),
    ] = None,
    data: Data = None,
    option: Option = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=COLUMN",
            help="Two label columns of a table, such as reports=nlp and radiologists=read: give "
            "it twice. The first is what everything else is judged by.",
        ),
    ] = None,
    allow_seen: AllowSeen = False,
    leave_out_seen: LeaveOutSeen = False,
    keep_ids: KeepIds = False,
    group: Group = None,
    as_json: Json = False,
) -> None:
    """Judge a frozen bundle, its calibrator and its point on films of another place.

    An option of one source alone is written NAME:KEY=VALUE, such as rsna:negatives=normal.

    Example: hilum validate models/pneumoniamnist --on rsna:rsna_sample --out validated

    Example: hilum validate models/mine --on nih:nih --on rsna:rsna --option rsna:negatives=normal
    """
    from hilum.cli.judging import output_folder, refuse_inside
    from hilum.cli.show import print_json, say
    from hilum.cli.validating import Asked, asked, validate_bundle
    from hilum.foreign import open_model
    from hilum.robustness.external.files import write_validation

    seen = what_of_seen(allow_seen, leave_out_seen)
    loaded = open_model(bundle)
    refuse_inside(out, loaded)
    sites = asked(loaded, on, option or (), labels or ())
    with output_folder(out):
        found, shown, predictions = validate_bundle(
            loaded,
            Asked(sites, internal, data, seen, keep_ids, groups_of(group)),
        )
        files, told = write_validation(out, found, shown, predictions)
    if as_json:
        print_json({"out": str(out), "files": files, **told})
        return
    if found.synthetic:
        say("warning: SYNTHETIC: no patient stands behind these films or this bundle")
    _say(found, shown)
    print(f"{out}: {', '.join(name for name in files if '/' not in name)}")
    print(told["note"])


def _say(found: Validation, shown: Shown) -> None:
    """The verdict on each site and each finding, and what must be told beside it."""
    from hilum.robustness.external.words import NO_GATE, on_several, prevalence_words, verdict

    for finding in found.findings:
        for site in found.sites:
            print(f"{finding}, {site.name}: {prevalence_words(found, site, finding)}")
            shift = shown.shifts.get((site.name, finding))
            why = shift.in_words()[-1:] if shift is not None else []
            for sentence in (*verdict(found, site, finding), *why):
                print(f"  {sentence}")
        for sentence in on_several(found, finding):
            print(f"{finding}, all sites: {sentence}")
    if found.inside.note:
        print(f"warning: {found.inside.note}")
    for note in found.notes:
        print(f"warning: {note}")
    for site in found.sites:
        for line in (*site.seen, *site.evaluation.warnings):
            print(f"warning: {site.name}: {line}")
    if not any(site.referrals for site in found.sites):
        print(f"note: {NO_GATE}")
