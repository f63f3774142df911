"""One run from recipe to bundle: fit, export, calibrate, write. The order of the rooms is here.

Each step is another module's; evaluation on `test` is not part of training.
"""

from __future__ import annotations

import hashlib
import json
import platform
import secrets
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray
from scipy.special import expit

from hilum.bundle import (
    ABSTENTION,
    SEEN,
    WEIGHTS,
    Agreement,
    Backbone,
    Bundle,
    EngineFacts,
    Manifest,
    bundle_draft,
    deployment,
    refuse_foreign_folder,
    seal_bundle,
)
from hilum.calibration import Calibration, fit_calibration
from hilum.card import first_card
from hilum.data.cohort import ROLES, Cohort, Role
from hilum.data.faults import under_faults
from hilum.data.fingerprints import Fingerprints, fingerprints, fingerprints_for
from hilum.data.preprocessing import Step
from hilum.data.reading import Quarantine
from hilum.data.roles import RoleLedger, assign_roles, refuse_broken
from hilum.data.seen import Seen, pseudonymised
from hilum.engines import Engine, openvino_engine
from hilum.errors import OutputError, TrainingError
from hilum.evaluation import evaluate
from hilum.model.views import Network, with_views
from hilum.predict import as_predictions, engine_logits
from hilum.recipe import Recipe
from hilum.training.abstaining import Kept, fit_abstention
from hilum.training.engine import export_engine
from hilum.training.loop import TrainingSet, logits
from hilum.training.making import input_steps, make_classifier
from hilum.training.records import RunRecord, recording
from hilum.training.storing import round_weights, save_weights
from hilum.training.watching import Tracker, Watcher
from hilum.training.world import launch, main_process
from hilum.units import units_of
from hilum.writing import DRAFTS

# OpenVINO's fp32 kernels and torch's add in another order; beyond this it is another network.
AGREEMENT_LIMIT = 1e-4
SELECTION = "selection.json"
# What runs and trackers write into a run's own folder.
_WORK = ("*.json", "metrics.*", "checkpoint-*", "member-*", *DRAFTS)


def train(
    recipe: Recipe,
    cohort: Cohort,
    target: Path,
    *,
    watcher: Watcher | None = None,
    trackers: Sequence[Tracker] = (),
    resume: bool = False,
    prints: Fingerprints | None = None,
    keep_ids: bool = False,
    selection: Mapping[str, Mapping[str, Any]] | None = None,
) -> Bundle | None:
    """Train on the cohort and write the bundle to `target`.

    prints: the cohort's fingerprints, where they are at hand
    keep_ids: write image ids as they are; otherwise those that are not public are hashed
    selection: how the recipe was chosen, by "selection" and by "sweep", which the bundle then tells

    While it runs, `.NAME.run` beside it holds checkpoints, `metrics.jsonl`, `metrics.csv` and
    `run.json`; it goes when the bundle stands, and stays when the run fails.
    Returns None in every process of a world but the first, which writes the bundle.
    Raises DataError when a role lacks a class, TrainingError when training cannot go on,
    OutputError when the bundle cannot be written; an earlier bundle then stays as it was.
    """
    target = target.resolve()
    work = target.with_name(f".{target.name}.run")
    refuse_foreign_folder(target)
    _refuse_foreign_work(work)
    if resume and not work.exists():
        found = "the run is finished: nothing to resume" if target.exists() else "no run to resume"
        raise TrainingError(target, found, remedy="start without --resume to train anew")
    prints = prints or fingerprints_for(cohort, recipe.data)
    cohort, ledger = assign_roles(cohort, recipe.data, seed=recipe.seed, prints=prints)
    digest = _data_digest(ledger)
    salt = secrets.token_hex(16)
    seen = Seen.of(cohort, prints, salt)
    if not keep_ids:
        cohort, ledger = pseudonymised(cohort, salt), ledger.pseudonymised(cohort, salt)
    roles = {role: cohort.with_role(role) for role in ROLES}
    if prints is None:  # nobody has looked yet; of the rest the loop takes care
        for role in ("tune", "calibrate"):
            roles[role] = _readable(roles[role], recipe.data.broken_limit)
    steps = input_steps(cohort.reduction, recipe.input)
    quarantine = Quarantine(len(roles["train"]), recipe.data.broken_limit)
    data = TrainingSet(roles["train"], roles["tune"], steps, digest, quarantine)
    fabric = launch(recipe.train) if recipe.train.epochs else None
    on_gpu = fabric is not None and fabric.device.type == "cuda"
    chip = torch.cuda.get_device_name(fabric.device) if fabric and on_gpu else "cpu"
    record = RunRecord.of(target.name, recipe, cohort, digest, chip)
    with recording(work, record, watcher=watcher, trackers=trackers, resume=resume) as run:
        classifier = make_classifier(recipe, data, work, fabric=fabric, watcher=run, resume=resume)
        if not main_process():
            return None
        round_weights(classifier, recipe.model.stored)
        network = with_views(classifier, recipe.model.views)
        with bundle_draft(target) as draft:
            for file in sorted([*work.glob("metrics.*"), *work.glob("member-*/metrics.*")]):
                kept = draft / file.relative_to(work)
                kept.parent.mkdir(exist_ok=True)
                shutil.copy(file, kept)
            if selection:
                (draft / SELECTION).write_text(json.dumps(selection, indent=1), encoding="utf-8")
            save_weights(classifier, draft / WEIGHTS, recipe.model.stored)
            seen.write(draft / SEEN)
            manifest = _manifest(network, recipe, cohort, roles, steps, quarantine, draft, record)
            told = [each for way in (selection or {}).values() for each in way.get("warnings", ())]
            manifest = manifest.model_copy(
                update={
                    "name": target.name,
                    "roles": ledger.to_dict(),
                    "salt": salt,
                    "warnings": (*manifest.warnings, *told),
                }
            )
            run.write_done(draft)
            bundle = seal_bundle(draft, target, manifest, card=first_card)
        run.made(bundle.folder)
    shutil.rmtree(work)
    return bundle


