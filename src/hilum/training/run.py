"""One run from recipe to bundle: fit, export, calibrate, write. The order of the rooms is here.

Each step is another module's; evaluation on `test` is not part of training.
"""

from __future__ import annotations

import hashlib
import json
import platform
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from hilum.bundle import (
    SEEN,
    WEIGHTS,
    Agreement,
    Backbone,
    Bundle,
    Engine,
    Manifest,
    bundle_draft,
    deployment,
    refuse_foreign_folder,
    seal_bundle,
)
from hilum.calibration import Calibration, fit_calibration
from hilum.data.cohort import ROLES, Cohort, Role
from hilum.data.fingerprints import Fingerprints, fingerprints, fingerprints_for
from hilum.data.preprocessing import CentreSquare, PadSquare, Resize, Step
from hilum.data.reading import Quarantine
from hilum.data.roles import RoleLedger, assign_roles, refuse_broken
from hilum.data.seen import Seen, pseudonymised
from hilum.errors import OutputError, TrainingError
from hilum.evaluation import evaluate
from hilum.model.backbones import make_backbone
from hilum.model.classifier import Classifier
from hilum.predict import as_predictions, engine_logits
from hilum.recipe import InputPart, Recipe
from hilum.training.card import model_card
from hilum.training.checkpoint import NAME as CHECKPOINT
from hilum.training.checkpoint import save_tensors
from hilum.training.engine import export_engine
from hilum.training.loop import METRICS, TrainingSet, Watcher, fit, logits, seeded
from hilum.units import units_of

# OpenVINO's fp32 kernels and torch's add in another order; beyond this it is another network.
AGREEMENT_LIMIT = 1e-4
_WORK = (METRICS, CHECKPOINT)
_PACKAGES = ("hilum", "torch", "timm", "lightning-fabric", "openvino", "numpy", "pillow")


def train(
    recipe: Recipe,
    cohort: Cohort,
    target: Path,
    *,
    watcher: Watcher | None = None,
    resume: bool = False,
    prints: Fingerprints | None = None,
    keep_ids: bool = False,
) -> Bundle:
    """Train on the cohort and write the bundle to `target`.

    prints: the cohort's fingerprints, where they are at hand
    keep_ids: write image ids as they are; otherwise those that are not public are hashed

    While it runs, `.NAME.run` beside it holds the checkpoint and `metrics.jsonl`; it goes when
    the bundle stands.
    Raises DataError when a role lacks a class, TrainingError when training cannot go on,
    OutputError when the bundle cannot be written; an earlier bundle then stays as it was.
    """
    target = target.resolve()
    work = target.with_name(f".{target.name}.run")
    refuse_foreign_folder(target)
    _refuse_foreign_work(work)
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
    steps = _steps(cohort.reduction, recipe.input)
    with seeded(recipe.seed):
        backbone = make_backbone(
            recipe.model.backbone,
            len(cohort.findings),
            weights=recipe.model.weights,
            dropout=recipe.model.dropout,
        )
        classifier = Classifier(backbone)

    quarantine = Quarantine(len(roles["train"]), recipe.data.broken_limit)
    data = TrainingSet(roles["train"], roles["tune"], steps, digest, quarantine)
    fit(classifier, data, recipe, work, watcher=watcher, resume=resume)

    with bundle_draft(target) as draft:
        shutil.copy(work / METRICS, draft / METRICS)
        save_tensors(classifier.network.state_dict(), draft / WEIGHTS)
        seen.write(draft / SEEN)
        engine = export_engine(classifier, recipe.input.size, (draft / "openvino"))
        used: tuple[Role, ...] = ("tune", "calibrate")
        logit_nf = {role: engine_logits(engine, steps, roles[role]) for role in used}
        agreement = _agreement(classifier, logit_nf["calibrate"], steps, roles["calibrate"])
        fitted = _calibrate(logit_nf["calibrate"], roles["calibrate"], recipe)
        manifest = Manifest(
            name=target.name,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            findings=cohort.findings,
            meanings=dict(cohort.meanings),
            backbone=Backbone(
                name=backbone.name,
                weights=recipe.model.weights,
                mean=backbone.mean,
                std=backbone.std,
            ),
            reading=recipe.reading,
            preprocessing=steps,
            engine=Engine(input_size=recipe.input.size, agreement=agreement),
            calibrators={f: each.chosen.to_dict() for f, each in fitted.items()},
            operating_points={
                f: tuple(point.to_dict() for point in each.points.values())
                for f, each in fitted.items()
            },
            conformal={f: each.limits.to_dict() for f, each in fitted.items()},
            deployed=recipe.calibration.deployed,
            source=cohort.name,
            synthetic=cohort.synthetic,
            warnings=(
                *cohort.warnings,
                *cohort.left_out(),
                *_left_out(quarantine),
                *(w for each in fitted.values() for w in each.warnings),
            ),
            roles=ledger.to_dict(),
            salt=salt,
            figures={
                role: _figures(logits_of_role, roles[role], fitted, recipe.calibration.deployed)
                for role, logits_of_role in logit_nf.items()
            },
            recipe=recipe.model_dump(mode="json"),
            versions={
                "python": platform.python_version(),
                **{name: version(name) for name in _PACKAGES},
            },
            commit=_commit(),
            machine=f"{platform.system()} {platform.machine()}",
            licence=cohort.licence,
        )
        (draft / "card.md").write_text(model_card(manifest), encoding="utf-8")
        bundle = seal_bundle(draft, target, manifest)
    for name in _WORK:
        (work / name).unlink(missing_ok=True)
    work.rmdir()
    return bundle


