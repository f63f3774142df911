"""A small world in which the commands of README and docs can be typed: data, films, models.

Every data set stands in its published layout, drawn by the phantom; what is typed there is left to
`test_pages`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from hilum.bundle import load_bundle
from hilum.cli import run
from hilum.data.cohort import Cohort
from hilum.data.preprocessing import preprocess, reduction_to
from hilum.data.sources.phantom import phantom_cohort
from hilum.robustness.monitoring.record import append
from hilum.serving.audit import Audit
from hilum.serving.rejection import Kind
from others import PROBABILITY, Net, write_onnx, write_toml
from pacs import made_film
from served import made_lines

SIDE = 64
# Bundles that pages name and take as given; all are copies of one.
MODELS = ("pneumoniamnist", "mine", "kermany", "phantom", "patients", "first", "a", "b")


@dataclass(frozen=True)
class World:
    """A folder to stand in, and what HILUM_DATA names there."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def copy(self, folder: Path) -> World:
        """The same world elsewhere: large files are linked, for none is ever written in place."""
        shutil.copytree(self.folder, folder, copy_function=_linked)
        return World(folder)


def make_world(folder: Path) -> World:
    """Make all of it, in a working folder of its own; HILUM_DATA has to name `folder / "data"`."""
    world = World(folder)
    world.data.mkdir(parents=True)
    _kermany(world.data)
    _rsna(world.data)
    _nih(world.data)
    _hannover(world.data)
    _dicom(world.data)
    make_films(folder)
    _predictions(folder)
    _trained(world)
    _others(folder)
    return world


