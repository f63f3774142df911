"""`hilum compare` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hilum.cli import run
from hilum.evaluation.comparison.results import Comparison
from hilum.evaluation.predictions import Predictions

Captured = pytest.CaptureFixture[str]


def write(path: Path, seed: int, n: int = 150, drop: int = 0) -> Path:
    """Predictions of the same images and labels for every seed; the last `drop` are left out."""
    truth, own = np.random.default_rng(5), np.random.default_rng(seed)
    label_n = (truth.random(n) < 0.4).astype(float)
    logit_n = 3 * label_n - 1.5 + truth.normal(size=n) + own.normal(size=n)
    made = Predictions.from_arrays(
        ["Pneumonia"],
        [f"film-{i:04d}" for i in range(n)],
        label_nf=label_n[:, None],
        logit_nf=logit_n[:, None],
        prob_nf=1 / (1 + np.exp(-logit_n[:, None])),
        threshold_f=[0.5],
    )
    Predictions(made.findings, made.table.iloc[: n - drop]).write(path)
    return path


@pytest.fixture
def pair(tmp_path: Path) -> list[str]:
    return [str(write(tmp_path / f"{name}.parquet", seed)) for seed, name in enumerate("ab")]


def test_two_files_are_compared_in_plain_words(pair: list[str], capsys: Captured) -> None:
    assert run(["compare", *pair, "--threshold-probability", "0.1"]) == 0
    said = capsys.readouterr().out
    for words in (
        f"A: {pair[0]}, decisions as its file says",
        "150 images in both; resampled by image",
        "By AUROC these data cannot tell A and B apart",
        "Right on the same images (McNemar mid-p)",
        "Net benefit when one acts from probability 0.1 upward",
        "Net reclassification improvement is not given",
        "caution: a model chosen by this comparison needs a fresh test set",
        "Research use only: not a medical device.",
    ):
        assert words in said
    assert max(map(len, said.splitlines())) < 400


def test_json_on_stdout_is_the_comparison_alone(pair: list[str], capsys: Captured) -> None:
    assert run(["compare", *pair, "--json", "--figure", "auroc", "--figure", "mcc"]) == 0
    found = Comparison.from_json(capsys.readouterr().out)
    assert tuple(found.findings["Pneumonia"].figures) == ("auroc", "mcc")


def test_a_figure_beyond_the_usual_ones_is_given_when_asked_for(
    pair: list[str], capsys: Captured
) -> None:
    assert run(["compare", *pair]) == 0
    assert "ICI" not in capsys.readouterr().out
    assert run(["compare", *pair, "--figure", "ici", "--figure", "lr_positive"]) == 0
    said = capsys.readouterr().out
    assert "  ICI " in said
    assert "  LR+ " in said
    assert "AUROC" not in said.split("B less A stands")[0]


def test_a_file_is_written_where_it_is_asked_for(
    pair: list[str], tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "new" / "comparison.json"
    assert run(["compare", *pair, "--out", str(out)]) == 0
    assert str(out) in capsys.readouterr().out
    found = Comparison.from_json(out.read_text(encoding="utf-8"))
    assert (found.a, found.n) == (pair[0], 150)


def test_anybodys_csv_stands_beside_hilums_own(
    pair: list[str], tmp_path: Path, capsys: Captured
) -> None:
    own = pd.read_parquet(pair[1])
    theirs = tmp_path / "theirs.csv"
    pd.DataFrame(
        {
            "id": own["image_id"],
            "label_pneumonia": own["label_pneumonia"].astype(int),
            "prob_pneumonia": own["prob_pneumonia"],
        }
    ).to_csv(theirs, index=False)
    assert run(["compare", pair[0], str(theirs), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert run(["compare", *pair, "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)
    assert found["findings"] == expected["findings"]
    assert "B holds no decisions: probability >= 0.5 stands in; set --threshold-b" in " ".join(
        found["cautions"]
    )
    assert (found["decided_a"], found["decided_b"]) == ("as its file says", "probability >= 0.5")
    assert run(["compare", pair[0], str(theirs), "--threshold-b", "0.4", "--json"]) == 0
    given = json.loads(capsys.readouterr().out)
    assert given["decided_b"] == "probability >= 0.4"
    assert "holds no decisions" not in " ".join(given["cautions"])


def test_images_in_one_file_alone_are_said(
    pair: list[str], tmp_path: Path, capsys: Captured
) -> None:
    fewer = write(tmp_path / "fewer.parquet", 1, drop=30)
    assert run(["compare", pair[0], str(fewer)]) == 0
    said = capsys.readouterr().out
    assert "120 images in both" in said
    assert "30 images stand in A alone and 0 in B alone" in said


def spoilt(path: Path, column: str, value: object) -> str:
    table = pd.read_parquet(path)
    table[column] = table[column].astype(object)
    table.loc[7, column] = value
    table[column] = table[column].infer_objects()
    out = path.with_name("spoilt.csv")
    table.to_csv(out, index=False)
    return str(out)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("prob_pneumonia", 1.2, "1.2"),
        ("prob_pneumonia", np.nan, "film-0007"),
        ("label_pneumonia", 2, "film-0007"),
        ("image_id", "film-0008", "film-0008"),
        ("label_pneumonia", None, None),
    ],
)
def test_bad_values_in_a_file_are_one_line(
    pair: list[str], column: str, value: object, words: str | None, capsys: Captured
) -> None:
    arguments = ["compare", pair[0], spoilt(Path(pair[1]), column, value)]
    if words is None:  # a missing label is no error: the other file has it
        assert run(arguments) == 0
        return
    assert run(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert "spoilt.csv" in said.err
    assert words in said.err


def test_labels_that_differ_are_one_line_that_names_the_image(
    pair: list[str], capsys: Captured
) -> None:
    label = pd.read_parquet(pair[1])["label_pneumonia"][7]
    assert run(["compare", pair[0], spoilt(Path(pair[1]), "label_pneumonia", 1 - int(label))]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "label of Pneumonia for image 'film-0007'" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--figure", "auc"], "figure: 'auc'; expected auroc"),
        (["--finding", "Mass"], "finding 'Mass' is not in both"),
        (["--threshold-a", "2"], "threshold-a: 2; expected a probability in [0, 1]"),
        (["--threshold-probability", "0"], "threshold-probability: 0; expected"),
        (["--out", "result.txt"], "result.txt: suffix '.txt'; expected .json"),
    ],
)
def test_a_bad_option_is_one_line(
    pair: list[str], options: list[str], words: str, capsys: Captured
) -> None:
    assert run(["compare", *pair, *options]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert words in said


def test_a_file_that_is_not_there_is_one_line(
    pair: list[str], tmp_path: Path, capsys: Captured
) -> None:
    assert run(["compare", pair[0], str(tmp_path / "none.csv")]) == 2
    assert "none.csv: no such file" in capsys.readouterr().err


def test_files_of_other_images_are_one_line(
    pair: list[str], tmp_path: Path, capsys: Captured
) -> None:
    table = pd.read_parquet(pair[1])
    other = tmp_path / "other.csv"
    table.assign(image_id="x" + table["image_id"]).to_csv(other, index=False)
    assert run(["compare", pair[0], str(other)]) == 2
    assert "no image id stands in both ('film-0000' in the first" in capsys.readouterr().err


def test_a_file_with_other_headers_is_sent_to_the_verb_that_maps_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "theirs.csv"
    path.write_text("id,truth,prob\na,1,0.2\nb,0,0.3\n")
    assert run(["compare", str(path), str(path)]) == 2
    said = capsys.readouterr().err
    assert "hilum evaluate --predictions theirs.csv" in said
    assert "set --label" not in said
