"""The card: every section from what was given, and by name what was not."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
from markdown_it import MarkdownIt

from cards import made_bundle, made_evaluation, write_results
from hilum.bundle import CARD, Bundle
from hilum.card import Results, card_text, first_card, read_results, without_front_matter
from hilum.card.limits import limits
from hilum.card.results import Evaluated
from hilum.card.subject import Subject
from hilum.cli.app import app


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return made_bundle(tmp_path_factory.mktemp("bundles") / "old")


@pytest.fixture(scope="module")
def folders(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_results(tmp_path_factory.mktemp("results"), bundle.digest)


@pytest.fixture(scope="module")
def card(bundle: Bundle, folders: list[Path]) -> str:
    return card_text(Subject.of(bundle), read_results(folders, bundle.digest))


def section(card: str, title: str) -> str:
    """What stands under a heading, up to the next of its level."""
    level = re.search(rf"(?m)^(#+) {re.escape(title)}$", card)
    assert level, title
    return re.split(rf"(?m)^#{{1,{len(level[1])}}} ", card[level.end() :])[0]


def test_a_card_without_results_names_each_thing_that_nobody_looked_at(bundle: Bundle) -> None:
    card = first_card(bundle.manifest, bundle.digest)
    for command in (
        "evaluate old --out evaluated",
        "stress old --out stressed",
        "novelty old --against hips=films/hips --out novelty",
        "explain old --shortcuts --out explained",
        "explain old --sanity 64 --out sanity",
        "validate old --on folder:local.csv --out validated",
    ):
        assert f"run `hilum {command}`" in card, command
    told = section(card, "In short")
    for name in ("test films", "corrupted films", "shortcuts", "sanity", "other places"):
        assert name in told
    assert bundle.digest in card
    assert "not a medical device" in card
    assert "**No limit** rests on `hilum evaluate`, `hilum stress`, `hilum novelty`" in card
    assert "model-index" not in card


def test_what_was_given_is_not_called_missing(card: str) -> None:
    for words in ("Not evaluated", "Not probed", "Not validated", "not probed:", "Not looked at"):
        assert words not in card
    assert "**No limit**" not in card


def test_figures_stand_with_their_intervals_and_by_site(bundle: Bundle, card: str) -> None:
    found = made_evaluation(bundle.digest)
    auroc = found.figures["Pneumonia"]["auroc"]
    test = section(card, "How it did on its own test films")
    assert f"| AUROC | {auroc.in_words()} |" in test
    assert "240 images, 120 patients" in test
    groups = section(card, "By group")
    (breakdown,) = found.subgroups["Pneumonia"]
    for group in breakdown.groups:
        assert group.figures["sensitivity"].in_words() in groups
    assert r"| a\|b |" in groups  # a site's name breaks no table
    assert "Beyond chance: " in groups


def test_failures_are_told_the_worst_first(card: str) -> None:
    stressed = section(card, "Films that are not as they should be")
    rows = re.findall(r"(?m)^\| (\w[\w ]*) \| 3 \|", stressed)
    assert rows == ["blur", "zoom", "under exposure"]
    assert "2 of 3 cost some beyond chance" in stressed
    refers = section(card, "What it refers")
    assert refers.index("| hips |") < refers.index("| upside down |")
    assert "| blur |" not in refers
    errors = section(card, "Errors")
    assert "1 labels may be wrong" in errors


def test_the_bad_news_stands_in_short_at_the_top(card: str) -> None:
    short = section(card, "In short")
    assert "1 of 2 probes found something: the border alone" in short
    assert "Its maps by grad\\_cam fail" in short or "Its maps by grad_cam fail" in short
    assert "site_b" in short


def test_limits_of_the_change_plan_are_the_ends_of_the_intervals(
    bundle: Bundle, card: str, folders: list[Path]
) -> None:
    found = [*limits(Subject.of(bundle), read_results(folders, bundle.digest))]
    by_name = {each.figure: each for each in found}
    figures = made_evaluation(bundle.digest).figures["Pneumonia"]
    assert by_name["AUROC"].bound == pytest.approx(figures["auroc"].low)
    assert by_name["calibration error (ECE)"].bound == pytest.approx(figures["ece"].high)
    assert by_name["balanced accuracy over 3 conditions (acquisition)"].bound == pytest.approx(0.78)
    assert by_name["good films that are refused"].bound == pytest.approx(0.07)
    assert by_name["share that is answered"].bound == pytest.approx(0.78)
    assert {"sensitivity, site a|b", "sensitivity, site c"} <= set(by_name)
    plan = card[card.index("## Change plan") :]
    low = figures["auroc"].low
    assert low is not None
    assert f"at least {low:.3f} | `hilum evaluate` |" in plan
    assert "For probabilities: about 40 are enough." in plan
    assert "lies below 0.510" in plan  # what the point's lower end was on calibrate


def test_a_figure_without_an_interval_gives_no_limit(bundle: Bundle) -> None:
    from dataclasses import replace

    from hilum.estimates import Estimate

    found = made_evaluation(bundle.digest)
    figures = {**found.figures["Pneumonia"], "ece": Estimate.missing("too few images", 3)}
    found = replace(found, figures={"Pneumonia": figures})
    card = card_text(Subject.of(bundle), Results((Evaluated(found),)))
    row = "| not given: too few images | no limit | `hilum evaluate` |"
    assert f"| Pneumonia: calibration error (ECE) {row}" in card


def test_every_command_of_a_card_can_be_typed(bundle: Bundle, card: str) -> None:
    first = first_card(bundle.manifest, bundle.digest)
    commands = {line for text in (card, first) for line in re.findall(r"`(hilum [^`]+)`", text)}
    typed = [line for line in commands if len(line.split()) > 3]
    assert len(typed) > 12
    for line in typed:
        command = typer.main.get_command(app)
        context = command.make_context("hilum", shlex.split(line)[1:])
        while hasattr(command, "resolve_command"):
            _, command, words = command.resolve_command(
                context, [*context._protected_args, *context.args]
            )
            context = command.make_context(command.name, list(words), parent=context)


def test_every_table_has_as_many_cells_in_each_row(card: str) -> None:
    html = MarkdownIt("commonmark").enable("table").render(without_front_matter(card))
    tables = re.findall(r"<table>.*?</table>", html, re.S)
    lines = len(re.findall(r"(?m)^\|(?:---\|)+$", card))
    assert len(tables) == lines > 10
    # A row too long loses cells in silence; the raw lines are counted, too.
    for block in re.findall(r"(?:^\|.*\n)+", card, re.M):
        cells = {len(re.findall(r"(?<!\\)\|", row)) for row in block.splitlines()}
        assert len(cells) == 1, block
    assert "|---" not in html


def test_words_of_others_are_no_marks(tmp_path: Path) -> None:
    bundle = made_bundle(
        tmp_path / "x", name="<img src=x> `a` [b](c)", warnings=["a | b\n# title", "*loud*"]
    )
    html = MarkdownIt("commonmark").render(
        without_front_matter(first_card(bundle.manifest, bundle.digest))
    )
    assert "<img" not in html
    assert '<a href="c"' not in html
    assert "<em>loud" not in html
    assert "<h1>title" not in html


def test_many_findings_have_a_line_each(tmp_path: Path) -> None:
    from dataclasses import replace

    names = ("Pneumonia", "Effusion", "Mass", "Nodule")
    one = made_bundle(tmp_path / "one").manifest
    several = {
        key: dict.fromkeys(names, getattr(one, key)["Pneumonia"])
        for key in ("calibrators", "operating_points")
    }
    counts = {"absent": 3, "present": 2, "unknown": 1}
    roles = {"roles": {"train": {"n": 6, "n_by_label": dict.fromkeys(names, counts)}}}
    bundle = made_bundle(tmp_path / "many", findings=names, roles=roles, **several)
    found = made_evaluation(bundle.digest)
    found = replace(
        found,
        **{
            key: dict.fromkeys(names, getattr(found, key)["Pneumonia"])
            for key in ("figures", "operating_points", "n_by_label", "subgroups", "curves")
        },
    )
    card = card_text(Subject.of(bundle), Results((Evaluated(found),)))
    test = section(card, "How it did on its own test films")
    for name in names:
        assert len(re.findall(rf"(?m)^\| {name} \|(?: [^|]+ \|){{4}}$", test)) == 1
    assert "| Mass | 2 | 3 | 1 |" in card


def test_ages_views_and_sex_are_told_where_they_are_known(tmp_path: Path) -> None:
    counts = {"Pneumonia": {"absent": 1, "present": 3}}
    train = {
        "n": 4, "n_by_label": counts, "ages": {"n": 3, "low": 1.0, "high": 90.0},
        "sexes": {"F": 2, "M": 1}, "views": {"AP": 4}, "sites": 2,
    }  # fmt: skip
    bundle = made_bundle(tmp_path / "known", roles={"roles": {"train": train}, "excluded": []})
    told = section(first_card(bundle.manifest, bundle.digest), "Whom it was made from")
    assert "1 to 90 years, known of 3 of 4" in told
    assert "**Sex in train**: F 2, M 1." in told
    assert "**Views in train**: AP 4." in told
    assert "**Sites in train**: 2." in told
    unknown = made_bundle(tmp_path / "unknown")
    told = section(first_card(unknown.manifest, unknown.digest), "Whom it was made from")
    assert told.count("the source does not tell") == 4


def test_figures_on_films_without_patients_behind_them_say_so(bundle: Bundle) -> None:
    found = made_evaluation(bundle.digest, synthetic=True)
    card = card_text(Subject.of(bundle), Results((Evaluated(found),)))
    assert "SYNTHETIC" in section(card, "In short")
    assert "pneumoniamnist (SYNTHETIC)" in card


def test_a_card_beside_the_seal_is_the_bundles_own_or_none(bundle: Bundle, tmp_path: Path) -> None:
    fresh = made_bundle(tmp_path / "fresh")
    assert fresh.card() is None
    text = first_card(fresh.manifest, fresh.digest)
    (fresh.folder / CARD).write_text(text, encoding="utf-8")
    assert fresh.card() == text.encode()
    other = made_bundle(tmp_path / "other", name="other")
    (fresh.folder / CARD).write_text(first_card(other.manifest, other.digest), encoding="utf-8")
    assert fresh.card() is None
