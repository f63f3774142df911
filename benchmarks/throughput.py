"""Images a second of EfficientNet-B0 and Lite0 at 224, in training and inference, and of decoding.

python benchmarks/throughput.py                    a GPU where there is one, else the processor
python benchmarks/throughput.py --device cpu --compile
python benchmarks/throughput.py --device cpu --busy    other work on the machine: one thread, and
                                                       processor time

On a GPU: bf16 autocast, channels-last, torch.compile. On a processor: channels-last in float32 and
in bf16, compiled when asked. Films lie on the device already; what it takes to bring them there
stands in the last table. With HILUM_DATA set, that also reads the JPEG files of kermany_224.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from reading import cohort_of, drawn_cases, files
from stepping import Clock, Stepping, Way, fastest, machine, warmed

from hilum.data.pixels import ArrayPixels, Pixels
from hilum.data.preprocessing import CentreSquare, Resize
from hilum.data.reading import consecutive, cores, read_batches
from hilum.recipe import ModelPart

SIDE = 224
BACKBONES = ("efficientnet_b0", "efficientnet_lite0")
FILMS = 512  # read in a round


class Published(NamedTuple):
    """What timm's author has measured: images a second at 224 pixels, by model."""

    card: str
    how: str
    file: str
    inference: Mapping[str, float]
    training: Mapping[str, float]


# github.com/huggingface/pytorch-image-models, folder results/. amp is float16. No file of training
# was found there that is newer than PyTorch 1.12, nor one of another card than the RTX 3090.
PUBLISHED = (
    Published(
        "RTX 3090",
        "amp, channels-last, PyTorch 1.12",
        "benchmark-train-amp-nhwc-pt112-cu113-rtx3090.csv",
        {},
        {"efficientnet_b0": 1751.72, "efficientnet_lite0": 2079.28},
    ),
    Published(
        "RTX 3090",
        "amp, channels-last, PyTorch 2.4",
        "benchmark-infer-amp-nhwc-pt240-cu124-rtx3090.csv",
        {"efficientnet_b0": 8241.4, "efficientnet_lite0": 9657.18},
        {},
    ),
    Published(
        "RTX 4090",
        "amp, channels-last, PyTorch 2.4",
        "benchmark-infer-amp-nhwc-pt240-cu124-rtx4090.csv",
        {"efficientnet_b0": 9831.68, "efficientnet_lite0": 11509.61},
        {},
    ),
    Published(
        "RTX PRO 6000 Max-Q",
        "bf16 autocast, contiguous, compiled, PyTorch 2.9.1",
        "benchmark-infer-amp_bf16-nchw-pt291-cu130-pro6000maxq-dynamo.csv",
        {"efficientnet_b0": 17308.96, "efficientnet_lite0": 25838.23},
        {},
    ),
    Published(
        "Core i9-10940X, 14 cores",
        "float32, one film at a time, compiled, PyTorch 2.4",
        "benchmark-infer-fp32-nchw-pt240-cpu-i9_10940x-dynamo.csv",
        {"efficientnet_b0": 100.41, "efficientnet_lite0": 181.39},
        {},
    ),
)


def ways(device: str, *, compiled: bool) -> Sequence[Way]:
    if device == "cuda":
        return (Way("channels-last, bf16, compiled", bf16=True, compiled=True),)
    found = [Way("channels-last, float32"), Way("channels-last, bf16", bf16=True)]
    if compiled:
        found += [each._replace(name=f"{each.name}, compiled", compiled=True) for each in found]
    return found


def measured(
    backbone: str, way: Way, n: int, clock: Clock, rounds: int
) -> tuple[float, float, float]:
    """Images a second in training and in inference, and seconds until the first step was done."""
    stepping = Stepping(ModelPart(backbone=backbone, weights="none"), SIDE, n, way, clock)
    first = warmed(stepping.train)
    train = fastest([stepping.train], rounds)[0]
    warmed(stepping.infer)
    infer = fastest([stepping.infer], rounds)[0]
    return n / sum(train), n / sum(infer), first


