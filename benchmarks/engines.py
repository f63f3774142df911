"""Engines of a bundle against Keras on TensorFlow, and against what is done around them.

hilum train pneumoniamnist-224 --set train.epochs=1 --out m224
python benchmarks/engines.py m224 --tensorflow /path/to/python       one that can import tensorflow
python benchmarks/engines.py m224 --films DIR       DICOM films, for the last table
python benchmarks/engines.py m224 --busy            other work on the machine: every way takes one
                                                    thread, and processor time is counted

Bulk: batches of 32, turn about, each way once in every turn; medians of the turns, and medians of
the ratios to Keras within a turn. Keras is EfficientNetB0 of random weights at 224, `predict`, in a
process of its own that waits while the others run. int8 is quantised here, whether or not its
answers are good enough to be exported. Latency: films one by one, medians. Times of a clock mean
something only where the load that is printed last is no more than the number of cores.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from hilum.bundle import Bundle, load_bundle
from hilum.data.cohort import Cohort
from hilum.data.preprocessing import preprocess
from hilum.data.radiograph import read_radiograph
from hilum.data.reading import cores
from hilum.data.sources import open_source
from hilum.data.sources.films import films
from hilum.engines import Engine, carried_engine, onnx_engine, openvino_engine
from hilum.engines.running import has_bf16, processor
from hilum.exporting.onnx import write_onnx
from hilum.exporting.quantising import quantise
from hilum.predict import BATCH_SIZE, predict
from hilum.rebuilding import network_of
from hilum.serving.answering import Answerer
from hilum.serving.film import prepare

KERAS = """
import os, sys, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np, tensorflow as tf
if sys.argv[2] == "busy":
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
clock = time.process_time if sys.argv[2] == "busy" else time.perf_counter
model = tf.keras.applications.EfficientNetB0(weights=None, classes=1)
images = np.random.default_rng(0).random((int(sys.argv[1]), 224, 224, 3), dtype=np.float32) * 255
model.predict(images, batch_size=32, verbose=0)
print("ready", tf.__version__, tf.keras.__version__, flush=True)
for _ in sys.stdin:
    start = clock()
    model.predict(images, batch_size=32, verbose=0)
    print(len(images) / (clock() - start), flush=True)
"""


class Keras(NamedTuple):
    """The other process."""

    process: subprocess.Popen[str]
    versions: str

    @classmethod
    def of(cls, python: Path, n: int, busy: bool) -> Keras:
        process = subprocess.Popen(
            [python, "-c", KERAS, str(n), "busy" if busy else "quiet"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "PYTHONPATH")},
        )
        assert process.stdout is not None
        return cls(process, process.stdout.readline().removeprefix("ready ").strip())

    def rate(self) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def engines(
    bundle: Bundle, folder: Path, image_nchw: np.ndarray, threads: int | None
) -> dict[str, Engine]:
    """Every engine that runs here."""
    quantise(bundle.engine, image_nchw, folder)
    int8 = (folder / "model.xml").read_bytes(), (folder / "model.bin").read_bytes()
    write_onnx(network_of(bundle), bundle.manifest.engine.input_size, folder / "model.onnx")
    found = {"openvino-f32": carried_engine(bundle, threads=threads)}
    if has_bf16():
        found["openvino-bf16"] = openvino_engine(bundle.engine, precision="bf16", threads=threads)
    found["openvino-int8"] = openvino_engine(int8, name="openvino-int8", threads=threads)
    found["onnx-f32"] = onnx_engine((folder / "model.onnx").read_bytes(), threads=threads)
    return found


CLOCK: Callable[[], float] = time.perf_counter


def bare(engine: Engine, image_nchw: np.ndarray) -> float:
    start = CLOCK()
    for first in range(0, len(image_nchw), BATCH_SIZE):
        engine(image_nchw[first : first + BATCH_SIZE])
    return len(image_nchw) / (CLOCK() - start)


def whole(bundle: Bundle, cohort: Cohort, engine: Engine) -> float:
    start = CLOCK()
    predict(bundle, cohort, engine=engine)
    return len(cohort) / (CLOCK() - start)


def png_cohort(bundle: Bundle, image_nchw: np.ndarray, folder: Path) -> Cohort:
    """The same films as PNG files of the network's size."""
    for k, image_hw in enumerate(image_nchw[:, 0]):
        grey_hw = np.rint(image_hw * 255).astype(np.uint8)
        Image.fromarray(grey_hw).save(folder / f"{k:04d}.png")
    return films([str(folder)], bundle.findings, bundle.manifest.reading)