def _manifest(
    classifier: Network,
    recipe: Recipe,
    cohort: Cohort,
    roles: Mapping[Role, Cohort],
    steps: tuple[Step, ...],
    quarantine: Quarantine,
    draft: Path,
    record: RunRecord,
) -> Manifest:
    """Export the engine into the draft, fit what `calibrate` fixes, and say all of it."""
    engine = openvino_engine(
        export_engine(classifier, recipe.input.size, draft / "openvino", recipe.model.stored)
    )
    calibrate = Kept()
    logit_nf: dict[Role, NDArray[np.float64]] = {
        "tune": engine_logits(engine, steps, roles["tune"]),
        "calibrate": engine_logits(engine, steps, roles["calibrate"], look=calibrate.keep),
    }
    agreement = _agreement(classifier, logit_nf["calibrate"], steps, roles["calibrate"])
    faulty_knf = _under_faults(engine, steps, roles["calibrate"], recipe.calibration.faults)
    fitted = _calibrate(logit_nf["calibrate"], faulty_knf, roles["calibrate"], recipe)
    policy = fit_abstention(engine, steps, roles["train"], calibrate, recipe)
    safetensors.numpy.save_file(policy.arrays(), draft / ABSTENTION)
    mean, std = classifier.statistics
    return Manifest(
        name=recipe.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        findings=cohort.findings,
        meanings=dict(cohort.meanings),
        backbone=Backbone(
            name=recipe.model.backbone, weights=recipe.model.weights, mean=mean, std=std
        ),
        reading=recipe.reading,
        preprocessing=steps,
        engine=EngineFacts(input_size=recipe.input.size, agreement=agreement),
        calibrators={f: each.chosen.to_dict() for f, each in fitted.items()},
        operating_points={
            f: tuple(point.to_dict() for point in each.points.values())
            for f, each in fitted.items()
        },
        conformal={f: each.limits.to_dict() for f, each in fitted.items()},
        abstention=policy.to_dict(),
        deployed=recipe.calibration.deployed,
        source=cohort.name,
        synthetic=cohort.synthetic,
        warnings=(
            *cohort.warnings,
            *cohort.left_out(),
            *_left_out(quarantine),
            *(w for each in fitted.values() for w in each.warnings),
        ),
        roles={},
        figures={
            role: _figures(logits_of_role, roles[role], fitted, recipe.calibration.deployed)
            for role, logits_of_role in logit_nf.items()
        },
        recipe=recipe.model_dump(mode="json"),
        versions=record.versions,
        commit=record.commit,
        machine=f"{platform.system()} {platform.machine()}",
        licence=cohort.licence,
    )


