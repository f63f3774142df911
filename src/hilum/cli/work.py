"""What several verbs do with a cohort: open it, train on it, and say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hilum.cli.show import TrainingProgress, banner, counting, say

if TYPE_CHECKING:
    from hilum.bundle import Bundle
    from hilum.data.cohort import Cohort
    from hilum.data.fingerprints import Fingerprints
    from hilum.recipe import DataPart, ReadingPart, Recipe
    from hilum.training.watching import Tracker


def open_cohort(options: DataPart, reading: ReadingPart, data: Path | None) -> Cohort:
    """Open a source, with a bar where that takes time, and show its warnings."""
    from hilum.data.sources import open_source

    unit = "films" if ":" in options.source else "bytes"  # read here, or downloaded
    with counting(f"opening {options.source}", unit) as progress:
        cohort = open_source(options.source, options, reading, data=data, progress=progress)
    _show_warnings(cohort)
    return cohort


def open_cohort_or_phantom(options: DataPart, reading: ReadingPart, data: Path | None) -> Cohort:
    """Open a source nobody asked for by name: the phantom stands in when it is not to be had."""
    from hilum.errors import DataMissingError
    from hilum.recipe import DataPart

    if data is not None:
        return open_cohort(options, reading, data)
    try:
        return open_cohort(options, reading, None)
    except DataMissingError as error:
        say(f"hilum: {error}")
    return open_cohort(DataPart(source="phantom"), reading, None)


def look_at(cohort: Cohort, options: DataPart) -> Fingerprints | None:
    """Every film once, with a bar, for its fingerprint; None where nobody wants it."""
    from hilum.data.fingerprints import fingerprints_for

    with counting("looking at films", "films") as progress:
        prints = fingerprints_for(cohort, options, progress=progress)
    if prints is not None and prints.broken:
        tell_broken(prints.broken)
    return prints


def left_out(films: int) -> str:
    """What a report says of films that cannot be read."""
    return (
        f"{films:,} films cannot be read and are left out"
        if films > 1
        else "1 film cannot be read and is left out"
    )


def tell_broken(broken: Mapping[int, str]) -> None:
    """Name the films that cannot be read, the first few in full."""
    shown = 5
    for line in list(broken.values())[:shown]:
        say(f"left out: {line}")
    if len(broken) > shown:
        say(f"left out: {len(broken) - shown:,} more films that cannot be read")


def tell_excluded(cohort: Cohort) -> None:
    """What the source holds that is not in the cohort, by reason."""
    for reason, each in cohort.excluded.groupby("reason")["image_id"]:
        more = f" and {len(each) - 1:,} more" if len(each) > 1 else ""
        say(f"left out: {each.iloc[0]}{more}: {reason}")


def oddities(cohort: Cohort) -> list[str]:
    """What was odd about films that could be read: each oddity once."""
    from hilum.data.pixels import FilePixels

    lines: list[str] = []
    if not isinstance(cohort.pixels, FilePixels):
        return lines
    for oddity, found in cohort.pixels.noted.by_kind.items():
        others = f"{found.films - 1:,} more film{'s' if found.films > 2 else ''}"
        more = f" (and {others})" if found.films > 1 else ""
        lines.append(f"{cohort.pixels.path(found.first)}: {oddity}{more}")
    return lines


def tell_oddities(cohort: Cohort) -> None:
    """Say them."""
    for line in oddities(cohort):
        say(f"warning: {line}")


def _show_warnings(cohort: Cohort) -> None:
    if cohort.synthetic:
        banner(
            [
                "SYNTHETIC DATA: no patient stands behind these images.",
                "Every figure and picture of this run says SYNTHETIC; none is clinical.",
                "For real figures name the folder of pneumoniamnist.npz by HILUM_DATA.",
            ]
        )
        return
    for warning in cohort.warnings:
        say(f"warning: {warning}")


def need_training() -> None:
    """Raise MissingExtraError where the packages that training needs are not installed."""
    from importlib.util import find_spec

    from hilum.errors import MissingExtraError

    if any(
        find_spec(package) is None for package in ("torch", "timm", "lightning_fabric", "sklearn")
    ):
        raise MissingExtraError("training", "train", "the image built with '--target train'")


def choose_recipe(
    recipe: Recipe,
    cohort: Cohort,
    out: Path,
    *,
    quick: bool,
    select: bool,
    sweep: bool,
    keep_ids: bool = False,
) -> tuple[Recipe, dict[str, dict[str, Any]]]:
    """What is to be trained, and, of a selection or sweep, how it was chosen."""
    chosen: dict[str, dict[str, Any]] = {}
    if quick:
        from hilum.training.probe import quick as quick_recipe

        recipe = quick_recipe(recipe)
    if select:
        from hilum.training.selection import chosen_recipe
        from hilum.training.selection import select as select_recipe

        with TrainingProgress() as watcher:
            selection = select_recipe(
                recipe,
                cohort,
                out.with_name(f"{out.name}.selection"),
                prints=look_at(cohort, recipe.data),
                watcher=watcher,
                keep_ids=keep_ids,
                tell=say,
            )
        for line in (*selection.table().splitlines(), selection.reason()):
            say(line)
        for warning in selection.warnings:
            say(f"warning: {warning}")
        recipe, chosen["selection"] = chosen_recipe(recipe, selection), selection.to_dict()
    if sweep:
        from hilum.training.sweep import sweep as sweep_recipe

        with TrainingProgress() as watcher:
            result = sweep_recipe(
                recipe,
                cohort,
                out.with_name(f"{out.name}.sweep") / "study.db",
                prints=look_at(cohort, recipe.data),
                watcher=watcher,
                keep_ids=keep_ids,
            )
        for line in result.table().splitlines():
            say(line)
        recipe, chosen["sweep"] = result.recipe, result.to_dict()
    return recipe, chosen


def train_bundle(
    recipe: Recipe,
    cohort: Cohort,
    target: Path,
    *,
    resume: bool,
    keep_ids: bool = False,
    selection: Mapping[str, Mapping[str, Any]] | None = None,
    trackers: Sequence[Tracker] = (),
) -> Bundle | None:
    """Train with a progress bar; None where another process of the run writes the bundle."""
    from hilum.training.run import train

    prints = look_at(cohort, recipe.data)
    with TrainingProgress() as watcher:
        bundle = train(
            recipe,
            cohort,
            target,
            watcher=watcher,
            trackers=trackers,
            resume=resume,
            prints=prints,
            keep_ids=keep_ids,
            selection=selection,
        )
    if bundle is None:
        return None
    tell_excluded(cohort)
    tell_oddities(cohort)
    agreement = bundle.manifest.engine.agreement
    assert agreement is not None  # training measures it
    say(
        f"bundle {bundle.folder}: OpenVINO {bundle.manifest.engine.precision} agrees with torch "
        f"within {agreement.largest_probability_difference:.1e} in probability "
        f"on {agreement.n} {agreement.role} images"
    )
    return bundle
