"""The training loop: fit a classifier on `train`, stop it by `tune`, keep the best state.

What a run is made of before and after stands in `making` and `run`. Processes and devices are
`world`'s; here one process is a world of size one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import AdamW

from hilum.data.cohort import Cohort
from hilum.data.preprocessing import Step
from hilum.data.reading import Batch, Quarantine, read_batches
from hilum.data.shards.order import evaluation_batches, training_batches
from hilum.errors import TrainingError
from hilum.evaluation.discrimination import auroc
from hilum.model.classifier import Classifier
from hilum.model.losses import Objective, binary_cross_entropy
from hilum.model.views import Network
from hilum.recipe import Recipe, TrainPart
from hilum.training.augmentation import apply_variation, draw_mixing, draw_variation
from hilum.training.averaging import PathAverage, State, copied
from hilum.training.checkpoint import Checkpoint, checkpoints
from hilum.training.metrics import read_metrics, write_metrics
from hilum.training.precision import precise_depthwise
from hilum.training.rates import learning_rate, parameter_groups
from hilum.training.sampling import balanced_weights
from hilum.training.stopping import (
    StopFlag,
    broken_loss,
    interrupted,
    is_broken,
    refuse_broken_tune,
    stop_requested,
)
from hilum.training.variants import settled
from hilum.training.watching import EpochReport, Nobody, StepReport, Watcher
from hilum.training.world import (
    as_first,
    gathered,
    heard,
    is_restart,
    launch,
    own_cores,
    pooled,
    synced,
)
from hilum.writing import remove_drafts

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_TUNE_BATCH = 64


@dataclass(frozen=True)
class TrainingSet:
    """What the loop needs of the data: both roles, and the steps from film to input.

    quarantine: takes training films that cannot be read; without one the first ends the run
    """

    train: Cohort
    tune: Cohort
    steps: Sequence[Step]
    digest: str
    quarantine: Quarantine | None = None


def fit(
    classifier: Classifier,
    data: TrainingSet,
    recipe: Recipe,
    folder: Path,
    *,
    fabric: Fabric | None = None,
    watcher: Watcher | None = None,
    resume: bool = False,
) -> list[EpochReport]:
    """Fit in place and leave the classifier in its best state, on the CPU, in evaluation mode.

    folder: where `metrics.jsonl` and the checkpoints go, each epoch, when interrupted, and as
        often as the recipe says
    resume: go on from the newest checkpoint; the result is the same to the bit on a CPU
    Raises TrainingError when the loss is no longer finite (the batch's ids are written down), when
    interrupted (SIGINT or SIGTERM: the state is kept and the message says how to go on), or when
    there is nothing to resume.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fabric = fabric or launch(recipe.train)
    fitting = _Fitting(classifier, data, recipe, folder, fabric, watcher or Nobody())
    on_cpu = fabric.device.type == "cpu" and recipe.train.precision != "32-true"
    lower = precise_depthwise(classifier) if on_cpu else nullcontext()
    with seeded(recipe.seed, fabric.device), stop_requested() as stop, lower:
        fitting.begin(resume=_going_on(fabric, folder, resume))
        while not fitting.done:
            fitting.epoch(stop)
    classifier.cpu().to(memory_format=torch.contiguous_format)
    classifier.load_state_dict(fitting.state.best)
    classifier.eval()
    return fitting.reports


@dataclass
class _State:
    """Where a run stands. best: weights of the epoch with the lowest loss on tune."""

    best: State
    step: int = 0
    loss_sum: float = 0.0
    best_loss: float = math.inf
    since_best: int = 0


class _Fitting:
    """One run over its steps: every process of a run has one, in the same state."""

    def __init__(
        self,
        classifier: Classifier,
        data: TrainingSet,
        recipe: Recipe,
        folder: Path,
        fabric: Fabric,
        watcher: Watcher,
    ) -> None:
        self.classifier, self.data, self.recipe = classifier, data, recipe
        self.settings: TrainPart = recipe.train
        self.folder, self.fabric, self.watcher = folder, fabric, watcher
        self.label_nf = data.train.label_nf
        balanced = self.settings.sampling == "balanced"
        self.weight_n = balanced_weights(self.label_nf) if balanced else None
        self.objective = Objective.of(recipe.loss, self.label_nf).to(fabric.device)
        self._refuse_small_shares()
        self.batches = len(self._order(0))
        self.steps = self.settings.epochs * self.batches
        self.optimizer = AdamW(
            parameter_groups(classifier, self.settings), lr=self.settings.learning_rate
        )
        if self.settings.sync_batch_norm:
            synced(classifier, fabric)
        # Depthwise convolutions run about twice as fast channels-last.
        module = classifier.to(memory_format=torch.channels_last)
        stepped = cast(nn.Module, torch.compile(module)) if self.settings.compile else module
        self.model, self.adamw = fabric.setup(stepped, self.optimizer)
        self.average = PathAverage(self.settings, self.steps)
        self.state = _State(best=copied(classifier.state_dict()))
        self.reports: list[EpochReport] = []
        self.saved_at = time.monotonic()
        self.settled = settled(recipe)

    def _refuse_small_shares(self) -> None:
        films = min(self.settings.batch_size, len(self.data.train))
        world = self.fabric.world_size
        if world > 1 and films < 2 * world:
            raise TrainingError(
                "train.batch_size",
                f"{films} films a step for {world} processes",
                expected="two or more for each, or there are no batch statistics",
                remedy=f"set {2 * world} or more, or start fewer processes",
            )

    @property
    def done(self) -> bool:
        return self.state.step >= self.steps or self.state.since_best >= self.settings.patience

    def begin(self, *, resume: bool) -> None:
        if resume:
            self._restore()
            # What was written after the checkpoint will be written again.
            self.reports = read_metrics(self.folder)[: self.state.step // self.batches]
        elif self.fabric.is_global_zero:
            for old in checkpoints(self.folder):
                old.unlink()
        if self.fabric.is_global_zero:
            remove_drafts(self.folder)
        self._write_metrics()
        self.fabric.barrier()

    def epoch(self, stop: StopFlag) -> None:
        """The rest of the epoch that the run stands in."""
        state, began, seen = self.state, time.perf_counter(), 0
        epoch = state.step // self.batches
        order = self._order(epoch)[state.step % self.batches :]
        self.model.train()
        quarantine = self.data.quarantine
        films = read_batches(
            self.data.train, self.data.steps, order, quarantine=quarantine, threads=own_cores()
        )
        for positions, batch in zip(order, films, strict=True):
            rate = learning_rate(state.step, self.steps, self.settings)
            loss, asked = self._step(batch, epoch, rate, stop)
            seen += len(positions) * self.fabric.world_size
            images_per_s = seen / (time.perf_counter() - began)
            self.watcher.on_step(
                StepReport(state.step, self.steps, epoch + 1, loss, images_per_s, rate)
            )
            if state.step % self.batches:  # an epoch's end is saved when tune has been looked at
                if asked or self._due():
                    self._save()
                if asked:
                    raise interrupted(state.step, self.steps, self.folder)
        report = self._close(epoch, seen, began)
        self.reports.append(report)
        self._write_metrics()
        self.watcher.on_epoch(report)
        self._save()
        if self._any(stop.asked) and state.step < self.steps:
            raise interrupted(state.step, self.steps, self.folder)

    def _step(self, batch: Batch, epoch: int, rate: float, stop: StopFlag) -> tuple[float, bool]:
        """One optimiser step; its loss, and whether any process was asked to stop."""
        settings, fabric, state = self.settings, self.fabric, self.state
        mine = batch.positions
        label_nf = torch.from_numpy(self.label_nf[mine].astype(np.float32))
        counts = self._shared(float((~torch.isnan(label_nf)).sum()), float(len(mine)))
        if counts[:, 1].min() < 2 or not counts[:, 0].sum():
            # One film has no batch statistics, and what cannot be read or has no label teaches
            # nothing; every process leaves the step out, or the others would wait for it.
            state.step += 1
            return 0.0, self._any(stop.asked)
        # All that a step draws hangs on the seed, the step and the process.
        rng = np.random.default_rng((self.recipe.seed, 1, state.step))
        variation = draw_variation(self.recipe.augmentation, settings.batch_size, rng)
        share = slice(fabric.global_rank, None, fabric.world_size)
        own = np.random.default_rng((self.recipe.seed, 2, state.step, fabric.global_rank))
        torch.manual_seed(int(own.integers(2**63)))
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * rate

        image_nchw = fabric.to_device(torch.from_numpy(batch.image_nchw))
        image_nchw = apply_variation(image_nchw, variation.of(share).of(slice(0, len(mine))))
        image_nchw = _grown(image_nchw, epoch, settings)
        label_nf = fabric.to_device(label_nf)
        if settings.mixup:
            mixing = draw_mixing(settings.mixup, len(mine), own)
            image_nchw, label_nf = mixing.apply(image_nchw), mixing.apply(label_nf)

        # As many in each process: a synced batch norm waits for the others.
        pieces = min(settings.accumulate, int(counts[:, 1].min()) // 2)
        # DDP takes the mean over the processes of what is a sum over them.
        scale = fabric.world_size / float(counts[:, 0].sum())
        loss_sum = 0.0
        for piece, (images, labels) in enumerate(
            zip(image_nchw.tensor_split(pieces), label_nf.tensor_split(pieces), strict=True), 1
        ):
            with fabric.no_backward_sync(self.model, enabled=piece < pieces):
                loss, _ = self.objective.sums(self.model(images), labels)
                fabric.backward(loss * scale)
            loss_sum += float(loss.detach())
        gained = self._shared(loss_sum, float(stop.asked))
        mean_loss = float(gained[:, 0].sum() / counts[:, 0].sum())
        if is_broken(mean_loss):
            films = self.data.train.table["image_id"].iloc[mine].astype(str)
            ids = pooled(fabric, films.tolist())
            rows = pooled(fabric, films.index.astype(str).tolist())
            raise broken_loss(mean_loss, state.step + 1, rate, ids, rows, self.folder)
        self.adamw.step()
        self.adamw.zero_grad()
        state.step += 1
        state.loss_sum += mean_loss
        self.average.update(self.classifier, state.step)
        return mean_loss, bool(gained[:, 1].any())

    def _close(self, epoch: int, seen: int, began: float) -> EpochReport:
        """Look at tune, keep the state when it is the best so far, and report."""
        state, images_per_s = self.state, seen / (time.perf_counter() - began)
        self._agree()
        with _holding(self.classifier, self.average.state):
            logit_nf = self._tune_logits()
            label_nf = self.data.tune.label_nf
            plain, loss = self._tune_losses(logit_nf)
            refuse_broken_tune(loss)
            best = loss < state.best_loss
            if best:
                state.best = copied(self.classifier.state_dict())
                state.best_loss, state.since_best = loss, 0
            else:
                state.since_best += 1
        known = [~np.isnan(label_nf[:, f]) for f in range(label_nf.shape[1])]
        aurocs = [auroc(logit_nf[keep, f], label_nf[keep, f]) for f, keep in enumerate(known)]
        train_loss, state.loss_sum = state.loss_sum / self.batches, 0.0
        return EpochReport(
            epoch=epoch + 1,
            epochs=self.settings.epochs,
            step=state.step,
            learning_rate=learning_rate(state.step - 1, self.steps, self.settings),
            train_loss=train_loss,
            tune_log_loss=plain,
            tune_auroc=float(np.mean(aurocs)),
            images_per_s=images_per_s,
            seconds=time.perf_counter() - began,
            best=best,
            tune_loss=loss,
        )

    def _tune_losses(self, logit_nf: NDArray[np.float64]) -> tuple[float, float]:
        """Plain log loss on tune, and the loss that the recipe minimises."""
        label_nf = torch.tensor(self.data.tune.label_nf)
        on_cpu = torch.tensor(logit_nf), label_nf
        total, known = self.objective.sums(*(each.to(self.fabric.device) for each in on_cpu))
        return binary_cross_entropy(*on_cpu).item(), float(total / known.clamp(min=1))

    def _agree(self) -> None:
        """Batch norm's running statistics differ between processes: all take the first one's."""
        buffers = [name for name, _ in self.classifier.named_buffers()]
        for state in (self.classifier.state_dict(), self.average.state):
            if state is not None:
                as_first(self.fabric, (state[name] for name in buffers))

    def _tune_logits(self) -> NDArray[np.float64]:
        """Of every process's share of tune, each image once."""
        rank, world = self.fabric.global_rank, self.fabric.world_size
        batches = evaluation_batches(self.data.tune, _TUNE_BATCH, rank=rank, world=world)
        logit_nf = _logits(
            self.classifier, self.data.tune, self.data.steps, batches, self.fabric.device
        )
        mine = np.concatenate(batches) if batches else np.empty(0, dtype=np.intp)
        return gathered(self.fabric, mine, logit_nf, len(self.data.tune))

    def _order(self, epoch: int) -> list[NDArray[np.intp]]:
        """This process's part of each batch of an epoch."""
        return training_batches(
            self.data.train,
            self.settings.batch_size,
            np.random.default_rng((self.recipe.seed, 0, epoch)),
            rank=self.fabric.global_rank,
            world=self.fabric.world_size,
            weight_n=self.weight_n,
        )

    def _shared(self, *values: float) -> Tensor:
        """What every process has to say: shape (processes, values)."""
        return heard(self.fabric, *values)

    def _any(self, asked: bool) -> bool:
        return bool(self._shared(float(asked)).any())

    def _due(self) -> bool:
        """Is it time to save, by steps or by the clock of this process?"""
        steps, minutes = self.settings.checkpoint_steps, self.settings.checkpoint_minutes
        by_clock = minutes is not None and time.monotonic() - self.saved_at >= 60 * minutes
        return (steps is not None and self.state.step % steps == 0) or by_clock

    def _write_metrics(self) -> None:
        if self.fabric.is_global_zero:
            write_metrics(self.folder, self.reports)

    def _save(self) -> None:
        self.saved_at = time.monotonic()
        if not self.fabric.is_global_zero:
            return
        state = self.state
        Checkpoint(
            model=self.classifier.state_dict(),
            best=state.best,
            average=self.average.state or {},
            optimizer=self.optimizer.state_dict()["state"],
            facts={
                "recipe": self.settled,
                "data": self.data.digest,
                "step": state.step,
                "loss_sum": state.loss_sum,
                "best_loss": None if math.isinf(state.best_loss) else state.best_loss,
                "since_best": state.since_best,
            },
        ).write(self.folder, state.step, self.settings.checkpoints_kept)

    def _restore(self) -> None:
        kept = checkpoints(self.folder)
        if not kept:
            raise TrainingError(self.folder, "nothing to resume", remedy="start without --resume")
        saved = Checkpoint.read(kept[-1])
        for key, own, word in (
            ("recipe", self.settled, "another recipe"),
            ("data", self.data.digest, "other images"),
        ):
            if saved.facts.get(key) != own:
                raise TrainingError(
                    kept[-1],
                    f"written by a run with {word}",
                    remedy="resume with the same recipe and data, or start without --resume",
                )
        self.classifier.load_state_dict(saved.model)
        self.optimizer.load_state_dict(
            {"state": saved.optimizer, "param_groups": self.optimizer.state_dict()["param_groups"]}
        )
        device = self.fabric.device
        average = {name: tensor.to(device) for name, tensor in saved.average.items()}
        self.average.state = average or None
        step, loss_sum, best_loss, since_best = (
            saved.facts[key] for key in ("step", "loss_sum", "best_loss", "since_best")
        )
        self.state = _State(
            best=saved.best,
            step=int(str(step)),
            loss_sum=float(str(loss_sum)),
            best_loss=math.inf if best_loss is None else float(str(best_loss)),
            since_best=int(str(since_best)),
        )


def logits(
    classifier: Network,
    cohort: Cohort,
    steps: Sequence[Step],
    device: torch.device | str = "cpu",
) -> NDArray[np.float64]:
    """Raw logits by torch, shape (n, f), for selection and for the engine's check.

    Everything that is reported goes through `hilum.predict`.
    """
    return _logits(classifier, cohort, steps, evaluation_batches(cohort, _TUNE_BATCH), device)


def _logits(
    classifier: Network,
    cohort: Cohort,
    steps: Sequence[Step],
    batches: Sequence[NDArray[np.intp]],
    device: torch.device | str,
) -> NDArray[np.float64]:
    training = classifier.training
    classifier.eval()
    parts: list[NDArray[np.float32]] = []
    with torch.inference_mode():
        for _, image_nchw in read_batches(cohort, steps, batches, threads=own_cores()):
            batch = torch.from_numpy(image_nchw).to(device, memory_format=torch.channels_last)
            parts.append(classifier(batch).float().cpu().numpy())
    classifier.train(training)
    empty = np.empty((0, len(cohort.findings)))
    return np.concatenate(parts).astype(np.float64) if parts else empty


def _going_on(fabric: Fabric, folder: Path, resume: bool) -> bool:
    """Whether every process goes on from the newest checkpoint, or every one starts.

    They do when one of them was told to, or was started again after another had died: torchrun
    counts restarts host by host. Raises TrainingError when not all see the same checkpoint.
    """
    newest = checkpoints(folder)
    step = float(newest[-1].stem.rpartition("-")[2]) if newest else -1.0
    said = heard(fabric, float(resume), float(is_restart()), step)
    asked = bool(said[:, 0].any() or (said[:, 1].any() and said[0, 2] >= 0))
    if asked and not (said[:, 2] == said[0, 2]).all():
        raise TrainingError(
            folder,
            "not every process sees the same checkpoints",
            expected="one folder that all hosts share",
            remedy="let --out lie in such a folder",
        )
    return asked


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Torch's own random state, set for a while and put back; dropout draws from it."""
    devices = [device] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


@contextmanager
def _holding(classifier: Classifier, state: State | None) -> Iterator[None]:
    """The classifier with other weights for a while; None leaves it as it is."""
    if state is None:
        yield
        return
    own = copied(classifier.state_dict())
    classifier.load_state_dict(state)
    try:
        yield
    finally:
        classifier.load_state_dict(own)


def _grown(image_nchw: Tensor, epoch: int, settings: TrainPart) -> Tensor:
    """Films as large as this epoch takes them; the first are the smallest and the fastest."""
    share = min(1.0, epoch / max(1.0, settings.epochs * 2 / 3))
    size = image_nchw.shape[-1]
    side = 8 * round(size * (settings.grow_from + (1 - settings.grow_from) * share) / 8)
    if side >= size:
        return image_nchw
    return F.interpolate(image_nchw, (side, side), mode="bilinear", antialias=True)
