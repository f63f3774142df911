"""What several verbs do with a cohort: open it, train on it, and say so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hilum.cli.show import TrainingProgress, banner, counting, say

if TYPE_CHECKING:
    from hilum.bundle import Bundle
    from hilum.data.cohort import Cohort
    from hilum.recipe import Recipe


def open_cohort(source: str, data: Path | None) -> Cohort:
    """Open a source, with a bar while it downloads, and show its warnings."""
    from hilum.data.sources import open_source

    with counting(f"downloading {source}", "bytes") as progress:
        cohort = open_source(source, data=data, progress=progress)
    _show_warnings(cohort)
    return cohort


def open_cohort_or_phantom(source: str, data: Path | None) -> Cohort:
    """Open a source nobody asked for by name: the phantom stands in when it is not to be had."""
    from hilum.errors import DataMissingError

    if data is not None:
        return open_cohort(source, data)
    try:
        return open_cohort(source, None)
    except DataMissingError as error:
        say(f"hilum: {error}")
    return open_cohort("phantom", None)


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

    if any(find_spec(package) is None for package in ("torch", "timm", "lightning_fabric")):
        raise MissingExtraError("training", "train", "the image built with '--target train'")


def train_bundle(recipe: Recipe, cohort: Cohort, target: Path, *, resume: bool) -> Bundle:
    """Train with a progress bar."""
    from hilum.training.run import train

    with TrainingProgress() as watcher:
        bundle = train(recipe, cohort, target, watcher=watcher, resume=resume)
    agreement = bundle.manifest.engine.agreement
    say(
        f"bundle {bundle.folder}: OpenVINO {bundle.manifest.engine.precision} agrees with torch "
        f"within {agreement.largest_probability_difference:.1e} in probability "
        f"on {agreement.n} {agreement.role} images"
    )
    return bundle
