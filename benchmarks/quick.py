"""What `hilum train --quick` takes, from the command to the bundle, and what comes of it.

python benchmarks/quick.py wall      five seeds: wall and processor time of the whole command in a
                                     process of its own, then AUC and accuracy on test (HILUM_DATA)
python benchmarks/quick.py parts     one run in this process, part by part
python benchmarks/quick.py engine    pooled features in f32 and bf16: images/s, and how far apart
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

RECIPE = "pneumoniamnist"
# What the command calls, in its order: (module, name) that is looked up when it is called.
PARTS = (
    ("hilum.cli.work", "open_cohort"),
    ("hilum.cli.work", "look_at"),
    ("hilum.training.run", "assign_roles"),
    ("hilum.training.run", "pseudonymised"),
    ("hilum.training.run", "launch"),
    ("hilum.training.making", "make_backbone"),
    ("hilum.training.probe", "pooling_engine"),
    ("hilum.training.probe", "_along_path"),
    ("hilum.training.making", "fit_probe"),
    ("hilum.training.making", "fit"),
    ("hilum.training.run", "export_engine"),
    ("hilum.training.run", "engine_logits"),
    ("hilum.training.run", "_agreement"),
    ("hilum.training.run", "_under_faults"),
    ("hilum.training.run", "_calibrate"),
    ("hilum.training.run", "_figures"),
    ("hilum.training.run", "versions"),
    ("hilum.training.run", "commit"),
    ("hilum.training.run", "seal_bundle"),
    ("hilum.training.run", "train"),
)


def hilum(*words: str) -> tuple[float, float]:
    """Run the command; seconds of wall and of processor time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "hilum", *words], check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def wall(seeds: int) -> None:
    rows = []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            bundle, out = Path(folder) / "bundle", Path(folder) / "out"
            train = ("train", RECIPE, "--quick", "--out", str(bundle), "--set", f"seed={seed}")
            seconds, processor = hilum(*train)
            hilum("evaluate", str(bundle), "--on", RECIPE, "--out", str(out))
            evaluation = json.loads((out / "evaluation.json").read_text())
        (finding,) = evaluation["figures"]
        points = evaluation["operating_points"][finding]
        row = (
            evaluation["figures"][finding]["auroc"]["value"],
            points["0.5"]["accuracy"]["value"],
            points["deployed"]["accuracy"]["value"],
            seconds,
            processor,
        )
        rows.append(row)
        print(
            f"seed {seed}: AUC {row[0]:.4f}, accuracy {row[1]:.4f} at 0.5 and {row[2]:.4f} at the "
            f"deployed point, {row[3]:.1f} s, {row[4]:.1f} s of processor",
            flush=True,
        )
    means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    print("mean: " + ", ".join(f"{mean:.4f}" for mean in means))


@contextlib.contextmanager
def timed(seconds: dict[str, list[float]]) -> Iterator[None]:
    """Every part's calls, wall and processor time, added up while inside."""

    def watched(name: str, function: object) -> object:
        @functools.wraps(function)  # type: ignore[arg-type]
        def wrapper(*given: object, **named: object) -> object:
            began, processor = time.perf_counter(), time.process_time()
            try:
                return function(*given, **named)  # type: ignore[operator]
            finally:
                total = seconds.setdefault(name, [0, 0.0, 0.0])
                total[0] += 1
                total[1] += time.perf_counter() - began
                total[2] += time.process_time() - processor

        return wrapper

    kept = []
    for module_name, name in PARTS:
        module = importlib.import_module(module_name)
        kept.append((module, name, getattr(module, name)))
        setattr(module, name, watched(name, getattr(module, name)))
    try:
        yield
    finally:
        for module, name, function in kept:
            setattr(module, name, function)


def parts() -> None:
    begun = time.perf_counter(), time.process_time()
    for name in ("pandas", "scipy.stats", "torch", "hilum.model.timm_runtime", "lightning_fabric"):
        began, processor = time.perf_counter(), time.process_time()
        importlib.import_module(name)
        tell(f"import {name}", time.perf_counter() - began, time.process_time() - processor)
    began, processor = time.perf_counter(), time.process_time()
    import hilum.training.run  # noqa: F401
    from hilum.cli.app import app

    tell("import hilum", time.perf_counter() - began, time.process_time() - processor)
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, timed(seconds):
        words = ["train", RECIPE, "--quick", "--out", str(Path(folder) / "bundle")]
        app(words, standalone_mode=False)
    for name, (calls, taken, processor) in seconds.items():
        tell(f"{name} × {calls:.0f}", taken, processor)
    tell("all", time.perf_counter() - begun[0], time.process_time() - begun[1])


def tell(name: str, taken: float, processor: float) -> None:
    print(f"{name:32s} {taken:7.2f} s {processor:7.2f} s of processor")


def engine() -> None:
    import numpy as np

    from hilum.data.sources import open_source
    from hilum.model.backbones import make_backbone
    from hilum.model.classifier import Classifier
    from hilum.openvino_runtime import openvino
    from hilum.training.engine import _converted, _Pooled

    backbone = make_backbone(
        "efficientnet_lite0", 1, weights="imagenet", dropout=0.0, features="stages"
    )
    cohort = open_source(RECIPE, data=Path(os.environ["HILUM_DATA"]))
    for size in (64, 112):
        from hilum.data.preprocessing import Resize, preprocess

        steps = (*cohort.reduction, Resize(height=size, width=size))
        films = [preprocess(cohort.pixels.read(i), steps) for i in range(512)]
        image_nchw = np.stack(films).astype(np.float32)
        model = _converted(_Pooled(Classifier(backbone)), size)
        answers = {}
        for precision in ("f32", "bf16"):
            hints = {"INFERENCE_PRECISION_HINT": precision}
            compiled = openvino.Core().compile_model(model, "CPU", hints)
            compiled(image_nchw[:64])
            began = time.perf_counter()
            answers[precision] = np.concatenate(
                [np.array(compiled(batch)[0]) for batch in np.split(image_nchw, 8)]
            )
            rate = len(image_nchw) / (time.perf_counter() - began)
            print(f"{size} px {precision}: {rate:.0f} images/s")
        spread_c = answers["f32"].std(axis=0)
        alive_c = spread_c > 1e-6
        apart_nc = np.abs(answers["bf16"] - answers["f32"])[:, alive_c] / spread_c[alive_c]
        print(f"{size} px: bf16 off by {np.median(apart_nc):.4f} standard deviations, median")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("wall", "parts", "engine"))
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    if given.what == "wall":
        wall(given.seeds)
    elif given.what == "parts":
        parts()
    else:
        engine()
