"""`hilum evaluate --predictions`: anybody's table, as a user meets it."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hilum.bundle import Bundle
from hilum.cli import run
from hilum.evaluation import Evaluation, Predictions
from hilum.evaluation.report import Facts, Supplement

Captured = pytest.CaptureFixture[str]


def write_theirs(path: Path, n: int = 80) -> pd.DataFrame:
    """A table as another framework writes it."""
    rng = np.random.default_rng(0)
    y_n = rng.random(n) < 0.4
    table = pd.DataFrame(
        {
            "path": [f"{i:05d}.png" for i in range(n)],
            "y_true": y_n.astype(int),
            "p_hat": 1 / (1 + np.exp(-rng.normal(2.0 * y_n - 1.0))),
            "who": [f"p{i // 2}" for i in range(n)],
            "age": rng.integers(1, 90, n),
            "scanner": np.where(np.arange(n) % 2, "a", "b"),
            "report": "no acute finding",
        }
    )
    table.to_csv(path, index=False)
    return table


class Written:
    """What `write_report` was given, for tests that do not look at the report."""

    predictions: Predictions
    evaluation: Evaluation
    facts: Facts
    image_of: Any
    supplement: Supplement | None

    def __call__(
        self,
        out: Path,
        predictions: Predictions,
        evaluation: Evaluation,
        *,
        image_of: object,
        facts: Facts,
        supplement: Supplement | None,
    ) -> list[Path]:
        self.supplement = supplement
        self.predictions, self.evaluation = predictions, evaluation
        self.image_of, self.facts = image_of, facts
        evaluation.write(out / "evaluation.json")
        return [out / "evaluation.json"]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    stand_in = Written()
    monkeypatch.setattr("hilum.evaluation.report.write_report", stand_in)
    return stand_in


@pytest.mark.usefixtures("ink")
def test_a_csv_becomes_a_report(tmp_path: Path, capsys: Captured) -> None:
    table = write_theirs(tmp_path / "theirs.csv")
    out = tmp_path / "out"
    arguments = [
        "evaluate", "--predictions", str(tmp_path / "theirs.csv"), "--prob", "p_hat",
        "--patient", "who", "--finding", "Pneumonia", "--threshold", "0.3",
        "--prevalence", "0.05", "--prevalence", "0.2",
        "--group", "scanner", "--group", "age:40,60", "--out", str(out),
    ]  # fmt: skip
    assert run(arguments) == 0
    said = capsys.readouterr()
    assert "Pneumonia, theirs.csv, role test: 80 images" in said.out
    assert "at deployed (probability >= 0.3)" in said.out
    assert "warning" not in said.out.replace("warning: whether Pneumonia is missed", "")
    assert "report.html" in said.out
    assert "Research use only: not a medical device." in said.out
    assert "id from path; patient from who; Pneumonia from y_true and p_hat" in said.err
    plain = json.loads((out / "evaluation.json").read_text())
    assert (plain["grouping"], plain["units"], plain["bundle"]) == ("patient", 40, None)
    point = plain["operating_points"]["Pneumonia"]["deployed"]
    called_n = table["p_hat"] >= 0.3
    assert point["confusion"]["tp"] == int((called_n & (table["y_true"] == 1)).sum())
    assert point["confusion"]["fp"] == int((called_n & (table["y_true"] == 0)).sum())
    assert [each["prevalence"] for each in point["at_prevalence"]] == [0.05, 0.2]
    scanner, age = plain["subgroups"]["Pneumonia"]
    assert (scanner["column"], [group["name"] for group in scanner["groups"]]) == (
        "scanner", ["a", "b"],
    )  # fmt: skip
    assert [group["n"] for group in age["groups"]] == [
        int((table["age"] < 40).sum()),
        int(table["age"].between(40, 59).sum()),
        int((table["age"] >= 60).sum()),
    ]
    assert not (out / "misclassified_examples.png").exists()
    again = Predictions.read(out / "predictions.parquet")
    assert again.prob("Pneumonia").tolist() == table["p_hat"].tolist()
    assert again.group_columns == ("scanner", "age")


def test_what_the_report_is_told_of_the_file(tmp_path: Path, written: Written) -> None:
    path = tmp_path / "theirs.csv"
    write_theirs(path)
    arguments = ["evaluate", "--predictions", str(path), "--prob", "p_hat"]
    assert run([*arguments, "--out", str(tmp_path / "out")]) == 0
    assert written.facts.predictions_file == str(path)
    assert written.facts.predictions_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "hilum" in written.facts.versions
    assert (written.facts.model, written.facts.openings, written.image_of) == (None, (), None)
    assert written.supplement == Supplement()
    assert (written.evaluation.source, written.evaluation.role) == ("theirs.csv", "test")
    named = ["--source", "St Elsewhere", "--role", "external", "--out", str(tmp_path / "out")]
    assert run([*arguments, *named]) == 0
    assert (written.evaluation.source, written.evaluation.role) == ("St Elsewhere", "external")


def test_thecommand_is_kept_as_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hilum.cli.judging import command

    monkeypatch.setattr(sys, "argv", ["/bin/hilum", "evaluate", "--finding", "Pleural Effusion"])
    assert command() == "hilum evaluate --finding 'Pleural Effusion'"


def test_without_a_threshold_one_half_stands_in_with_a_warning(
    tmp_path: Path, written: Written
) -> None:
    write_theirs(tmp_path / "theirs.csv")
    file = str(tmp_path / "theirs.csv")
    common = ["--prob", "p_hat", "--out", str(tmp_path / "o")]
    assert run(["evaluate", "--predictions", file, *common]) == 0
    (told,) = [each for each in written.evaluation.warnings if "0.5 stands in" in each]
    assert told.startswith("no deployed operating point is given for Finding")
    assert run(["evaluate", "--predictions", file, *common, "--threshold", "0.5"]) == 0
    assert not any("0.5 stands in" in each for each in written.evaluation.warnings)
    rules = written.evaluation.operating_points["Finding"]["deployed"].rule
    assert rules == "given by the user"


def test_logits_alone_give_the_same_loss_before_and_after_calibration(
    tmp_path: Path, written: Written
) -> None:
    path = tmp_path / "theirs.csv"
    path.write_text("id,target,logit\na,1,1.5\nb,0,-2\nc,1,-0.5\nd,0,-60\n")
    assert run(["evaluate", "--predictions", str(path), "--out", str(tmp_path / "o")]) == 0
    figures = written.evaluation.figures["Finding"]
    # The loss written out: log(1 + exp(-z)) with the finding, log(1 + exp(z)) without.
    loss = [math.log1p(math.exp(-1.5)), math.log1p(math.exp(-2)), math.log1p(math.exp(0.5)), 0.0]
    assert figures["log_loss"].value == pytest.approx(sum(loss) / 4, rel=1e-9)
    assert figures["log_loss_uncalibrated"].value == pytest.approx(sum(loss) / 4, rel=1e-9)
    assert any("sigmoid of its logits" in each for each in written.evaluation.warnings)


def test_probabilities_alone_have_no_loss_of_logits(tmp_path: Path, written: Written) -> None:
    write_theirs(tmp_path / "theirs.csv")
    arguments = ["--predictions", str(tmp_path / "theirs.csv"), "--prob", "p_hat"]
    assert run(["evaluate", *arguments, "--out", str(tmp_path / "o")]) == 0
    uncalibrated = written.evaluation.figures["Finding"]["log_loss_uncalibrated"]
    assert uncalibrated.value is None
    assert "raw logits" in (uncalibrated.reason or "")


def test_several_findings_are_mapped(tmp_path: Path, written: Written) -> None:
    path = tmp_path / "theirs.csv"
    path.write_text(
        "id,eff_label,eff_prob,label_edema,logit_edema\n"
        "a,1,0.9,0,-1\nb,0,0.2,,0\nc,1,0.4,1,3\nd,0,0.1,0,0.5\n"
    )
    findings = ["--finding", "Pleural Effusion=eff_label,eff_prob", "--finding", "Edema"]
    arguments = ["--predictions", str(path), *findings, "--out", str(tmp_path / "o")]
    assert run(["evaluate", *arguments]) == 0
    assert written.evaluation.findings == ("Pleural Effusion", "Edema")
    assert written.evaluation.n_by_label["Edema"] == {"absent": 2, "present": 1, "missing": 1}


def test_one_class_is_no_error(tmp_path: Path, capsys: Captured, written: Written) -> None:
    path = tmp_path / "theirs.csv"
    path.write_text("id,label,prob\na,1,0.5\nb,1,0.7\nc,true,1\n")
    assert run(["evaluate", "--predictions", str(path), "--out", str(tmp_path / "o")]) == 0
    said = capsys.readouterr().out
    assert "AUROC                 not given: no image without the finding among 3" in said
    assert "sensitivity         1.0000" in said


def test_json_prints_everything_but_curves(
    tmp_path: Path, capsys: Captured, written: Written
) -> None:
    path = tmp_path / "theirs.csv"
    path.write_text("id,label,prob\na,1,0.5\nb,0,0.7\nc,1,1\n")
    arguments = ["--predictions", str(path), "--out", str(tmp_path / "o"), "--json"]
    assert run(["evaluate", *arguments]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["files"] == ["evaluation.json"]
    assert answer["evaluation"]["n"] == 3
    assert "curves" not in answer["evaluation"]


def test_synthetic_predictions_of_hilum_stay_synthetic(tmp_path: Path, written: Written) -> None:
    path = tmp_path / "predictions.parquet"
    Predictions.from_arrays(
        ["COVID-19"],
        ["a", "b", "c"],
        label_nf=np.array([[0.0], [1.0], [1.0]]),
        logit_nf=np.zeros((3, 1)),
        prob_nf=np.full((3, 1), 0.5),
        threshold_f=[0.6],
        synthetic=True,
    ).write(path)
    assert run(["evaluate", "--predictions", str(path), "--out", str(tmp_path / "o")]) == 0
    assert written.evaluation.synthetic
    assert written.evaluation.findings == ("COVID-19",)
    # The decisions are those that were deployed, and the evaluation says where it differs.
    assert written.predictions.decision("COVID-19").tolist() == [0, 0, 0]
    assert any("3 decisions on COVID-19 are not" in each for each in written.evaluation.warnings)


GOOD = "id,label,prob,age\na,1,0.5,60\nb,0,0.7,x\n"
FILE = ["--predictions", "{file}"]


@pytest.mark.parametrize(
    ("content", "arguments", "words"),
    [
        (None, FILE, "no such file"),
        (GOOD, ["--predictions", "{tmp}"], "suffix ''; expected .parquet or .csv"),
        (GOOD, ["--predictions", "{folder}"], "is a folder"),
        (GOOD, ["--predictions", "{text}"], "suffix '.txt'; expected .parquet or .csv"),
        ("", FILE, "empty file"),
        ("id,label,prob\n", FILE, "no rows below the header"),
        ("a,b,c\n1,2,3\n", FILE, "(columns: a, b, c)"),
        ("id,y,p\n1,0,0.1\n", [*FILE, "--prob", "p"], "set --label"),
        ("id,y,p\n1,0,0.1\n", [*FILE, "--label", "y"], "set --prob, or --logit for raw logits"),
        ("id,label,prob\na,1,1.5\n", FILE, "prob is 1.5 for image 'a'"),
        ("id,label,prob\na,1,1.5\n", FILE, "--logit takes raw logits"),
        ("id,label,prob\na,1,nan\n", FILE, "prob is missing for image 'a'"),
        ("id,label,prob\na,1,high\n", FILE, "prob is the text 'high' for image 'a'"),
        ("id,label,prob\na,1,0.5\na,1,0.5\n", FILE, "image id 'a' stands more than once"),
        ("id,label,prob\na,-1,0.5\n", FILE, "label is -1 for image 'a'"),
        ("id,label,prob\na,-1,0.5\n", FILE, "map it first"),
        ("id,label,prob\n,1,0.5\n", FILE, "row 2 (the header is row 1) has no id"),
        ("id,label,prob\na,1\n", FILE, "row 2 (the header is row 1) has 2 values; expected 3"),
        (GOOD, [*FILE, "--prob", "prob", "--logit", "prob"], "both are set"),
        (
            GOOD,
            [*FILE, "--group", "scanner"],
            "no column 'scanner' (columns: id, label, prob, age)",
        ),
        (GOOD, [*FILE, "--group", "age:40"], "age is the text 'x' for image 'b'"),
        (GOOD, [*FILE, "--group", "age:60,40"], "expected numbers in ascending order"),
        (b"id,label,prob\n\xe9,1,0.5\n", FILE, "text that is not UTF-8"),
        (GOOD, ["--predictions", "{junk}"], "cannot be read"),
        (GOOD, [*FILE, "--threshold", "1.5"], "--threshold: 1.5; expected a number from 0 to 1"),
        (GOOD, [*FILE, "--threshold", "nan"], "--threshold: nan"),
        (GOOD, [*FILE, "--prevalence", "1"], "--prevalence: 1; expected a number between 0 and 1"),
        (GOOD, [*FILE, "--on", "phantom"], "--on: does not go with --predictions"),
        (GOOD, ["{bundle}", *FILE], "BUNDLE: does not go with --predictions"),
        (
            GOOD,
            ["{bundle}", "--prob", "p", "--role", "x"],
            "--prob, --role: does not go with a BUND",
        ),
        (GOOD, ["{bundle}", "--threshold", "0"], "--threshold: does not go with a BUNDLE"),
        (GOOD, ["{bundle}", "--group", "scanner"], "no column 'scanner'; expected site, view, age"),
        (GOOD, ["{bundle}", "--on", "elsewhere"], "no source of this name"),
        (GOOD, ["{file}"], "hilum evaluate --predictions {file}"),
        (GOOD, [], "expected a BUNDLE, or --predictions FILE"),
    ],
)
def test_bad_input_ends_in_one_line_exit_code_2_and_no_folder(
    content: str | bytes | None,
    arguments: list[str],
    words: str,
    small_bundle: Bundle,
    tmp_path: Path,
    capsys: Captured,
) -> None:
    file = tmp_path / "theirs.csv"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    (tmp_path / "theirs.txt").write_text(GOOD)
    (tmp_path / "junk.parquet").write_text(GOOD)
    (tmp_path / "folder.csv").mkdir()
    places = {
        "tmp": tmp_path, "file": file, "bundle": small_bundle.folder,
        "text": tmp_path / "theirs.txt", "junk": tmp_path / "junk.parquet",
        "folder": tmp_path / "folder.csv",
    }  # fmt: skip
    given = [each.format(**places) for each in arguments]
    assert run(["evaluate", *given, "--out", str(tmp_path / "new" / "out")]) == 2
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if line.startswith("hilum: ")]
    assert len(lines) == len(said.err.splitlines()) == 1
    assert words.format(**places) in lines[0]
    assert said.out == ""
    assert not (tmp_path / "new").exists()


def test_a_table_is_not_written_over_by_its_own_report(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "predictions.parquet"
    pd.DataFrame({"id": ["a"], "label": [1], "prob": [0.5]}).to_parquet(path)
    before = path.read_bytes()
    assert run(["evaluate", "--predictions", str(path), "--out", str(tmp_path)]) == 2
    assert "would be written over" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_a_folder_that_held_something_is_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def full_disk(*_: object, **__: object) -> list[Path]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hilum.evaluation.report.write_report", full_disk)
    (tmp_path / "theirs.csv").write_text("id,label,prob\na,1,0.5\nb,0,0.5\n")
    (tmp_path / "old").mkdir()
    for out in ("old", "new"):
        arguments = ["--predictions", str(tmp_path / "theirs.csv"), "--out", str(tmp_path / out)]
        assert run(["evaluate", *arguments]) == 2
    assert (tmp_path / "old").is_dir()
    assert not (tmp_path / "new").exists()


def test_a_bundle_takes_prevalences_and_groups_and_its_record_goes_into_the_report(
    small_bundle: Bundle, small_npz: Path, tmp_path: Path, written: Written
) -> None:
    bundle = shutil.copytree(small_bundle.folder, tmp_path / "small")
    arguments = [
        "evaluate", str(bundle), "--data", str(small_npz), "--out", str(tmp_path / "out"),
        "--prevalence", "0.1", "--group", "sex",
    ]  # fmt: skip
    assert run(arguments) == 0
    (at,) = written.evaluation.operating_points["Pneumonia"]["deployed"].at_prevalence
    assert at.prevalence == 0.1
    (sex,) = written.evaluation.subgroups["Pneumonia"]
    assert (sex.column, sex.missing) == ("sex", 60)
    assert written.facts.model is not None
    assert written.facts.model["name"] == "small"
    # This look at test is among those that its own report tells of.
    (opening,) = written.facts.openings
    assert (opening["role"], opening["n"]) == ("test", 60)
    assert written.facts.predictions_file is None
    assert written.image_of(0).shape == (28, 28)
    assert isinstance(written.supplement, Supplement)
    assert [section.title for section in written.supplement.sections["Pneumonia"]] == [
        "When it refers",
        "Where it looks",
    ]


def test_help_names_every_flag() -> None:
    code = "from hilum.cli import run; run(['evaluate', '--help'])"
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    for flag in ("predictions", "id", "label", "prob", "logit", "patient", "group", "finding",
                 "threshold", "prevalence", "source", "role"):  # fmt: skip
        assert f"--{flag} " in told


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("\n\n\n", "no header; expected a row of column names"),
        ("id,label,prob\na,,0.2\nb,,0.3\n", "no label in label; expected 0 or 1 for some"),
        ("id,label,prob\na\x00b,1,0.2\nb,0,0.3\n", "holds a control character"),
    ],
)
def test_tables_that_cannot_be_judged_are_refused(
    tmp_path: Path, capsys: Captured, content: str, words: str
) -> None:
    path = tmp_path / "theirs.csv"
    path.write_text(content)
    assert run(["evaluate", "--predictions", str(path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.splitlines()
    assert words in said[-1]
    assert not (tmp_path / "out").exists()


def test_an_out_that_is_a_file_is_named_as_one(tmp_path: Path, capsys: Captured) -> None:
    write_theirs(tmp_path / "theirs.csv")
    file = tmp_path / "file"
    file.write_text("kept")
    arguments = ["evaluate", "--predictions", str(tmp_path / "theirs.csv"), "--prob", "p_hat"]
    assert run([*arguments, "--out", str(file)]) == 2
    assert "is a file; expected a folder" in capsys.readouterr().err
    assert file.read_text() == "kept"


def test_findings_keep_their_own_spelling(tmp_path: Path, written: Written) -> None:
    pd.DataFrame(
        {
            "id": ["a", "b"],
            "label_COVID-19": [0, 1],
            "prob_COVID-19": [0.2, 0.7],
            "label_pleural_effusion": [1, 0],
            "prob_pleural_effusion": [0.6, 0.1],
        }
    ).to_csv(tmp_path / "t.csv", index=False)
    out = tmp_path / "out"
    assert run(["evaluate", "--predictions", str(tmp_path / "t.csv"), "--out", str(out)]) == 0
    assert written.predictions.findings == ("COVID-19", "Pleural Effusion")