def _refuse_foreign_work(work: Path) -> None:
    strange = (
        [each.name for each in work.iterdir() if each.name not in _WORK] if work.exists() else []
    )
    if strange:
        raise OutputError(
            work,
            f"holds {strange[0]}, which no run has written",
            expected="nothing, or an interrupted run",
            remedy="move it away",
        )


def _steps(reduction: tuple[Step, ...], network: InputPart) -> tuple[Step, ...]:
    """From a film to the network's input: what the source did to its films comes first."""
    side = network.size
    enlarge = Resize(height=side, width=side, interpolation=network.interpolation)
    square = CentreSquare() if network.aspect == "crop" else PadSquare()
    last = reduction[-1] if reduction else None
    made_square = isinstance(last, Resize) and last.height == last.width
    return (*reduction, enlarge) if made_square else (*reduction, square, enlarge)


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


def _calibrate(
    logit_nf: NDArray[np.float64], cohort: Cohort, recipe: Recipe
) -> dict[str, Calibration]:
    patient = cohort.table["patient_id"].astype(object)
    units = units_of(patient.where(patient.notna(), None).to_numpy(dtype=object))
    return {
        finding: fit_calibration(
            finding,
            logit_nf[:, f],
            cohort.label_nf[:, f],
            recipe.calibration,
            units=units,
            # One generator each, so that a finding's folds do not hang on how many stand before it.
            rng=np.random.default_rng(recipe.seed),
        )
        for f, finding in enumerate(cohort.findings)
    }


def _agreement(
    classifier: Classifier,
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


def _commit() -> str | None:
    """The commit of the code that trains; None where it does not lie in a git checkout."""
    git = shutil.which("git")
    if git is None:
        return None

    def ask(*words: str) -> str | None:
        found = subprocess.run(
            [git, "-C", str(Path(__file__).parent), *words],
            capture_output=True,
            text=True,
            check=False,
        )
        return found.stdout.strip() if found.returncode == 0 else None

    if ask("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None  # installed inside somebody else's checkout
    changed = ask("status", "--porcelain", "--untracked-files=no", "--", "..")
    return f"{ask('rev-parse', 'HEAD')}{'-dirty' if changed else ''}"
