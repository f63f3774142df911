"""`hilum generalise`: a recipe trained on each of several places, and tested on all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.cli.completing import recipes
from hilum.cli.options import Data, Json, Out, Resume, Set

if TYPE_CHECKING:
    from hilum.bundle import Bundle
    from hilum.data.cohort import Cohort
    from hilum.evaluation.predictions import Predictions
    from hilum.recipe import DataPart, Recipe
    from hilum.robustness.sites import Matrix

# Films of each class that a role needs before anything is made of it.
_FEWEST = {"train": 20, "tune": 3, "calibrate": 3, "test": 5}


def generalise(
    recipe: Annotated[
        str, typer.Argument(help="A recipe's name or TOML file.", autocompletion=recipes)
    ],
    on: Annotated[
        list[str],
        typer.Option(
            metavar="[NAME=]SOURCE,…",
            help="The places, two or more, parted by commas; may be repeated.",
        ),
    ],
    out: Out = Path("generalised"),
    finding: Annotated[
        list[str] | None,
        typer.Option(help="Asked of every place; may be repeated. Otherwise the recipe's."),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:KEY=VALUE",
            help="How one place is read: a key of a recipe's \\[data], e.g. a:columns.label=sign.",
        ),
    ] = None,
    data: Data = None,
    changes: Set = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fit the heads alone, on frozen features.")
    ] = False,
    resume: Resume = False,
    as_json: Json = False,
) -> None:
    """Train a recipe on each place, test it on every place: a matrix of AUROC with intervals.

    A place with too few films to be trained on is only tested on. Bundles stay in OUT/models, and
    --resume uses those that stand there.

    Example: hilum generalise pneumoniamnist --on nih:nih,rsna:rsna --finding Pneumonia --out sites
    """
    import numpy as np

    from hilum.cli.judging import SEED, output_folder
    from hilum.cli.places import places_of, shared_findings
    from hilum.cli.show import print_json, say
    from hilum.cli.work import need_training, open_cohort
    from hilum.data.sources.selection import select
    from hilum.recipe import read_recipe
    from hilum.recipes import recipe_path
    from hilum.robustness.sites import matrix
    from hilum.robustness.sites_report import FILES, Place, write_sites

    need_training()
    plan = read_recipe(recipe_path(recipe), changes or [])
    asked = places_of(on, option or [], finding or [], plan)
    if not resume:
        _refuse_earlier(out, asked)
    with output_folder(out):
        opened = {
            name: open_cohort(settings, plan.reading, data) for name, settings in asked.items()
        }
        findings = shared_findings({name: each.findings for name, each in opened.items()})
        places = {}
        for name, settings in asked.items():
            settings = settings.model_copy(update={"findings": findings})
            places[name] = _Opened(settings, select(opened[name], settings))
        bundles: dict[str, Bundle] = {}
        why_not: dict[str, str] = {}
        for name, place in places.items():
            made = _trained(name, place, plan, out, quick=quick, resume=resume)
            if isinstance(made, str):
                why_not[name] = made
                say(f"{name} is only tested on: {made}")
            elif made is not None:
                bundles[name] = made
        if not bundles and not why_not:  # another process of the run writes and tells
            return
        answers, missing, told = _judged(bundles, places)
        matrices = [
            matrix(answers, each, why_not=missing, rng=np.random.default_rng(SEED))
            for each in findings
        ]
        written = write_sites(
            out,
            matrices,
            [
                Place(
                    name,
                    place.cohort.name,
                    len(place.cohort),
                    place.cohort.synthetic,
                    bundles[name].digest if name in bundles else None,
                    why_not.get(name),
                    dict(place.cohort.meanings),
                    told.get(name, {}),
                )
                for name, place in places.items()
            ],
            {"name": plan.name, "seed": plan.seed, "quick": quick},
        )
    if as_json:
        print_json({"out": str(out), **written})
        return
    if written["synthetic"]:
        say("warning: SYNTHETIC: no patient stands behind some of these films")
    for each in matrices:
        _say_matrix(each)
    _say_warnings(told)
    print(f"{out}: {', '.join((*FILES, 'models/'))}")
    print(written["note"])


@dataclass(frozen=True)
class _Opened:
    """A place's films, and how they are opened and shared among the roles."""

    settings: DataPart
    cohort: Cohort


def _refuse_earlier(out: Path, names: Mapping[str, object]) -> None:
    from hilum.errors import HilumError

    for name in names:
        if (out / "models" / name).exists():
            raise HilumError(
                out / "models" / name,
                "an earlier run's bundle",
                remedy="add --resume to use it, or name another folder with --out",
            )


