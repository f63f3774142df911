from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hilum.errors import EvaluationError
from hilum.evaluation.foreign import reading
from hilum.evaluation.foreign.headers import Headers
from hilum.evaluation.foreign.reading import ForeignPredictions, read_foreign
from hilum.evaluation.predictions import Predictions
from hilum.evaluation.subgroups.grouping import GroupBy


def read(tmp_path: Path, text: str | bytes, **headers: object) -> ForeignPredictions:
    path = tmp_path / "theirs.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_foreign(path, Headers(**headers))  # type: ignore[arg-type]


def of(table: dict[str, object], tmp_path: Path, **headers: object) -> ForeignPredictions:
    pq.write_table(pa.table(table), tmp_path / "theirs.parquet")
    return read_foreign(tmp_path / "theirs.parquet", Headers(**headers))  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".csv", ".CSV", ".parquet"])
def test_a_table_is_read_to_the_letter_and_to_the_bit(tmp_path: Path, suffix: str) -> None:
    # The oracle is what was written, through Python's own csv and float.
    rng = np.random.default_rng(0)
    n = 30_000
    prob_n = [0.0, 1.0, 5e-324, 0.1, 1 - 2**-53, *rng.random(n - 5).tolist()]
    rows = {
        "path": [f"{i:08d}" for i in range(n)],
        "note": [f'a "note", of\ntwo lines {i} ' + "é" * (i % 80) for i in range(n)],
        "y_true": [["0", "1", ""][i % 3] for i in range(n)],
        "patient": [f"p{i // 2}" if i % 5 else "" for i in range(n)],
        "score": [repr(p) for p in prob_n],
        "Site": [["a", 'b, "c"', "007"][i % 3] for i in range(n)],
    }
    path = tmp_path / f"theirs{suffix}"
    if suffix == ".parquet":
        typed = rows | {"score": prob_n, "y_true": [float(y or "nan") for y in rows["y_true"]]}
        pq.write_table(pa.table(typed), path, row_group_size=7000)
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(rows)
            writer.writerows(zip(*rows.values(), strict=True))
    assert suffix == ".parquet" or path.stat().st_size > 3 << 20  # several blocks
    read = read_foreign(path)
    predictions = read.predictions
    assert predictions.findings == ("Finding",)
    assert predictions.image_id_n == rows["path"]
    assert predictions.patient_id_n.tolist() == [p or None for p in rows["patient"]]
    assert predictions.prob("Finding").tolist() == prob_n
    assert predictions.label("Finding").tolist() == pytest.approx(
        [float(y or "nan") for y in rows["y_true"]], nan_ok=True
    )
    assert np.isnan(predictions.logit("Finding")).all()
    assert predictions.decision("Finding").tolist() == [int(p >= 0.5) for p in prob_n]
    assert predictions.table["site"].tolist() == rows["Site"]
    assert predictions.group_columns == ("site",)
    assert read.warnings == ()
    assert read.by is None
    assert "note" not in predictions.table.columns


def test_what_hilum_wrote_comes_back_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    logit_nf = rng.normal(size=(9, 2))
    ours = Predictions.from_arrays(
        ["COVID-19", "Pleural Effusion"],
        [f"{i:03d}" for i in range(9)],
        label_nf=np.where(rng.random((9, 2)) < 0.2, np.nan, rng.integers(0, 2, (9, 2))),
        logit_nf=logit_nf,
        prob_nf=1 / (1 + np.exp(-logit_nf / 1.7)),
        threshold_f=[0.2, 0.7],
        patient_id_n=["a", None, "007", "b", "c", "c", "d", "e", "f"],
        subgroups=pd.DataFrame({"age": np.arange(9) + 40.0, "scanner": list("abcabcabc")}),
    )
    ours.write(tmp_path / "p.parquet")
    again = read_foreign(tmp_path / "p.parquet").predictions
    assert again.findings == ours.findings
    pd.testing.assert_frame_equal(again.table, ours.table, check_dtype=False)
    # CSV knows neither spelling nor which other column is a group.
    ours.write(tmp_path / "p.csv")
    from_csv = read_foreign(tmp_path / "p.csv").predictions
    assert from_csv.findings == ("Covid-19", "Pleural Effusion")
    assert from_csv.group_columns == ("age",)
    assert from_csv.decision("Covid-19").tolist() == ours.decision("COVID-19").tolist()


