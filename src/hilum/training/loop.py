"""The training loop: fit a classifier on `train`, stop it by `tune`, keep the best state.

What a run is made of before and after stands in `run`. Lightning Fabric does devices, precision
and processes; one process is a world of size one.
"""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import AdamW

from hilum.data.cohort import Cohort
from hilum.data.preprocessing import Step
from hilum.data.reading import Quarantine, consecutive, read_batches
from hilum.data.shards.order import training_batches
from hilum.errors import TrainingError
from hilum.evaluation.discrimination import auroc
from hilum.model.classifier import Classifier
from hilum.model.losses import binary_cross_entropy
from hilum.recipe import Recipe, TrainPart
from hilum.training.augmentation import apply_variation, draw_variation
from hilum.training.checkpoint import NAME, Checkpoint

METRICS = "metrics.jsonl"
_SLOWER = "set a lower train.learning_rate and start again"


@dataclass(frozen=True)
class StepReport:
    """One optimiser step: `step` of `steps`, its loss, and the rate since the epoch began."""

    step: int
    steps: int
    epoch: int
    loss: float
    images_per_s: float


@dataclass(frozen=True)
class EpochReport:
    """One epoch, 1 … epochs. Losses are uncalibrated; the AUROC is the mean over findings."""

    epoch: int
    epochs: int
    step: int
    learning_rate: float
    train_loss: float
    tune_log_loss: float
    tune_auroc: float
    images_per_s: float
    seconds: float
    best: bool


class Watcher(Protocol):
    """Whoever wants to follow a run: a progress bar, plain lines, nobody."""

    def on_step(self, report: StepReport) -> None: ...
    def on_epoch(self, report: EpochReport) -> None: ...


