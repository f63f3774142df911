from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hilum.errors import EvaluationError, OutputError
from hilum.evaluation.predictions import Predictions


def some_predictions(n: int = 6) -> Predictions:
    rng = np.random.default_rng(0)
    logit_nf = rng.normal(size=(n, 2))
    label_nf = rng.integers(0, 2, size=(n, 2)).astype(float)
    label_nf[0, 1] = np.nan
    return Predictions.from_arrays(
        ["Pneumonia", "Pleural Effusion"],
        [f"{i:05d}" for i in range(n)],
        label_nf=label_nf,
        logit_nf=logit_nf,
        prob_nf=1 / (1 + np.exp(-logit_nf / 1.7)),
        threshold_f=[0.5, 0.4],
        patient_id_n=["007", None, "007", float("nan"), "8", "9"][:n],
        subgroups=pd.DataFrame(
            {"site": ["a"] * n, "age": np.arange(n) + 40.0}, index=range(9, 9 + n)
        ),
    )


def single(**columns: object) -> pd.DataFrame:
    table = {
        "image_id": ["a", "b"],
        "patient_id": [None, None],
        "label_pneumonia": [0.0, 1.0],
        "logit_pneumonia": [-1.0, 2.0],
        "prob_pneumonia": [0.3, 0.8],
        "decision": [0, 1],
    }
    return pd.DataFrame({**table, **columns})


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_what_is_written_is_read_back_to_the_bit(tmp_path: Path, suffix: str) -> None:
    predictions = some_predictions()
    predictions.write(tmp_path / f"predictions{suffix}")
    again = Predictions.read(tmp_path / f"predictions{suffix}")
    assert again.findings == predictions.findings
    assert again.image_id_n == predictions.image_id_n == [f"{i:05d}" for i in range(6)]
    assert list(again.patient_id_n) == ["007", None, "007", None, "8", "9"]
    for finding in predictions.findings:
        for kind in ("label", "logit", "prob", "decision"):
            expected = getattr(predictions, kind)(finding)
            np.testing.assert_array_equal(getattr(again, kind)(finding), expected)
    assert list(again.table.columns) == list(predictions.table.columns)
    assert [path.name for path in tmp_path.iterdir()] == [f"predictions{suffix}"]


def test_parquet_keeps_how_findings_are_spelt_and_csv_takes_title_case(tmp_path: Path) -> None:
    spelt = Predictions.from_arrays(
        ["COVID-19", "Lung opacity"],
        ["a"],
        label_nf=np.zeros((1, 2)),
        logit_nf=np.zeros((1, 2)),
        prob_nf=np.zeros((1, 2)),
        threshold_f=[0.5, 0.5],
    )
    for suffix, findings in (
        (".parquet", ("COVID-19", "Lung opacity")),
        (".csv", ("Covid-19", "Lung Opacity")),
    ):
        spelt.write(tmp_path / f"p{suffix}")
        assert Predictions.read(tmp_path / f"p{suffix}").findings == findings
    asked = Predictions.read(tmp_path / "p.parquet", findings=["covid-19", "lung opacity"])
    assert asked.findings == ("covid-19", "lung opacity")


def test_a_parquet_file_that_notes_nothing_takes_title_case(tmp_path: Path) -> None:
    single(decision=[0, 1]).to_parquet(tmp_path / "p.parquet")
    assert Predictions.read(tmp_path / "p.parquet").findings == ("Pneumonia",)


def test_what_is_no_standard_column_is_a_group() -> None:
    assert some_predictions().group_columns == ("site", "age")
    assert Predictions(("Pneumonia",), single()).group_columns == ()
    assert Predictions(("Pneumonia",), single(scanner=["x", "y"])).group_columns == ("scanner",)


def test_columns_stand_in_the_documented_order() -> None:
    assert list(some_predictions().table.columns) == [
        "image_id",
        "patient_id",
        "label_pneumonia",
        "logit_pneumonia",
        "prob_pneumonia",
        "label_pleural_effusion",
        "logit_pleural_effusion",
        "prob_pleural_effusion",
        "decision_pneumonia",
        "decision_pleural_effusion",
        "site",
        "age",
    ]
    assert "decision" in Predictions(("Pneumonia",), single()).table.columns


def test_a_probability_on_the_threshold_is_positive() -> None:
    predictions = Predictions.from_arrays(
        ["Pneumonia"],
        ["a", "b"],
        label_nf=np.array([[0.0], [1.0]]),
        logit_nf=np.array([[0.0], [0.0]]),
        prob_nf=np.array([[0.5], [0.49999]]),
        threshold_f=[0.5],
    )
    assert list(predictions.decision("Pneumonia")) == [1, 0]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"prob_pneumonia": [0.3, 1.2]}, r"prob_pneumonia = 1.2 for image 'b'"),
        ({"prob_pneumonia": [-0.1, 0.2]}, r"prob_pneumonia = -0.1 for image 'a'"),
        ({"prob_pneumonia": [0.3, np.nan]}, r"prob_pneumonia is missing for image 'b'"),
        ({"prob_pneumonia": ["high", "low"]}, r"column prob_pneumonia holds text"),
        ({"logit_pneumonia": [0.3, np.inf]}, r"logit_pneumonia = inf for image 'b'"),
        ({"label_pneumonia": [0, 2]}, r"label_pneumonia = 2 for image 'b'"),
        ({"label_pneumonia": [0.5, 1]}, r"label_pneumonia = 0.5 for image 'a'"),
        ({"decision": [0, 3]}, r"decision = 3 for image 'b'"),
        ({"image_id": ["a", "a"]}, r"image id 'a' stands more than once"),
        ({"image_id": ["a", None]}, r"a row without image_id"),
    ],
)
def test_a_bad_table_is_refused_in_one_line(columns: dict[str, object], words: str) -> None:
    with pytest.raises(EvaluationError, match=words) as caught:
        Predictions(("Pneumonia",), single(**columns))
    assert "\n" not in str(caught.value)
    assert "expected" in str(caught.value)


def test_missing_columns_are_named() -> None:
    with pytest.raises(EvaluationError, match="the columns label_pneumonia, decision are missing"):
        Predictions(("Pneumonia",), single().drop(columns=["label_pneumonia", "decision"]))


def test_no_rows_and_no_finding_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no rows"):
        Predictions(("Pneumonia",), single().iloc[:0])
    (tmp_path / "p.csv").write_text("image_id,patient_id\na,b\n")
    with pytest.raises(EvaluationError, match="no finding"):
        Predictions.read(tmp_path / "p.csv")


def test_two_findings_with_one_column_are_refused() -> None:
    with pytest.raises(EvaluationError, match="share a column"):
        Predictions(("Lung Opacity", "lung opacity"), single())


def test_an_unreadable_file_is_one_line(tmp_path: Path) -> None:
    for name, content in (("none.csv", None), ("empty.csv", b""), ("junk.parquet", b"junk")):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(EvaluationError, match="cannot be read") as caught:
            Predictions.read(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(EvaluationError, match=r"suffix '\.xlsx'"):
        Predictions.read(tmp_path / "p.xlsx")


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.csv"
    some_predictions().write(path)
    before = path.read_bytes()

    def full_disk(self: pd.DataFrame, draft: Path, **_: object) -> None:
        draft.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full_disk)
    with pytest.raises(OutputError, match="No space left on device"):
        some_predictions().write(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["p.csv"]


def test_a_folder_that_is_a_file_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        some_predictions().write(tmp_path / "file" / "p.csv")
