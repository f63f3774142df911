"""A made hospital folder with everything in it that a check has to find."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from hilum.data.cohort import Cohort
from hilum.data.pixels import ArrayPixels
from hilum.data.sources.phantom import phantom_cohort

N = 24
NAME, BIRTH, RECORD = "DOE^JANE", "19500317", "MRN0012345"


def film(seed: int, side: tuple[int, int] = (120, 96)) -> NDArray[np.uint8]:
    """A film unlike any other seed's, [h, w]: coarse clouds, so its perceptual hash is its own."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9)).astype(np.uint8)
    size = side[::-1]
    return np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))


def noise(n: int, side: int) -> Cohort:
    """The phantom's table with films of noise, which take no time to draw."""
    image_nhw = np.random.default_rng(0).integers(0, 256, (n, side, side)).astype(np.uint8)
    return replace(phantom_cohort(n), pixels=ArrayPixels(image_nhw))


def write_dicom(path: Path, grey: NDArray[np.uint8], *, body_part: str) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dicom = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dicom.PatientName, dicom.PatientBirthDate, dicom.PatientID = NAME, BIRTH, RECORD
    dicom.StudyInstanceUID = generate_uid()
    dicom.Modality, dicom.BodyPartExamined, dicom.ViewPosition = "DX", body_part, "PA"
    dicom.Rows, dicom.Columns = grey.shape
    dicom.SamplesPerPixel, dicom.PhotometricInterpretation = 1, "MONOCHROME2"
    dicom.BitsAllocated = dicom.BitsStored = 8
    dicom.HighBit, dicom.PixelRepresentation = 7, 0
    dicom.PixelData = grey.tobytes()
    dicom.save_as(path)


def make_site(folder: Path) -> Path:
    """`labels.csv` beside 24 sound films of 12 patients, then what is wrong with the rest:

    copy.png: film-00 again, for another patient, in test, with the other label
    again.jpg: film-02 again, as JPEG, with its own label, split and patient
    cut.png, text.png: cannot be read · hand.dcm: a hand, whose file names DOE^JANE
    gone.png: has a row and no file
    """
    films = folder / "films"
    films.mkdir(parents=True)
    rows = []
    for i in range(N):
        name = f"films/{NAME}-{i:02d}.png"
        Image.fromarray(film(i)).save(folder / name)
        split = "train" if i < 16 else "val" if i < 20 else "test"
        rows.append(
            (name, i % 2, f"{RECORD}-{i // 2}", split, "PA" if i % 3 else "AP", "F", 40 + i)
        )
    shutil.copy(folder / rows[0][0], films / "copy.png")
    rows.append(("films/copy.png", 1, f"{RECORD}-99", "test", "AP", "M", 95))
    Image.fromarray(film(2)).save(films / "again.jpg", quality=90)
    rows.append(("films/again.jpg", 0, f"{RECORD}-1", "train", "PA", "F", 42))
    whole = (folder / rows[5][0]).read_bytes()
    (films / "cut.png").write_bytes(whole[: len(whole) // 2])
    (films / "text.png").write_text("this is no film")
    write_dicom(films / "hand.dcm", film(77, (140, 130)), body_part="HAND")
    for name in ("cut.png", "text.png", "hand.dcm", "gone.png"):
        rows.append((f"films/{name}", 0, f"{RECORD}-{name}", "train", "PA", "M", 50))
    header = ["path", "label", "patient_id", "split", "view", "sex", "age"]
    table = folder / "labels.csv"
    pd.DataFrame(rows, columns=header).to_csv(table, index=False)
    return table
