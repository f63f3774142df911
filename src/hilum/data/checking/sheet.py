"""The contact sheet: some films of a data set in one picture, drawn with Pillow.

Which films, is drawn at random within each label and view; what is wrong with one is told before.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hilum.columns import column
from hilum.data.checking.problems import counted
from hilum.data.cohort import Cohort
from hilum.errors import RadiographError
from hilum.writing import replacing

COLUMNS, ROWS = 8, 6
MISSING_VIEW = "view unknown"

_CELL, _GAP, _MARGIN = 190, 14, 28  # pixels
_CAPTION, _HEADING = 40, 50
_BACKGROUND, _EMPTY, _TEXT, _FAINT = "#14171a", "#1e2327", "#eceff1", "#9aa5ad"
_PRESENT, _ABSENT, _WRONG = "#ffb74d", "#80cbc4", "#ef7d7d"
_NOTE = "Research use only: not a medical device."


@dataclass(frozen=True)
class Cell:
    """One film on the sheet.

    thumbnail: None where the film cannot be read
    caption: label and facts, a line each; or what is wrong with a flagged film, in two lines
    colour: of the first line
    """

    position: int
    thumbnail: Image.Image | None
    caption: tuple[str, ...]
    colour: str
    flagged: bool = False


def chosen(cohort: Cohort, n: int, rng: np.random.Generator, leave_out: set[int]) -> list[int]:
    """Row positions of at most n films, as evenly over first label and view as there are films.

    leave_out: positions of films that have a row of their own
    """
    strata = strata_n(cohort)
    waiting = {
        str(key): list(rng.permutation(rows))
        for key, rows in strata.groupby(strata).indices.items()
    }
    drawn: list[tuple[str, int]] = []
    while waiting and len(drawn) < n:
        for key in sorted(waiting):
            while waiting[key] and int(waiting[key][-1]) in leave_out:
                waiting[key].pop()
            if not waiting[key]:
                del waiting[key]
            elif len(drawn) < n:
                drawn.append((key, int(waiting[key].pop())))
    return [position for _, position in sorted(drawn)]


def strata_n(cohort: Cohort) -> pd.Series:
    """First label (present first) and view of each row, as text to sort by."""
    label_n = cohort.table[column("label", cohort.findings[0])].map({1: "0", 0: "1"}).fillna("2")
    view_n = cohort.table["view"].fillna(MISSING_VIEW).astype(str)
    return (label_n.astype(str) + view_n).reset_index(drop=True)


def write_sheet(
    path: Path,
    cohort: Cohort,
    *,
    size_n2: NDArray[np.int32],
    broken: Mapping[int, str],
    odd: Mapping[int, Sequence[str]],
    rng: np.random.Generator,
) -> list[tuple[str, list[int]]]:
    """Draw and write the sheet; what stands on it, as (heading, row positions).

    size_n2: rows and columns of each film, 0 where not known
    broken, odd: row position -> why
    Raises OutputError when it cannot be written.
    """
    wrong = {*broken, *odd}
    films = chosen(cohort, COLUMNS * ROWS, rng, wrong)
    spread = cohort.findings[0] + (" and view" if cohort.table["view"].notna().any() else "")
    parts = [(f"{len(films):,} of {len(cohort):,} films, drawn at random by {spread}", films)]
    if odd:
        rows = sorted(int(row) for row in rng.permutation(sorted(odd))[:COLUMNS])
        films_shown = counted(len(rows), "odd film")
        parts.append((f"{films_shown}; check.json counts every one", rows))
    if broken:
        rows = sorted(int(row) for row in rng.permutation(sorted(broken))[:COLUMNS])
        films_shown = counted(len(broken), "unreadable film")
        parts.append((films_shown + (f", {len(rows)} of them" * (len(rows) < len(broken))), rows))
    reasons = {**{row: "; ".join(why) for row, why in odd.items()}, **broken}
    drawn = [(heading, _cells(cohort, rows, size_n2, reasons)) for heading, rows in parts if rows]
    picture = draw(cohort.name, drawn, synthetic=cohort.synthetic)
    with replacing(path) as draft:
        picture.save(draft, "PNG")
    return [(heading, rows) for heading, rows in parts if rows]


def _cells(
    cohort: Cohort, rows: Sequence[int], size_n2: NDArray[np.int32], reasons: Mapping[int, str]
) -> list[Cell]:
    def cell(row: int) -> Cell:
        shown = _thumbnail(cohort, row)
        thumbnail, size = shown if shown is not None else (None, None)
        height, width = size_n2[row].tolist() if size_n2[row, 0] else size or (0, 0)
        view = cohort.table["view"].iloc[row]
        facts = [str(view)] if not pd.isna(view) else []
        facts += [f"{width} x {height}"] if height else []
        if row in reasons:
            return Cell(row, thumbnail, (reasons[row],), _WRONG, flagged=True)
        label, colour = _label_in_words(cohort, row)
        return Cell(row, thumbnail, (label, " · ".join(facts)), colour)

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(cell, rows))


def _label_in_words(cohort: Cohort, row: int) -> tuple[str, str]:
    """The first finding's label; where there are more findings, those that are present."""
    values = cohort.label_nf[row]
    present = [f for f, value in zip(cohort.findings, values, strict=True) if value == 1]
    if present:
        return ", ".join(present), _PRESENT
    if np.isnan(values).all():
        return "label unknown", _FAINT
    return (f"no {cohort.findings[0]}" if len(values) == 1 else "no finding"), _ABSENT


