"""The table of findings, and its page in the docs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hilum.columns import column, spelt
from hilum.data.findings import (
    CHEXPERT,
    CHEXPERT_OPACITIES,
    MEANINGS,
    NIH,
    NIH_OPACITIES,
    SYNONYMS,
    asked,
    meaning,
    spelling,
)
from hilum.data.sources import nih, rsna
from hilum.errors import DataError

PAGE = Path(__file__).parents[2] / "docs" / "findings.md"


@pytest.mark.parametrize(
    ("written", "ours"),
    [
        ("Pleural_Thickening", "Pleural Thickening"),
        ("pleural thickening", "Pleural Thickening"),
        ("Effusion", "Pleural Effusion"),
        ("PLEURAL-EFFUSION", "Pleural Effusion"),
        ("Infiltrate", "Infiltration"),
        ("infiltrates", "Infiltration"),
        ("Opacity", "Lung Opacity"),
        ("lung_opacity", "Lung Opacity"),
        ("pulmonary edema", "Edema"),
        ("pulmonary fibrosis", "Fibrosis"),
        ("NORMAL", "No Finding"),
        ("Nodule/Mass", "Lung Lesion"),
        ("Tuberculosis", None),
        ("", None),
    ],
)
def test_a_finding_has_one_spelling(written: str, ours: str | None) -> None:
    assert spelling(written) == ours


def test_no_two_findings_share_a_spelling() -> None:
    written = [each for name, others in SYNONYMS.items() for each in (name, *others)]
    plain = [re.sub(r"[\W_]+", " ", each.lower()) for each in written]
    owners: dict[str, set[str | None]] = {}
    for each, as_written in zip(plain, written, strict=True):
        owners.setdefault(each, set()).add(spelling(as_written))
    assert {name for name, found in owners.items() if len(found) > 1} == set()
    for name, others in SYNONYMS.items():
        assert {spelling(each) for each in (name, *others)} == {name}


def test_a_column_gives_its_finding_back() -> None:
    assert [spelt(column("label", name).removeprefix("label_")) for name in SYNONYMS] == list(
        SYNONYMS
    )


def test_every_published_finding_is_in_the_table() -> None:
    assert {*NIH, *CHEXPERT, *NIH_OPACITIES, *CHEXPERT_OPACITIES} <= SYNONYMS.keys()
    assert len(NIH) == len(CHEXPERT) == 14


def test_findings_are_asked_for_in_any_spelling_and_once() -> None:
    assert asked(["Effusion", "pleural effusion", "Mass"], NIH, "nih") == (
        "Pleural Effusion",
        "Mass",
    )


def test_an_unknown_finding_is_refused_with_the_nearest() -> None:
    with pytest.raises(DataError, match=r"unknown finding 'Pnuemonia'.*did you mean 'Pneumonia'\?"):
        asked(["Pnuemonia"], NIH, "nih")
    with pytest.raises(DataError, match="unknown finding 'xyz'") as refusal:
        asked(["xyz"], NIH, "nih")
    assert "did you mean" not in str(refusal.value)


def test_a_finding_that_a_source_lacks_is_refused() -> None:
    with pytest.raises(DataError, match="nih has no label for 'Fracture'; expected Atelectasis"):
        asked(["fracture"], NIH, "nih")


@pytest.mark.parametrize(
    ("source", "offered"),
    [("nih", nih.OFFERED), ("rsna", rsna.OFFERED), ("chexpert", CHEXPERT)],
)
def test_whatever_a_source_offers_has_a_meaning(source: str, offered: tuple[str, ...]) -> None:
    assert {"Pneumonia", "Lung Opacity"} <= set(offered)
    for finding in offered:
        assert "{" not in meaning(source, finding)
        assert re.search(r"\w+ et al\. 20\d\d\)$", meaning(source, finding))


def test_each_source_says_what_the_two_shared_targets_mean() -> None:
    for source, sentences in MEANINGS.items():
        assert {"Pneumonia", "Lung Opacity"} <= sentences.keys(), source
    assert meaning("nih", "Lung Opacity").startswith("derived")


def _cell(name: str, default: tuple[str, ...], offered: tuple[str, ...]) -> str:
    return "yes" if name in default else "on request" if name in offered else "–"


def table_rows() -> list[str]:
    """The page's table of spellings, as it must stand there."""
    rows = []
    for name, others in SYNONYMS.items():
        cells = [
            name,
            ", ".join(others) or "–",
            _cell(name, NIH, nih.OFFERED),
            _cell(name, CHEXPERT, CHEXPERT),
            _cell(name, rsna.OFFERED[:1], rsna.OFFERED),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def meaning_rows(finding: str) -> list[str]:
    return [f"| {source} | {sentences[finding]} |" for source, sentences in MEANINGS.items()]


@pytest.mark.parametrize(
    "rows", [table_rows(), meaning_rows("Pneumonia"), meaning_rows("Lung Opacity")]
)
def test_the_page_tells_what_the_table_holds(rows: list[str]) -> None:
    assert "\n".join(rows) + "\n\n" in PAGE.read_text(encoding="utf-8") + "\n"
