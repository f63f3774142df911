"""RSNA's challenge: labels, classes, boxes, whose film each one is, and what is odd."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from hilum.data.cohort import Cohort
from hilum.data.sources.nih import nih_cohort
from hilum.data.sources.rsna import MAPPINGS, rsna_cohort
from hilum.errors import DataError, DataMissingError
from hilum.recipe import DataPart, ReadingPart

LABELS = """patientId,x,y,width,height,Target
aaa,10,20,30,40,1
aaa,50,60,70,80,1
bbb,,,,,0
ccc,,,,,0
"""
CLASSES = """patientId,class
aaa,Lung Opacity
aaa,Lung Opacity
bbb,No Lung Opacity / Not Normal
ccc,Normal
"""
HEADERS = """,PatientID,PatientAge,PatientSex,ViewPosition
0,ccc,155,F,AP
1,aaa,43,M,PA
2,bbb,20,,
"""


def write(folder: Path, **texts: str | None) -> Path:
    """Empty files for films, so that ages come from the table of headers alone."""
    tables = {
        "stage_2_train_labels": LABELS,
        "stage_2_detailed_class_info": CLASSES,
        "stage_2_train_images_dicom_headers": HEADERS,
        **texts,
    }
    for name, text in tables.items():
        if text is not None:
            (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    films = folder / "stage_2_train_images"
    films.mkdir()
    for name in ("aaa", "bbb", "ccc"):
        (films / f"{name}.dcm").touch()
    return folder


def opened(folder: Path, **options: object) -> Cohort:
    return rsna_cohort(folder, DataPart.model_validate(options), ReadingPart())


def test_one_row_a_film_and_one_box_a_row(tmp_path: Path) -> None:
    cohort = opened(write(tmp_path))
    assert cohort.findings == ("Lung Opacity",)
    assert cohort.table["image_id"].tolist() == ["aaa", "bbb", "ccc"]
    assert cohort.table["label_lung_opacity"].tolist() == [1, 0, 0]
    assert cohort.table["rsna_class"].tolist()[1:] == ["No Lung Opacity / Not Normal", "Normal"]
    assert cohort.boxes.to_numpy().tolist() == [
        ["aaa", "Lung Opacity", 10, 20, 30, 40],
        ["aaa", "Lung Opacity", 50, 60, 70, 80],
    ]
    assert cohort.excluded.empty
    assert cohort.table["split"].isna().all()


def test_every_finding_it_offers_has_its_label_and_its_boxes(tmp_path: Path) -> None:
    cohort = opened(write(tmp_path), findings=["Pneumonia", "opacity", "Normal"])
    assert cohort.findings == ("Pneumonia", "Lung Opacity", "No Finding")
    np.testing.assert_array_equal(cohort.label_nf, [[1, 1, 0], [0, 0, 0], [0, 0, 1]])
    assert cohort.boxes["finding"].value_counts().to_dict() == {"Pneumonia": 2, "Lung Opacity": 2}
    assert cohort.meanings["Pneumonia"] != cohort.meanings["Lung Opacity"]


def test_normal_negatives_alone_leave_the_others_out_by_name(tmp_path: Path) -> None:
    cohort = opened(write(tmp_path), negatives="normal")
    assert cohort.table["image_id"].tolist() == ["aaa", "ccc"]
    assert cohort.excluded.to_numpy().tolist() == [["bbb", "neither normal nor with lung opacity"]]


def test_normal_negatives_need_the_table_of_classes(tmp_path: Path) -> None:
    write(tmp_path, stage_2_detailed_class_info=None)
    assert opened(tmp_path).table["rsna_class"].isna().all()
    for options in ({"negatives": "normal"}, {"findings": ["No Finding"]}):
        with pytest.raises(DataMissingError, match=r"class_info\.csv: no such file"):
            opened(tmp_path, **options)


def test_what_headers_say_comes_from_their_table(tmp_path: Path) -> None:
    cohort = opened(write(tmp_path))
    assert cohort.table["age"].fillna(-1).tolist() == [43, 20, -1]
    assert cohort.table["sex"].isna().tolist() == [False, True, False]
    assert cohort.table["view"].fillna("?").tolist() == ["PA", "?", "AP"]
    assert "impossible ages, which count as unknown: 1 of 3 films" in cohort.warnings


def test_a_film_that_is_unreadable_keeps_its_row(tmp_path: Path) -> None:
    cohort = opened(write(tmp_path, stage_2_train_images_dicom_headers=None))
    assert len(cohort) == 3
    assert cohort.table[["age", "sex", "view"]].isna().all(axis=None)


def test_nothing_is_left_out_in_silence(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "stage_2_train_images" / "aaa.dcm").unlink()
    (tmp_path / "stage_2_train_images" / "ddd.dcm").touch()
    (tmp_path / "stage_2_test_images").mkdir()
    (tmp_path / "stage_2_test_images" / "eee.dcm").touch()
    cohort = opened(tmp_path)
    assert cohort.table["image_id"].tolist() == ["bbb", "ccc"]
    assert cohort.boxes.empty
    assert cohort.pixels.path(cohort.table.index[1]).name == "ccc.dcm"  # type: ignore[attr-defined]
    assert dict(cohort.excluded.to_numpy().tolist()) == {
        "aaa": "no file",
        "ddd": "no row in stage_2_train_labels.csv",
        "eee": "test film, no label published",
    }


def test_without_a_mapping_patients_are_unknown_and_a_warning_says_so(tmp_path: Path) -> None:
    cohort = opened(write(tmp_path))
    assert cohort.table["patient_id"].isna().all()
    assert any("patients are unknown" in warning for warning in cohort.warnings)


OFFICIAL = [
    {
        "subset_img_id": film,
        "img_id": image,
        "SOPInstanceUID": "1.2.3",
        "subset_group": "train",
        "orig_labels": ["Infiltration"],
    }
    for film, image in (("aaa", "00002275_018.png"), ("bbb", "00002275_019.png"))
]


def test_the_challenges_own_mapping_is_used_where_it_lies(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / MAPPINGS[0]).write_text(json.dumps(OFFICIAL), encoding="utf-8")
    cohort = opened(tmp_path)
    assert cohort.table["patient_id"].fillna("?").tolist() == ["nih-2275", "nih-2275", "?"]
    assert cohort.table["nih_image"].tolist()[0] == "00002275_018.png"
    assert f"{MAPPINGS[0]} tells no patient for 1 of 3 films" in cohort.warnings
    assert not any("unknown, for" in warning for warning in cohort.warnings)


def test_a_mapping_may_lie_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "rsna"
    folder.mkdir()
    write(folder)
    mapping = tmp_path / "map.csv"
    mapping.write_text("rsna_patient_id,nih_image,nih_patient_id\nccc,00000003_001.png,3\n")
    assert opened(folder, patients=str(mapping)).table["patient_id"].tolist()[2] == "nih-3"
    with pytest.raises(DataMissingError, match="no such file"):
        opened(folder, patients=str(tmp_path / "none.csv"))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("map.json", "[{", "cannot be read as a table in JSON"),
        ("map.json", "3", "cannot be read as a table in JSON"),
        ("map.json", '[{"subset_img_id": "aaa"}]', "no mapping to NIH; expected a column img_id"),
        ("map.csv", "patientId,nih_image\naaa,x.png\n", "1 names that no NIH image has"),
        (
            "map.csv",
            "patientId,nih_image\naaa,00000001_000.png\naaa,00000002_000.png\n",
            "a film with two NIH images",
        ),
        ("map.csv", "patientId,nih_image\nzzz,00000001_000.png\n", "names none of the 3 films"),
    ],
)
def test_a_mapping_that_is_none_is_refused(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    write(tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=words):
        opened(tmp_path, patients=str(tmp_path / name))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stage_2_train_labels": LABELS + "bbb,1,2,3,4,1\n"}, "1 films with both targets"),
        ({"stage_2_train_labels": LABELS + "ddd,,,,,2\n"}, "a Target that is neither 0 nor 1"),
        ({"stage_2_train_labels": LABELS + "ddd,,,,,yes\n"}, "column 'Target' holds text"),
        ({"stage_2_train_labels": LABELS.replace("0,40,1", "0,,1")}, "1 boxes that are none"),
        ({"stage_2_detailed_class_info": CLASSES + "bbb,Normal\n"}, "a film of two classes"),
        ({"stage_2_detailed_class_info": CLASSES[:-11]}, "no class for 1 films"),
        ({"stage_2_detailed_class_info": CLASSES.replace("Normal\n", "Odd\n")}, "class"),
        (
            {"stage_2_detailed_class_info": CLASSES.replace("ccc,Normal", "ccc,Lung Opacity")},
            "1 films whose class contradicts",
        ),
    ],
)
def test_tables_that_contradict_themselves_are_refused(
    tmp_path: Path, change: dict[str, str], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        opened(write(tmp_path, **change))


@pytest.fixture(scope="module")
def sample(data_folder: Path) -> Path:
    return data_folder / "rsna_sample"


@pytest.fixture(scope="module")
def sample_cohort(sample: Path) -> Cohort:
    return opened(sample)


def test_the_sample_has_its_published_labels_and_boxes(sample: Path, sample_cohort: Cohort) -> None:
    with (sample / "stage_2_train_labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    label_of = {row["patientId"]: float(row["Target"]) for row in rows}
    table = sample_cohort.table
    assert dict(zip(table["image_id"], table["label_lung_opacity"], strict=True)) == label_of
    assert len(sample_cohort) == 160
    assert table["label_lung_opacity"].sum() == 60
    assert table["rsna_class"].value_counts().to_dict() == {
        "Lung Opacity": 60,
        "No Lung Opacity / Not Normal": 60,
        "Normal": 40,
    }
    said = [
        [row["patientId"], "Lung Opacity", *(float(row[k]) for k in ("x", "y", "width", "height"))]
        for row in rows
        if row["Target"] == "1"
    ]
    assert sample_cohort.boxes.to_numpy().tolist() == said
    assert (sample_cohort.boxes["x"] + sample_cohort.boxes["width"] <= 1024).all()
    assert (sample_cohort.boxes["y"] + sample_cohort.boxes["height"] <= 1024).all()
    assert sample_cohort.radiograph(0).shape == (1024, 1024)


def test_the_sample_says_view_age_and_sex_in_its_headers(
    sample: Path, sample_cohort: Cohort
) -> None:
    pydicom = pytest.importorskip("pydicom")
    for _, row in sample_cohort.table.iloc[:8].iterrows():
        header = pydicom.dcmread(
            sample / "stage_2_train_images" / f"{row['image_id']}.dcm", stop_before_pixels=True
        )
        assert row["view"] == header.ViewPosition
        assert row["sex"] == header.PatientSex
        assert row["age"] == float(header.get_item("PatientAge").value)


def test_the_samples_patients_are_those_of_nih(
    sample: Path, sample_cohort: Cohort, data_folder: Path
) -> None:
    with (sample / "nih_mapping.csv").open(encoding="utf-8") as file:
        patient_of = {
            row["rsna_patient_id"]: f"nih-{row['nih_patient_id']}" for row in csv.DictReader(file)
        }
    table = sample_cohort.table
    assert dict(zip(table["image_id"], table["patient_id"], strict=True)) == patient_of
    with (data_folder / "nih_sample" / "Data_Entry_2017_v2020.csv").open(encoding="utf-8") as file:
        in_nih = {f"nih-{row['Patient ID']}" for row in csv.DictReader(file)}
    nih = nih_cohort(data_folder / "nih_sample", DataPart(), ReadingPart())
    shared = set(table["patient_id"]) & set(nih.table["patient_id"])
    assert shared == set(patient_of.values()) & in_nih
    assert shared