def bulk(bundle: Bundle, n: int, turns: int, python: Path | None, busy: bool) -> dict[str, Engine]:
    """Print images a second of every way, and return the engines."""
    cohort = open_source("pneumoniamnist")
    cohort = cohort.where(np.arange(len(cohort)) < n)
    steps = bundle.manifest.preprocessing
    image_nchw = np.stack([preprocess(cohort.pixels.read(k), steps) for k in range(n)])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ways: dict[str, Callable[[], float]] = {}
        found = engines(bundle, folder, image_nchw, 1 if busy else None)
        (folder / "png").mkdir()
        files = png_cohort(bundle, image_nchw, folder / "png")
        for engine_name, engine in found.items():
            ways[f"{engine_name}, bare"] = lambda engine=engine: bare(engine, image_nchw)
        for engine_name, engine in found.items():
            ways[f"{engine_name}, predict, PNG"] = lambda engine=engine: whole(
                bundle, files, engine
            )
            ways[f"{engine_name}, predict, PneumoniaMNIST"] = lambda engine=engine: whole(
                bundle, cohort, engine
            )
        keras = Keras.of(python, n, busy) if python else None
        if keras:
            print(f"TensorFlow and Keras {keras.versions}")
            ways = {"Keras, predict": keras.rate} | ways
        for way in ways.values():
            way()
        rates = np.array([[way() for way in ways.values()] for _ in range(turns)])
        if keras:
            keras.close()
    what = "images per second of a core" if busy else "images/s"
    print(f"\nbulk, {n} films, {turns} turns: {what}, range" + (", times Keras" if keras else ""))
    for k, way_name in enumerate(ways):
        line = f"| {way_name} | {np.median(rates[:, k]):.0f} "
        line += f"| {rates[:, k].min():.0f} to {rates[:, k].max():.0f} |"
        if keras:
            line += f" {np.median(rates[:, k] / rates[:, 0]):.1f} |"
        print(line)
    return found


def milliseconds(work: Callable[[int], object], n: int) -> str:
    for k in range(min(n, 5)):
        work(k)
    times = []
    for k in range(n):
        start = CLOCK()
        work(k)
        times.append(1e3 * (CLOCK() - start))
    return (
        f"{np.median(times):.1f} | {np.quantile(times, 0.1):.1f} to {np.quantile(times, 0.9):.1f}"
    )


def latency(bundle: Bundle, found: dict[str, Engine], folder: Path, n: int) -> None:
    manifest = bundle.manifest
    contents = [file.read_bytes() for file in sorted(folder.rglob("*.dcm"))[:n]]
    n = len(contents)
    read = [read_radiograph(each, manifest.reading, name="film") for each in contents]
    ready = [prepare(each, manifest.reading, manifest.preprocessing) for each in contents]
    print(f"\none film, {n} DICOM files, the first {read[0].stored_hw.shape}: ms, 10th to 90th")
    reading = milliseconds(lambda k: read_radiograph(contents[k], manifest.reading, name="film"), n)
    print(f"| read | {reading} |")
    steps = manifest.preprocessing
    print(f"| preprocess | {milliseconds(lambda k: preprocess(read[k].stored_hw, steps), n)} |")
    for name, engine in found.items():
        answerer = Answerer(bundle, engine)

        def from_file(k: int, answerer: Answerer = answerer) -> object:
            return answerer.answer([prepare(contents[k], manifest.reading, steps)])

        model = milliseconds(lambda k, engine=engine: engine(ready[k].image_chw[None]), n)
        print(f"| {name}, model | {model} |")
        print(f"| {name}, file to probability | {milliseconds(from_file, n)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--tensorflow", type=Path, metavar="PYTHON")
    parser.add_argument("--films", type=Path, metavar="DIR")
    parser.add_argument("--n", type=int, default=256)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--busy", action="store_true")
    arguments = parser.parse_args()
    if arguments.busy:
        global CLOCK
        CLOCK = time.process_time
    bundle = load_bundle(arguments.bundle)
    manifest = bundle.manifest
    print(
        f"{processor()}, {cores()} cores; {manifest.backbone.name}, {manifest.engine.input_size} px"
    )
    found = bulk(bundle, arguments.n, arguments.turns, arguments.tensorflow, arguments.busy)
    where = arguments.films or Path(os.environ.get("HILUM_DATA", "")) / "rsna_sample"
    latency(bundle, found, where, 60)
    print(f"\nload {os.getloadavg()[0]:.1f} over the last minute")


if __name__ == "__main__":
    main()
