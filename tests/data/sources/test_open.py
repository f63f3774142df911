"""Which source a name means, where it is looked for, and what it may be asked."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hilum.data.sources import KINDS, NAMES, open_source
from hilum.errors import DataError, DataMissingError
from hilum.recipe import DataPart, source_options


def write_films(folder: Path, n: int = 4) -> Path:
    """A table of n films, labels 0 and 1 in turn."""
    folder.mkdir(parents=True)
    for i in range(n):
        Image.fromarray(np.full((20, 20), 10 * i, np.uint8)).save(folder / f"{i}.png")
    rows = pd.DataFrame({"path": [f"{i}.png" for i in range(n)], "label": np.arange(n) % 2})
    rows.assign(patient_id="p", view=["PA", "AP"] * (n // 2)).to_csv(
        folder / "films.csv", index=False
    )
    return folder / "films.csv"


def test_a_relative_path_is_looked_for_here_then_in_hilum_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_films(tmp_path / "data" / "site", n=6)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HILUM_DATA", str(tmp_path / "data"))
    assert len(open_source("folder:site/films.csv")) == 6
    write_films(tmp_path / "here" / "site", n=4)
    assert len(open_source("folder:site/films.csv")) == 4


def test_a_path_that_is_nowhere_names_both_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HILUM_DATA", "/data/sets")
    with pytest.raises(DataMissingError) as caught:
        open_source("nih:nih_full")
    assert str(caught.value) == f"nih_full: no such file or folder in {tmp_path} or in /data/sets"
    monkeypatch.delenv("HILUM_DATA")
    with pytest.raises(DataMissingError, match="HILUM_DATA may name the folder of data sets"):
        open_source("nih:nih_full")
    with pytest.raises(DataMissingError, match=r"^/nowhere/nih: no such file or folder$"):
        open_source("nih:/nowhere/nih")


def test_a_named_folder_is_the_only_place_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_films(tmp_path / "set" / "site")
    monkeypatch.setenv("HILUM_DATA", str(tmp_path / "set"))
    (tmp_path / "other").mkdir()
    assert len(open_source("folder:site/films.csv", data=tmp_path / "set")) == 4
    with pytest.raises(DataMissingError, match=r"no such file or folder in .*other$"):
        open_source("folder:site/films.csv", data=tmp_path / "other")


@pytest.mark.parametrize("name", ["a@224", "C:\\exports", "colon: at last", "ünïcode"])
def test_odd_folder_names_are_paths_like_any_other(tmp_path: Path, name: str) -> None:
    write_films(tmp_path / name)
    assert len(open_source(f"folder:{tmp_path / name / 'films.csv'}")) == 4


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("pneumoniamnst@64", "did you mean pneumoniamnist@64?"),
        ("nhi:/data/x", "did you mean nih:/data/x?"),
        ("NIH:/data/x", "did you mean nih:/data/x?"),
        ("chexpert", "did you mean chexpert:PATH?"),
        ("xyz", "expected pneumoniamnist[@28|64|128|224], phantom[@SIZE], nih:PATH"),
        ("phantom@", "expected a number of pixels"),
        ("phantom@big", "expected a number of pixels"),
        ("folder:", "expected folder:PATH"),
        ("", "no source of this name"),
    ],
)
def test_an_unknown_name_is_told_the_nearest(source: str, words: str) -> None:
    with pytest.raises(DataError) as caught:
        open_source(source)
    assert words in str(caught.value)


def test_a_path_without_its_kind_is_told_how_it_is_asked_for(tmp_path: Path) -> None:
    table = write_films(tmp_path / "site")
    with pytest.raises(DataError, match=f"did you mean folder:{table}"):
        open_source(str(table))


OPTIONS = {
    "negatives": "normal",
    "uncertain": "ones",
    "columns": {"label": "x"},
    "patients": "x.csv",
    "broken_shards": "skip",
}


@pytest.mark.parametrize("name", [*NAMES, *KINDS])
def test_an_option_without_use_is_refused_before_the_data_are_looked_for(name: str) -> None:
    source = name if name in NAMES else f"{name}:/nowhere"
    for option, value in OPTIONS.items():
        if option not in {**NAMES, **KINDS}[name].options:
            with pytest.raises(DataError, match=rf"data\.{option}: the source {name} has no use"):
                open_source(source, DataPart.model_validate({option: value}))


def test_an_option_at_its_default_is_not_an_option_set(small_npz: Path) -> None:
    options = DataPart.model_validate({"negatives": "all", "uncertain": "ignore", "columns": {}})
    assert len(open_source("pneumoniamnist", options, data=small_npz)) > 0


def test_views_that_were_not_asked_for_are_listed_as_excluded(tmp_path: Path) -> None:
    table = write_films(tmp_path / "site", n=6)  # PA and AP in turn
    cohort = open_source(f"folder:{table}", DataPart(views=("ap",)))
    assert cohort.table["image_id"].tolist() == ["1.png", "3.png", "5.png"]
    assert cohort.excluded["image_id"].tolist() == ["0.png", "2.png", "4.png"]
    assert set(cohort.excluded["reason"]) == {"view PA"}
    # The pixels stay with their rows.
    assert [round(255 * float(cohort.radiograph(i).max())) for i in range(3)] == [10, 30, 50]


def test_a_view_that_no_film_has_is_refused_with_those_there_are(tmp_path: Path) -> None:
    table = write_films(tmp_path / "site")
    with pytest.raises(DataError, match=r"no film of view LATERAL; .*PA 2, AP 2"):
        open_source(f"folder:{table}", DataPart(views=("LATERAL",)))


def test_findings_are_known_by_their_synonyms_and_others_refused(small_npz: Path) -> None:
    cohort = open_source("pneumoniamnist", DataPart(findings=("pneumonias",)), data=small_npz)
    assert cohort.findings == ("Pneumonia",)
    with pytest.raises(DataError, match="does not tell of 'Hernia'; expected Pneumonia"):
        open_source("pneumoniamnist", DataPart(findings=("Hernia",)), data=small_npz)


def test_findings_come_in_the_order_asked_for_with_their_boxes_and_meanings(
    data_folder: Path,
) -> None:
    options = DataPart(findings=("Effusion", "Mass"))
    cohort = open_source(f"nih:{data_folder / 'nih_sample'}", options)
    assert cohort.findings == ("Pleural Effusion", "Mass")
    assert [*cohort.meanings] == ["Pleural Effusion", "Mass"]
    assert set(cohort.boxes["finding"]) <= set(cohort.findings)


def test_the_phantom_draws_from_the_sites_that_were_asked_for() -> None:
    options, _ = source_options(["source=phantom@32", "phantom.sites=A,C", "phantom.n=60"])
    assert set(open_source("phantom@32", options).table["site"]) == {"A", "C"}
    every, _ = source_options(["source=phantom@32", "phantom.n=60"])
    assert set(open_source("phantom@32", every).table["site"]) == {"A", "B", "C", "D"}
