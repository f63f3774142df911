"""The contact sheet: which films stand on it, where, and that they are these."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from data.checking.made_site import noise
from hilum.data.checking.checking import Looked
from hilum.data.checking.sheet import (
    _CELL,
    _GAP,
    _HEADING,
    _MARGIN,
    COLUMNS,
    ROWS,
    _fitted,
    _wrapped,
    chosen,
    strata_n,
    write_sheet,
)
from hilum.data.cohort import Cohort


def sheet(path: Path, cohort: Cohort, seed: int = 0) -> list[tuple[str, list[int]]]:
    return write_sheet(
        path,
        cohort,
        size_n2=np.zeros((len(cohort), 2), dtype=np.int32),
        broken={},
        odd={},
        rng=np.random.default_rng(seed),
    )


def test_each_label_and_view_has_its_share_and_a_rare_one_is_there() -> None:
    cohort = noise(600, 16)
    view_n = np.where(np.arange(600) < 3, "LATERAL", cohort.table["view"])
    cohort = cohort.with_column("view", view_n)
    rows = chosen(cohort, 48, np.random.default_rng(0), set())
    assert len(set(rows)) == 48
    strata = strata_n(cohort)
    counts, available = Counter(strata[rows]), Counter(strata)
    assert set(counts) == set(available)
    plenty = [counts[key] for key in available if available[key] > 48]
    assert max(plenty) - min(plenty) <= 1
    for key, n in available.items():
        assert counts[key] == n or counts[key] >= min(plenty)
    assert strata[rows].is_monotonic_increasing


@pytest.mark.parametrize("n", [1, 5, 48, 60])
def test_no_more_films_stand_there_than_there_are(n: int) -> None:
    cohort = noise(n, 16)
    rows = chosen(cohort, 48, np.random.default_rng(0), {0})
    assert len(rows) == min(n - 1, 48)
    assert 0 not in rows


def test_every_film_stands_in_its_cell_with_its_proportions(tmp_path: Path) -> None:
    cohort = noise(60, 190)
    ((_, rows),) = sheet(tmp_path / "sheet.png", cohort)
    assert len(rows) == COLUMNS * ROWS
    with Image.open(tmp_path / "sheet.png") as image:
        picture = np.asarray(image)
    top = _MARGIN + 32 + _HEADING
    for place in (0, 7, 8):
        x = _MARGIN + place % COLUMNS * (_CELL + _GAP)
        y = top + place // COLUMNS * (_CELL + 40 + _GAP)
        grey = picture[y : y + _CELL, x : x + _CELL, 0]
        film = np.rint(cohort.radiograph(rows[place]) * 255)
        assert np.array_equal(grey, film)


def test_the_same_seed_draws_the_same_sheet(tmp_path: Path) -> None:
    cohort = noise(100, 16)
    again = [sheet(tmp_path / f"{k}.png", cohort, seed) for k, seed in enumerate((1, 1, 2))]
    assert again[0] == again[1] != again[2]
    assert (tmp_path / "0.png").read_bytes() == (tmp_path / "1.png").read_bytes()


def test_what_is_odd_or_broken_has_rows_of_its_own(site: Looked, tmp_path: Path) -> None:
    shown = write_sheet(
        tmp_path / "sheet.png",
        site.cohort,
        size_n2=site.survey.size_n2,
        broken=site.broken(),
        odd=site.odd(),
        rng=np.random.default_rng(0),
    )
    id_n = site.cohort.table["image_id"].to_numpy()
    named = {heading: {id_n[row] for row in rows} for heading, rows in shown}
    assert list(named)[1:] == ["1 odd film; check.json counts every one", "2 unreadable films"]
    assert named["2 unreadable films"] == {"films/cut.png", "films/text.png"}
    first = next(iter(named.values()))
    assert len(first) == 26
    assert "films/hand.dcm" not in first
    with Image.open(tmp_path / "sheet.png") as image:
        reds = (np.asarray(image) == (0xEF, 0x7D, 0x7D)).all(axis=2)
    rows = -(-26 // COLUMNS)
    below = _MARGIN + 32 + 2 * _HEADING + rows * (_CELL + 40 + _GAP)
    assert not reds[: below - _HEADING].any()
    assert reds[below:, : _MARGIN + _CELL].any()


def test_a_synthetic_set_says_so_on_its_sheet(tmp_path: Path) -> None:
    cohort = noise(4, 16)
    sheet(tmp_path / "synthetic.png", cohort)
    sheet(tmp_path / "plain.png", replace(cohort, synthetic=False))
    plain, synthetic = (
        np.asarray(Image.open(tmp_path / f"{name}.png")).astype(int)
        for name in ("plain", "synthetic")
    )
    title = slice(_MARGIN, _MARGIN + 32)
    assert (plain[title] != synthetic[title]).any()
    assert (plain[_MARGIN + 40 :] == synthetic[_MARGIN + 40 :]).all()


@pytest.mark.parametrize(
    "text", ["", "short", "Atelectasis, Pleural Effusion, Infiltration", "W" * 90]
)
def test_a_caption_is_cut_to_its_cell(text: str) -> None:
    font = ImageFont.load_default(15)
    cut = _fitted(text, font, _CELL)
    assert font.getlength(cut) <= _CELL
    assert cut == text or (cut.endswith("…") and text.startswith(cut[:-1].rstrip()))
    one, two = _wrapped(text, font, _CELL)
    assert f"{one} {two}".split() == text.split()