class Nobody:
    """A watcher that looks away."""

    def on_step(self, report: StepReport) -> None: ...
    def on_epoch(self, report: EpochReport) -> None: ...


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
    watcher: Watcher | None = None,
    resume: bool = False,
) -> list[EpochReport]:
    """Fit in place and leave the classifier in its best state, on the CPU, in evaluation mode.

    folder: where `metrics.jsonl` and, each epoch or when interrupted, the checkpoint go
    resume: go on from the folder's checkpoint; the result is the same to the bit on a CPU
    Raises TrainingError when the loss is no longer finite, when interrupted (SIGINT or SIGTERM:
    the state is kept and the message says how to go on), or when there is nothing to resume.
    """
    watcher = watcher or Nobody()
    folder.mkdir(parents=True, exist_ok=True)
    settings = recipe.train
    try:
        fabric = Fabric(accelerator=settings.accelerator, devices=1, precision=settings.precision)
    except RuntimeError as error:
        raise TrainingError(
            f"train.accelerator = {settings.accelerator!r}",
            str(error).splitlines()[0],
            remedy="set 'auto' or 'cpu'",
        ) from error
    fabric.launch()
    batches = len(_epoch_order(data.train, recipe, 0, fabric))
    total = settings.epochs * batches
    optimizer = AdamW(_parameter_groups(classifier, settings), lr=settings.learning_rate)
    # Depthwise convolutions run about twice as fast channels-last.
    model, adamw = fabric.setup(classifier.to(memory_format=torch.channels_last), optimizer)
    train_label_nf = data.train.label_nf
    positive_weight_f = _positive_weights(train_label_nf, settings).to(fabric.device)

    state = _State(best={name: t.detach().clone() for name, t in classifier.state_dict().items()})
    # What is fitted after training may be changed without training again.
    settled = recipe.model_dump(mode="json", exclude={"calibration"})
    facts: dict[str, object] = {"recipe": settled, "data": data.digest}
    metrics = folder / METRICS
    with seeded(recipe.seed, fabric.device), stop_requested() as stop:
        if resume:
            state = _restore(folder / NAME, classifier, optimizer, facts)
            _keep_lines(metrics, state.step // batches)
        else:
            (folder / NAME).unlink(missing_ok=True)
            metrics.write_text("")
        while state.step < total and state.since_best < settings.patience:
            epoch = state.step // batches
            order = _epoch_order(data.train, recipe, epoch, fabric)[state.step % batches :]
            began, seen = time.perf_counter(), 0
            model.train()
            images = read_batches(data.train, data.steps, order, quarantine=data.quarantine)
            for positions, read in zip(order, images, strict=True):
                mine, image_nchw = read.positions, read.image_nchw
                if len(mine) < 2:  # the rest cannot be read, and one film has no batch statistics
                    state.step += 1
                    continue
                rng = np.random.default_rng((recipe.seed, 1, state.step, fabric.global_rank))
                variation = draw_variation(recipe.augmentation, len(mine), rng)
                batch = fabric.to_device(torch.from_numpy(image_nchw))
                label_nf = torch.from_numpy(train_label_nf[mine].astype(np.float32))
                for group in optimizer.param_groups:
                    group["lr"] = group["rate"] * learning_rate(state.step, total, settings)
                logit_nf = model(apply_variation(batch, variation))
                loss = binary_cross_entropy(
                    logit_nf,
                    fabric.to_device(label_nf),
                    positive_weight_f=positive_weight_f,
                    label_smoothing=settings.label_smoothing,
                )
                fabric.backward(loss)
                adamw.step()
                adamw.zero_grad()
                state.step += 1
                seen += len(positions) * fabric.world_size
                state.loss_sum += _finite(float(loss.detach()), data.train, mine)
                rate = seen / (time.perf_counter() - began)
                watcher.on_step(
                    StepReport(state.step, total, epoch + 1, float(loss.detach()), rate)
                )
                if stop.asked and state.step % batches:
                    _save(folder, classifier, optimizer, state, facts)
                    raise _interrupted(state.step, total, folder)
            report = _close_epoch(
                classifier, data, settings, state, (epoch, batches, total), (began, seen), fabric
            )
            with metrics.open("a") as file:
                file.write(json.dumps(asdict(report)) + "\n")
            watcher.on_epoch(report)
            _save(folder, classifier, optimizer, state, facts)
            if stop.asked and state.step < total:
                raise _interrupted(state.step, total, folder)
    classifier.cpu().to(memory_format=torch.contiguous_format).load_state_dict(state.best)
    classifier.eval()
    return [EpochReport(**json.loads(line)) for line in metrics.read_text().splitlines()]


def logits(
    classifier: Classifier,
    cohort: Cohort,
    steps: Sequence[Step],
    device: torch.device | str = "cpu",
) -> NDArray[np.float64]:
    """Raw logits by torch, shape (n, f), for the loop's own stopping and for the engine's check.

    Everything that is reported goes through `hilum.predict`.
    """
    training = classifier.training
    classifier.eval()
    parts: list[NDArray[np.float32]] = []
    with torch.inference_mode():
        for _, image_nchw in read_batches(cohort, steps, consecutive(len(cohort), 64)):
            batch = torch.from_numpy(image_nchw).to(device, memory_format=torch.channels_last)
            parts.append(classifier(batch).float().cpu().numpy())
    classifier.train(training)
    return np.concatenate(parts).astype(np.float64)


def learning_rate(step: int, steps: int, settings: TrainPart) -> float:
    """Linear warm-up, then a cosine to nought (Loshchilov & Hutter 2017); step is 0 … steps-1."""
    warmup = max(1, round(settings.warmup_fraction * steps))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Torch's own random state, set for a while and put back; dropout draws from it."""
    devices = [device] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


@dataclass
class _StopFlag:
    asked: bool = False


@contextmanager
def stop_requested() -> Iterator[_StopFlag]:
    """SIGINT and SIGTERM ask the loop to stop after the step in hand, so that no step is torn."""
    flag = _StopFlag()

    def ask(signum: int, frame: object) -> None:
        flag.asked = True

    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        for each in before:
            signal.signal(each, ask)
    except ValueError:  # not the main thread: whoever owns the process answers its signals
        before = {}
    try:
        yield flag
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@dataclass
class _State:
    best: dict[str, Tensor]
    step: int = 0
    loss_sum: float = 0.0
    best_loss: float = math.inf
    since_best: int = 0


def _epoch_order(
    cohort: Cohort, recipe: Recipe, epoch: int, fabric: Fabric
) -> list[NDArray[np.intp]]:
    """This process's part of each batch of an epoch."""
    rng = np.random.default_rng((recipe.seed, 0, epoch))
    return training_batches(
        cohort, recipe.train.batch_size, rng, rank=fabric.global_rank, world=fabric.world_size
    )


def _parameter_groups(classifier: Classifier, settings: TrainPart) -> list[dict[str, object]]:
    """No weight decay on biases and norms, which have one dimension; the head has its own rate.

    With one rate for all, the head's bias cannot follow: the network then silences every feature
    of films without the finding and leaves their logits near nought.
    """
    head = set(classifier.network.get_classifier().parameters())
    groups = []
    for of_head, rate in ((False, 1.0), (True, settings.head_rate)):
        parameters = [p for p in classifier.parameters() if (p in head) == of_head]
        for decayed, decay in ((True, settings.weight_decay), (False, 0.0)):
            chosen = [p for p in parameters if (p.ndim > 1) == decayed]
            groups.append({"params": chosen, "weight_decay": decay, "rate": rate})
    return groups


def _positive_weights(label_nf: NDArray[np.float64], settings: TrainPart) -> Tensor:
    if settings.class_weights == "none":
        return torch.ones(label_nf.shape[1])
    absent_f, present_f = (label_nf == 0).sum(axis=0), (label_nf == 1).sum(axis=0)
    return torch.from_numpy((absent_f / np.maximum(present_f, 1)).astype(np.float32))


def _close_epoch(
    classifier: Classifier,
    data: TrainingSet,
    settings: TrainPart,
    state: _State,
    place: tuple[int, int, int],
    pace: tuple[float, int],
    fabric: Fabric,
) -> EpochReport:
    """Look at tune, keep the state when it is the best so far, and report."""
    (epoch, batches, total), (began, seen) = place, pace
    rate = seen / (time.perf_counter() - began)
    logit_nf = logits(classifier, data.tune, data.steps, fabric.device)
    label_nf = data.tune.label_nf
    loss = binary_cross_entropy(torch.tensor(logit_nf), torch.tensor(label_nf)).item()
    known = [~np.isnan(label_nf[:, f]) for f in range(label_nf.shape[1])]
    aurocs = [auroc(logit_nf[keep, f], label_nf[keep, f]) for f, keep in enumerate(known)]
    if not math.isfinite(loss):
        raise TrainingError("training", f"the loss on tune is {loss}", remedy=_SLOWER)
    best = loss < state.best_loss
    if best:
        state.best_loss, state.since_best = loss, 0
        state.best = {name: t.detach().clone() for name, t in classifier.state_dict().items()}
    else:
        state.since_best += 1
    train_loss, state.loss_sum = state.loss_sum / batches, 0.0
    return EpochReport(
        epoch=epoch + 1,
        epochs=settings.epochs,
        step=state.step,
        learning_rate=learning_rate(state.step - 1, total, settings),
        train_loss=train_loss,
        tune_log_loss=loss,
        tune_auroc=float(np.mean(aurocs)),
        images_per_s=rate,
        seconds=time.perf_counter() - began,
        best=best,
    )


def _finite(loss: float, cohort: Cohort, positions: NDArray[np.intp]) -> float:
    if math.isfinite(loss):
        return loss
    ids = ", ".join(cohort.table["image_id"].iloc[positions[:5]].astype(str))
    raise TrainingError(
        "training",
        f"the loss is {loss} on a batch that begins with {ids}",
        remedy=_SLOWER,
    )


def _interrupted(step: int, steps: int, folder: Path) -> TrainingError:
    return TrainingError(
        "training",
        f"interrupted after step {step} of {steps}; its state is kept in {folder}",
        remedy="run the same command with --resume to go on",
    )


def _save(
    folder: Path,
    classifier: Classifier,
    optimizer: AdamW,
    state: _State,
    facts: dict[str, object],
) -> None:
    progress = {
        "step": state.step,
        "loss_sum": state.loss_sum,
        "best_loss": None if math.isinf(state.best_loss) else state.best_loss,
        "since_best": state.since_best,
    }
    Checkpoint(
        model=classifier.state_dict(),
        best=state.best,
        optimizer=optimizer.state_dict()["state"],
        generator=torch.get_rng_state(),
        facts={**facts, **progress},
    ).write(folder / NAME)


def _restore(
    path: Path, classifier: Classifier, optimizer: AdamW, facts: dict[str, object]
) -> _State:
    if not path.is_file():
        raise TrainingError(path, "nothing to resume", remedy="start without --resume")
    saved = Checkpoint.read(path)
    for key, word in (("recipe", "another recipe"), ("data", "other images")):
        if saved.facts.get(key) != facts[key]:
            raise TrainingError(
                path,
                f"written by a run with {word}",
                remedy="resume with the same recipe and data, or start without --resume",
            )
    classifier.load_state_dict(saved.model)
    optimizer.load_state_dict(
        {"state": saved.optimizer, "param_groups": optimizer.state_dict()["param_groups"]}
    )
    torch.set_rng_state(saved.generator)
    step, loss_sum, best_loss, since_best = (
        saved.facts[key] for key in ("step", "loss_sum", "best_loss", "since_best")
    )
    return _State(
        best=saved.best,
        step=int(str(step)),
        loss_sum=float(str(loss_sum)),
        best_loss=math.inf if best_loss is None else float(str(best_loss)),
        since_best=int(str(since_best)),
    )


def _keep_lines(metrics: Path, epochs: int) -> None:
    """Drop what was written after the checkpoint that is resumed."""
    lines = metrics.read_text().splitlines(keepends=True) if metrics.exists() else []
    metrics.write_text("".join(lines[:epochs]))
