"""What several verbs do with a cohort: open it, train on it, evaluate on it, and say so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hilum.cli.show import TrainingProgress, banner, counting, figures_in_words, print_json, say

if TYPE_CHECKING:
    from hilum.bundle import Bundle
    from hilum.data.cohort import Cohort
    from hilum.evaluation import Evaluation
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


def evaluate_bundle(bundle: Bundle, cohort: Cohort, role: str, out: Path, *, as_json: bool) -> None:
    """Predict and evaluate one role, write the files, and print the figures."""
    import numpy as np

    from hilum.data.roles import assign_roles
    from hilum.errors import HilumError
    from hilum.evaluation import evaluate
    from hilum.evaluation.report.classic import write_classic_report
    from hilum.predict import predict

    if bundle.folder.resolve() in (out.resolve(), *out.resolve().parents):
        raise HilumError(out, "lies inside the bundle", remedy="name another folder with --out")
    recipe = bundle.manifest.recipe
    cohort, ledger = assign_roles(
        cohort, tune_fraction=recipe["data"]["tune_fraction"], seed=recipe["seed"]
    )
    chosen = cohort.with_role(role)  # type: ignore[arg-type]
    with counting("predicting", "images") as progress:
        predictions = predict(bundle, chosen, progress=progress)
    evaluation = evaluate(
        predictions,
        bundle.thresholds(),
        bundle=bundle.digest,
        source=chosen.name,
        role=role,
        synthetic=chosen.synthetic or bundle.manifest.synthetic,
        rng=np.random.default_rng(0),
        warnings=_warnings(bundle, cohort, ledger.roles[role], role),
    )
    written = write_classic_report(out, predictions, evaluation, chosen.radiograph)
    if role == "test":
        auroc = {f: figures["auroc"].value for f, figures in evaluation.figures.items()}
        if not bundle.record_opening(role, chosen.name, len(chosen), auroc):
            say(f"note: {bundle.folder} cannot be written; its ledger of openings lacks this one")
    report(evaluation, out, sorted(path.name for path in written), as_json=as_json)


def _warnings(bundle: Bundle, cohort: Cohort, now: dict[str, Any], role: str) -> list[str]:
    """What must be told beside the figures: of the images, and of bundle against images."""
    told = list(cohort.warnings)
    told += [f"at training: {w}" for w in bundle.manifest.warnings if w not in cohort.warnings]
    if cohort.name != bundle.manifest.source:
        told.append(f"the bundle was trained on {bundle.manifest.source}, not on {cohort.name}")
    elif now["digest"] != bundle.manifest.roles["roles"][role]["digest"]:
        told.append(f"role {role} does not hold the images it held when the bundle was trained")
    return told


def report(evaluation: Evaluation, out: Path, files: list[str], *, as_json: bool) -> None:
    """Figures on stdout, as JSON or in words."""
    if as_json:
        import json

        plain = json.loads(evaluation.to_json())
        del plain["curves"]
        print_json({"out": str(out), "files": files, "evaluation": plain})
        return
    for line in figures_in_words(evaluation):
        print(line)
    for warning in evaluation.warnings:
        print(f"warning: {warning}")
    print(f"{out}: {', '.join(files)}")
    print("Research use only: not a medical device.")
