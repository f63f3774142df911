"""A hospital's own DICOM export, from folder to report: what is refused, told, and never told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

from hilum.bundle import load_bundle
from hilum.cli import run
from hilum.data.sources.phantom import phantom_cohort

FILMS, SIDE = 72, 96
SECRET = (
    "QUENTIN",
    "MRN-4711",
    "19610203",
    "1.2.826.0.1.3680043.10.9",
)  # name, id, birth date, UID
SMALL = [
    *("--set", "input.size=32", "--set", "train.epochs=1", "--set", "train.batch_size=16"),
    *("--set", "data.calibrate_fraction=0.3", "--set", "data.test_fraction=0.3"),
    *("--set", "model.backbone=test_efficientnet", "--set", "model.weights=none"),
    *("--set", "abstention.examples=100"),
]

Captured = pytest.CaptureFixture[str]


def write_dicom(path: Path, image_hw: np.ndarray, patient: str) -> None:
    """A 12-bit computed radiograph whose header names a patient."""
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.SOPClassUID = film.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    uid = f"{SECRET[3]}.{int(path.stem) + 1}"
    film.SOPInstanceUID = film.file_meta.MediaStorageSOPInstanceUID = uid
    film.StudyInstanceUID = film.SeriesInstanceUID = generate_uid(f"{SECRET[3]}.")
    film.PatientName, film.PatientID = f"{SECRET[0]}^{patient}", patient
    film.PatientBirthDate, film.PatientAge, film.PatientSex = SECRET[2], "061Y", "F"
    film.Modality, film.BodyPartExamined, film.ViewPosition = "CR", "CHEST", "PA"
    film.Rows, film.Columns = image_hw.shape
    film.SamplesPerPixel, film.PhotometricInterpretation = 1, "MONOCHROME2"
    film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation = 16, 12, 11, 0
    film.WindowCenter, film.WindowWidth = 2048, 4096
    film.PixelData = np.rint(image_hw * 4095).astype("<u2").tobytes()
    film.save_as(path, enforce_file_format=True)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of 72 films of 36 patients with a table; ids are record numbers."""
    folder = tmp_path_factory.mktemp("export")
    cohort = phantom_cohort(FILMS, size=SIDE, seed=3, prevalence=0.5, test_prevalence=0.5)
    rows = []
    for i in range(FILMS):
        patient = f"{SECRET[1]}{i // 2:03d}"
        write_dicom(folder / f"{i:03d}.dcm", cohort.radiograph(i), patient)
        rows.append((f"{i:03d}.dcm", i // 2 % 2, patient))
    table = pd.DataFrame(rows, columns=["path", "label", "patient_id"])
    table.to_csv(folder / "films.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def bundle(export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("models") / "hospital"
    source = ["--set", f"data.source=folder:{export / 'films.csv'}"]
    assert run(["train", "pneumoniamnist", "--out", str(target), *source, *SMALL]) == 0
    return target


def everything_in(folder: Path) -> bytes:
    """All bytes below a folder, Parquet as text."""
    parts = []
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".parquet":
            parts.append(pd.read_parquet(path).to_csv().encode())
        elif path.is_file():
            parts.append(path.read_bytes())
    return b"\n".join(parts)


def test_no_name_birth_date_uid_or_record_number_reaches_bundle_report_or_terminal(
    bundle: Path, tmp_path: Path, capfd: Captured
) -> None:
    out = tmp_path / "out"
    assert run(["evaluate", str(bundle), "--out", str(out)]) == 0
    said = capfd.readouterr()
    written = everything_in(bundle) + everything_in(out) + (said.out + said.err).encode()
    for secret in SECRET:
        assert secret.encode() not in written, secret
    predictions = pd.read_parquet(out / "predictions.parquet")
    assert predictions["image_id"].str.fullmatch("[0-9a-f]{16}").all()
    assert predictions["patient_id"].nunique() < len(predictions)


def test_ids_stand_as_they_are_where_the_user_asks(bundle: Path, tmp_path: Path) -> None:
    assert run(["evaluate", str(bundle), "--out", str(tmp_path), "--keep-ids"]) == 0
    predictions = pd.read_parquet(tmp_path / "predictions.parquet")
    assert predictions["patient_id"].str.startswith(SECRET[1]).all()


def test_roles_share_no_patient_and_the_bundle_says_what_it_has_seen(bundle: Path) -> None:
    loaded = load_bundle(bundle)
    seen = loaded.seen()
    assert seen is not None
    assert len(seen.table) == FILMS == sum(r["n"] for r in loaded.manifest.roles["roles"].values())
    assert (seen.table.groupby("patient")["role"].nunique() == 1).all()
    assert (seen.table["hash"] != "").all()


def copies(export: Path, folder: Path, rows: range, patients: bool) -> Path:
    """Films of the export as JPEG of half their size, under other names."""
    from hilum.data.radiograph import read_radiograph

    table = pd.read_csv(export / "films.csv")
    lines = []
    for i in rows:
        image_hw = read_radiograph(export / table["path"][i]).image_hw
        film = Image.fromarray(np.rint(image_hw * 255).astype(np.uint8)).resize((80, 80))
        film.save(folder / f"other-{i}.jpg", quality=90)
        patient = table["patient_id"][i] if patients else f"other-{i // 2}"
        lines.append((f"other-{i}.jpg", table["label"][i], patient))
    path = folder / "copies.csv"
    pd.DataFrame(lines, columns=["path", "label", "patient_id"]).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("patients", [True, False], ids=["by patient", "by film alone"])
def test_images_the_bundle_was_made_from_are_refused_elsewhere_and_told_when_allowed(
    export: Path, bundle: Path, tmp_path: Path, capfd: Captured, patients: bool
) -> None:
    table, out = copies(export, tmp_path, range(FILMS), patients), tmp_path / "out"
    arguments = ["evaluate", str(bundle), "--on", f"folder:{table}", "--out", str(out)]
    assert run(arguments) == 2
    refused = capfd.readouterr().err
    assert "that the bundle was trained on, tuned on and calibrated on" in refused
    assert "--allow-seen" in refused
    assert not out.exists()

    assert run([*arguments, "--allow-seen"]) == 0
    told = json.loads((out / "evaluation.json").read_text())["warnings"]
    assert any("that the bundle was trained on" in line for line in told)
    assert "that the bundle was trained on" in (out / "report.html").read_text()


def test_new_patients_of_another_hospital_are_taken(
    bundle: Path, tmp_path: Path, capfd: Captured
) -> None:
    cohort = phantom_cohort(24, size=SIDE, seed=99, prevalence=0.5, test_prevalence=0.5)
    for i in range(24):
        folder = tmp_path / "films" / ("PNEUMONIA" if cohort.label_nf[i, 0] else "NORMAL")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.rint(cohort.radiograph(i) * 255).astype(np.uint8)).save(
            folder / f"{i}.png"
        )
    (tmp_path / "films" / "NORMAL" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno film")
    on = ["--on", f"folder:{tmp_path / 'films'}"]
    out = tmp_path / "out"
    assert run(["evaluate", str(bundle), *on, "--out", str(out)]) == 0
    assert "broken.png" in capfd.readouterr().err
    evaluation = json.loads((out / "evaluation.json").read_text())
    assert evaluation["n"] == 24
    assert any("1 film cannot be read" in line for line in evaluation["warnings"])

    for i in range(5):
        (tmp_path / "films" / "NORMAL" / f"broken-{i}.png").write_bytes(b"no film at all")
    limited = [*on, "--option", "broken_limit=0.1"]
    assert run(["evaluate", str(bundle), *limited, "--out", str(tmp_path / "none")]) == 2
    assert "6 of 30 films cannot be read" in capfd.readouterr().err


def test_a_folder_of_dicom_files_is_predicted_and_unreadable_ones_are_named(
    export: Path, bundle: Path, tmp_path: Path, capfd: Captured
) -> None:
    films = tmp_path / "films"
    shutil.copytree(export, films, ignore=lambda _, names: [n for n in names if n > "030"])
    broken = films / "000.dcm"
    broken.write_bytes(broken.read_bytes()[:2000])
    assert run(["predict", str(bundle), str(films), "--json"]) == 0
    said = capfd.readouterr()
    answer = json.loads(said.out)
    assert len(answer["films"]) + 1 == len(list(films.glob("*.dcm")))
    assert len(answer["unreadable"]) == 1
    assert "000.dcm" in answer["unreadable"][0]
    assert "left out: " in said.err
    assert run(["predict", str(bundle), str(broken)]) == 2
    assert run(["predict", str(bundle), str(films), "--broken-limit", "0"]) == 2


def test_reading_and_aspect_are_kept_in_the_bundle(export: Path, tmp_path: Path) -> None:
    source = ["--set", f"data.source=folder:{export / 'films.csv'}"]
    kept = ["--set", "reading.window=0", "--set", "input.aspect=pad"]
    assert (
        run(["train", "pneumoniamnist", "--out", str(tmp_path / "m"), *source, *kept, *SMALL]) == 0
    )
    manifest = load_bundle(tmp_path / "m").manifest
    assert manifest.reading.window == 0
    assert [step.step for step in manifest.preprocessing] == ["pad_square", "resize"]


def test_another_place_of_the_same_name_is_not_taken_for_the_bundles_own(
    export: Path, bundle: Path, tmp_path: Path
) -> None:
    folder = tmp_path / export.name
    folder.mkdir()
    cohort = phantom_cohort(24, size=SIDE, seed=55, prevalence=0.5, test_prevalence=0.5)
    rows = []
    for i in range(24):
        write_dicom(folder / f"{i:03d}.dcm", cohort.radiograph(i), f"ELSEWHERE-{i}")
        rows.append((f"{i:03d}.dcm", int(cohort.label_nf[i, 0]), f"ELSEWHERE-{i}"))
    table = pd.DataFrame(rows, columns=["path", "label", "patient_id"])
    table.to_csv(folder / "films.csv", index=False)
    for role, out in ((":all", tmp_path / "all"), ("", tmp_path / "plain")):
        on = f"folder:{folder / 'films.csv'}{role}"
        assert run(["evaluate", str(bundle), "--on", on, "--out", str(out)]) == 0
        evaluation = json.loads((out / "evaluation.json").read_text())
        assert evaluation["n"] == 24
        assert any("of another place" in line for line in evaluation["warnings"])


def test_a_bundle_that_looked_at_no_pixels_and_knows_no_patients_says_what_it_cannot_know(
    export: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(export / "films.csv").drop(columns="patient_id")
    table["path"] = [str(export / name) for name in table["path"]]
    table.to_csv(tmp_path / "films.csv", index=False)
    source = [
        "--set",
        f"data.source=folder:{tmp_path / 'films.csv'}",
        "--set",
        "data.duplicates=off",
    ]
    target, out = tmp_path / "m", tmp_path / "out"
    assert run(["train", "pneumoniamnist", "--out", str(target), *source, *SMALL]) == 0
    table.to_csv(tmp_path / "others.csv", index=False)
    on = ["--on", f"folder:{tmp_path / 'others.csv'}:all"]
    assert run(["evaluate", str(target), *on, "--out", str(out)]) == 0
    told = json.loads((out / "evaluation.json").read_text())["warnings"]
    assert any("is not known: pixels were not looked at" in line for line in told)
