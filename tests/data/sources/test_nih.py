"""NIH ChestX-ray14: its tables of labels, layouts of films, boxes, splits, and what is odd."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.data.findings import NIH, NIH_OPACITIES
from hilum.data.sources.nih import nih_cohort
from hilum.errors import DataError, DataMissingError
from hilum.recipe import DataPart, ReadingPart

NEW = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
OLD = NEW + ","  # the table of 2017 ends each line in a comma
NEWEST = NEW.replace("Gender", "Sex")
ROWS = [
    "00000001_000.png,Cardiomegaly|Pleural_Thickening,0,1,{},M,PA,2682,2749,0.143,0.143",
    "00000001_001.png,No Finding,1,1,{},M,AP,2682,2749,0.143,0.143",
    "00000002_000.png,Infiltration,0,2,{},F,PA,2682,2749,0.143,0.143",
]
AGES = ["57", "58", "81"]


def write(
    folder: Path,
    *,
    header: str = NEW,
    ages: list[str] | None = None,
    table: str = "Data_Entry_2017_v2020.csv",
    films: str = "images",
    size: tuple[int, int] = (64, 32),
) -> Path:
    folder.mkdir(exist_ok=True)
    end = "," if header == OLD else ""
    rows = [row.format(age) + end for row, age in zip(ROWS, ages or AGES, strict=True)]
    (folder / table).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    (folder / films).mkdir(parents=True, exist_ok=True)
    for row in ROWS:
        Image.new("L", size).save(folder / films / row.split(",")[0])
    return folder


def opened(folder: Path, **options: object):  # type: ignore[no-untyped-def]
    return nih_cohort(folder, DataPart(**options), ReadingPart())


@pytest.mark.parametrize(
    ("header", "table", "ages"),
    [
        (NEW, "Data_Entry_2017_v2020.csv", AGES),
        (NEWEST, "Data_Entry_2017_v2020.csv", AGES),
        (OLD, "Data_Entry_2017.csv", ["057Y", "058Y", "081Y"]),
        (OLD, "Data_Entry_2017.csv", AGES),
    ],
)
def test_each_published_table_says_the_same(
    tmp_path: Path, header: str, table: str, ages: list[str]
) -> None:
    cohort = opened(write(tmp_path, header=header, ages=ages, table=table))
    rows = cohort.table
    assert rows["image_id"].tolist() == [row.split(",")[0] for row in ROWS]
    assert rows["patient_id"].tolist() == ["nih-1", "nih-1", "nih-2"]
    assert rows["age"].tolist() == [57, 58, 81]
    assert rows["sex"].tolist() == ["M", "M", "F"]
    assert rows["view"].tolist() == ["PA", "AP", "PA"]
    assert rows["label_cardiomegaly"].tolist() == [1, 0, 0]
    assert rows["label_pleural_thickening"].tolist() == [1, 0, 0]
    assert rows["label_infiltration"].tolist() == [0, 0, 1]
    assert cohort.findings == NIH
    assert cohort.label_nf[1].sum() == 0  # No Finding
    assert cohort.warnings == ()


def test_months_and_days_are_years_and_an_age_of_411_is_none(tmp_path: Path) -> None:
    cohort = opened(write(tmp_path, header=OLD, ages=["006M", "073D", "411Y"]))
    age_n = cohort.table["age"].to_numpy()
    np.testing.assert_allclose(age_n[:2], [0.5, 0.2], atol=1e-3)
    assert np.isnan(age_n[2])
    assert cohort.warnings == ("impossible ages, which count as unknown: 1 of 3 films",)


def test_films_lie_in_one_folder_or_in_twelve(tmp_path: Path) -> None:
    write(tmp_path, films="images_001/images")
    second = tmp_path / "images_012" / "images"
    second.mkdir(parents=True)
    (tmp_path / "images_001/images/00000002_000.png").rename(second / "00000002_000.png")
    cohort = opened(tmp_path)
    assert [cohort.pixels.path(index).parent.parent.name for index in cohort.table.index] == [
        "images_001",
        "images_001",
        "images_012",
    ]
    assert cohort.radiograph(2).shape == (32, 64)


def test_nothing_is_left_out_in_silence(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "images" / "00000001_001.png").unlink()
    Image.new("L", (64, 64)).save(tmp_path / "images" / "00000009_000.png")
    (tmp_path / "images" / "readme.txt").write_text("no film")
    again = tmp_path / "images_002" / "images"
    again.mkdir(parents=True)
    Image.new("L", (64, 64)).save(again / "00000002_000.png")
    cohort = opened(tmp_path, views=("PA",))
    assert cohort.table["image_id"].tolist() == ["00000001_000.png", "00000002_000.png"]
    assert dict(cohort.excluded.to_numpy().tolist()) == {
        "images_002/images/00000002_000.png": "a second file of this name",
        "00000009_000.png": "no row in Data_Entry_2017_v2020.csv",
        "00000001_001.png": "no file",
    }


def test_a_view_that_was_not_asked_for_is_excluded(tmp_path: Path) -> None:
    cohort = opened(write(tmp_path), views=("PA",))
    assert cohort.table["view"].tolist() == ["PA", "PA"]
    assert cohort.excluded.to_numpy().tolist() == [["00000001_001.png", "view AP"]]


def test_the_newest_table_counts_and_the_other_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, table="Data_Entry_2017.csv", header=OLD, ages=["1", "2", "3"])
    cohort = opened(tmp_path)
    assert cohort.table["age"].tolist() == [57, 58, 81]
    assert cohort.warnings == (
        "labels are those of Data_Entry_2017_v2020.csv; Data_Entry_2017.csv is not used",
    )


def test_the_published_lists_are_the_split(tmp_path: Path) -> None:
    write(tmp_path)
    train = tmp_path / "train_val_list.txt"
    train.write_text("00000001_000.png\n00000001_001.png")
    cohort = opened(tmp_path)
    assert cohort.table["split"].isna().all()
    assert cohort.warnings == ("train_val_list.txt is not used without the other list",)

    test = tmp_path / "test_list.txt"
    test.write_text("00000002_000.png\n")
    cohort = opened(tmp_path)
    assert cohort.table["split"].tolist() == ["train", "train", "test"]
    assert cohort.warnings == ()

    train.write_text("00000001_000.png\n")
    cohort = opened(tmp_path)
    assert cohort.table["split"].isna().tolist() == [False, True, False]
    assert cohort.warnings == ("neither list of the split names 1 of 3 films",)

    test.write_text("00000001_000.png\n")
    with pytest.raises(
        DataError, match=r"test_list\.txt: names 1 of the films that train_val_list\.txt names"
    ):
        opened(tmp_path)


def test_a_list_or_boxes_that_are_none_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    boxes = tmp_path / "BBox_List_2017.csv"
    boxes.write_text("")
    with pytest.raises(DataError, match=r"BBox_List_2017\.csv: cannot be read as CSV"):
        opened(tmp_path)
    boxes.unlink()
    for name in ("train_val_list.txt", "test_list.txt"):
        (tmp_path / name).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"train_val_list\.txt: cannot be read as text"):
        opened(tmp_path)


def test_boxes_are_in_pixels_of_the_film_as_it_lies_there(tmp_path: Path) -> None:
    write(tmp_path, size=(64, 32))
    (tmp_path / "BBox_List_2017.csv").write_text(
        "Image Index,Finding Label,Bbox [x,y,w,h],,,\n"
        "00000002_000.png,Infiltrate,512,256,128,64,,,\n"
        "00000001_000.png,Cardiomegaly,0,0,1024,1024,,,\n"
        "00000077_000.png,Mass,1,2,3,4,,,\n",
        encoding="utf-8",
    )
    cohort = opened(tmp_path)
    assert cohort.boxes.to_numpy().tolist() == [
        ["00000002_000.png", "Infiltration", 32, 8, 8, 2],
        ["00000001_000.png", "Cardiomegaly", 0, 0, 64, 32],
    ]
    derived = opened(tmp_path, findings=("Lung Opacity", "Mass"))
    assert derived.boxes.to_numpy().tolist() == [["00000002_000.png", "Lung Opacity", 32, 8, 8, 2]]


def test_boxes_of_a_film_that_is_unreadable_are_left_out_and_counted(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "images" / "00000001_000.png").write_bytes(b"")
    (tmp_path / "BBox_List_2017.csv").write_text(
        "Image Index,Finding Label,Bbox [x,y,w,h],,,\n00000001_000.png,Cardiomegaly,0,0,9,9,,,\n"
    )
    cohort = opened(tmp_path)
    assert len(cohort) == 3
    assert cohort.boxes.empty
    assert cohort.warnings == (
        "boxes left out, for the film is unreadable: 1 of 1 films with boxes",
    )


def test_lung_opacity_is_derived_on_request(tmp_path: Path) -> None:
    cohort = opened(write(tmp_path), findings=("Opacity", "No Finding"))
    assert cohort.findings == ("Lung Opacity", "No Finding")
    assert cohort.table["label_lung_opacity"].tolist() == [0, 0, 1]
    assert cohort.table["label_no_finding"].tolist() == [0, 1, 0]
    assert cohort.meanings["Lung Opacity"].startswith("derived")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("Infiltration", "Gout"), "unknown finding 'Gout'"),
        (lambda text: text.replace("Finding Labels", "Labels"), "no column 'Finding Labels'"),
        (lambda text: text.replace(",57,", ",fifty,"), "1 of 3 ages cannot be read"),
        (lambda text: text.replace("0,1,57", "0,one,57"), "column 'Patient ID' holds text"),
        (lambda text: text.splitlines()[0], "no rows"),
        (lambda text: text.replace("00000002_000.png", ""), "a row without 'Image Index'"),
        (lambda text: "", "cannot be read as CSV"),
        (lambda text: text + ROWS[0].format(57) + "\n", "'00000001_000.png' stands more than once"),
    ],
)
def test_a_table_that_is_not_the_published_one_is_refused(tmp_path: Path, change, words) -> None:  # type: ignore[no-untyped-def]
    path = write(tmp_path) / "Data_Entry_2017_v2020.csv"
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError, match=words):
        opened(tmp_path)


def test_an_empty_label_is_unknown(tmp_path: Path) -> None:
    path = write(tmp_path) / "Data_Entry_2017_v2020.csv"
    path.write_text(path.read_text().replace("No Finding", ""))
    assert np.isnan(opened(tmp_path).label_nf[1]).all()


def test_a_folder_without_table_or_films_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(
        DataMissingError, match="no table of labels; expected Data_Entry_2017_v2020"
    ):
        opened(tmp_path)
    write(tmp_path)
    for film in (tmp_path / "images").iterdir():
        film.unlink()
    with pytest.raises(DataMissingError, match=r"none of the 3 films .* expected images/"):
        opened(tmp_path)


@pytest.fixture(scope="module")
def sample(data_folder: Path) -> Path:
    return data_folder / "nih_sample"


def test_the_sample_has_its_official_labels(sample: Path) -> None:
    cohort = opened(sample, findings=(*NIH, "Lung Opacity"))
    assert len(cohort) == 1000
    assert cohort.excluded.empty
    with (sample / "Data_Entry_2017_v2020.csv").open(encoding="utf-8") as file:
        official = {row["Image Index"]: row for row in csv.DictReader(file)}
    label_nf = cohort.label_nf
    for i, (_, row) in enumerate(cohort.table.iterrows()):
        said = official[row["image_id"]]
        named = set(said["Finding Labels"].replace("_", " ").split("|"))
        named = {"Pleural Effusion" if name == "Effusion" else name for name in named}
        assert {
            name for name, label in zip(NIH, label_nf[i], strict=False) if label == 1
        } == named - {"No Finding"}
        assert label_nf[i, 14] == bool(named & set(NIH_OPACITIES))
        assert row["patient_id"] == f"nih-{int(said['Patient ID'])}"
        assert (row["age"], row["sex"], row["view"]) == (
            float(said["Patient Age"]),
            said["Patient Gender"],
            said["View Position"],
        )


def test_the_sample_has_its_boxes_in_pixels_of_its_films(sample: Path) -> None:
    cohort = opened(sample)
    with (sample / "BBox_List_2017.csv").open(encoding="utf-8") as file:
        official = [
            (row[0], [float(cell) for cell in row[2:6]]) for row in list(csv.reader(file))[1:]
        ]
    assert len(cohort.boxes) == len(official) == 9
    for (image_id, corners), (_, box) in zip(official, cohort.boxes.iterrows(), strict=True):
        assert box["image_id"] == image_id
        np.testing.assert_allclose(
            box[["x", "y", "width", "height"]].to_numpy(dtype=float), np.array(corners) / 16
        )
        # 64 of 1,024 pixels; the finding that is boxed is one of the film's labels.
        label = cohort.table.set_index("image_id").loc[
            image_id, f"label_{box['finding'].lower().replace(' ', '_')}"
        ]
        assert label == 1
        assert box["x"] + box["width"] <= 64
        assert box["y"] + box["height"] <= 64