def _thumbnail(cohort: Cohort, row: int) -> tuple[Image.Image, tuple[int, int]] | None:
    """The film within the cell, its proportions kept, and its own size (rows, columns)."""
    try:
        image_hw = cohort.radiograph(row)
    except RadiographError:
        return None  # drawn as a film that cannot be read; why, is told beside it
    height, width = image_hw.shape
    scale = _CELL / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    grey = Image.fromarray(np.rint(image_hw * 255).astype(np.uint8))
    resample = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.BOX
    return grey.resize(size, resample), (height, width)


def draw(name: str, parts: Sequence[tuple[str, Sequence[Cell]]], *, synthetic: bool) -> Image.Image:
    """A title, then for each part a heading and its films in rows of eight."""
    title, heading, small = (_font(size) for size in (26, 18, 15))
    rows = sum(-(-len(cells) // COLUMNS) for _, cells in parts)
    width = 2 * _MARGIN + COLUMNS * _CELL + (COLUMNS - 1) * _GAP
    height = 2 * _MARGIN + 44 + len(parts) * _HEADING + rows * (_CELL + _CAPTION + _GAP) + 12
    picture = Image.new("RGB", (width, height), _BACKGROUND)
    pen = ImageDraw.Draw(picture)
    line = f"SYNTHETIC: {name}" if synthetic else name
    pen.text((_MARGIN, _MARGIN), _fitted(line, title, width - 2 * _MARGIN), _TEXT, title)
    y = _MARGIN + 32
    for text, cells in parts:
        y += _HEADING
        pen.text((_MARGIN, y - 30), text, _FAINT, heading)
        for start in range(0, len(cells), COLUMNS):
            for place, cell in enumerate(cells[start : start + COLUMNS]):
                _draw_cell(picture, pen, cell, _MARGIN + place * (_CELL + _GAP), y, small)
            y += _CELL + _CAPTION + _GAP
    pen.text((_MARGIN, y), _NOTE, _FAINT, small)
    return picture


def _draw_cell(
    picture: Image.Image,
    pen: ImageDraw.ImageDraw,
    cell: Cell,
    x: int,
    y: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    box = (x, y, x + _CELL - 1, y + _CELL - 1)
    pen.rectangle(box, fill=_EMPTY)
    if cell.thumbnail is None:
        picture.paste(_hatched(), (x, y))
    else:
        left = x + (_CELL - cell.thumbnail.width) // 2
        picture.paste(cell.thumbnail, (left, y + (_CELL - cell.thumbnail.height) // 2))
    if cell.flagged:
        pen.rectangle(box, outline=_WRONG, width=2)
    lines = _wrapped(cell.caption[0], font, _CELL) if cell.flagged else cell.caption
    colours = (cell.colour, cell.colour if cell.flagged else _FAINT)
    for place, (line, colour) in enumerate(zip(lines, colours, strict=False)):
        pen.text((x, y + _CELL + 3 + 18 * place), _fitted(line, font, _CELL), colour, font)


def _hatched() -> Image.Image:
    tile = Image.new("RGB", (_CELL, _CELL), _EMPTY)
    pen = ImageDraw.Draw(tile)
    for offset in range(-_CELL, _CELL, 16):
        pen.line((offset, _CELL, offset + _CELL, 0), fill=_WRONG, width=1)
    return tile


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _wrapped(
    text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> tuple[str, str]:
    """Two lines, broken between words; the second may be too long."""
    words = text.split(" ")
    n = max(
        (k for k in range(1, len(words)) if font.getlength(" ".join(words[:k])) <= width), default=1
    )
    if font.getlength(text) <= width:
        n = len(words)
    return " ".join(words[:n]), " ".join(words[n:])


def _fitted(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """The text, cut off with an ellipsis where it is wider."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"
