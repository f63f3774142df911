from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from hilum.bundle import Bundle, load_bundle
from hilum.cli import run
from hilum.cli.generalise import _judged, _Opened
from hilum.cli.places import places_of, shared_findings
from hilum.data.cohort import Cohort
from hilum.errors import HilumError
from hilum.recipe import DataPart, Recipe, make_recipe

Captured = pytest.CaptureFixture[str]

RECIPE = """
name = "small"
[data]
source = "phantom@32"
phantom = { n = 180, sites = ["A"] }
[input]
size = 32
[train]
epochs = 0
probe = true
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(RECIPE)
    return path


def plan(**data: object) -> Recipe:
    return make_recipe({"data": {"source": "nih:x", "tune_fraction": 0.2, **data}})


def test_the_verb_trains_tests_writes_and_goes_on_with_what_it_has(
    recipe: Path, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "sites"
    words = [
        "generalise", str(recipe), "--out", str(out),
        "--on", "a=phantom@32,c=phantom@32", "--on", "tiny=phantom@32",
        "--option", "c:phantom.sites=C", "--option", "c:phantom.seed=1",
        "--option", "tiny:phantom.n=60", "--option", "tiny:phantom.seed=2",
        "--option", "c:phantom.n=180",
    ]  # fmt: skip
    assert run(words) == 0
    printed = capsys.readouterr()
    assert "tiny is only tested on: " in printed.err
    assert "or more are needed" in printed.err
    assert "a on tiny: " in printed.out
    assert "mean away" in printed.out
    assert "not a medical device" in printed.out
    told = json.loads((out / "generalise.json").read_text())
    assert told["synthetic"]
    found = told["findings"]["Pneumonia"]
    assert (found["train"], found["test"]) == (["a", "c"], ["a", "c", "tiny"])
    assert {cell["n"] for cell in found["cells"] if cell["test"] != "tiny"} == {19}
    ledger = (out / "models" / "a" / "openings.jsonl").read_text().splitlines()
    assert [json.loads(line)["role"] for line in ledger] == ["test"] * 3
    assert json.loads(ledger[0])["auroc"]["Pneumonia"] == pytest.approx(
        found["cells"][0]["auroc"]["value"]
    )

    assert run(words) == 2
    assert "an earlier run's bundle; add --resume to use it" in capsys.readouterr().err
    before = (out / "models" / "a" / "bundle.json").stat().st_mtime_ns
    assert run([*words, "--resume", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["findings"] == told["findings"]
    assert (out / "models" / "a" / "bundle.json").stat().st_mtime_ns == before
    assert run([*words, "--resume", "--set", "seed=5"]) == 2
    assert "a bundle of another recipe or of other options" in capsys.readouterr().err


def test_films_that_a_bundle_was_made_from_are_left_out_elsewhere(
    small_bundle: Bundle, small_cohort: Cohort, tmp_path: Path
) -> None:
    bundle = load_bundle(shutil.copytree(small_bundle.folder, tmp_path / "bundle"))
    films = replace(small_cohort, table=small_cohort.table.assign(split=None), name="copies")
    trained = (small_cohort.table["split"] == "train").to_numpy()
    places = {
        "home": _Opened(bundle.data, small_cohort),
        "copies": _Opened(DataPart(source="copies"), films),
        "seen": _Opened(DataPart(source="seen"), replace(films.where(trained), name="seen")),
    }
    answers, missing, told = _judged({"home": bundle}, places)
    # Of the copies only those are left that the bundle was tested on.
    assert answers["home", "copies"].image_id_n == answers["home", "home"].image_id_n
    assert any(line.startswith("left out: 120 images that the") for line in told["home"]["copies"])
    assert missing["home", "seen"].startswith(
        "seen: nothing is left of the role 'test': left out: 60 images that the bundle was trained"
    )


def test_places_are_named_by_their_kind_or_as_asked() -> None:
    found = places_of(["nih:a,x=rsna:b,c"], [], ["Pneumonia"], plan())
    assert [(name, each.source) for name, each in found.items()] == [
        ("nih", "nih:a"), ("x", "rsna:b"), ("c", "c")
    ]  # fmt: skip
    assert all(each.findings == ("Pneumonia",) for each in found.values())
    assert found["x"].tune_fraction == 0.2


def test_the_recipe_speaks_for_its_own_source_and_shares_for_all() -> None:
    own = plan(source="rsna:b", negatives="normal", findings=["Pneumonia"])
    found = places_of(["rsna:b", "f=folder:t.csv"], ["f:columns.label=sign"], [], own)
    assert found["rsna"].negatives == "normal"
    assert found["f"].negatives == "all"
    assert found["f"].columns == {"label": "sign"}
    assert found["f"].findings == ("Pneumonia",)
    named = places_of(["rsna:b", "nih:n"], ["nih:findings=Lung Opacity"], ["Pneumonia"], own)
    assert named["nih"].findings == ("Lung Opacity",)


@pytest.mark.parametrize(
    ("on", "options", "line"),
    [
        (["nih:a"], [], "--on: 1 place; expected two or more"),
        (["nih:a,nih:b"], [], "two places called 'nih'; name them, such as nih1=nih:a,nih2=nih:b"),
        (["a b=nih:a,rsna:b"], [], "--on: name 'a b'"),
        (
            ["nih:a,rsna:b"],
            ["columns.label=x"],
            "'columns.label=x' names no place; expected PLACE:",
        ),
        (["nih:a,rsna:b"], ["nhi:views=PA"], "no place 'nhi'; expected PLACE:KEY=VALUE with one"),
        (["nih:a,rsna:b"], ["nih:view=PA"], "--option: unknown key view"),
        (["nih:a,rsna:b"], ["nih:reading.window=2"], "set it for all with --set reading.KEY=VALUE"),
    ],
)
def test_what_is_unclear_is_refused_in_words(on: list[str], options: list[str], line: str) -> None:
    with pytest.raises(HilumError) as refused:
        places_of(on, options, [], plan())
    assert line in str(refused.value)


def test_places_without_a_finding_in_common_are_told_what_each_has() -> None:
    assert shared_findings({"a": ("Edema", "Pneumonia"), "b": ("Pneumonia",)}) == ("Pneumonia",)
    with pytest.raises(HilumError, match="a Pneumonia; b Lung Opacity; ask all for one with"):
        shared_findings({"a": ("Pneumonia",), "b": ("Lung Opacity",)})


def test_an_unknown_site_of_the_phantom_is_refused(
    recipe: Path, tmp_path: Path, capsys: Captured
) -> None:
    words = ["generalise", str(recipe), "--on", "a=phantom@32,b=phantom@32"]
    out = tmp_path / "out"
    assert run([*words, "--option", "b:phantom.sites=E", "--out", str(out)]) == 2
    assert "phantom.sites: no site 'E'; expected A, B, C, D" in capsys.readouterr().err
    assert not out.exists()
