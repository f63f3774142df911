"""What reading, resizing and predicting cost over bare decoding, as ratios within one run.

python benchmarks/reading.py                  1024 x 1024 films to 224 x 224, and prediction of them
python benchmarks/reading.py --million        a cohort of a million rows
python benchmarks/reading.py --busy           other work on the machine: processor time

With HILUM_DATA set, also the DICOM files of rsna_sample and dicom/derived_chest there. Decoding,
reading and predicting take turns, and of each the fastest round counts: what slows one down is
other work on the machine.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import NamedTuple, get_args

import figures
import numpy as np
import pandas as pd
import pydicom
from numpy.typing import NDArray
from PIL import Image

from hilum.data.cohort import Cohort
from hilum.data.pixels import FilePixels, Pixels
from hilum.data.preprocessing import CentreSquare, Resize, Step
from hilum.data.reading import consecutive, cores, read_batches
from hilum.data.resampling import Interpolation
from hilum.data.sources.phantom import phantom_cohort
from hilum.engines import Engine

FILMS = 128  # read in a round
DRAWN = 16  # different ones, each of which is read several times
ROUNDS = 7
SIDE = 224
BATCH_SIZE = 32


class Case(NamedTuple):
    """Files of one kind, and their bare decoder."""

    name: str
    paths: list[Path]
    decode: Callable[[Path], object]


def steps(interpolation: Interpolation) -> tuple[Step, ...]:
    return (CentreSquare(), Resize(height=SIDE, width=SIDE, interpolation=interpolation))


def cohort_of(pixels: Pixels, n: int) -> Cohort:
    """Films of which nothing else is known."""
    table = pd.DataFrame({"image_id": pd.Series(range(n)).astype("string[pyarrow]")}).assign(
        patient_id=None, site=None, view=None, age=np.nan, sex=None, split=None, role=None
    )
    return Cohort("films", (), table, pixels)


def files(paths: Sequence[Path], n: int) -> FilePixels:
    """`n` films, the same files over and over."""
    names = [str(paths[i % len(paths)]) for i in range(n)]
    return FilePixels(Path(), pd.array(names, dtype="string[pyarrow]"))


def fastest(works: Sequence[Callable[[], float]], rounds: int = ROUNDS) -> list[float]:
    """The least of the seconds that each piece of work says it took; they take turns."""
    seconds = [[work() for work in works] for _ in range(rounds)]
    return np.min(seconds, axis=0).tolist()


# --- the files


def drawn_cases(folder: Path) -> list[Case]:
    """The phantom's films, 1024 x 1024, 8 bits, in each kind of file."""
    drawn = phantom_cohort(DRAWN, size=1024)
    for i in range(DRAWN):
        grey = Image.fromarray(np.rint(drawn.radiograph(i) * 255).astype(np.uint8))
        grey.save(folder / f"{i:02d}.png")
        grey.save(folder / f"{i:02d}.jpg", quality=95)
        write_dicom(folder / f"{i:02d}.dcm", (folder / f"{i:02d}.jpg").read_bytes())
    return [
        Case("PNG", sorted(folder.glob("*.png")), decode_image),
        Case("JPEG", sorted(folder.glob("*.jpg")), decode_image),
        Case("DICOM JPEG against its frame alone", sorted(folder.glob("*.dcm")), decode_frame),
        Case("DICOM JPEG against pydicom and Pillow", sorted(folder.glob("*.dcm")), decode_dicom),
    ]


def real_cases() -> Iterator[Case]:
    """Real DICOM films, where they are at hand."""
    data = Path(os.environ.get("HILUM_DATA", ""))
    rsna = sorted((data / "rsna_sample" / "stage_2_train_images").glob("*.dcm"))
    if rsna:
        yield Case("rsna_sample against its frames alone", rsna[:FILMS], decode_frame)
        yield Case("rsna_sample against pydicom and Pillow", rsna[:FILMS], decode_dicom)
    for path in sorted((data / "dicom" / "derived_chest").glob("*.dcm")):
        yield Case(f"{path.name} against pydicom", [path], decode_by_pydicom)


