from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hilum.data.sources import open_source
from hilum.data.sources.medmnist import content_digest, pneumoniamnist
from hilum.errors import DataError, DataMissingError
from hilum.recipe import DataPart
from made import write_npz


def test_the_official_content_is_recognised_without_a_warning(data_folder: Path) -> None:
    cohort = pneumoniamnist(data=data_folder)
    counts = cohort.table.groupby("split")["label_pneumonia"].agg(["size", "sum"])
    assert cohort.warnings == ()
    assert counts.loc["train"].tolist() == [4708, 3494]
    assert counts.loc["val"].tolist() == [524, 389]
    assert counts.loc["test"].tolist() == [624, 390]


def test_a_copy_that_dropped_normals_is_used_with_a_warning_that_says_what_differs(
    data_folder: Path, tmp_path: Path
) -> None:
    with np.load(data_folder / "pneumoniamnist.npz") as archive:
        arrays = dict(archive)
    keep = np.ones(4708, dtype=bool)
    keep[np.flatnonzero(arrays["train_labels"].ravel() == 0)[:826]] = False
    arrays["train_images"] = arrays["train_images"][keep]
    arrays["train_labels"] = arrays["train_labels"][keep]
    np.savez(tmp_path / "pneumoniamnist.npz", **arrays)
    cohort = pneumoniamnist(data=tmp_path)
    assert len(cohort) == 5856 - 826
    (warning,) = cohort.warnings
    assert "388 normal and 3,494 pneumonia, officially 1,214 and 3,494" in warning


def test_one_changed_pixel_is_noticed(data_folder: Path, tmp_path: Path) -> None:
    with np.load(data_folder / "pneumoniamnist.npz") as archive:
        arrays = dict(archive)
    arrays["val_images"][3, 14, 14] ^= 1
    np.savez(tmp_path / "pneumoniamnist.npz", **arrays)
    (warning,) = pneumoniamnist(data=tmp_path).warnings
    assert "its val split has the official counts, but pixels or labels differ" in warning


def test_the_digest_does_not_depend_on_order() -> None:
    rng = np.random.default_rng(0)
    image_nhw = rng.integers(0, 256, (20, 28, 28)).astype(np.uint8)
    label_n = rng.integers(0, 2, 20).astype(np.uint8)
    order = rng.permutation(20)
    assert content_digest(image_nhw, label_n) == content_digest(image_nhw[order], label_n[order])
    before = content_digest(image_nhw, label_n)
    label_n[0] ^= 1
    assert content_digest(image_nhw, label_n) != before


def test_an_archive_named_but_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match=r"pneumoniamnist\.npz: no such file"):
        pneumoniamnist(data=tmp_path)


def test_an_archive_cut_off_is_an_error(small_npz: Path, tmp_path: Path) -> None:
    path = tmp_path / "pneumoniamnist.npz"
    raw = small_npz.read_bytes()
    for length in (0, 100, len(raw) // 2, len(raw) - 30):
        path.write_bytes(raw[:length])
        with pytest.raises(DataError, match="cannot be read as an npz archive"):
            pneumoniamnist(data=path)


def test_an_archive_without_the_arrays_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "pneumoniamnist.npz"
    np.savez(path, images=np.zeros((2, 28, 28), dtype=np.uint8))
    with pytest.raises(DataError, match="lacks the array train_images"):
        pneumoniamnist(data=path)


def test_pickled_objects_in_an_archive_are_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "pneumoniamnist.npz"
    arrays = write_npz(path)
    arrays["val_labels"] = np.array([{"a": 1}] * 60, dtype=object)
    np.savez(path, allow_pickle=True, **arrays)
    with pytest.raises(DataError, match="cannot be read as an npz archive"):
        pneumoniamnist(data=path)


@pytest.mark.parametrize(
    ("name", "array", "line"),
    [
        ("test_labels", np.full((60, 1), 2, np.uint8), "test_labels holds 2"),
        ("val_images", np.zeros((60, 28, 28, 3), np.uint8), r"val_images is uint8 of shape"),
        ("val_images", np.zeros((60, 28, 28), np.float32), r"val_images is float32"),
        ("train_labels", np.zeros((59, 1), np.uint8), "60 train images and 59 labels"),
    ],
)
def test_arrays_that_are_not_pneumoniamnist_are_refused(
    tmp_path: Path, name: str, array: np.ndarray, line: str
) -> None:
    path = tmp_path / "pneumoniamnist.npz"
    np.savez(path, **(write_npz(path) | {name: array}))
    with pytest.raises(DataError, match=line):
        pneumoniamnist(data=path)


@pytest.mark.parametrize("side", [64, 128, 224])
def test_the_larger_editions_are_read(tmp_path: Path, side: int) -> None:
    write_npz(tmp_path / f"pneumoniamnist_{side}.npz", n=4, side=side)
    cohort = open_source(f"pneumoniamnist@{side}", data=tmp_path)
    assert cohort.radiograph(0).shape == (side, side)
    assert cohort.name == f"pneumoniamnist@{side}"


def test_hilum_data_is_looked_at_before_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home" / ".medmnist").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    write_npz(tmp_path / "home" / ".medmnist" / "pneumoniamnist.npz", n=4)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HILUM_DATA", str(tmp_path / "data"))
    assert len(pneumoniamnist()) == 12
    write_npz(tmp_path / "data" / "pneumoniamnist.npz", n=6)
    assert len(pneumoniamnist()) == 18