def _refuse_foreign_work(work: Path) -> None:
    names = [each.name for each in work.iterdir()] if work.exists() else []
    strange = [name for name in names if not any(fnmatch(name, own) for own in _WORK)]
    if strange:
        raise OutputError(
            work,
            f"holds {strange[0]}, which no run has written",
            expected="nothing, or an interrupted run",
            remedy="move it away",
        )


def _readable(cohort: Cohort, limit: float) -> Cohort:
    """Without the films that cannot be read. Raises DataError when these are too many."""
    broken = fingerprints(cohort, perceptual=False).broken
    refuse_broken(cohort.name, broken, len(cohort), limit)
    return cohort.where(~np.isin(np.arange(len(cohort)), list(broken)))


def _left_out(quarantine: Quarantine) -> list[str]:
    """What broke while training ran, for the bundle's warnings."""
    if not quarantine.broken:
        return []
    return [f"{len(quarantine.broken):,} training films could not be read and were left out"]


def _under_faults(
    engine: Engine, steps: Sequence[Step], cohort: Cohort, severity: int
) -> NDArray[np.float64]:
    """Logits under each acquisition fault, shape (faults, n, f); of severity 0 there are none."""
    if not severity:
        return np.empty((0, len(cohort), len(cohort.findings)))
    films = under_faults(cohort, severity).values()
    return np.stack([engine_logits(engine, steps, faulty) for faulty in films])


def _calibrate(
    logit_nf: NDArray[np.float64],
    faulty_knf: NDArray[np.float64],
    cohort: Cohort,
    recipe: Recipe,
) -> dict[str, Calibration]:
    units = units_of(cohort.patient_id_n)
    return {
        finding: fit_calibration(
            finding,
            logit_nf[:, f],
            cohort.label_nf[:, f],
            recipe.calibration,
            units=units,
            faulty_kn=faulty_knf[:, :, f],
            # One generator each, so that a finding's folds do not hang on how many stand before it.
            rng=np.random.default_rng(recipe.seed),
        )
        for f, finding in enumerate(cohort.findings)
    }


def _agreement(
    classifier: Network,
    logit_nf: NDArray[np.float64],
    steps: Sequence[Step],
    cohort: Cohort,
) -> Agreement:
    """Compare uncalibrated probabilities of torch with the engine's on every calibrate film."""
    by_torch = logits(classifier, cohort, steps)
    largest = float(np.abs(expit(by_torch) - expit(logit_nf)).max())
    if largest > AGREEMENT_LIMIT:
        raise TrainingError(
            "the exported engine",
            f"its probabilities differ from torch's by up to {largest:.2g}",
            expected=f"at most {AGREEMENT_LIMIT:g}",
            remedy="keep the run's folder and report this backbone",
        )
    return Agreement(role="calibrate", n=len(cohort), largest_probability_difference=largest)


def _figures(
    logit_nf: NDArray[np.float64],
    cohort: Cohort,
    fitted: Mapping[str, Calibration],
    deployed: str,
) -> dict[str, dict[str, object]]:
    """Figures on a role that training has used: optimistic, and kept to be compared with test."""
    evaluation = evaluate(
        as_predictions(
            cohort,
            logit_nf,
            {finding: each.chosen.calibrator for finding, each in fitted.items()},
            {finding: each.points[deployed].threshold for finding, each in fitted.items()},
        ),
        {f: deployment(each.points, deployed, each.limits, {}) for f, each in fitted.items()},
        bundle=None,
        source=cohort.name,
        role=str(cohort.table["role"].iloc[0]),
        synthetic=cohort.synthetic,
        rng=np.random.default_rng(0),
    )
    return {
        finding: {name: estimate.to_dict() for name, estimate in figures.items()}
        for finding, figures in evaluation.figures.items()
    }


def _data_digest(ledger: RoleLedger) -> str:
    return hashlib.sha256(json.dumps(ledger.to_dict(), sort_keys=True).encode()).hexdigest()
