"""Steps of a classifier, timed in their parts; what `training.py` and `throughput.py` share."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.optim import AdamW
from torch.utils.flop_counter import FlopCounterMode

from hilum.model.backbones import make_backbone
from hilum.model.classifier import Classifier
from hilum.model.losses import Objective
from hilum.recipe import LossPart, ModelPart
from hilum.training.precision import precise_depthwise


class Way(NamedTuple):
    """One way to compute a step. wholly: bf16 in depthwise convolutions too, on a CPU."""

    name: str
    channels_last: bool = True
    bf16: bool = False
    wholly: bool = False
    compiled: bool = False


class Parts(NamedTuple):
    """Seconds of one step."""

    forward: float
    backward: float
    optimiser: float


class Clock:
    """Seconds, when the device has done all that it was given.

    busy: the processor time of this process instead of the wall's; with one thread alone it says
        what a step takes, whatever else runs on the machine
    """

    def __init__(self, device: str, *, busy: bool) -> None:
        self.device, self.busy = device, busy

    def __call__(self) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.process_time() if self.busy else time.perf_counter()


def untrained(model: ModelPart) -> Classifier:
    """With random weights, for they cost no less."""
    return Classifier(
        make_backbone(
            model.backbone, 1, weights="none", dropout=model.dropout, features=model.features
        )
    )


class Stepping:
    """A classifier that takes the same step over and over."""

    def __init__(self, model: ModelPart, side: int, n: int, way: Way, clock: Clock) -> None:
        torch.manual_seed(0)
        self.way, self.clock, self.n = way, clock, n
        device = clock.device
        self.classifier = untrained(model).to(device)
        layout = torch.channels_last if way.channels_last else torch.contiguous_format
        self.classifier.to(memory_format=layout)  # type: ignore[call-overload]
        self.model = torch.compile(self.classifier) if way.compiled else self.classifier
        self.image_nchw = torch.rand(n, 1, side, side, device=device)
        self.label_nf = (torch.arange(n, device=device) % 2).float()[:, None]
        label_nf = self.label_nf.double().cpu().numpy()
        self.objective = Objective.of(LossPart(), label_nf).to(device)
        self.optimiser = AdamW(self.classifier.parameters(), lr=1e-4)

    def precision(self) -> ExitStack:
        """As training has it: bf16 by autocast, on a CPU without depthwise convolutions."""
        stack = ExitStack()
        if self.way.bf16:
            stack.enter_context(torch.autocast(self.clock.device, torch.bfloat16))
            if self.clock.device == "cpu" and not self.way.wholly:
                stack.enter_context(precise_depthwise(self.classifier))
        return stack

    def train(self) -> Parts:
        self.classifier.train()
        began = self.clock()
        with self.precision():
            loss, known = self.objective.sums(self.model(self.image_nchw), self.label_nf)
        forward = self.clock()
        (loss / known).backward()
        backward = self.clock()
        self.optimiser.step()
        self.optimiser.zero_grad()
        return Parts(forward - began, backward - forward, self.clock() - backward)

    def infer(self) -> Parts:
        self.classifier.eval()
        began = self.clock()
        with torch.inference_mode(), self.precision():
            self.model(self.image_nchw)
        return Parts(self.clock() - began, 0.0, 0.0)

    def flops(self) -> float:
        """Operations of a film on its way forward, two for a multiplication with its addition.

        Training is taken for three times as many: as much again by the input, and by the weights.
        """
        self.classifier.eval()
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            self.classifier(self.image_nchw[:1])
        return float(counter.get_total_flops())


def warmed(work: Callable[[], Parts]) -> float:
    """Call it twice, untimed; the seconds of the first, which compiles, by the wall."""
    began = time.perf_counter()
    work()
    first = time.perf_counter() - began
    work()
    return first


def fastest(works: Sequence[Callable[[], Parts]], rounds: int) -> list[Parts]:
    """The fastest step of each, taking turns: what slows one down is other work on the machine."""
    taken = [[work() for work in works] for _ in range(rounds)]
    return [min(steps, key=sum) for steps in zip(*taken, strict=True)]


def peak_flops(clock: Clock, dtype: torch.dtype, rounds: int = 7) -> tuple[float, float]:
    """What the device does at best, in operations a second: of a matrix product, of a convolution.

    Square matrices of 2,048 on a CPU, 8,192 on a GPU; 256 channels to 256, 3 by 3, channels last.
    """
    large = clock.device == "cuda"
    side, n, width = (8192, 128, 56) if large else (2048, 16, 28)
    matrix = torch.rand(side, side, device=clock.device, dtype=dtype)
    film = torch.rand(n, 256, width, width, device=clock.device, dtype=dtype)
    film = film.contiguous(memory_format=torch.channels_last)
    kernel = torch.rand(256, 256, 3, 3, device=clock.device, dtype=dtype)

    def rate(work: Callable[[], Tensor], operations: float) -> float:
        seconds = []
        for _ in range(rounds):
            began = clock()
            work()
            seconds.append(clock() - began)
        return operations / float(np.min(seconds))

    with torch.inference_mode():
        return (
            rate(lambda: matrix @ matrix, 2 * side**3),
            rate(
                lambda: torch.nn.functional.conv2d(film, kernel, padding=1),
                2 * n * width**2 * 9 * 256**2,
            ),
        )


def machine(device: str) -> str:
    """What the figures are of."""
    name = torch.cuda.get_device_name() if device == "cuda" else _processor()
    threads = "" if device == "cuda" else f", {torch.get_num_threads()} threads"
    return f"{name}{threads}; torch {torch.__version__}"


def _processor() -> str:
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
