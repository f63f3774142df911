"""Options that several verbs share, and what their text means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.cli.completing import bundles, sources
from hilum.shipped import shipped_bundle

if TYPE_CHECKING:
    from hilum.cli.images import Seen
    from hilum.evaluation.subgroups import GroupBy
    from hilum.recipe import DataPart, ReadingPart


def _tell_if_shipped(context: typer.Context, bundle: Path | None) -> Path | None:
    """A bundle of one's own may have the same name, elsewhere."""
    if bundle is None or context.resilient_parsing or bundle.exists():
        return bundle
    if shipped_bundle(bundle):
        from hilum.cli.show import say

        say(f"{bundle}: the bundle of this name that comes with Hilum")
    return bundle


_BUNDLE = typer.Argument(
    help="A bundle: its folder, or one that ships by name.",
    callback=_tell_if_shipped,
    autocompletion=bundles,
)
BundleName = Annotated[Path, _BUNDLE]
OptionalBundleName = Annotated[Path | None, _BUNDLE]
Data = Annotated[
    Path | None,
    typer.Option(
        help="File or folder of the data set. Otherwise HILUM_DATA, ~/.medmnist, a download."
    ),
]
On = Annotated[
    str | None,
    typer.Option(
        metavar="SOURCE[:ROLE]",
        autocompletion=sources,
        help="By default the bundle's own source, role test. SOURCE:all takes every image.",
    ),
]
AllowSeen = Annotated[
    bool,
    typer.Option(
        "--allow-seen", help="Go on with images or patients that the bundle was made from."
    ),
]
LeaveOutSeen = Annotated[
    bool, typer.Option("--leave-out-seen", help="Leave these out, and go on with the others.")
]
Out = Annotated[Path, typer.Option(help="Folder to write to.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe, e.g. train.epochs=3."),
]
Option = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="KEY=VALUE",
        help="How the source is read: a key of a recipe's \\[data], e.g. columns.label=finding.",
    ),
]
EngineName = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="Engine that answers, such as openvino-int8: see 'hilum bundle show'.",
    ),
]
KeepIds = Annotated[
    bool,
    typer.Option(
        "--keep-ids", help="Write ids as they are. Otherwise those not public are hashed."
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where a run was interrupted.")]
Prevalence = Annotated[
    list[float] | None,
    typer.Option(
        metavar="SHARE", help="Give PPV and NPV where this share has the finding, e.g. 0.05."
    ),
]
Group = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN[:EDGES]",
        help="Break figures down by a column, e.g. site, or age:40,60,80. "
        "Otherwise by site, view, age and sex where they are known.",
    ),
]


def groups_of(texts: Sequence[str] | None) -> tuple[GroupBy, ...] | None:
    """`["site", "age:40,60,80"]` as columns and edges; None when none are given."""
    from hilum.evaluation.subgroups import GroupBy

    groups = []
    for text in texts or ():
        column, colon, edges = text.rpartition(":")
        try:
            cuts = tuple(float(edge) for edge in edges.split(",")) if colon else ()
        except ValueError:  # a colon of the column's own
            column, cuts = text, ()
        groups.append(GroupBy(column if cuts else text, cuts))
    return tuple(groups) or None


def source_options(changes: Sequence[str]) -> tuple[DataPart, ReadingPart]:
    """What `--option` said, `["views=PA", "reading.window=2"]`, of a source and of its films.

    Raises RecipeError for an unknown key or a value out of range.
    """
    from hilum.recipe import source_options as parsed

    return parsed(changes, "--option")


def refuse_outside(flag: str, shares: Sequence[float], *, ends: bool) -> None:
    """Raise HilumError unless every number is a share; `ends`: 0 and 1 are good, too."""
    from hilum.errors import HilumError

    for share in shares:
        if not (0 < share < 1 or (ends and share in (0, 1))):
            expected = "a number from 0 to 1" if ends else "a number between 0 and 1, such as 0.05"
            raise HilumError(flag, f"{share:g}", expected=expected)


def what_of_seen(allow: bool, leave_out: bool) -> Seen:
    """What `--allow-seen` and `--leave-out-seen` ask for. Raises HilumError for both at once."""
    if allow:
        refuse_beside("--allow-seen", {"--leave-out-seen": leave_out or None})
    return "allow" if allow else "leave out" if leave_out else "refuse"


def refuse_beside(flag: str, others: Mapping[str, object]) -> None:
    """Raise HilumError when any of these others is given too."""
    from hilum.errors import HilumError

    given = [name for name, value in others.items() if value not in (None, [])]
    if given:
        raise HilumError(
            ", ".join(given),
            f"does not go with {flag}",
            remedy="leave it out; see --help",
        )