def _trained(
    name: str, place: _Opened, plan: Recipe, out: Path, *, quick: bool, resume: bool
) -> Bundle | str | None:
    """The bundle of a place, or why there is none; None in a process that does not write it."""
    from hilum.bundle import load_bundle
    from hilum.cli.show import say
    from hilum.cli.work import choose_recipe, train_bundle
    from hilum.errors import HilumError

    if (reason := _too_few(place, plan.seed)) is not None:
        return reason
    target = out / "models" / name
    plan = plan.model_copy(update={"data": place.settings})
    plan, _ = choose_recipe(plan, place.cohort, target, quick=quick, select=False, sweep=False)
    if (target / "bundle.json").is_file():
        bundle = load_bundle(target)
        if bundle.manifest.recipe != plan.model_dump(mode="json"):
            raise HilumError(
                target,
                "a bundle of another recipe or of other options",
                remedy="give the same, or name another folder with --out",
            )
        return bundle
    say(f"{name}: training on {place.cohort.name}, {len(place.cohort):,} films")
    interrupted = target.with_name(f".{name}.run").exists()
    return train_bundle(plan, place.cohort, target, resume=resume and interrupted)


def _too_few(place: _Opened, seed: int) -> str | None:
    """Why nothing can be trained on a place: a role without enough films of a class."""
    from hilum.cli.work import look_at
    from hilum.columns import column
    from hilum.data.roles import assign_roles
    from hilum.errors import DataError

    prints = look_at(place.cohort, place.settings)
    try:
        assigned, _ = assign_roles(place.cohort, place.settings, seed=seed, prints=prints)
    except DataError as error:
        return str(error)
    for finding in place.cohort.findings:
        label_n = assigned.table[column("label", finding)]
        for role, fewest in _FEWEST.items():
            for label, word in ((1, "with"), (0, "without")):
                n = int(((assigned.table["role"] == role) & (label_n == label)).sum())
                if n < fewest:
                    films = f"{n} film{'' if n == 1 else 's'} {word} {finding}"
                    return f"{films} in role {role}; {fewest} or more are needed"
    return None


def _judged(
    bundles: Mapping[str, Bundle], places: Mapping[str, _Opened]
) -> tuple[
    dict[tuple[str, str], Predictions], dict[tuple[str, str], str], dict[str, dict[str, list[str]]]
]:
    """Each bundle on the role `test` of each place: its answers, why there are none, what to tell.

    Films and patients that a bundle was made from are left out; each opening goes into its ledger.
    """
    from hilum.cli.images import images_of_role
    from hilum.cli.judging import record_opening
    from hilum.cli.show import counting
    from hilum.data.reading import Quarantine
    from hilum.errors import HilumError
    from hilum.evaluation.discrimination import auroc
    from hilum.predict import predict

    answers: dict[tuple[str, str], Predictions] = {}
    missing: dict[tuple[str, str], str] = {}
    told: dict[str, dict[str, list[str]]] = {}
    with counting("judging", "pairs") as progress:
        for name, bundle in bundles.items():
            told[name] = {}
            for test, place in places.items():
                try:
                    films, warnings = images_of_role(
                        bundle, place.cohort, "test", place.settings, seen="leave out"
                    )
                    quarantine = Quarantine(len(films), place.settings.broken_limit)
                    found = predict(bundle, films, quarantine=quarantine)
                except HilumError as error:
                    missing[name, test] = str(error)
                    continue
                answers[name, test], told[name][test] = found, warnings
                areas = {f: auroc(found.prob(f), found.label(f)) for f in bundle.findings}
                known = {f: None if area != area else area for f, area in areas.items()}
                record_opening(bundle, "test", films.name, len(films), known)
                progress(len(answers) + len(missing), len(bundles) * len(places))
    return answers, missing, told


def _say_matrix(found: Matrix) -> None:
    print(f"{found.finding}: AUROC, trained on a place (row), tested on a place")
    for train in found.train:
        for test in found.test:
            cell = found.cell(train, test)
            line = f"  {train} on {test}: {cell.auroc.in_words()}, {cell.n:,} films"
            if train != test and cell.drop.value is not None:
                line += f"; from home {cell.drop.in_brief()}"
            print(line)
    print(f"  mean at home {found.at_home.in_words()}")
    print(f"  mean away {found.away.in_words()}; difference {found.difference.in_words()}")


def _say_warnings(told: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
    """Each once, with the pairs that it is said of."""
    pairs_of: dict[str, list[str]] = {}
    for name, by_test in told.items():
        for test, lines in by_test.items():
            for line in lines:
                if not line.startswith("the bundle was trained on"):  # so it was, off the diagonal
                    pairs_of.setdefault(line, []).append(f"{name} on {test}")
    for line, pairs in pairs_of.items():
        print(f"warning: {', '.join(pairs)}: {line}")