def write_dicom(path: Path, jpeg: bytes) -> None:
    """A digital radiograph whose only frame is the JPEG."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
    meta.MediaStorageSOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    film = pydicom.Dataset()
    film.file_meta = meta
    film.SOPClassUID = meta.MediaStorageSOPClassUID
    film.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    film.Modality, film.BodyPartExamined, film.ViewPosition = "DX", "CHEST", "PA"
    film.SamplesPerPixel, film.PhotometricInterpretation = 1, "MONOCHROME2"
    film.Rows = film.Columns = 1024
    film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation = 8, 8, 7, 0
    film.PixelData = pydicom.encaps.encapsulate([jpeg])
    film["PixelData"].VR = "OB"
    film.save_as(path, enforce_file_format=True)


def decode_image(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image)


def decode_frame(path: Path) -> NDArray[np.uint8]:
    """The JPEG inside a DICOM file, found by its first bytes: no element is read."""
    content = path.read_bytes()
    with Image.open(BytesIO(content[content.index(b"\xff\xd8\xff") :])) as image:
        return np.asarray(image)


def decode_dicom(path: Path) -> NDArray[np.uint8]:
    """The same, found by pydicom."""
    frame = pydicom.encaps.get_frame(pydicom.dcmread(path).PixelData, 0)
    with Image.open(BytesIO(frame)) as image:
        return np.asarray(image)


def decode_by_pydicom(path: Path) -> NDArray[np.generic]:
    """By whichever of its plugins pydicom takes first."""
    return pydicom.dcmread(path).pixel_array


# --- reading against decoding


def decoding(case: Case, clock: figures.Clock) -> float:
    """Seconds that the bare decoder takes for FILMS films, with a thread for each core."""
    paths = [case.paths[i % len(case.paths)] for i in range(FILMS)]
    start = clock()
    with ThreadPoolExecutor(cores()) as pool:
        for _ in pool.map(case.decode, paths):
            pass
    return clock() - start


def reading(case: Case, interpolation: Interpolation, clock: figures.Clock) -> float:
    """Seconds from files to batches of network input."""
    cohort = cohort_of(files(case.paths, FILMS), FILMS)
    start = clock()
    for _ in read_batches(cohort, steps(interpolation), consecutive(FILMS, BATCH_SIZE)):
        pass
    return clock() - start


def compare_reading(case: Case, rounds: int, clock: figures.Clock) -> dict[str, float]:
    kinds = get_args(Interpolation)
    works = [lambda: decoding(case, clock)]
    works += [lambda kind=kind: reading(case, kind, clock) for kind in kinds]
    bare, *ours = fastest(works, rounds)
    shares = ", ".join(f"{kind} {bare / each:.2f}" for kind, each in zip(kinds, ours, strict=True))
    print(f"{case.name}: bare decoder {FILMS / bare:.0f} films/s, 1; with reading, {shares}")
    return {f"{case.name}, {kind}": bare / each for kind, each in zip(kinds, ours, strict=True)}


# --- prediction from files


class Clocked:
    """Pixels that remember when they were first asked for."""

    def __init__(self, pixels: Pixels, clock: figures.Clock) -> None:
        self._pixels, self._clock = pixels, clock
        self.began: float | None = None

    def read(self, index: int) -> NDArray[np.float32]:
        self.began = self.began or self._clock()
        return self._pixels.read(index)


class Ready:
    """The same few inputs over and over, read and resized beforehand."""

    def __init__(self, image_nchw: NDArray[np.float32]) -> None:
        self._image_nchw = image_nchw

    def read(self, index: int) -> NDArray[np.float32]:
        return self._image_nchw[index % len(self._image_nchw), 0]


def untrained_engine(folder: Path) -> Engine:
    from hilum.engines.running import openvino_engine
    from hilum.model.backbones import make_backbone
    from hilum.model.classifier import Classifier
    from hilum.training.engine import export_engine

    backbone = make_backbone("efficientnet_lite0", 1, weights="none", dropout=0.0)
    return openvino_engine(export_engine(Classifier(backbone), SIDE, folder))


def predicting(engine: Engine, pixels: Pixels, clock: figures.Clock, *to_input: Step) -> float:
    """Seconds from the first film asked for to the last answer; loading the engine not counted."""
    from hilum.predict import engine_logits

    clocked = Clocked(pixels, clock)
    ends = []
    engine_logits(
        engine,
        to_input,
        cohort_of(clocked, FILMS),
        progress=lambda done, total: ends.append(clock()),
    )
    return ends[-1] - clocked.began


def compare_predicting(case: Case, engine: Engine, clock: figures.Clock) -> dict[str, float]:
    kind = steps("bicubic")
    cohort = cohort_of(files(case.paths, BATCH_SIZE), BATCH_SIZE)
    (batch,) = read_batches(cohort, kind, consecutive(BATCH_SIZE, BATCH_SIZE))
    ready, from_files = Ready(batch.image_nchw), files(case.paths, FILMS)
    decode, read, model, both = fastest(
        [
            lambda: decoding(case, clock),
            lambda: reading(case, "bicubic", clock),
            lambda: predicting(engine, ready, clock),
            lambda: predicting(engine, from_files, clock, *kind),
        ],
        rounds=3,
    )
    print(
        f"{case.name}: model alone {FILMS / model:.0f} films/s; from files, of the slower of "
        f"decoder and model {max(decode, model) / both:.2f}, of both on the same cores "
        f"{(decode + model) / both:.2f}, of reading and model on the same cores "
        f"{(read + model) / both:.2f}"
    )
    return {f"{case.name}, prediction to decoder and model": (decode + model) / both}


# --- a million rows


def million(paths: Sequence[Path], clock: figures.Clock) -> None:
    few, _ = first_batch(paths, 1_000, clock)
    n = 1_000_000
    first, built = first_batch(paths, n, clock)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{n:,} rows: cohort built in {built:.1f} s; order drawn and first batch read in "
        f"{first:.2f} s, {first / few:.1f} times what a thousand rows take; {memory:.2f} GB"
    )


def first_batch(paths: Sequence[Path], n: int, clock: figures.Clock) -> tuple[float, float]:
    """Seconds to draw an order and read its first batch, and before that to build the cohort."""
    start = clock()
    cohort = cohort_of(files(paths, n), n)
    built = clock()
    order = np.random.default_rng(0).permutation(n)
    batches = np.split(order, range(BATCH_SIZE, n, BATCH_SIZE))
    next(read_batches(cohort, steps("bicubic"), batches))
    return clock() - built, built - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--million", action="store_true", help="a cohort of a million rows")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of reading; {ROUNDS} if unset")
    figures.add_to(parser)
    options = parser.parse_args()
    ratios = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        drawn = drawn_cases(folder)
        if options.million:
            million(drawn[1].paths, options.clock)
            return
        print(f"{cores()} cores, load {os.getloadavg()[0]:.1f} before the run")
        for case in [*drawn, *real_cases()]:
            ratios |= compare_reading(case, options.rounds, options.clock)
        engine = untrained_engine(folder)
        for case in drawn[:3]:
            ratios |= compare_predicting(case, engine, options.clock)
    figures.write(options.json, ratios)


if __name__ == "__main__":
    main()