def test_one_finding_of_many_keeps_its_decisions(tmp_path: Path) -> None:
    ours = Predictions.from_arrays(
        ["A", "B"],
        ["x", "y"],
        label_nf=np.eye(2),
        logit_nf=np.zeros((2, 2)),
        prob_nf=np.array([[0.3, 0.1], [0.1, 0.3]]),
        threshold_f=[0.2, 0.2],
    )
    ours.write(tmp_path / "p.parquet")
    one = read_foreign(tmp_path / "p.parquet", Headers(findings=("B",))).predictions
    assert one.findings == ("B",)
    assert one.decision("B").tolist() == [0, 1]


def test_synthetic_images_stay_synthetic(tmp_path: Path) -> None:
    table = read(tmp_path, "id,label,prob\na,1,0.9\n").predictions
    assert not table.synthetic
    Predictions(table.findings, table.table, synthetic=True).write(tmp_path / "p.parquet")
    assert read_foreign(tmp_path / "p.parquet").predictions.synthetic
    assert Predictions.read(tmp_path / "p.parquet").synthetic


def test_a_logit_alone_gives_its_sigmoid_and_a_warning(tmp_path: Path) -> None:
    read_ = read(tmp_path, "id,label,logit\na,1,-800\nb,0,0\nc,1,1.5\nd,1,40\n")
    predictions = read_.predictions
    assert predictions.logit("Finding").tolist() == [-800.0, 0.0, 1.5, 40.0]
    expected = [0.0, 0.5, 1 / (1 + math.exp(-1.5)), 1.0]
    assert predictions.prob("Finding") == pytest.approx(expected, rel=1e-15)
    assert predictions.decision("Finding").tolist() == [0, 1, 1, 1]
    assert read_.warnings == (
        "probabilities of Finding are the sigmoid of its logits, uncalibrated",
    )


def test_probabilities_that_are_decisions_are_warned_of(tmp_path: Path) -> None:
    (warning,) = read(tmp_path, "id,label,pred\na,1,1\nb,0,0\nc,1,0\n").warnings
    assert "every probability of Finding is 0 or 1" in warning
    assert read(tmp_path, "id,label,pred\na,1,1\nb,0,0\nc,1,0.5\n").warnings == ()


def test_a_score_without_labels_is_left_out_and_told(tmp_path: Path) -> None:
    (warning,) = read(tmp_path, "id,label_a,prob_a,prob_b\nx,1,0.5,0.5\n").warnings
    assert warning == "prob_b has no column of labels and is left out"


