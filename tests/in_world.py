"""What tests run in processes of their own: small trainings, and checks of a world of several."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from hilum.data.cohort import Cohort
from hilum.data.preprocessing import Resize
from hilum.data.reading import Quarantine
from hilum.data.roles import assign_roles
from hilum.data.sources import open_source
from hilum.errors import HilumError, RadiographError, TrainingError
from hilum.model.backbones import make_backbone
from hilum.model.classifier import Classifier
from hilum.recipe import DataPart, ReadingPart, Recipe, TrainPart, make_recipe
from hilum.training.loop import TrainingSet, fit, logits, seeded
from hilum.training.watching import Nobody, StepReport
from hilum.training.world import gathered, launch, synced

ROWS = ([0, 2, 4, 6, 7], [1, 3, 5])  # of unequal number
SIDE = 32


# --- batch norms and answers of several processes -------------------------------------------------


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 5, 3),
        BatchNormAct2d(5, act_layer=nn.ReLU6),
        nn.Conv2d(5, 4, 3),
        nn.BatchNorm2d(4, momentum=None),
        nn.Flatten(),
        nn.Linear(64, 3),
        nn.BatchNorm1d(3, affine=False),
    )


def films() -> Tensor:
    # A mean far from nought is where a careless variance loses its digits.
    return torch.randn(8, 2, 8, 8, generator=torch.Generator().manual_seed(1)) + 3


def loss_of(out_nf: Tensor) -> Tensor:
    """A sum, so that the losses of the processes add up to that of the whole batch."""
    return (out_nf**3 + out_nf).sum()


def results(module: nn.Module, out_nf: Tensor, film_nchw: Tensor) -> dict[str, Tensor]:
    assert film_nchw.grad is not None
    gradients = {f"grad/{name}": p.grad for name, p in module.named_parameters()}
    return {"out": out_nf.detach(), "films": film_nchw.grad, **gradients, **module.state_dict()}


def norms_and_answers(folder: Path) -> None:
    fabric = launch(TrainPart(accelerator="cpu"))
    rank = fabric.global_rank
    module = synced(network(), fabric)
    rows = ROWS[rank]
    film_nchw = films()[rows].requires_grad_()
    out_nf = module(film_nchw)
    loss_of(out_nf).backward()
    for parameter in module.parameters():  # as DDP does, but for the division
        torch.distributed.all_reduce(parameter.grad)
    torch.save(results(module, out_nf, film_nchw), folder / f"norm-{rank}.pt")

    value_nf = np.array([[row, -row] for row in rows], dtype=float)
    whole_nf = gathered(fabric, np.array(rows), value_nf, 10)
    nobody_nf = gathered(fabric, np.empty(0, dtype=np.intp), np.empty((0, 2)), 3)
    np.savez(folder / f"gathered-{rank}.npz", whole_nf=whole_nf, nobody_nf=nobody_nf)
    try:
        gathered(fabric, np.array([3, rank]), value_nf[:2], 10)
    except TrainingError as error:
        (folder / f"twice-{rank}.txt").write_text(str(error))


# --- small trainings ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Small:
    """A run of a tiny network on small films.

    source, data: of the films, as `open_source` takes them
    folder: of what is noted here; disk: what the run itself writes lies there, or in `folder`
    slow_s: seconds that a step takes longer
    die_at, die_after: SIGKILL so many seconds after that step
    fill_disk_at, small_files_at: after that step the disk is full, or no file may grow large
    poisoned, deadly, broken: rows of the train role whose films are no numbers, kill the thread
        that reads them, or cannot be read
    """

    source: str
    data: Path | None
    folder: Path
    train: Mapping[str, Any] = field(default_factory=dict)
    backbone: str = "test_efficientnet"
    dropout: float = 0.0
    noise: float = 0.0
    resume: bool = False
    disk: Path | None = None
    slow_s: float = 0.0
    die_at: int | None = None
    die_after: float = 0.0
    fill_disk_at: int | None = None
    small_files_at: int | None = None
    poisoned: tuple[int, ...] = ()
    deadly: tuple[int, ...] = ()
    broken: tuple[int, ...] = ()

    @property
    def recipe(self) -> Recipe:
        return make_recipe(
            {
                "name": "small",
                "input": {"size": SIDE},
                "model": {"backbone": self.backbone, "weights": "none", "dropout": self.dropout},
                "augmentation": {"noise": self.noise},
                "train": {"epochs": 2, "batch_size": 16, "accelerator": "cpu", **self.train},
            }
        )

    def to_json(self) -> str:
        """What `python in_world.py` takes."""
        return json.dumps(asdict(self), default=str)

    @property
    def work(self) -> Path:
        """What the run itself writes."""
        return (self.disk or self.folder) / "run"

    def again(self, **changes: Any) -> Small:
        return changed(self, **changes)

    def weights(self, rank: int = 0) -> dict[str, Tensor]:
        return load_file(self.folder / f"weights-{rank}.safetensors")

    def reports(self, rank: int = 0) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads((self.folder / f"reports-{rank}.json").read_text())
        return found

    def tune_logits(self, rank: int = 0) -> np.ndarray:
        """By the weights that were kept, shape (n, 1)."""
        found: np.ndarray = np.load(self.folder / f"tune-{rank}.npy")
        return found

    def tune_labels(self, rank: int = 0) -> np.ndarray:
        found: np.ndarray = np.load(self.folder / f"label-{rank}.npy")
        return found

    def steps(self, rank: int = 0) -> list[int]:
        """The steps that were taken, in the order of all lives of this run."""
        lines = (self.folder / f"steps-{rank}.txt").read_text().split()
        return [int(line) for line in lines]


def train_small(run: Small) -> None:
    """Fit; leave each process's weights and reports in the folder. An error: one line, code 2."""
    rank = int(os.environ.get("RANK", "0"))
    try:
        reports, classifier = _fit(run, rank)
    except HilumError as error:
        print(f"hilum: {error}", flush=True)
        sys.exit(2)
    state = {name: tensor.contiguous() for name, tensor in classifier.state_dict().items()}
    save_file(state, run.folder / f"weights-{rank}.safetensors")
    (run.folder / f"reports-{rank}.json").write_text(json.dumps([vars(each) for each in reports]))


