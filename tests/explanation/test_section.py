from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from hilum.bundle import Bundle
from hilum.data.sources.phantom import phantom_cohort
from hilum.estimates import Estimate
from hilum.evaluation import evaluate
from hilum.evaluation.report import Facts, Supplement, write_report
from hilum.evaluation.report.blocks import Films, Picture
from hilum.explanation.attention import FILMS, ZONES, drawn_by_lot
from hilum.explanation.evidence import Evidence
from hilum.explanation.explaining import Explanation, explain
from hilum.explanation.pictures import draw_zones, tinted
from hilum.explanation.report import Settings
from hilum.explanation.section import supplement, without_maps


@pytest.fixture(scope="module")
def explained(small_bundle: Bundle) -> Explanation:
    return explain(small_bundle, phantom_cohort(60, size=48, seed=3))


@pytest.fixture(scope="module")
def added(small_bundle: Bundle, explained: Explanation) -> Supplement:
    settings = Settings(
        small_bundle.manifest.preprocessing, {"Pneumonia": 0.5}, "digest", "p", True, "unchecked"
    )
    return supplement(explained, Evidence(explained.cohort), settings, of=90)


def test_of_few_films_all_are_taken_and_of_many_the_same_part() -> None:
    assert drawn_by_lot(FILMS).all()
    assert drawn_by_lot(5 * FILMS).sum() == FILMS
    assert (drawn_by_lot(5 * FILMS) == drawn_by_lot(5 * FILMS)).all()


def test_the_section_counts_its_films_and_says_how_they_were_aligned(
    added: Supplement, explained: Explanation
) -> None:
    (section,) = added.of("Pneumonia")
    films = next(block for block in section.blocks if isinstance(block, Films))
    *kinds, scale = films.films
    shown = sum(int(kind.lines[1].removesuffix(" films")) for kind in kinds)
    assert shown == len(explained.predictions) == 60
    assert scale.lines == ("colours", "\N{MINUS SIGN}30 to +30 logits")
    assert "outline of their lungs" in films.note  # the phantom knows where they are
    said = str(section.blocks[0])
    assert "60 of the 90 films, drawn by lot" in said
    assert "unchecked" in said
    assert "attention within the lungs" in str(section.blocks[3])


@pytest.mark.usefixtures("no_ink")
def test_a_report_has_the_section_and_loses_its_files_without_it(
    added: Supplement, explained: Explanation, small_bundle: Bundle, tmp_path: Path
) -> None:
    evaluation = evaluate(
        explained.predictions, small_bundle.deployments(), bundle="b", source="p", role="test",
        synthetic=True, rng=np.random.default_rng(0), resamples=50,
    )  # fmt: skip

    def write(given: Supplement | None) -> set[str]:
        written = write_report(
            tmp_path, explained.predictions, evaluation, image_of=None, facts=Facts("hilum"),
            supplement=given,
        )  # fmt: skip
        return {path.relative_to(tmp_path).as_posix() for path in written}

    own = {"attention.json", "plots/attention.png", "plots/attention.svg"}
    assert own <= write(added)
    page = (tmp_path / "report.html").read_text()
    assert 'id="f0-looks"' in page
    assert "![Attention of Pneumonia by zone" in (tmp_path / "report.md").read_text()
    told = json.loads((tmp_path / "attention.json").read_text())["findings"]["Pneumonia"]
    assert set(told["zones"]["all"]) == set(ZONES)
    assert sum(told["kinds"].values()) == 60
    assert not own & write(None)
    assert not [name for name in own if (tmp_path / name).exists()]
    write(without_maps(("Pneumonia",), "no head that can be read"))
    assert "No maps were made: no head that can be read." in (tmp_path / "report.html").read_text()


def test_zones_are_drawn_where_they_lie() -> None:
    share = {
        zone: Estimate(0.1 * k, 0.1 * k - 0.02, 0.1 * k + 0.02, 9, "made")
        for k, zone in enumerate(ZONES)
    }
    ax = draw_zones({"present": share, "absent": share}, Figure().subplots())
    spots = [line for line in ax.get_lines() if line.get_marker() == "s"]
    assert [float(line.get_xdata()[0]) for line in spots] == pytest.approx(
        [0.1 * k for k in range(6)] * 2
    )
    assert next(label.get_text() for label in ax.get_yticklabels()) == "upper right of the patient"


def test_pictures_of_the_section_are_named_as_the_report_clears_them(added: Supplement) -> None:
    from hilum.evaluation.report.supplement import FILES, PLOTS

    assert {picture.name for picture in added.pictures("Pneumonia")} <= {*PLOTS}
    assert {*added.files} <= {*FILES}
    assert all(isinstance(picture, Picture) for picture in added.pictures("Pneumonia"))


def test_beyond_the_film_a_mean_is_black() -> None:
    film_hw = np.array([[0.5, np.nan]], dtype=np.float32)
    colour_hw3 = tinted(film_hw, np.array([[0.0, np.nan]], dtype=np.float32), 10)
    assert colour_hw3[0, 0] == pytest.approx([0.5] * 3)
    assert colour_hw3[0, 1].tolist() == [0, 0, 0]
