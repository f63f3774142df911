"""CheXpert: its layouts, doubt by policy, views, studies, splits, and what is odd."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.data.cohort import Cohort
from hilum.data.findings import CHEXPERT, CHEXPERT_OPACITIES
from hilum.data.sources.chexpert import chexpert_cohort
from hilum.errors import DataError, DataMissingError
from hilum.recipe import DataPart, ReadingPart

HEADER = "Path,Sex,Age,Frontal/Lateral,AP/PA," + ",".join(CHEXPERT)
BLANK = dict.fromkeys(CHEXPERT, "")
TRAIN = [
    ("patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP", {"Pneumonia": "1.0"}),
    ("patient00001/study1/view2_lateral.jpg,Female,68,Lateral,", {"Pneumonia": "1.0"}),
    ("patient00001/study2/view1_frontal.jpg,Female,68,Frontal,PA", {"Pneumonia": "-1.0"}),
    ("patient00002/study1/view1_frontal.jpg,Unknown,0,Frontal,AP", {"Pneumonia": "0.0"}),
    ("patient00003/study1/view1_frontal.jpg,Male,90,Frontal,AP", {}),
]
VALID = [("patient64541/study1/view1_frontal.jpg,Male,73,Frontal,AP", {"Edema": "1.0"})]


def rows(prefix: str, films: list[tuple[str, dict[str, str]]]) -> str:
    lines = [f"{prefix}/{film},{','.join((BLANK | said).values())}" for film, said in films]
    return "\n".join([HEADER, *lines]) + "\n"


def put_film(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (40, 30)).save(path)


def write(folder: Path, root: str = "CheXpert-v1.0-small") -> Path:
    folder.mkdir(exist_ok=True)
    for part, films in (("train", TRAIN), ("valid", VALID)):
        (folder / f"{part}.csv").write_text(rows(f"{root}/{part}", films), encoding="utf-8")
        for film, _ in films:
            put_film(folder / part / film.split(",")[0])
    return folder


def opened(folder: Path, **options: object) -> Cohort:
    return chexpert_cohort(folder, DataPart.model_validate(options), ReadingPart())


def labels(cohort: Cohort, finding: str = "pneumonia") -> list[float]:
    return cohort.table[f"label_{finding}"].fillna(-9).tolist()


@pytest.mark.parametrize("root", ["CheXpert-v1.0", "CheXpert-v1.0-small", "elsewhere/CheXpert"])
def test_rows_say_whose_film_it_is_and_of_which_study(tmp_path: Path, root: str) -> None:
    cohort = opened(write(tmp_path, root))
    table = cohort.table
    assert table["image_id"].tolist()[:2] == [
        "train/patient00001/study1/view1_frontal.jpg",
        "train/patient00001/study2/view1_frontal.jpg",
    ]
    assert table["patient_id"].tolist() == [
        f"chexpert-patient{number}" for number in ("00001", "00001", "00002", "00003", "64541")
    ]
    assert table["study_id"].tolist()[1] == "patient00001/study2"
    assert table["view"].tolist() == ["AP", "PA", "AP", "AP", "AP"]
    assert table["sex"].fillna("?").tolist() == ["F", "F", "?", "M", "M"]
    assert table["age"].fillna(-1).tolist() == [68, 68, -1, 90, 73]
    assert table["split"].tolist() == ["train"] * 4 + ["test"]
    assert "impossible ages, which count as unknown: 1 of 6 films" in cohort.warnings
    assert cohort.radiograph(4).shape == (30, 40)


@pytest.mark.parametrize(("policy", "doubtful"), [("ignore", -9), ("ones", 1), ("zeros", 0)])
def test_doubt_counts_as_asked(tmp_path: Path, policy: str, doubtful: float) -> None:
    cohort = opened(write(tmp_path), uncertain=policy)
    assert labels(cohort) == [1, doubtful, 0, 0, 0]  # what is not named counts as absent
    word = {"ignore": "unknown", "ones": "present", "zeros": "absent"}[policy]
    assert cohort.meanings["Pneumonia"].endswith(f"uncertain counts as {word}")


def test_doubt_may_count_otherwise_for_each_finding(tmp_path: Path) -> None:
    write(tmp_path)
    cohort = opened(tmp_path, uncertain={"pneumonia": "ones"})
    assert labels(cohort)[1] == 1
    assert cohort.meanings["Edema"].endswith("unknown")
    with pytest.raises(DataError, match=r"data\.uncertain: unknown finding 'Pneumona'.*Pneumonia"):
        opened(tmp_path, uncertain={"Pneumona": "ones"})


def test_an_opacity_that_is_not_named_follows_what_it_is_made_of(tmp_path: Path) -> None:
    films = [
        (f"patient{i:05d}/study1/view1_frontal.jpg,Male,50,Frontal,AP", said)
        for i, said in enumerate(
            [
                {"Edema": "1.0"},
                {"Edema": "-1.0"},
                {"Edema": "-1.0", "Atelectasis": "1.0"},
                {"Lung Opacity": "0.0", "Edema": "1.0"},
                {"Lung Opacity": "-1.0", "Edema": "1.0"},
                {"Cardiomegaly": "1.0"},
                {"Edema": "0.0"},
            ]
        )
    ]
    (tmp_path / "train.csv").write_text(rows("CheXpert-v1.0/train", films))
    for film, _ in films:
        put_film(tmp_path / "train" / film.split(",")[0])
    cohort = opened(tmp_path)
    assert labels(cohort, "lung_opacity") == [1, -9, 1, 0, -9, 0, 0]
    assert any("in 3 films" in warning for warning in cohort.warnings)
    assert any("2 count as present, 1 as uncertain" in warning for warning in cohort.warnings)
    assert opened(tmp_path, findings=["Edema"]).warnings == ()


def test_laterals_are_left_out_by_name_unless_asked_for(tmp_path: Path) -> None:
    lateral = "train/patient00001/study1/view2_lateral.jpg"
    cohort = opened(write(tmp_path))
    assert cohort.excluded.to_numpy().tolist() == [[lateral, "lateral view"]]
    cohort = opened(tmp_path, views=["PA", "LATERAL"])
    assert sorted(cohort.table["view"]) == ["LATERAL", "PA"]
    assert set(cohort.excluded["reason"]) == {"view AP"}


def test_the_latest_radiologists_labels_are_test(tmp_path: Path) -> None:
    write(tmp_path)
    # The published table of test has no more columns.
    header = ",".join(["Path", *CHEXPERT])
    films = ["patient64741/study1/view1_frontal.jpg", "patient64741/study1/view2_lateral.jpg"]
    lines = [f"test/{film},{','.join(['0'] * 14)}" for film in films]
    (tmp_path / "test_labels.csv").write_text("\n".join([header, *lines]))
    for film in films:
        put_film(tmp_path / "test" / film)
    cohort = opened(tmp_path)
    assert cohort.table["split"].tolist() == ["train"] * 4 + ["val", "test"]
    assert cohort.table["image_id"].tolist()[-1] == f"test/{films[0]}"
    assert cohort.table[["age", "sex", "view"]].iloc[-1].isna().all()
    assert f"test/{films[1]}" in set(cohort.excluded["image_id"])


def test_valid_alone_is_a_cohort(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "train.csv").unlink()
    cohort = opened(tmp_path)
    assert cohort.table["split"].tolist() == ["test"]
    assert set(cohort.excluded["reason"]) == {"a patient without a row"}


def test_the_full_size_is_read_from_its_batches_as_they_are_unpacked(tmp_path: Path) -> None:
    batch = tmp_path / "CheXpert-v1.0 batch 1 (validate & csv)"
    write(batch, "CheXpert-v1.0")
    for patient, part in (("patient00001", "2 (train 1)"), ("patient00002", "3 (train 2)")):
        place = tmp_path / f"CheXpert-v1.0 batch {part}"
        place.mkdir()
        (batch / "train" / patient).rename(place / patient)
    cohort = opened(tmp_path)
    assert cohort.table["patient_id"].str[-5:].tolist() == ["00001", "00001", "00002", "64541"]
    assert cohort.radiograph(2).shape == (30, 40)
    assert dict(cohort.excluded.to_numpy().tolist()) == {
        "train/patient00001/study1/view2_lateral.jpg": "lateral view",
        "train/patient00003/study1/view1_frontal.jpg": "no file",
    }


def test_nothing_is_left_out_in_silence(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "train/patient00002/study1/view1_frontal.jpg").unlink()
    put_film(tmp_path / "train/patient77777/study1/view1_frontal.jpg")
    assert dict(opened(tmp_path).excluded.to_numpy().tolist()) == {
        "train/patient00001/study1/view2_lateral.jpg": "lateral view",
        "train/patient00002/study1/view1_frontal.jpg": "no file",
        "train/patient77777": "a patient without a row",
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("train/patient00003", "valid/patient00003"), r"path '.*'; expected …/train/patient00001"),
        (("patient00003", "somebody"), "path"),
        (("-1.0", "-2.0"), "a label that is none; expected 1, 0, -1"),
        (("-1.0", "maybe"), "column 'Pneumonia' holds text"),
        (("Path,", "File,"), "no column 'Path'"),
        ((",90,", ",old,"), "column 'Age' holds text"),
    ],
)
def test_a_table_that_is_not_the_published_one_is_refused(
    tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    path = write(tmp_path) / "train.csv"
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(DataError, match=words):
        opened(tmp_path)


def test_a_folder_without_table_or_films_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match=r"no table of labels; expected train\.csv"):
        opened(tmp_path)
    (tmp_path / "train.csv").write_text(rows("CheXpert-v1.0/train", TRAIN))
    with pytest.raises(DataMissingError, match="none of the 5 films"):
        opened(tmp_path)


def test_every_row_follows_the_rule_as_one_would_write_it_by_hand(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    films = [
        (
            f"patient{i:05d}/study1/view1_frontal.jpg,Male,50,Frontal,AP",
            {name: str(rng.choice(["", "0.0", "1.0", "-1.0"])) for name in CHEXPERT},
        )
        for i in range(200)
    ]
    (tmp_path / "train.csv").write_text(rows("CheXpert-v1.0/train", films))
    for film, _ in films:
        path = tmp_path / "train" / film.split(",")[0]
        path.parent.mkdir(parents=True)
        path.touch()
    cohort = opened(tmp_path, uncertain={"Edema": "ones", "Lung Opacity": "zeros"})
    label_nf = cohort.label_nf
    for i, (_, said) in enumerate(films):
        for finding in CHEXPERT:
            value = said[finding]
            if finding == "Lung Opacity" and value == "":
                below = [said[each] for each in CHEXPERT_OPACITIES]
                value = "1.0" if "1.0" in below else "-1.0" if "-1.0" in below else ""
            doubt = {"Edema": 1.0, "Lung Opacity": 0.0}.get(finding, np.nan)
            expected = {"": 0.0, "0.0": 0.0, "1.0": 1.0, "-1.0": doubt}[value]
            found = label_nf[i, CHEXPERT.index(finding)]
            np.testing.assert_equal(found, expected, err_msg=f"{i} {finding}")