def show_networks(device: str, n: int, clock: Clock, rounds: int, *, compiled: bool) -> float:
    """Print their table; the fastest training rate, which decoding must keep up with."""
    print("| network | how | training | inference | first step |\n|---|---|---|---|---|")
    best = 0.0
    for backbone in BACKBONES:
        for way in ways(device, compiled=compiled):
            train, infer, first = measured(backbone, way, n, clock, rounds)
            print(f"| {backbone} | {way.name} | {train:,.0f} | {infer:,.0f} | {first:.0f} s |")
            best = max(best, train)
    return best


def show_published() -> None:
    print("\n| timm's own figures | how | network | training | inference | file |")
    print("|---" * 6 + "|")
    for each in PUBLISHED:
        for backbone in BACKBONES:
            rates = (each.training.get(backbone), each.inference.get(backbone))
            cells = " | ".join("" if rate is None else f"{rate:,.0f}" for rate in rates)
            print(f"| {each.card} | {each.how} | {backbone} | {cells} | {each.file} |")


def reading_rate(pixels: Pixels, n: int, clock: Clock, rounds: int) -> float:
    """Images a second from where they lie to batches of network input, a thread for each core.

    By a busy clock those of one core.
    """
    cohort = cohort_of(pixels, n)
    steps = (CentreSquare(), Resize(height=SIDE, width=SIDE, interpolation="bicubic"))
    seconds = []
    for _ in range(rounds):
        began = clock()
        for _ in read_batches(cohort, steps, consecutive(n, 64)):
            pass
        seconds.append(clock() - began)
    return n / min(seconds)


def show_decoding(train_rate: float, clock: Clock, rounds: int) -> None:
    """How many cores must read, for the network never to wait."""
    reading_cores = 1 if clock.busy else cores()
    grey = np.random.default_rng(0).integers(0, 256, (FILMS, 28, 28), dtype=np.uint8)
    kinds: dict[str, Pixels] = {"28 px arrays in memory": ArrayPixels(grey)}
    kermany = Path(os.environ.get("HILUM_DATA", "")) / "kermany_224"
    paths = sorted(kermany.rglob("*.jpg"))[:FILMS] + sorted(kermany.rglob("*.jpeg"))[:FILMS]
    if paths:
        kinds["224 px JPEG files (kermany_224)"] = files(paths, FILMS)
    print(
        f"\n| reading, {reading_cores} cores | images/s | a core | cores to keep up with training |"
    )
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as room:
        jpeg = next(case for case in drawn_cases(Path(room)) if case.name == "JPEG")
        kinds["1024 px JPEG files (drawn)"] = files(jpeg.paths, FILMS)
        for name, pixels in kinds.items():
            rate = reading_rate(pixels, FILMS, clock, rounds)
            each = rate / reading_cores
            print(f"| {name} | {rate:,.0f} | {each:,.0f} | {train_rate / each:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cuda", "cpu"))
    parser.add_argument("--batch", type=int, help="films a step: 256 on a GPU, else 32")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--busy", action="store_true", help="one thread and its processor time")
    parser.add_argument("--compile", action="store_true", help="on a processor, too")
    asked = parser.parse_args()
    device = asked.device or ("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(1 if asked.busy else cores())
    n = asked.batch or (256 if device == "cuda" else 32)
    print(f"Images a second at {SIDE} px, {n} films a step. {machine(device)}; load ", end="")
    print(f"{os.getloadavg()[0]:.1f} before{'; processor time' if asked.busy else ''}.\n")
    clock = Clock(device, busy=asked.busy)
    train_rate = show_networks(device, n, clock, asked.rounds, compiled=asked.compile)
    show_published()
    show_decoding(train_rate, clock, asked.rounds)


if __name__ == "__main__":
    main()
