"""From recipe and films to a classifier: backbone, probe, fit, and what is averaged.

The roles and the bundle are `run`'s; how one network is fitted, `loop`'s.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hilum.data.cohort import Cohort
from hilum.data.pixels import ArrayPixels, RememberedPixels
from hilum.data.preprocessing import CentreSquare, PadSquare, Resize, Step
from hilum.data.shards.pixels import ShardPixels
from hilum.model.backbones import make_backbone
from hilum.model.classifier import Classifier
from hilum.model.ensemble import Ensemble
from hilum.recipe import InputPart, Recipe
from hilum.training.averaging import copied, mixed, soup
from hilum.training.checkpoint import checkpoints
from hilum.training.loop import TrainingSet, fit, seeded
from hilum.training.metrics import write_metrics
from hilum.training.probe import fit_probe
from hilum.training.watching import Leg, Nobody, Watcher
from hilum.training.world import launch

if TYPE_CHECKING:
    from lightning_fabric import Fabric

# Members draw from seeds far apart, so that two ensembles of neighbouring seeds share none.
_APART = 1_000_003


def make_classifier(
    recipe: Recipe,
    data: TrainingSet,
    work: Path,
    *,
    fabric: Fabric | None = None,
    watcher: Watcher | None = None,
    resume: bool = False,
) -> Classifier | Ensemble:
    """A classifier trained by the recipe, on the CPU and in evaluation mode.

    work: folder of checkpoints and metrics; of several members each has `member-K` in it, except
        the first
    fabric: the world that trains together; a head on frozen features needs none
    Raises what `fit` and `make_backbone` raise.
    """
    if fabric is None and recipe.train.epochs:
        fabric = launch(recipe.train)
    data = replace(data, train=_remembered(data.train, recipe), tune=_remembered(data.tune, recipe))
    members = []
    legs = recipe.train.members
    for k in range(legs):
        folder = work if k == 0 else work / f"member-{k}"
        own = recipe.model_copy(update={"seed": (recipe.seed + k * _APART) % 2**63})
        started = resume and (k == 0 or bool(checkpoints(folder)))
        follower = Leg(watcher or Nobody(), k, legs)
        members.append(_member(own, data, folder, fabric, follower, resume=started))
    if len(members) == 1:
        return members[0]
    if recipe.train.combine == "soup":
        members[0].load_state_dict(soup([member.state_dict() for member in members]))
        return members[0]
    return Ensemble(members).eval()


def input_steps(reduction: tuple[Step, ...], network: InputPart) -> tuple[Step, ...]:
    """From a film to the network's input: what the source did to its films comes first."""
    side, detail = network.size, network.detail
    enlarge: tuple[Step, ...] = (
        Resize(height=side, width=side, interpolation=network.interpolation),
    )
    if detail is not None:
        enlarge = (Resize(height=detail, width=detail, interpolation="area"), *enlarge)
    square = CentreSquare() if network.aspect == "crop" else PadSquare()
    last = reduction[-1] if reduction else None
    made_square = isinstance(last, Resize) and last.height == last.width
    return (*reduction, *enlarge) if made_square else (*reduction, square, *enlarge)


def _member(
    recipe: Recipe,
    data: TrainingSet,
    work: Path,
    fabric: Fabric | None,
    watcher: Watcher,
    *,
    resume: bool,
) -> Classifier:
    with seeded(recipe.seed):
        model = recipe.model
        backbone = make_backbone(
            model.backbone,
            len(data.train.findings),
            weights=model.weights,
            dropout=model.dropout,
            features=model.features,
        )
        classifier = Classifier(backbone)
    if recipe.train.probe:
        fit_probe(classifier, data.train, data.tune, data.steps, recipe, quarantine=data.quarantine)
    if not recipe.train.epochs:
        work.mkdir(parents=True, exist_ok=True)
        write_metrics(work, [])
        return classifier.eval()
    before = copied(classifier.state_dict())
    fit(classifier, data, recipe, work, fabric=fabric, watcher=watcher, resume=resume)
    if share := recipe.train.pretrained_share:
        classifier.load_state_dict(mixed(classifier.state_dict(), before, share))
    return classifier


def _remembered(cohort: Cohort, recipe: Recipe) -> Cohort:
    """With films kept in memory once they are decoded; shards come in an order of their own."""
    if isinstance(cohort.pixels, ArrayPixels | ShardPixels) or not recipe.train.remember_mb:
        return cohort
    room = recipe.train.remember_mb << 20
    return replace(cohort, pixels=RememberedPixels(cohort.pixels, limit_bytes=room))