@pytest.mark.parametrize("name", ["pneumoniamnist@100", "pneumoniamnist@x", "chestxray"])
def test_an_unknown_source_is_refused(name: str) -> None:
    with pytest.raises(DataError):
        open_source(name)


# --- patients, from a table of the films


def patients_table(data_folder: Path, folder: Path, **columns: object) -> Path:
    """The table of kermany_224 beside links to its films, with columns changed."""
    (folder / "images").symlink_to(data_folder / "kermany_224" / "images")
    table = pd.read_csv(data_folder / "kermany_224" / "labels.csv").assign(**columns)
    table.to_csv(folder / "whose.csv", index=False)
    return folder / "whose.csv"


def test_patients_come_from_a_table_that_is_seen_to_fit(data_folder: Path) -> None:
    cohort = open_source("pneumoniamnist", DataPart(patients="kermany_224/labels.csv"))
    table = pd.read_csv(data_folder / "kermany_224" / "labels.csv").dropna(subset="medmnist_split")
    expected = {
        f"{split}-{int(index):04d}": patient
        for split, index, patient in zip(
            table["medmnist_split"], table["medmnist_index"], table["patient_id"], strict=True
        )
    }
    known = cohort.table.dropna(subset="patient_id").set_index("image_id")["patient_id"]
    assert known.to_dict() == expected
    assert cohort.warnings == (
        "340 of the 523 val images whose patient is known share that patient with a train image "
        "(labels.csv)",
        "images of unknown patients, not in labels.csv: 75",
    )


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_table_for_another_order_of_the_archive_is_refused(
    data_folder: Path, tmp_path: Path, split: str
) -> None:
    with np.load(data_folder / "pneumoniamnist.npz") as archive:
        arrays = dict(archive)
    order = np.random.default_rng(0).permutation(len(arrays[f"{split}_images"]))
    for kind in ("images", "labels"):
        arrays[f"{split}_{kind}"] = arrays[f"{split}_{kind}"][order]
    np.savez(tmp_path / "pneumoniamnist.npz", **arrays)
    table = data_folder / "kermany_224" / "labels.csv"
    with pytest.raises(DataError, match=f"of 34 films of {split}, .* the order of another archive"):
        pneumoniamnist(data=tmp_path, patients=str(table))


def test_a_table_without_its_films_cannot_be_seen_to_fit(data_folder: Path, tmp_path: Path) -> None:
    table = pd.read_csv(data_folder / "kermany_224" / "labels.csv")
    table.to_csv(tmp_path / "whose.csv", index=False)
    with pytest.raises(DataError, match="5,781 of its 5,781 films are not there"):
        pneumoniamnist(data=data_folder, patients=str(tmp_path / "whose.csv"))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (
            {"medmnist_index": 5000},
            r"row 2 .* is matched to image 5000 of 'test'; expected",
        ),
        ({"medmnist_index": 0.5}, r"is matched to image 0\.5 of"),
        ({"medmnist_index": 0}, "is matched to an image that another row has"),
        ({"medmnist_split": "dev"}, "of 'dev'; expected train 0 to 4,707, val 0 to 523, test 0"),
    ],
)
def test_a_table_that_counts_amiss_is_refused(
    data_folder: Path, tmp_path: Path, columns: dict[str, object], words: str
) -> None:
    table = patients_table(data_folder, tmp_path, **columns)
    with pytest.raises(DataError, match=words):
        pneumoniamnist(data=data_folder, patients=str(table))


def test_larger_editions_take_patients_too(data_folder: Path, tmp_path: Path) -> None:
    nearest = np.arange(64) * 28 // 64
    with np.load(data_folder / "pneumoniamnist.npz") as archive:
        arrays = {
            name: values[:, nearest][:, :, nearest] if name.endswith("images") else values
            for name, values in archive.items()
        }
    np.savez(tmp_path / "pneumoniamnist_64.npz", **arrays)
    options = DataPart(patients="kermany_224/labels.csv")
    cohort = open_source("pneumoniamnist@64", options, data=tmp_path)
    assert cohort.table["patient_id"].notna().sum() == 5781
