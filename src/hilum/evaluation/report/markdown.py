"""Markdown: a report's contents as `report.md`, in GitHub's flavour, beside its plots.

What it says is put together in `contents`; where a page has sliders, this has a table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from hilum.evaluation.plots import point_words
from hilum.evaluation.report import panel as live
from hilum.evaluation.report.blocks import (
    Block,
    Bullets,
    Contents,
    Films,
    KeyFigures,
    Panel,
    Picture,
    References,
    Section,
    Table,
    Text,
)
from hilum.evaluation.report.phrases import capital, percent
from hilum.evaluation.report.verdict import NOT_A_DEVICE

OUTCOMES = (
    ("tp_1000", "Rightly called"),
    ("fn_1000", "Missed"),
    ("fp_1000", "Falsely called"),
    ("tn_1000", "Rightly cleared"),
    ("ppv", "PPV"),
    ("npv", "NPV"),
    ("net_benefit", "Net benefit"),
)


def markdown(report: Contents, plots: Mapping[tuple[str, str], str]) -> str:
    """The report as Markdown.

    plots: where a picture's files lie without their suffix, by a chapter's key and its name
    """
    lines = [f"# {escaped(report.title)}", ""]
    if report.banner:
        lines += [f"> **{escaped(report.banner)}**", ""]
    lines += [escaped(" · ".join(report.about)), "", f"**{NOT_A_DEVICE}**", ""]
    for part in report.first:
        lines += _section(part, 2, "", plots)
    for chapter in report.chapters:
        level = 2
        if len(report.chapters) > 1:
            lines += [f"## {escaped(chapter.finding)}", ""]
            level = 3
        for part in chapter.sections:
            lines += _section(part, level, chapter.key, plots)
    for part in report.last:
        lines += _section(part, 2, "", plots)
    lines += [
        "The same with a threshold and a prevalence to move: [report.html](report.html). Every "
        "number: [evaluation.json](evaluation.json). Reporting checklists: "
        "[checklist.md](checklist.md).",
    ]
    return "\n".join(lines) + "\n"


def escaped(words: str) -> str:
    """Words in which Markdown and HTML find no marks of their own, on one line."""
    text = re.sub(r"([\\`*_\[\]|~])", r"\\\1", " ".join(words.split(" ")))
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return " ".join(re.split(r"[\r\n]+", text))


def _section(
    part: Section, level: int, key: str, plots: Mapping[tuple[str, str], str]
) -> Iterator[str]:
    yield from (f"{'#' * level} {escaped(part.title)}", "")
    for block in part.blocks:
        yield from _block(block, level + 1, key, plots)
        yield ""


def _block(
    block: Block, level: int, key: str, plots: Mapping[tuple[str, str], str]
) -> Iterator[str]:
    if isinstance(block, Text):
        link = f" [{escaped(block.link[0])}]({block.link[1]})" if block.link else ""
        yield escaped(block.sentence) + link
    elif isinstance(block, Bullets):
        yield from (f"- {escaped(entry)}" for entry in block.entries)
    elif isinstance(block, KeyFigures):
        rows = tuple((name, number, limits) for name, number, limits in block.figures)
        yield from _table(("Figure", "Value", "95\N{NO-BREAK SPACE}% interval"), rows, (0,))
    elif isinstance(block, Table):
        yield from (f"**{escaped(block.caption)}**", "")
        yield from _table(block.head, block.rows, block.words)
    elif isinstance(block, Picture):
        path = plots[key, block.name]
        yield f"![{escaped(block.alt)}]({path}.png)"
        yield ""
        yield f"*{escaped(block.title)}.* {escaped(block.caption)} ([SVG]({path}.svg))"
    elif isinstance(block, Films):
        yield from _films(block, level)
    elif isinstance(block, Panel):
        yield from _panel(block)
    elif isinstance(block, References):
        for words, doi in sorted(block.entries):
            yield (
                f"- {escaped(words)}"
                if doi is None
                else f"- {escaped(words)} <https://doi.org/{doi}>"
            )


def _table(
    head: tuple[str, ...], rows: tuple[tuple[str, ...], ...], words: tuple[int, ...]
) -> Iterator[str]:
    yield "| " + " | ".join(map(escaped, head)) + " |"
    yield "|" + "|".join("---" if k in words else "---:" for k in range(len(head))) + "|"
    for row in rows:
        yield "| " + " | ".join(map(escaped, row)) + " |"


def _films(block: Films, level: int) -> Iterator[str]:
    yield from (f"{'#' * level} {escaped(block.title)}", "", escaped(block.note), "")
    if not block.films:
        yield escaped(block.empty)
        return
    yield from (f"- {escaped(', '.join(film.lines))}" for film in block.films)


def _panel(block: Panel) -> Iterator[str]:
    counts, start = block.counts, live.start(block)
    prevalence = live.prevalences(counts)[start.prevalence]
    yield f"**Of 1,000 patients at a prevalence of {percent(prevalence)}**"
    yield ""
    rows = []
    for name, threshold in block.points.items():
        said = live.at(counts, live.Position(counts.threshold.index(threshold), start.prevalence))
        rows.append(
            (capital(point_words(name)), said["threshold"], *(said[key] for key, _ in OUTCOMES))
        )
    head = ("Operating point", "Threshold", *(word for _, word in OUTCOMES))
    yield from _table(head, tuple(rows), (0,))
