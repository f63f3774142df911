"""A hospital's own folder: tables in every state, folders of classes, DICOM files alone."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hilum.data.cohort import Cohort
from hilum.data.preprocessing import preprocess, reduction_to
from hilum.data.sources import open_source
from hilum.data.sources.listing import list_films, present
from hilum.data.sources.words import labels_of, sex_in_words, view_in_words, years
from hilum.errors import DataError
from hilum.recipe import DataPart


def write_film(path: Path, grey: int = 100, size: tuple[int, int] = (20, 20)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(size, grey, np.uint8)).save(path)


def write_table(folder: Path, name: str = "films.csv", **columns: object) -> Path:
    """A table and its films; `path` is 0.png, 1.png ... where it is not given."""
    n = len(next(iter(columns.values())))  # type: ignore[call-overload]
    table = pd.DataFrame({"path": [f"{i}.png" for i in range(n)], **columns})
    for i, film in enumerate(table["path"]):
        write_film(folder / str(film).replace("\\", "/"), grey=10 * i)
    table.to_csv(folder / name, index=False)
    return folder / name


def opened(path: Path, **options: object) -> Cohort:
    return open_source(f"folder:{path}", DataPart.model_validate(options))


def refused(path: Path, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        opened(path, **options)
    line = str(caught.value)
    assert "\n" not in line
    return line


def grey_of(cohort: Cohort) -> list[int]:
    return [round(255 * float(cohort.radiograph(i)[0, 0])) for i in range(len(cohort))]


def reasons(cohort: Cohort) -> Mapping[str, str]:
    return dict(cohort.excluded.set_index("image_id")["reason"])


# --- a table: columns


def test_our_columns_are_read_and_others_kept(tmp_path: Path) -> None:
    table = write_table(
        tmp_path,
        label=[0, 1, ""],
        patient_id=["007", "007", "x"],
        site=["A", "B", ""],
        view=["PA", "Antero-Posterior supine", "oblique"],
        age=["045Y", "63", ""],
        sex=["m", "Female", "?"],
        split=["Training", "valid", "TEST"],
        study_id=["s1", "s1", "s2"],
        scanner=["X", "Y", "Z"],
    )
    cohort = opened(table)
    assert cohort.findings == ("Pneumonia",)
    np.testing.assert_array_equal(cohort.label_nf[:, 0], [0, 1, np.nan])
    expected = {
        "image_id": ["0.png", "1.png", "2.png"],
        "patient_id": ["007", "007", "x"],
        "site": ["A", "B", None],
        "view": ["PA", "AP", "oblique"],
        "age": [45, 63, None],
        "sex": ["M", "F", None],
        "split": ["train", "val", "test"],
        "study_id": ["s1", "s1", "s2"],
        "scanner": ["X", "Y", "Z"],
    }
    found = cohort.table[[*expected]].astype(object)
    assert found.where(found.notna(), None).to_dict("list") == expected
    assert not cohort.public_ids
    assert grey_of(cohort) == [0, 10, 20]


@pytest.mark.parametrize("header", ["Patient ID", "PatientID", "PATIENT_ID"])
def test_headers_are_known_whatever_their_case_spaces_and_underscores(
    tmp_path: Path, header: str
) -> None:
    cohort = opened(write_table(tmp_path, LABEL=[0, 1], **{header: ["a", "b"]}))
    assert cohort.table["patient_id"].tolist() == ["a", "b"]


def test_columns_are_mapped_from_the_recipe(tmp_path: Path) -> None:
    table = write_table(tmp_path, diagnosis=[1, 0], label=["junk", "junk"], fold=["train", "test"])
    cohort = opened(table, columns={"label": "diagnosis", "split": "fold"})
    assert cohort.label_nf[:, 0].tolist() == [1, 0]
    assert cohort.table["split"].tolist() == ["train", "test"]
    assert cohort.table["label"].tolist() == ["junk", "junk"]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"lable": "label"}, "data.columns.lable: no column that Hilum knows"),
        ({"lable": "label"}, "did you mean label?"),
        ({"view": "vieww"}, "no column 'vieww' (columns: path, label, view); did you mean 'view'?"),
        ({"x": "label"}, "a box in part; expected all of x, y, width, height"),
        ({"label": "label", "label_edema": "label"}, "stands beside data.columns.label_edema"),
    ],
)
def test_a_mapping_that_leads_nowhere_is_refused(
    tmp_path: Path, columns: dict[str, str], words: str
) -> None:
    assert words in refused(write_table(tmp_path, label=[0, 1], view=["PA", "PA"]), columns=columns)


def test_a_table_without_path_or_label_says_which_key_to_set(tmp_path: Path) -> None:
    table = write_table(tmp_path, finding=[0, 1])
    assert "no column 'label' (columns: path, finding)" in refused(table)
    assert "set data.columns.label to the header of that column" in refused(table)
    (tmp_path / "other.csv").write_text("file,label\n0.png,1\n")
    assert "set data.columns.path" in refused(tmp_path / "other.csv")


def test_two_headers_that_could_each_be_ours_are_refused(tmp_path: Path) -> None:
    table = write_table(tmp_path, label=[0, 1], **{"patient id": "ab", "patient-id": "ab"})
    assert "patient id and patient-id could each be patient_id" in refused(table)


def test_columns_that_name_persons_are_not_kept_nor_shown(tmp_path: Path) -> None:
    names = ["Ann Example", "Bob Example"]
    table = write_table(
        tmp_path, label=[0, 1], **{"Patient Name": names, "BirthDate": ["1950", "1960"]}
    )
    cohort = opened(table)
    assert "Example" not in cohort.table.to_csv()
    assert "not kept, since they name persons: Patient Name, BirthDate" in cohort.warnings


# --- a table: labels


@pytest.mark.parametrize(
    ("words", "labels", "positive"),
    [
        (["0", "1"], [0, 1], None),
        (["0.0", "1.0", ""], [0, 1, np.nan], None),
        (["True", "false", "n/a"], [1, 0, np.nan], None),
        (["yes", "No"], [1, 0], None),
        (["1"], [1], None),
        (["0"], [0], None),
        ([], [], None),
        (["Normal", "Pneumonia"], [0, 1], "Pneumonia"),
        (["No Finding", "tuberculosis"], [0, 1], "tuberculosis"),
        (["COVID-19"], [1], "COVID-19"),
        (["0", "nodule"], [0, 1], "nodule"),
        (["0", "2"], [0, None], None),
        (["0", "1", "-1"], [0, 1, None], None),
        (["1", "pneumonia"], [1, None], None),
        (["normal", "virus", "bacteria"], [0, None, None], None),
        (["bacteria", "virus"], [None, None], None),
    ],
)
def test_labels_are_what_words_mean_or_none(
    words: list[str], labels: list[float | None], positive: str | None
) -> None:
    found, found_positive = labels_of(words)
    assert found_positive == positive
    assert [None if v is None else str(float(v)) for v in found] == [
        None if v is None else str(float(v)) for v in labels
    ]


def test_a_label_column_of_no_name_is_taken_for_pneumonia_and_says_so(tmp_path: Path) -> None:
    table = write_table(tmp_path, label=[0, 1], patient_id=["a", "b"])
    assert opened(table).warnings == (
        "column label is taken for Pneumonia; set data.findings if it is of another finding",
    )
    cohort = opened(table, findings=["Effusion"])
    assert cohort.findings == ("Pleural Effusion",)
    assert cohort.warnings == ()
    assert cohort.meanings == {"Pleural Effusion": "column label of films.csv is 1"}


def test_classes_called_by_name_name_the_finding(tmp_path: Path) -> None:
    cohort = opened(write_table(tmp_path, label=["normal", "COVID-19", "normal"]))
    assert cohort.findings == ("COVID-19",)
    assert cohort.label_nf[:, 0].tolist() == [0, 1, 0]
    assert cohort.meanings == {"COVID-19": "column label of films.csv is COVID-19"}


def test_labels_that_mean_nothing_are_refused_with_the_values_found(tmp_path: Path) -> None:
    table = write_table(tmp_path, label=["normal", "virus", "bacteria"])
    line = refused(table)
    assert "column label holds 'normal', 'virus', 'bacteria'" in line
    assert "expected 0, 1 or empty, or `normal` and one other class" in line


def test_several_findings_stand_in_columns_of_their_own(tmp_path: Path) -> None:
    table = write_table(
        tmp_path, label_pneumonia=[0, 1, ""], label_effusion=[1, 1, 0], Edema=[0, 0, 1]
    )
    cohort = opened(table)
    assert cohort.findings == ("Pneumonia", "Pleural Effusion")
    np.testing.assert_array_equal(cohort.label_nf, [[0, 1], [1, 1], [np.nan, 0]])
    cohort = opened(table, findings=["edema", "Pleural Effusion"])
    assert cohort.findings == ("Edema", "Pleural Effusion")
    assert cohort.label_nf.tolist() == [[0, 1], [0, 1], [1, 0]]
    mapped = opened(table, columns={"label_hernia": "Edema"})
    assert mapped.findings == ("Hernia",)
    assert "no column 'label_mass'" in refused(table, findings=["Mass", "Edema"])
    both = {"label": "Edema"}
    assert "names one column for 2 findings" in refused(
        table, findings=["Mass", "Edema"], columns=both
    )


def test_an_error_never_lists_what_may_be_names(tmp_path: Path) -> None:
    names = [f"Example, Person {i}" for i in range(20)]
    table = write_table(tmp_path, label=[0, 1] * 10, who=names)
    for ours in ("label", "split", "age", "aspect"):
        columns = {ours: "who"}
        if ours == "age":
            line = " ".join(opened(table, columns=columns).warnings)
        else:
            line = refused(table, columns=columns)
        assert "column who holds" in line
        assert re.search(r"20 (different )?values", line)
        assert "Example" not in line


# --- a table: its file


def test_a_byte_order_mark_semicolons_and_tabs_are_read(tmp_path: Path) -> None:
    table = write_table(tmp_path, label=[0, 1], site=["Zürich", "a,b"])
    for name, mark in (("films.csv", ";"), ("films.csv", "\t"), ("films.tsv", "\t")):
        text = f"path{mark}label{mark}site\n0.png{mark}0{mark}Zürich\n1.png{mark}1{mark}a.b\n"
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
        cohort = opened(tmp_path / name)
        assert cohort.table["site"].tolist() == ["Zürich", "a.b"]
        assert cohort.label_nf[:, 0].tolist() == [0, 1]
    assert table.exists()


def test_a_parquet_table_keeps_its_types(tmp_path: Path) -> None:
    write_table(tmp_path, label=[0, 1, 1])
    pd.DataFrame(
        {
            "path": pd.Categorical(["0.png", "1.png", "2.png"]),
            "label": [False, True, None],
            "patient_id": [7.0, np.nan, 12.0],
            "age": [45.5, 3.0, np.nan],
            "dose": [0.1, 0.2, 0.3],
        }
    ).to_parquet(tmp_path / "films.parquet")
    cohort = opened(tmp_path / "films.parquet")
    np.testing.assert_array_equal(cohort.label_nf[:, 0], [0, 1, np.nan])
    assert cohort.table["patient_id"].tolist()[::2] == ["7", "12"]
    assert cohort.table["age"].tolist()[:2] == [45.5, 3]
    assert cohort.table["dose"].tolist() == [0.1, 0.2, 0.3]
    assert cohort.radiograph(2).shape == (20, 20)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "empty file"),
        (b"\n", "no header"),
        (b"path,label\n", "no rows below the header"),
        (b"path,label\n0.png,0,9\n", "row 2 (the header is row 1) has 3 values; expected 2"),
        (b'path,label\n0.png,0\n"1.png,1\n2.png,1\n', "a quote not closed?"),
        (b'path,label,note\n0.png,0,"x\n1.png,1,y\n', "a quote in row 2 (the header is row 1) is"),
        (b"path,label,site\n0.png,0,x\n1.png,1,Z\xfcrich\n", "line 3 has text that is not UTF-8"),
        ("path,label\n0.png,0\n".encode("utf-16"), "text that is not UTF-8; expected UTF-8"),
        (b"path,label,label\n0.png,0,1\n", "two columns are called 'label'"),
        (b"path,label,name\n0.png,0,Ann Example\n1.png,1,\xff,x\n", "not UTF-8"),
        (b"PAR1 is not at the end", "no rows below the header"),
        (b"not,a,table\nof,films,at all\n", "no column 'path' (columns: not, a, table)"),
    ],
)
def test_a_broken_table_is_refused_in_one_line(tmp_path: Path, raw: bytes, words: str) -> None:
    write_table(tmp_path, label=[0, 1, 1])
    path = tmp_path / "broken.csv"
    path.write_bytes(raw)
    line = refused(path)
    assert words in line
    assert str(path) in line
    assert "Example" not in line


def test_a_damaged_parquet_table_is_refused_in_one_line(tmp_path: Path) -> None:
    write_table(tmp_path, label=[0, 1])
    path = tmp_path / "films.parquet"
    pd.DataFrame(
        {"path": ["0.png", "1.png"], "label": ["0", "1"], "site": ["St. Åsa", "B"]}
    ).to_parquet(path, compression=None, use_dictionary=False)
    raw = path.read_bytes()
    path.write_bytes(raw.replace("St. Å".encode(), b"St. \xff\xfe"))
    assert "text that is not UTF-8" in refused(path)
    for cut in (3, len(raw) // 2, len(raw) - 5):
        path.write_bytes(raw[:cut])
        assert "cannot be read (" in refused(path)
    path.write_bytes(raw.replace(b'"index_columns"', b'"index_columns\x01'))
    assert len(opened(path)) == 2  # what pandas notes beside the columns is not needed


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "films.xlsx").write_bytes(b"PK")
    assert "is no table; expected a file ending in .csv" in refused(tmp_path / "films.xlsx")
    (tmp_path / "films.parquet").write_bytes(b"not parquet at all")
    assert "cannot be read (" in refused(tmp_path / "films.parquet")


def test_a_split_of_other_words_is_refused(tmp_path: Path) -> None:
    table = write_table(tmp_path, label=[0, 1], split=["train", "fold 3"])
    assert "column split holds 'fold 3'; expected train, val or test" in refused(table)


def test_ages_that_are_none_count_as_unknown_and_are_told(tmp_path: Path) -> None:
    cohort = opened(write_table(tmp_path, label=[0, 1, 0], age=["50", ">89", "411"]))
    np.testing.assert_array_equal(cohort.table["age"], [50, np.nan, np.nan])
    assert "column age holds 2 values that are no age, taken as unknown" in cohort.warnings


@pytest.mark.parametrize(
    ("text", "age"),
    [("045Y", 45), ("6M", 0.5), ("026W", 0.498), ("4.5", 4.5), ("abc", None), ("-3", None)],
)
def test_an_age_is_in_years(text: str, age: float | None) -> None:
    found = years(text)
    assert found == (None if age is None else pytest.approx(age, abs=1e-3))


@pytest.mark.parametrize(
    ("text", "view"),
    [
        ("PA", "PA"), ("a.p.", "AP"), ("AP portable", "AP"), ("postero-anterior", "PA"),
        ("POSTERO ANTERIOR", "PA"), ("frontal (AP, paediatric)", "AP"), ("LL", "LATERAL"),
        ("Lat", "LATERAL"), ("PA/LAT", "PA/LAT"), ("oblique", "oblique"), ("unknown", None),
        ("", None), ("map", "map"),
    ],
)  # fmt: skip
def test_a_view_is_known_by_its_words(text: str, view: str | None) -> None:
    assert view_in_words(text) == view


def test_a_sex_is_known_by_its_words() -> None:
    words = ["m", "MALE", "f", "Female", "O", "unknown", "X"]
    assert [sex_in_words(word) for word in words] == ["M", "M", "F", "F", "O", None, "X"]


# --- a table: its films


def test_a_row_without_its_file_is_excluded_and_the_others_keep_their_pixels(
    tmp_path: Path,
) -> None:
    table = write_table(tmp_path, label=[0, 1, 0, 1])
    (tmp_path / "1.png").unlink()
    cohort = opened(table)
    assert reasons(cohort) == {"1.png": "no file"}
    assert cohort.table["image_id"].tolist() == ["0.png", "2.png", "3.png"]
    assert grey_of(cohort) == [0, 20, 30]
    for name in ("0.png", "2.png", "3.png"):
        (tmp_path / name).unlink()
    assert "none of its 4 films is there" in refused(table)


def test_paths_from_windows_and_absolute_paths_are_found(tmp_path: Path) -> None:
    table = write_table(tmp_path / "a", path=["in\\0.png", "in\\1.png"], label=[0, 1])
    assert len(opened(table)) == 2
    films = [str(tmp_path / "a" / "in" / f"{i}.png") for i in range(2)]
    (tmp_path / "b").mkdir()
    pd.DataFrame({"path": films, "label": [0, 1]}).to_csv(tmp_path / "b" / "x.csv", index=False)
    assert grey_of(opened(tmp_path / "b" / "x.csv")) == [0, 10]


def test_present_says_what_asking_each_file_would(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f"{'d' * rng.integers(1, 4)}/{i}.png" for i in range(40)] + ["top.png", "no/x.png"]
    for name in names[::3]:
        write_film(tmp_path / name)
    (tmp_path / "d" / "folder.png").mkdir()
    asked = [*names, "d/folder.png", "", "d", "/top.png", "d/../top.png", str(tmp_path / "top.png")]
    asked += [f"/{i}.png" for i in range(9)]
    assert present(tmp_path, asked).tolist() == [(tmp_path / name).is_file() for name in asked]


def test_an_image_that_stands_twice_is_refused_by_its_rows(tmp_path: Path) -> None:
    table = write_table(tmp_path, path=["0.png", "1.png", "0.png"], label=[0, 1, 0])
    line = refused(table)
    assert "rows 2 and 4 (the header is row 1) name one image; expected one row per image" in line
    table = write_table(tmp_path, image_id=["SECRET", "b", "SECRET"], label=[0, 1, 0])
    assert "rows 2 and 4" in refused(table)
    assert "SECRET" not in refused(table)


def test_rows_that_name_no_film_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("path,label\n0.png,0\n,1\n")
    assert "row 3 (the header is row 1) names no film" in refused(tmp_path / "x.csv")


def test_a_film_may_have_several_boxes_a_row_each(tmp_path: Path) -> None:
    table = write_table(
        tmp_path,
        path=["0.png", "1.png", "1.png"],
        label=[0, 1, 1],
        x=["", 1, 5], y=["", 2, 6], width=["", 3, 7], height=["", 4, 8.5],
    )  # fmt: skip
    cohort = opened(table)
    assert cohort.table["image_id"].tolist() == ["0.png", "1.png"]
    assert cohort.boxes.values.tolist() == [
        ["1.png", "Pneumonia", 1, 2, 3, 4],
        ["1.png", "Pneumonia", 5, 6, 7, 8.5],
    ]
    (tmp_path / "films.csv").write_text(table.read_text().replace("1.png,1,5", "1.png,0,5"))
    assert "rows 3 and 4 (the header is row 1) name one image and differ" in refused(table)


def test_lateral_films_are_left_out_unless_views_are_asked_for(tmp_path: Path) -> None:
    table = write_table(tmp_path, label=[0, 1, 0, 1], view=["PA", "LL", "", "AP"])
    cohort = opened(table)
    assert cohort.table["image_id"].tolist() == ["0.png", "2.png", "3.png"]
    assert reasons(cohort) == {"1.png": "view LATERAL"}
    lateral = opened(table, views=["lateral"])
    assert lateral.table["image_id"].tolist() == ["1.png"]
    assert reasons(lateral) == {"0.png": "view PA", "2.png": "view unknown", "3.png": "view AP"}
    only = write_table(tmp_path, "only.csv", label=[0], view=["LAT"])
    assert "only lateral films" in refused(only)


def test_squashed_films_are_read_in_their_true_proportions(tmp_path: Path) -> None:
    table = write_table(tmp_path, label=[0, 1, 1], aspect=["2.0", "0.5", ""])
    cohort = opened(table)
    assert [cohort.radiograph(i).shape for i in range(3)] == [(10, 20), (20, 10), (20, 20)]
    assert "films without an aspect, read as they are: 1" in cohort.warnings
    for wrong in ("wide", "0", "40"):
        table = write_table(tmp_path, label=[0, 1], aspect=["1.0", wrong])
        assert f"column aspect holds '{wrong}'; expected width over height" in refused(table)


# --- real tables


def test_kermany_at_224_px_is_a_real_task(data_folder: Path) -> None:
    columns = {"split": "kaggle_split", "aspect": "est_aspect_w_over_h"}
    cohort = opened(data_folder / "kermany_224" / "labels.csv", columns=columns)
    assert len(cohort) == 5856
    assert len(cohort.excluded) == 0
    assert (cohort.label_nf == 1).sum() == 4273
    assert cohort.table.groupby("split").size().to_dict() == {"test": 624, "train": 5232}
    assert cohort.table["patient_id"].nunique() == 3288
    # Where the aspect is undone the film is the one that PneumoniaMNIST has, hardly otherwise.
    with np.load(data_folder / "pneumoniamnist.npz") as archive:
        images = {split: archive[f"{split}_images"] for split in ("train", "val", "test")}
    stretched = opened(
        data_folder / "kermany_224" / "labels.csv", columns={"split": "kaggle_split"}
    )
    rng = np.random.default_rng(0)
    known = np.flatnonzero(cohort.table["medmnist_split"].notna())
    r_right, r_wrong = [], []
    for row in rng.choice(known, 20, replace=False):
        line = cohort.table.iloc[row]
        target = images[line["medmnist_split"]][int(line["medmnist_index"])].ravel()
        for r, source in ((r_right, cohort), (r_wrong, stretched)):
            small = preprocess(source.radiograph(int(row)), reduction_to(28)).ravel()
            r.append(np.corrcoef(small, target)[0, 1])
    assert min(r_right) > 0.97
    assert np.median(r_wrong) < 0.9


def test_hannover_has_positives_alone(data_folder: Path) -> None:
    cohort = opened(data_folder / "hannover_sample" / "labels.csv")
    assert cohort.label_nf[:, 0].tolist() == [1] * 77
    assert cohort.table["sex"].value_counts().to_dict() == {"M": 51, "F": 26}
    assert cohort.table["patient_id"].nunique() == 43
    with pytest.raises(DataError, match="no image has the role"):
        cohort.with_role("test")


def test_a_patient_table_fills_in_whose_films_they_are(data_folder: Path) -> None:
    folder = data_folder / "kermany_224"
    cohort = opened(folder / "images", patients=str(folder / "labels.csv"))
    labels = pd.read_csv(folder / "labels.csv").set_index("path")
    expected = labels.loc["images/" + cohort.table["image_id"], "patient_id"].tolist()
    assert cohort.table["patient_id"].tolist() == expected
    assert not any("patients" in told for told in cohort.warnings)


def test_a_patient_table_that_fits_no_film_or_two_patients_is_refused(tmp_path: Path) -> None:
    table = write_table(tmp_path, label=[0, 1, 1], patient_id=["own", "", ""])
    whose = tmp_path / "whose.csv"
    whose.write_text("path,patient_id\n0.png,other\n1.png,b\n")
    cohort = opened(table, patients=str(whose))
    assert cohort.table["patient_id"].fillna("-").tolist() == ["own", "b", "-"]
    assert "films of unknown patients, not in whose.csv: 1" in " ".join(cohort.warnings)
    whose.write_text("path,patient_id\nx/0.png,a\n")
    assert "names none of the 3 films" in refused(table, patients=str(whose))
    whose.write_text("path,patient_id\n0.png,a\n0.png,b\n")
    assert "row 3 (the header is row 1) gives a film to a second" in refused(
        table, patients=str(whose)
    )
    whose.write_text("file,patient_id\n0.png,a\n")
    assert "no column 'path'" in refused(table, patients=str(whose))


# --- folders


def test_a_folder_per_class_below_its_splits(tmp_path: Path) -> None:
    for name in (
        "train/NORMAL/a.png", "train/NORMAL/deep/er/b.png", "train/PNEUMONIA/a.jpeg",
        "val/NORMAL/a.png", "test/PNEUMONIA/c.png", "train/loose.png", "loose.png",
    ):  # fmt: skip
        write_film(tmp_path / name)
    for name in ("README.txt", "train/NORMAL/.DS_Store", "val/NORMAL/notes", ".git/x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    cohort = opened(tmp_path)
    assert cohort.findings == ("Pneumonia",)
    rows = cohort.table.set_index("image_id")
    assert rows["label_pneumonia"].to_dict() == {
        "train/NORMAL/a.png": 0, "train/NORMAL/deep/er/b.png": 0, "train/PNEUMONIA/a.jpeg": 1,
        "val/NORMAL/a.png": 0, "test/PNEUMONIA/c.png": 1,
    }  # fmt: skip
    assert rows["split"].to_dict() == {name: name.split("/")[0] for name in rows.index}
    assert reasons(cohort) == {
        ".git": "hidden folder",
        "README.txt": "not a film (.txt)",
        "train/NORMAL/.DS_Store": "hidden file",
        "val/NORMAL/notes": "not a film (no suffix, not DICOM)",
        "loose.png": "in no class folder",
        "train/loose.png": "in no class folder",
    }
    assert cohort.meanings == {"Pneumonia": "the film lies in the folder PNEUMONIA"}
    assert opened(tmp_path, findings=["Lung Opacity"]).findings == ("Lung Opacity",)


def test_more_classes_are_a_finding_each(tmp_path: Path) -> None:
    for name in ("normal/a.png", "Effusion/b.png", "COVID-19/c.png", "no finding/d.png"):
        write_film(tmp_path / name)
    cohort = opened(tmp_path)
    assert cohort.findings == ("COVID-19", "Pleural Effusion")
    assert cohort.table["image_id"].tolist() == sorted(cohort.table["image_id"])
    labels = dict(zip(cohort.table["image_id"], cohort.label_nf.tolist(), strict=True))
    assert labels == {
        "COVID-19/c.png": [1, 0], "Effusion/b.png": [0, 1], "no finding/d.png": [0, 0],
        "normal/a.png": [0, 0],
    }  # fmt: skip
    assert opened(tmp_path, findings=["Effusion"]).findings == ("Pleural Effusion",)
    assert "does not tell of 'Hernia'" in refused(tmp_path, findings=["Hernia"])


def test_folders_that_are_no_classes_are_refused_with_what_to_name_instead(tmp_path: Path) -> None:
    assert "no film in it" in refused(tmp_path)
    write_film(tmp_path / "bacteria" / "a.png")
    write_film(tmp_path / "virus" / "a.png")
    assert "no folder of a class without finding, such as NORMAL" in refused(tmp_path)
    assert "write a table with the columns path and label" in refused(tmp_path)
    (tmp_path / "labels.csv").write_text("path,label\n")
    assert f"name the table instead: folder:{tmp_path}/labels.csv" in refused(tmp_path)
    for name in ("normal", "TB"):
        write_film(tmp_path / "virus" / "wrapped" / "once" / "more" / name / "a.png")
    assert "name the folder of the classes" not in refused(tmp_path / "virus" / "wrapped")
    more = tmp_path / "virus" / "wrapped" / "once" / "more"
    assert f"name the folder of the classes: folder:{more}" in refused(more.parent)
    assert "is a folder, which has no columns" in refused(tmp_path, columns={"label": "x"})


def test_links_are_followed_once(tmp_path: Path) -> None:
    write_film(tmp_path / "outside" / "NORMAL" / "a.png")
    write_film(tmp_path / "set" / "PNEUMONIA" / "b.png")
    (tmp_path / "set" / "NORMAL").symlink_to(tmp_path / "outside" / "NORMAL")
    (tmp_path / "set" / "PNEUMONIA" / "loop").symlink_to(tmp_path / "set")
    listing = list_films(tmp_path / "set")
    assert listing.films == ["NORMAL/a.png", "PNEUMONIA/b.png"]
    assert listing.excluded == [("PNEUMONIA/loop", "a link to a folder that is here already")]


@pytest.mark.skipif(sys.platform == "darwin", reason="file names are text there")
def test_a_file_name_that_is_not_text_is_excluded(tmp_path: Path) -> None:
    write_film(tmp_path / "NORMAL" / "a.png")
    write_film(tmp_path / "PNEUMONIA" / "a.png")
    (tmp_path / "PNEUMONIA" / os.fsdecode(b"b\xff.png")).write_bytes(b"x")
    cohort = opened(tmp_path)
    assert len(cohort) == 2
    assert [*reasons(cohort).values()] == ["a file name that is not text"]


# --- DICOM files alone


def test_dicom_files_alone_tell_of_patient_view_age_and_sex(
    data_folder: Path, tmp_path: Path
) -> None:
    real = data_folder / "dicom" / "real_chest"
    # As an archive exports them: by UID, without a suffix, a folder per study.
    for study, name in enumerate(sorted(path.name for path in real.iterdir()), start=1):
        target = tmp_path / f"study{study}" / f"1.2.840.{study}"
        target.parent.mkdir()
        suffix = ".dcm" if "nometa" in name else ""  # one without the mark is known by suffix
        target.with_name(target.name + suffix).write_bytes((real / name).read_bytes())
    (tmp_path / "study1" / "report.pdf").write_bytes(b"%PDF")
    (tmp_path / "study2" / "cut.dcm").write_bytes(b"\0" * 128 + b"DICM cut")
    done = []
    cohort = open_source(
        f"folder:{tmp_path}", progress=lambda done_n, total: done.append((done_n, total))
    )
    assert len(cohort) == 6
    assert done[-1] == (7, 7)
    assert reasons(cohort)["study1/report.pdf"] == "not a film (.pdf)"
    assert reasons(cohort)["study2/cut.dcm"].startswith("unreadable: ")
    assert np.isnan(cohort.label_nf).all()
    assert any("labels are unknown" in told for told in cohort.warnings)

    import pydicom

    for i, image_id in enumerate(cohort.table["image_id"]):
        header = pydicom.dcmread(tmp_path / image_id, force=True, stop_before_pixels=True)
        row = cohort.table.iloc[i]
        for ours, theirs in (("patient_id", "PatientID"), ("sex", "PatientSex")):
            assert (row[ours] if pd.notna(row[ours]) else "") == str(header.get(theirs, "") or "")
        assert min(cohort.radiograph(i).shape) >= 440


def test_dicom_films_in_class_folders_have_labels_and_header_facts(
    data_folder: Path, tmp_path: Path
) -> None:
    raw = (data_folder / "dicom" / "real_chest" / "nih_google_dx_implicitle.dcm").read_bytes()
    for name in ("normal/1.dcm", "effusion/2.dcm"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(raw)
    write_film(tmp_path / "normal" / "3.png")
    cohort = opened(tmp_path)
    assert cohort.findings == ("Pleural Effusion",)
    assert cohort.label_nf[:, 0].tolist() == [1, 0, 0]
    assert cohort.table["age"].fillna(-1).tolist() == [81, 81, -1]
    assert cohort.table["sex"].fillna("-").tolist() == ["M", "M", "-"]


# --- scale

_MEASURE = """
import resource, sys, time
from hilum.data.sources import open_source
start = time.perf_counter()
cohort = open_source("folder:" + sys.argv[1])
seconds = time.perf_counter() - start
print(len(cohort), seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.mark.slow
def test_a_table_of_112_000_films_opens_in_5_s_and_500_mb(tmp_path: Path) -> None:
    n = 112_120
    with (tmp_path / "films.csv").open("w") as file:
        file.write("path,label,patient_id,view,age,sex,split\n")
        for i in range(n):
            name = f"images_{i // 10_000:02d}/{i:08d}.png"
            if i % 10_000 == 0:
                (tmp_path / name).parent.mkdir()
            (tmp_path / name).touch()
            file.write(f"{name},{i % 7 == 0:d},{i // 4},PA,{i % 90},M,train\n")
    answer = subprocess.run(
        [sys.executable, "-c", _MEASURE, tmp_path / "films.csv"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    films, seconds, megabytes = answer.stdout.split()
    assert int(films) == n
    assert float(seconds) <= 5
    assert float(megabytes) <= 500