def _kermany(data: Path) -> None:
    """kermany_224/ and the PneumoniaMNIST that was made of it, in the same order."""
    cohort = phantom_cohort(240, size=SIDE, prevalence=0.6, test_prevalence=0.6)
    folder = data / "kermany_224"
    patient_n = cohort.table["patient_id"].str.extract(r"(\d+)$")[0].astype(int).to_numpy() % 10
    split_n = np.select([patient_n < 5, patient_n < 7], ["train", "val"], "test")
    label_n = cohort.label_nf[:, 0].astype(int)
    index_n = pd.Series(split_n).groupby(split_n).cumcount()
    name_n = [
        f"images/{('NORMAL', 'PNEUMONIA')[label]}/{i:04d}.png" for i, label in enumerate(label_n)
    ]
    arrays = {f"{split}_{kind}": [] for split in ("train", "val", "test") for kind in _KINDS}
    for i, name in enumerate(name_n):
        image_hw = cohort.radiograph(i)
        # So white below, with the finding, that two epochs are enough to learn it.
        image_hw[SIDE // 2 :] += 0.8 * label_n[i]
        _write(image_hw, folder / name)
        arrays[f"{split_n[i]}_images"].append(_bytes(preprocess(image_hw, reduction_to(28))))
        arrays[f"{split_n[i]}_labels"].append([label_n[i]])
    np.savez(
        data / "pneumoniamnist.npz", **{k: np.array(v, dtype=np.uint8) for k, v in arrays.items()}
    )
    table = cohort.table[["patient_id"]].assign(
        path=name_n,
        label=label_n,
        view="frontal (AP, paediatric)",
        medmnist_split=split_n,
        medmnist_index=index_n.to_numpy(),
        est_aspect_w_over_h=1.0,
        kaggle_split=split_n,
    )
    table.to_csv(folder / "labels.csv", index=False)


_KINDS = ("images", "labels")


def _rsna(data: Path) -> None:
    """rsna/ and rsna_sample/: opaque, normal and neither, with boxes and whose film each one is."""
    folder = data / "rsna_sample"
    films = folder / "stage_2_train_images"
    films.mkdir(parents=True)
    cohort = _adults(60, seed=11)
    boxes, classes, mapping = [], [], []
    for i in range(len(cohort)):
        name = f"{i:08x}-0000-4000-8000-000000000000"
        _dicom_film(cohort, i, films / f"{name}.dcm")
        row = cohort.table.iloc[i]
        drawn = cohort.boxes[cohort.boxes["image_id"] == row["image_id"]]
        corners = drawn[["x", "y", "width", "height"]].to_numpy().round(1).tolist()
        boxes += [(name, *box, 1) for box in corners] or [(name, None, None, None, None, 0)]
        kind = "Normal" if i % 3 else "No Lung Opacity / Not Normal"
        classes.append((name, "Lung Opacity" if corners else kind))
        mapping.append((name, f"{9000 + i // 2:08d}_{i % 2:03d}.png", 9000 + i // 2))
    corner_names = ["x", "y", "width", "height"]
    _csv(folder / "stage_2_train_labels.csv", ["patientId", *corner_names, "Target"], boxes)
    _csv(folder / "stage_2_detailed_class_info.csv", ["patientId", "class"], classes)
    names = ["rsna_patient_id", "nih_image", "nih_patient_id"]
    _csv(folder / "nih_mapping.csv", names, mapping)
    (data / "rsna").symlink_to("rsna_sample")


def _nih(data: Path) -> None:
    """nih/ and nih_sample/: films of 1,024 pixels are given as smaller ones, as in a sample."""
    folder = data / "nih_sample"
    cohort = _adults(80, seed=12)
    rows = []
    for i in range(len(cohort)):
        patient = i // 2 + 1
        name = f"{patient:08d}_{i % 2:03d}.png"
        _write(cohort.radiograph(i), folder / "images" / name)
        found = ("No Finding", "Effusion") if i % 3 else ("No Finding", "No Finding")
        finding = "Pneumonia|Infiltration" if cohort.label_nf[i, 0] else found[i % 2]
        view = cohort.table["view"].iloc[i]
        rows.append((name, finding, i % 2, patient, 40 + i % 30, "MF"[i % 2], view, 1024, 1024))
    columns = [
        *("Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age"),
        *("Patient Gender", "View Position", "OriginalImage[Width", "Height]"),
    ]
    _csv(folder / "Data_Entry_2017_v2020.csv", columns, rows)
    (data / "nih").symlink_to("nih_sample")


def _hannover(data: Path) -> None:
    """Films of one finding alone, with masks of their lungs."""
    folder = data / "hannover_sample"
    cohort = phantom_cohort(12, size=SIDE, seed=13, age_group="adults")
    rows = []
    for i in range(len(cohort)):
        name = f"{i:08x}.png"
        _write(cohort.radiograph(i), folder / "images" / name)
        mask_hw = cohort.pixels.lung_mask(i)  # type: ignore[attr-defined]
        _write(mask_hw.astype(np.float32), folder / "lung_masks" / name)
        rows.append((f"images/{name}", 1, f"{i // 2:08x}", "AP", "m", f"lung_masks/{name}"))
    columns = ["path", "label", "patient_id", "view", "sex", "lung_mask"]
    _csv(folder / "labels.csv", columns, rows)


def _dicom(data: Path) -> None:
    folder = data / "dicom" / "real_chest"
    folder.mkdir(parents=True)
    cohort = _adults(4, seed=14)
    for i in range(len(cohort)):
        _dicom_film(cohort, i, folder / f"{i}.dcm")


def make_films(folder: Path) -> None:
    """What a hospital has: films to predict, and two tables of films with labels."""
    _films(folder)
    _hospitals(folder)


def _films(folder: Path) -> None:
    """Films to predict: PNG and DICOM of unseen patients, and pictures that are no chest."""
    cohort = phantom_cohort(30, size=SIDE, seed=15)
    films = folder / "films"
    for i in range(24):
        _write(cohort.radiograph(i), films / f"{i:04d}.png")
    for i in range(24, 30):
        _dicom_film(cohort, i, films / f"{i:04d}.dcm")
    rng = np.random.default_rng(16)
    for i in range(6):
        bone_hw = np.zeros((SIDE, SIDE), dtype=np.float32)
        at = int(rng.integers(16, 30))
        bone_hw[:, at : at + 16] = rng.uniform(0.4, 0.9, (SIDE, 16))
        _write(bone_hw, films / "hips" / f"hip-{i}.png")
    for name in ("film.png", "one.png"):
        shutil.copy(films / "0000.png", folder / name)
    for name in ("film.dcm", "two.dcm"):
        shutil.copy(films / "0024.dcm", folder / name)


def _hospitals(folder: Path) -> None:
    """site_a.csv and site_b.csv over films of their own; site_b/ as a table and as classes."""
    for name, seed in (("site_a", 17), ("site_b", 18)):
        cohort = phantom_cohort(80, size=SIDE, seed=seed, prevalence=0.5, test_prevalence=0.5)
        label_n = cohort.label_nf[:, 0].astype(int)
        rows = []
        for i in range(len(cohort)):
            path = f"{name}/{('NORMAL', 'PNEUMONIA')[label_n[i]]}/{i:04d}.png"
            _write(cohort.radiograph(i), folder / path)
            age, sex = cohort.table[["age", "sex"]].iloc[i]
            patient = cohort.table["patient_id"].iloc[i]
            nlp = label_n[i] if i % 9 else 1 - label_n[i]
            rows.append((path, label_n[i], patient, name, "PA", age, sex, nlp, label_n[i]))
        columns = [
            *("path", "label", "patient_id", "site", "view", "age", "sex"),
            *("nlp", "read"),
        ]
        table = pd.DataFrame(rows, columns=columns)
        table.to_csv(folder / f"{name}.csv", index=False)
        inside = table.assign(path=table["path"].str.removeprefix(f"{name}/"))
        # A label whose header is another word, as hospitals' tables have it.
        inside.rename(columns={"label": "finding"}).to_csv(
            folder / name / "labels.csv", index=False
        )


def _predictions(folder: Path) -> None:
    """theirs.csv, and two sets of predictions on the same films under the names that pages use."""
    rng = np.random.default_rng(19)
    n = 160
    label_n = (np.arange(n) % 2).astype(int)
    patient_n = [f"P{i // 4}" for i in range(n)]

    def prob(noise: float) -> np.ndarray:
        return 1 / (1 + np.exp(-(3 * label_n - 1.5 + rng.normal(0, noise, n))))

    pd.DataFrame(
        {
            "file": [f"{i:04d}.png" for i in range(n)],
            "y": label_n,
            "p": prob(2.5),
            "mrn": patient_n,
            "site": np.where(np.arange(n) % 3, "A", "B"),
            "age": 1 + np.arange(n) % 80,
        }
    ).to_csv(folder / "theirs.csv", index=False)
    for name, noise in (("ours", 1.5), ("theirs", 2.5), ("seed-0", 1.5), ("seed-1", 1.6)):
        (folder / name).mkdir(exist_ok=True)
        prob_n = prob(noise)
        pd.DataFrame(
            {
                "image_id": [f"{i:04d}.png" for i in range(n)],
                "patient_id": patient_n,
                "label_pneumonia": label_n.astype(float),
                "logit_pneumonia": np.log(prob_n / (1 - prob_n)),
                "prob_pneumonia": prob_n,
                "decision": (prob_n > 0.5).astype(int),
            }
        ).to_parquet(folder / name / "predictions.parquet")


def _trained(world: World) -> None:
    """A bundle with all that a bundle carries, trained for a moment, and records of its answers."""
    here = Path.cwd()
    os.chdir(world.folder)
    try:
        models = world.folder / "models"
        short = ["--set", "train.epochs=2", "--set", "train.batch_size=16"]
        short += ["--set", "abstention.examples=100"]
        assert run(["train", "pneumoniamnist", "--out", "models/pneumoniamnist", *short]) == 0
    finally:
        os.chdir(here)
    for name in MODELS[1:]:
        shutil.copytree(models / "pneumoniamnist", models / name)
    for name in ("c", "d"):
        shutil.copytree(models / "mine", world.folder / "elsewhere" / "models" / name)
    shutil.copytree(models / "pneumoniamnist", world.folder / "m224")
    rng = np.random.default_rng(20)
    digest = load_bundle(models / "mine").digest
    lines = made_lines(rng, [25] * 18, bundle=digest)
    append(world.folder / "record", lines)
    Audit(world.folder / "record").rejected(None, Kind.UNREADABLE)
    append(world.folder / "quiet", made_lines(rng, [25] * 14, first=-30, bundle=digest))
    rows = [(line.input, line.findings["Pneumonia"].decision) for line in lines[::3]]
    _csv(world.folder / "labels.csv", ["input", "label_pneumonia"], rows)


def _others(folder: Path) -> None:
    """Other people's model, a recipe of one's own, and a token."""
    model = write_onnx(folder / "theirs" / "model.onnx", Net.random(1, 1))
    write_toml(model, PROBABILITY)
    (folder / "my.toml").write_text(
        'name = "my"\n[data]\nsource = "pneumoniamnist"\nfindings = ["Pneumonia"]\n'
        "[input]\nsize = 64\n[train]\nepochs = 1\nbatch_size = 32\n[sweep]\ntrials = 2\n"
        '[sweep.ranges]\n"train.average" = { choices = ["none", "ema"] }\n',
        encoding="utf-8",
    )
    (folder / "token").write_text("0123456789abcdef-of-a-test\n", encoding="utf-8")
    (folder / "outputs").mkdir()
    (folder / "outputs" / "report.html").write_text("<!doctype html><title>r</title>\n")
    (folder / "docs").mkdir()


def _adults(n: int, seed: int) -> Cohort:
    return phantom_cohort(
        n, size=SIDE, seed=seed, age_group="adults", prevalence=0.5, test_prevalence=0.5
    )


def _dicom_film(cohort: Cohort, position: int, path: Path) -> None:
    grey_hw = np.rint(cohort.radiograph(position) * 4095).astype("<u2")
    row = cohort.table.iloc[position]
    film = made_film(position, side=SIDE, PixelData=grey_hw.tobytes(), PatientSex=row["sex"])
    film.PatientID, film.ViewPosition = row["patient_id"], row["view"]
    film.PatientAge, film.StudyDate = "060Y", date(2026, 3, 2).strftime("%Y%m%d")
    film.save_as(path, enforce_file_format=True)


def _write(image_hw: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    ImageOps.grayscale(Image.fromarray(_bytes(image_hw))).save(path, compress_level=1)


def _bytes(image_hw: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(np.squeeze(image_hw), 0, 1) * 255).astype(np.uint8)


def _csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=[*columns]).to_csv(path, index=False)


def _linked(source: str, target: str) -> None:
    if Path(source).stat().st_size > 100_000:
        os.link(source, target)
    else:
        shutil.copy2(source, target)