def test_the_threshold_decides(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,label,prob\na,1,0.3\nb,0,0.29\n")
    decided = read_foreign(tmp_path / "p.csv", threshold=0.3).predictions
    assert decided.decision("Finding").tolist() == [1, 0]


@pytest.mark.parametrize(
    ("cell", "label"),
    [
        ("0", 0), ("1", 1), ("0.0", 0), ("1.0", 1), ("1e0", 1), ("true", 1), ("FALSE", 0),
        (" True ", 1), ('"1"', 1), ("", None), ('""', None), ("NaN", None), ("nan", None),
        ("NA", None), ("null", None), ("None", None),
    ],
)  # fmt: skip
def test_labels_are_0_1_true_false_or_missing(tmp_path: Path, cell: str, label: int | None) -> None:
    found = read(tmp_path, f"id,label,prob\na,{cell},0.5\nb,1,0.2\n").predictions.label("Finding")
    assert [None if math.isnan(y) else y for y in found] == [label, 1]


@pytest.mark.parametrize("cell", ["-1", "2", "0.5", "yes", "Pneumonia", "0;1", "inf", "1_0", "01x"])
def test_any_other_label_is_to_be_mapped_first(tmp_path: Path, cell: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        read(tmp_path, f"id,y,prob\na,1,0.5\nb,{cell},0.2\n", label="y")
    assert f"theirs.csv: y is {cell} for image 'b'; expected 0 (absent), 1 (present)" in str(
        caught.value
    )
    assert str(caught.value).endswith("map it first")


@pytest.mark.parametrize(
    "label_n",
    [
        pa.array([1, 0, None], pa.int8()),
        pa.array([1.0, 0.0, None], pa.float32()),
        pa.array([1.0, 0.0, math.nan]),
        pa.array([True, False, None]),
        pa.array(["1", "0", ""]),
        pa.array(["true", "false", None], pa.large_string()),
        pa.array(["1", "0", None]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type),
)
def test_labels_of_any_type_are_read_from_parquet(tmp_path: Path, label_n: pa.Array) -> None:
    table = {"image_id": [7, 8, 9], "label": label_n, "prob": pa.array([0.5, 1, 0], pa.float32())}
    predictions = of(table, tmp_path).predictions
    assert predictions.image_id_n == ["7", "8", "9"]
    np.testing.assert_array_equal(predictions.label("Finding"), [1, 0, np.nan])
    assert predictions.prob("Finding").tolist() == [0.5, 1.0, 0.0]


def test_a_column_that_is_no_cell_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"column prob holds list<.*>"):
        of({"id": ["a"], "label": [1], "prob": [[0.1, 0.9]]}, tmp_path)


def test_patients_without_an_id_are_unknown(tmp_path: Path) -> None:
    rows = "".join(f"{i},1,0.5,{who}\n" for i, who in enumerate(["p", "", "NaN", "None", " q "]))
    patients = read(tmp_path, "id,label,prob,patient\n" + rows).predictions.patient_id_n
    assert patients.tolist() == ["p", None, None, None, "q"]


def test_groups_that_hold_only_numbers_are_numbers(tmp_path: Path) -> None:
    text = "id,label,prob,age,sex,code,dose,kind\na,1,0.5,63,1,007,1.5,x\nb,1,0.5,,0,012,,NA\n"
    asked = [GroupBy(name) for name in ("age", "sex", "code", "dose", "kind")]
    found = read(tmp_path, text, groups=tuple(asked))
    table = found.predictions.table
    assert found.predictions.group_columns == ("age", "sex", "code", "dose", "kind")
    assert found.by == tuple(asked)
    assert table["age"].dtype == table["dose"].dtype == np.float64
    assert table["age"].isna().tolist() == [False, True]
    assert table["code"].tolist() == ["007", "012"]
    assert table["sex"].tolist() == ["1", "0"]
    assert table["kind"].isna().tolist() == [False, True]


def test_a_group_with_edges_needs_numbers(tmp_path: Path) -> None:
    by = (GroupBy("age", (40.0, 60.0)),)
    found = read(tmp_path, "id,label,prob,Age\na,1,0.5,63\nb,1,0.5,\n", groups=by)
    assert found.by == by
    np.testing.assert_array_equal(found.predictions.table["age"], [63.0, np.nan])
    with pytest.raises(EvaluationError, match="Age is the text '063Y' for image 'a'"):
        read(tmp_path, "id,label,prob,Age\na,1,0.5,063Y\n", groups=by)


def test_a_group_may_not_be_called_as_a_column_of_hilums(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="decision is what a column of Hilum's own is called"):
        read(tmp_path, "id,label,prob,decision\na,1,0.5,x\n", groups=(GroupBy("decision"),))


BAD = [
    ("", "empty file"),
    ("id,label,prob\n", "no rows below the header"),
    ("id,label,prob", "no rows below the header"),
    ("id,label,prob\n\n\n", "no rows below the header"),
    ("id,label,prob\na,1,1.5\n", "prob is 1.5 for image 'a'; expected a probability in [0, 1]"),
    ("id,label,prob\na,1,-3\n", "--prob takes probabilities, --logit takes raw logits"),
    ("id,label,prob\na,1,inf\n", "prob is inf for image 'a'"),
    ("id,label,prob\na,1,\n", "prob is missing for image 'a'"),
    ("id,label,prob\na,1,NaN\n", "prob is missing for image 'a'"),
    ("id,label,logit\na,1,\n", "logit is missing for image 'a'"),
    ("id,label,logit\na,1,-inf\n", "logit is -inf for image 'a'"),
    ("id,label,prob\na,1,high\n", "prob is the text 'high' for image 'a'; expected numbers"),
    ('id,label,prob\na,1,"0,5"\n', "prob is the text '0,5' for image 'a'"),
    ("id,label,prob\na,1,0.5\na,0,0.5\n", "image id 'a' stands more than once"),
    ("id,label,prob\na,1,0.5\n,0,0.5\n", "row 3 (the header is row 1) has no id"),
    ('id,label,prob\na,1,0.5\n"  ",0,0.5\n', "row 3 (the header is row 1) has no id"),
    ("id,label,prob\na,1,0.5\nb,0\n", "row 3 (the header is row 1) has 2 values; expected 3"),
    ("id,label,prob\na,1,0.5,9\n", "row 2 (the header is row 1) has 4 values; expected 3"),
    ('id,label,prob,x\na,1,0.5,z\nb,0,0.1,"z\nc,1,0.5,z\n', "a quote in row 3 (the header is row"),
    ("id;label;prob\na;1;0.5\n", "columns separated by ';'; expected a comma"),
    ("id\tlabel\na\t1\n", r"columns separated by '\t'; expected a comma"),
    ("id,label,prob,é\na,1,0.5,2\n".encode("latin-1"), "text that is not UTF-8"),
    ("id,label,prob\né,1,0.5\n".encode("latin-1"), "text that is not UTF-8"),
    ("id,label,prob\na,1,0.5\n".encode("utf-16"), "text that is not UTF-8"),
    ("id,label,prob\na,1," + "x" * 500, "prob is the text 'xxxxxxxxxx"),
    ("x" * (3 << 20), "cannot be read"),
    ('id,note,label,prob\na,"' + "x,\n" * (2 << 20), "a row longer than 1 MB"),
]


@pytest.mark.parametrize(("content", "words"), BAD)
def test_a_bad_csv_is_refused_in_one_short_line(
    tmp_path: Path, content: str | bytes, words: str
) -> None:
    with pytest.raises(EvaluationError) as caught:
        read(tmp_path, content)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_bytes_that_are_no_utf8_do_not_matter_in_a_column_that_is_not_read(tmp_path: Path) -> None:
    text = "id,label,prob,note\na,1,0.5,é\n".encode("latin-1")
    assert len(read(tmp_path, text).predictions) == 1


def test_a_byte_order_mark_and_carriage_returns_are_read_over(tmp_path: Path) -> None:
    text = "\ufeffid,label,prob\r\na,1,0.5\r\n\r\nb,0,0.25\r\n".encode()
    assert read(tmp_path, text).predictions.image_id_n == ["a", "b"]


def test_a_cell_of_several_lines_may_end_the_file(tmp_path: Path) -> None:
    for end in ('"z\nz"', '"z\nz"\n', '"z\n""z"""\r\n\n', '"z'):
        found = read(tmp_path, "id,label,prob,x\na,1,0.5,z\nb,0,0.1," + end)
        assert len(found.predictions) == 2


def test_the_row_is_named_far_down_a_file_with_line_breaks_in_quotes(tmp_path: Path) -> None:
    row = 'a{},"two\nlines ' + "x" * 300 + '",1,0.5\n'
    text = "id,note,label,prob\n" + "".join(row.format(i) for i in range(9000))
    with pytest.raises(EvaluationError, match=r"row 9002 \(the header is row 1\) has 3 values"):
        read(tmp_path, text + "b,1,0.5\n")
    with pytest.raises(EvaluationError, match=r"row 9002 \(the header is row 1\) has no id"):
        read(tmp_path, text + ",note,1,0.5\n")


def test_a_damaged_parquet_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    n = 50_000
    prob_n = np.random.default_rng(0).random(n)
    pq.write_table(pa.table({"id": np.arange(n), "label": np.ones(n), "prob": prob_n}), path)
    whole = path.read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    # A page header of nonsense: the footer is whole, the data are not.
    (tmp_path / "flipped.parquet").write_bytes(whole[:4] + b"\xff" * 400_000 + whole[400_004:])
    (tmp_path / "none.parquet").write_bytes(b"")
    for name, words in (
        ("cut", "cannot be read"),
        ("flipped", "cannot be read"),
        ("none", "empty"),
    ):
        with pytest.raises(EvaluationError, match=words) as caught:
            read_foreign(tmp_path / f"{name}.parquet")
        assert "\n" not in str(caught.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name, words in (
        ("none.csv", "no such file"),
        ("folder.csv", "is a folder"),
        ("p.xlsx", r"suffix '\.xlsx'; expected \.parquet or \.csv"),
    ):
        with pytest.raises(EvaluationError, match=words):
            read_foreign(tmp_path / name)


def test_too_many_rows_are_refused_with_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST", 4)
    rows = "id,label_a,prob_a,label_b,prob_b\n" + "".join(f"{i},1,0.5,1,0.5\n" for i in range(3))
    with pytest.raises(EvaluationError, match="more than 2 rows; expected at most 4 labels"):
        read(tmp_path, rows)
    assert len(read(tmp_path, rows, findings=("A",)).predictions) == 3


def test_progress_counts_the_rows(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,label,prob\na,1,0.5\nb,0,0.5\n")
    seen: list[tuple[int, int | None]] = []
    read_foreign(tmp_path / "p.csv", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(2, None)]
