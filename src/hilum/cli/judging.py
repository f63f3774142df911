"""Judging: evaluate a bundle or anybody's predictions, write the report, and say so."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hilum.cli.show import counting, figures_in_words, print_json, say
from hilum.cli.work import (
    left_out,
    open_cohort,
    open_cohort_or_phantom,
    tell_broken,
    tell_oddities,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hilum.bundle import Bundle
    from hilum.cli.images import Seen
    from hilum.data.cohort import Cohort
    from hilum.engines import Engine
    from hilum.evaluation import Deployment, Evaluation, Predictions
    from hilum.evaluation.foreign import Headers
    from hilum.evaluation.report import Supplement
    from hilum.evaluation.subgroups import GroupBy
    from hilum.recipe import DataPart

SEED = 0  # of the resamples: the same predictions give the same report


def evaluate_on(
    path: Path,
    on: str,
    data: Path | None,
    out: Path,
    *,
    options: Sequence[str],
    seen: Seen,
    keep_ids: bool,
    prevalences: Sequence[float],
    by: Sequence[GroupBy] | None,
    lungs: Path | None = None,
    engine: str | None = None,
    as_json: bool,
) -> None:
    """Evaluate the bundle at `path` on `SOURCE[:ROLE]`, by default its own source, role test."""
    from hilum.cli.images import asked_for
    from hilum.columns import SUBGROUPS
    from hilum.engines import open_engine
    from hilum.errors import HilumError
    from hilum.foreign import open_model

    if path.suffix.lower() in (".csv", ".parquet"):
        raise HilumError(path, "is no bundle", remedy=f"hilum evaluate --predictions {path}")
    bundle = open_model(path)
    running = open_engine(bundle, engine) if engine else None
    settings, role = asked_for(bundle, on, options)
    for group in by or ():
        if group.column not in SUBGROUPS:
            raise HilumError(
                "--group", f"no column {group.column!r}", expected=", ".join(SUBGROUPS)
            )
    with output_folder(out):
        open_ = open_cohort if on else open_cohort_or_phantom
        evaluate_bundle(
            bundle,
            open_(settings, bundle.manifest.reading, data),
            role,
            out,
            settings=settings,
            seen=seen,
            keep_ids=keep_ids,
            prevalences=prevalences,
            by=by,
            lungs=lungs,
            engine=running,
            as_json=as_json,
        )


def evaluate_bundle(
    bundle: Bundle,
    cohort: Cohort,
    role: str,
    out: Path,
    *,
    settings: DataPart | None = None,
    seen: Seen = "refuse",
    keep_ids: bool = False,
    prevalences: Sequence[float] = (),
    by: Sequence[GroupBy] | None = None,
    lungs: Path | None = None,
    engine: Engine | None = None,
    as_json: bool,
) -> None:
    """Predict and evaluate one role of a cohort, write the report, and print the figures.

    lungs: a folder of lung masks, by which the report aligns the films that it shows maps of
    settings: how the cohort was opened, and is shared among the roles; None: as the bundle's own
    seen: what is done with images that the bundle was made from; the report says so
    engine: None is the one that the bundle carries; of another the report says so
    """
    from hilum.cli.images import images_of_role
    from hilum.data.reading import Quarantine
    from hilum.data.seen import pseudonymised
    from hilum.engines import CARRIED
    from hilum.explanation.evidence import masks_in
    from hilum.predict import predict

    refuse_inside(out, bundle)
    settings = settings or bundle.data
    chosen, warnings = images_of_role(bundle, cohort, role, settings, seen=seen)
    masks = masks_in(lungs, chosen) if lungs else {}
    if not keep_ids and bundle.manifest.salt is not None:
        chosen = pseudonymised(chosen, bundle.manifest.salt)
    quarantine = Quarantine(len(chosen), settings.broken_limit)
    with counting("predicting", "images") as progress:
        predictions = predict(
            bundle, chosen, engine=engine, quarantine=quarantine, progress=progress
        )
    if engine is not None and engine.name != CARRIED:
        warnings.append(f"by the engine {engine.name}, not by the one that the bundle carries")
    if quarantine.broken:
        tell_broken(quarantine.broken)
        warnings.append(left_out(len(quarantine.broken)))
        chosen = chosen.where(quarantine.readable_n)
    tell_oddities(chosen)
    _evaluate_and_report(
        predictions,
        bundle.deployments(),
        out,
        bundle=bundle,
        source=chosen.name,
        role=role,
        image_of=chosen.radiograph,
        supplement=where_it_looks(bundle, chosen, masks, engine),
        prevalences=prevalences,
        by=by,
        warnings=warnings,
        as_json=as_json,
    )


def refuse_inside(out: Path, bundle: Bundle, flag: str = "--out") -> None:
    """Raise HilumError for an output folder in the bundle itself, which holds what it was made of
    alone.
    """
    from hilum.errors import HilumError

    if bundle.folder.resolve() in (out.resolve(), *out.resolve().parents):
        raise HilumError(out, "lies inside the bundle", remedy=f"name another folder with {flag}")


def where_it_looks(
    bundle: Bundle,
    films: Cohort,
    lung_masks: Mapping[int, Path],
    engine: Engine | None = None,
) -> Supplement:
    """The section of the report on maps; of many films a part, drawn by lot, stands for all."""
    from hilum.cli.explain import settings_of
    from hilum.cli.given import say_what_is_known
    from hilum.errors import BundleError
    from hilum.explanation.attention import drawn_by_lot
    from hilum.explanation.evidence import Evidence
    from hilum.explanation.explaining import explain
    from hilum.explanation.section import supplement, without_maps

    some = films.where(drawn_by_lot(len(films)))
    with counting("explaining", "images") as progress:
        try:
            found = explain(bundle, some, engine=engine, progress=progress)
        except BundleError as error:  # no head on pooled features: all else can be said
            return without_maps(bundle.findings, str(error))
    evidence = Evidence(found.cohort, lung_masks=lung_masks)
    say_what_is_known(evidence)
    return supplement(found, evidence, settings_of(bundle, found), of=len(films))


def evaluate_predictions(
    path: Path,
    headers: Headers,
    out: Path,
    *,
    threshold: float | None,
    source: str,
    role: str,
    prevalences: Sequence[float],
    as_json: bool,
) -> None:
    """Read and evaluate anybody's predictions, write the report, and print the figures.

    threshold: the deployed operating point on probability, None when it is not known
    """
    from hilum.errors import HilumError
    from hilum.evaluation import Deployment
    from hilum.evaluation.foreign import read_foreign

    if path.resolve() == (out / "predictions.parquet").resolve():
        raise HilumError(
            path, "would be written over by the report", remedy="name another folder with --out"
        )
    with counting(f"reading {path.name}", "rows") as progress:
        read = read_foreign(path, headers, threshold=threshold, progress=progress)
    say(f"{path.name}: {len(read.predictions):,} rows; {read.columns.in_words()}")
    given = {} if threshold is None else {"deployed": threshold}
    deployment = Deployment(given, dict.fromkeys(given, "given by the user"))
    with output_folder(out):
        _evaluate_and_report(
            read.predictions,
            dict.fromkeys(read.predictions.findings, deployment),
            out,
            file=path,
            source=source,
            role=role,
            prevalences=prevalences,
            by=read.by,
            warnings=read.warnings,
            as_json=as_json,
        )


def _evaluate_and_report(
    predictions: Predictions,
    deployments: Mapping[str, Deployment],
    out: Path,
    *,
    source: str,
    role: str,
    bundle: Bundle | None = None,
    file: Path | None = None,
    image_of: Callable[[int], NDArray[np.float32]] | None = None,
    supplement: Supplement | None = None,
    prevalences: Sequence[float],
    by: Sequence[GroupBy] | None,
    warnings: Sequence[str],
    as_json: bool,
) -> None:
    """What a bundle's predictions and anybody else's share.

    bundle: what made the predictions; its ledger gets a line when they are on `test`
    file: where they were read from when no bundle made them
    """
    import numpy as np

    from hilum.abstention import REASONS
    from hilum.bundle import sha256_of
    from hilum.evaluation import evaluate
    from hilum.evaluation.report import (
        Facts,
        Supplement,
        installed_versions,
        referral_supplement,
        write_report,
    )

    with counting("evaluating", "findings") as progress:
        evaluation = evaluate(
            predictions,
            deployments,
            bundle=None if bundle is None else bundle.digest,
            source=source,
            role=role,
            synthetic=predictions.synthetic,
            rng=np.random.default_rng(SEED),
            prevalences=prevalences,
            by=by,
            warnings=warnings,
            progress=progress,
        )
    facts = Facts(command(), installed_versions(), seed=SEED)
    if bundle is not None:
        # Written down before the report, which tells of this opening, too.
        auroc = {f: figures["auroc"].value for f, figures in evaluation.figures.items()}
        record_opening(bundle, evaluation.role, evaluation.source, evaluation.n, auroc)
        manifest = bundle.manifest.model_dump(mode="json")
        facts = replace(facts, model=manifest, openings=tuple(bundle.openings()))
    if file is not None:
        facts = replace(facts, predictions_file=str(file), predictions_sha256=sha256_of(file))
    deployed = {
        finding: evaluation.operating_points[finding]["deployed"].threshold
        for finding in predictions.findings
    }
    supplement = referral_supplement(predictions, deployed, REASONS) + (supplement or Supplement())
    written = write_report(
        out, predictions, evaluation, image_of=image_of, facts=facts, supplement=supplement
    )
    files = sorted(path.relative_to(out).as_posix() for path in written)
    report(evaluation, out, files, as_json=as_json)


def record_opening(
    bundle: Bundle, role: str, source: str, n: int, auroc: Mapping[str, float | None]
) -> None:
    """Write one look at `test` into the bundle's ledger, or say that it cannot be written."""
    if role == "test" and not bundle.record_opening(role, source, n, auroc):
        where = bundle.ledger or "the folder of a user without a home"
        say(f"note: {where} cannot be written; the ledger of openings lacks this one")


def command() -> str:
    """What was typed, as one would type it again."""
    return shlex.join(["hilum", *sys.argv[1:]])


@contextmanager
def output_folder(out: Path) -> Iterator[None]:
    """See that `out` can be written before hours are spent; a run that ends in an error takes
    the folders away again that it made and left empty.

    Raises OutputError.
    """
    from hilum.writing import refuse_unwritable

    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        refuse_unwritable(out)
        yield
    except BaseException:
        for folder in made:
            with suppress(OSError):  # not empty, or never made
                folder.rmdir()
        raise


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
    shown = {file if "/" not in file else f"{file.partition('/')[0]}/" for file in files}
    print(f"{out}: {', '.join(sorted(shown))}")
    print("Research use only: not a medical device.")