def _fit(run: Small, rank: int) -> tuple[list[Any], Classifier]:
    recipe = run.recipe
    cohort = open_source(run.source, DataPart(), ReadingPart(), data=run.data)
    cohort, _ = assign_roles(cohort, seed=recipe.seed)
    with seeded(recipe.seed):
        model = recipe.model
        backbone = make_backbone(model.backbone, 1, weights="none", dropout=model.dropout)
        classifier = Classifier(backbone)
    steps = (*cohort.reduction, Resize(height=SIDE, width=SIDE))
    run.folder.mkdir(parents=True, exist_ok=True)
    train, tune = cohort.with_role("train"), cohort.with_role("tune")
    quarantine = Quarantine(len(train), 0.5)
    data = TrainingSet(_spoilt(train, run), tune, steps, "digest", quarantine)
    watcher = Mortal(run, rank)
    reports = fit(classifier, data, recipe, run.work, watcher=watcher, resume=run.resume)
    np.save(run.folder / f"tune-{rank}.npy", logits(classifier, tune, steps))
    np.save(run.folder / f"label-{rank}.npy", tune.label_nf)
    return reports, classifier


def _spoilt(cohort: Cohort, run: Small) -> Cohort:
    """The cohort, with the films that the run wants spoilt."""
    rows = cohort.table.index.to_numpy()
    if run.poisoned:
        names = cohort.table["image_id"].iloc[list(run.poisoned)]
        (run.folder / "poisoned.txt").write_text("\n".join(names))
    pixels = SpoiltPixels(
        cohort.pixels,
        *({int(rows[row]) for row in each} for each in (run.poisoned, run.deadly, run.broken)),
    )
    return changed(cohort, pixels=pixels)


@dataclass(frozen=True)
class SpoiltPixels:
    """Pixels of another, but for some films. The loop asks nothing else of them."""

    pixels: Any
    poisoned: set[int]
    deadly: set[int]
    broken: set[int]

    def read(self, index: int) -> Any:
        if index in self.deadly:
            raise RuntimeError("the decoder died")
        if index in self.broken:
            raise RadiographError(f"film {index}", "cannot be read")
        film = self.pixels.read(index)
        return np.full(np.shape(film), np.nan, dtype=np.float32) if index in self.poisoned else film


class Mortal(Nobody):
    """Notes every step, and kills its process when its time has come."""

    def __init__(self, run: Small, rank: int) -> None:
        self.run = run
        self.notes = run.folder / f"steps-{rank}.txt"

    def on_step(self, report: StepReport) -> None:
        with self.notes.open("a") as file:
            file.write(f"{report.step}\n")
        time.sleep(self.run.slow_s)
        if report.step == self.run.fill_disk_at:
            filler = self.run.work.parent / "filler"
            with suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
        if report.step == self.run.small_files_at:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        if report.step == self.run.die_at:
            if self.run.die_after:
                threading.Timer(self.run.die_after, _die).start()
            else:
                _die()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    if os.environ.get("RANK") == os.environ.get("ABSENT_RANK", "none"):
        sys.exit(3)
    values = json.loads(sys.argv[1])
    paths = {key: values[key] and Path(values[key]) for key in ("data", "folder", "disk")}
    train_small(Small(**{**values, **paths}))


if __name__ == "__main__":
    main()
