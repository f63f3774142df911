import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from evaluation.report.made_evaluation import (
    HOSTILE,
    made_evaluation,
    made_facts,
    made_predictions,
    phantom,
)
from hilum.evaluation import Evaluation
from hilum.evaluation.report import write_report
from hilum.evaluation.report.markdown import escaped
from hilum.evaluation.report.verdict import NOT_A_DEVICE
from made import without_ink


def written(out: Path, findings: tuple[str, ...], **options: Any) -> tuple[Path, Evaluation, str]:
    predictions = made_predictions(findings, missing=9)
    evaluation = made_evaluation(predictions, **options)
    with without_ink():
        write_report(out, predictions, evaluation, image_of=phantom, facts=made_facts())
    return out, evaluation, (out / "report.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Evaluation, str]:
    return written(tmp_path_factory.mktemp("one"), ("Pneumonia",))


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Evaluation, str]:
    return written(
        tmp_path_factory.mktemp("several"),
        ("Mass", HOSTILE),
        synthetic=True,
        warnings=(f"told: {HOSTILE}",),
    )


@pytest.fixture(params=["one", "several"])
def report(request: pytest.FixtureRequest) -> tuple[Path, Evaluation, str]:
    found: tuple[Path, Evaluation, str] = request.getfixturevalue(request.param)
    return found


def test_every_picture_and_link_leads_to_a_file(report: tuple[Path, Evaluation, str]) -> None:
    out, _, text = report
    addresses = re.findall(r"(?<!\\)\]\(([^)]+)\)", text)
    assert any(address.endswith(".png") for address in addresses)
    for address in addresses:
        assert (out / address).is_file(), address
    drawn = {path.relative_to(out).as_posix() for path in (out / "plots").rglob("*.*")}
    assert drawn <= set(addresses)


def test_every_table_has_as_many_cells_in_each_row(report: tuple[Path, Evaluation, str]) -> None:
    lines = report[2].splitlines()
    rules = [k for k, line in enumerate(lines) if re.fullmatch(r"\|(-+:?\|)+", line)]
    assert len(rules) > 10
    for k in rules:
        wide = lines[k].count("|")
        assert lines[k - 2] == ""  # a table begins after an empty line
        row = k - 1
        while lines[row].startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", lines[row])) == wide, lines[row]
            row += 1
        assert row > k + 1
        assert lines[row] == ""


def test_headings_go_down_one_step_at_a_time(report: tuple[Path, Evaluation, str]) -> None:
    levels = [len(mark) for mark in re.findall(r"^(#+) ", report[2], flags=re.M)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_it_says_what_the_page_says(one: tuple[Path, Evaluation, str]) -> None:
    out, evaluation, text = one
    plain = text.replace("\xa0", " ")
    auroc = evaluation.figures["Pneumonia"]["auroc"]
    assert f"| AUROC | {auroc.in_words()} |" in plain
    assert plain.index("## Verdict") < plain.index("## Caveats") < plain.index("## Figures")
    for warning in evaluation.warnings:
        assert f"- {warning[0].upper()}{warning[1:]}." in plain
    assert NOT_A_DEVICE in plain
    page = (out / "report.html").read_text(encoding="utf-8")
    titles = re.findall(r"<h2[^>]*>([^<]+)</h2>", page)
    assert re.findall(r"^## (.+)$", text, flags=re.M) == titles


def test_where_the_page_has_sliders_there_is_a_row_for_each_point(
    one: tuple[Path, Evaluation, str],
) -> None:
    _, evaluation, text = one
    plain = text.replace("\xa0", " ")
    part = plain[plain.index("Of 1,000 patients at a prevalence of") :].split("**Confusion")[0]
    for name, point in evaluation.operating_points["Pneumonia"].items():
        row = next(line for line in part.splitlines() if line.startswith(f"| {name.capitalize()} "))
        ppv = point.figures["ppv"].value
        assert ppv is not None
        assert f"{100 * ppv:.1f} %" in row


def test_synthetic_is_said_first(several: tuple[Path, Evaluation, str]) -> None:
    lines = [line for line in several[2].splitlines() if line]
    assert lines[0].startswith("# ")
    assert lines[1].startswith("> **SYNTHETIC DATA")


def test_a_name_is_no_markup(several: tuple[Path, Evaluation, str]) -> None:
    text = several[2]
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert escaped("a|b*c_d`e[f](g)<h>&i\nj\\k~") == (
        r"a\|b\*c\_d\`e\[f\](g)&lt;h&gt;&amp;i j\\k\~"
    )
