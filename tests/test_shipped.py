"""Bundles that come with Hilum: those in the tree, and how one is used."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from hilum import load_bundle, open_model, shipped
from hilum.bundle import ABSTENTION, SEEN, WEIGHTS, Bundle
from hilum.cli import run
from hilum.errors import BundleError
from hilum.shipped import shipped_bundle, shipped_bundles

LARGEST = 10_000_000  # bytes of weights, and of the engine
_TEXT = re.compile(rb"[\t\n\r -~]{8,}")  # also in files of numbers, as `strings` finds it
# Absolute paths of Unix and Windows, and addresses of machines.
_PRIVATE = re.compile(
    rb"(?<![\w.:/-])/(?:home|root|tmp|Users|work|mnt|opt|srv|var|workspace)/|\b[A-Z]:\\\\?\w"
    rb"|\b(?:10|127|192)\.\d+\.\d+\.\d+\b|@[\w-]+\.\w+"
)


@pytest.mark.parametrize("name", shipped_bundles())
def test_a_shipped_bundle_is_whole_small_and_complete(name: str) -> None:
    bundle = load_bundle(shipped.FOLDER / name)
    manifest = bundle.manifest
    assert manifest.name == name == manifest.recipe["name"]
    assert bundle.stored == "float16"
    for file in (WEIGHTS, manifest.engine.file.replace(".xml", ".bin")):
        assert (bundle.folder / file).stat().st_size <= LARGEST, file
    assert {SEEN, ABSTENTION} <= manifest.files.keys()
    assert bundle.card() is not None
    assert bundle.seen() is not None
    assert bundle.policy() is not None
    assert manifest.engine.agreement is not None
    assert manifest.engine.agreement.largest_probability_difference <= 1e-4
    for finding in bundle.findings:
        assert manifest.deployed in bundle.operating_points(finding)
        assert bundle.conformal_limits(finding) is not None
        assert bundle.chosen_calibrator(finding).reason
    assert not manifest.synthetic
    assert "CC BY 4.0" in manifest.licence
    assert re.fullmatch("[0-9a-f]{40}", manifest.commit or ""), "made from what is in no commit"
    assert any(line["role"] == "test" for line in bundle.openings())


@pytest.mark.parametrize("name", shipped_bundles())
def test_a_shipped_bundle_tells_nothing_of_the_machine_it_was_made_on(name: str) -> None:
    for file in sorted((shipped.FOLDER / name).rglob("*")):
        if file.is_file() and file.suffix != ".bin":
            content = file.read_bytes()
            if file.suffix == ".safetensors":  # behind its header stand numbers alone
                content = content[8 : 8 + int.from_bytes(content[:8], "little")]
            for text in _TEXT.findall(content):
                assert not _PRIVATE.search(text), (file, text)


def test_the_figures_of_its_card_are_those_that_evaluating_it_gives(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HILUM_DATA", str(data_folder))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    assert run(["evaluate", "pneumoniamnist", "--on", "pneumoniamnist", "--out", "out"]) == 0
    card = (shipped.FOLDER / "pneumoniamnist" / "card.md").read_text(encoding="utf-8")
    of_card = re.findall(r"type: (?:roc_auc|recall|specificity)\n +value: (\S+)", card)[:3]
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    deployed = found["operating_points"]["Pneumonia"]["deployed"]
    figures = (
        found["figures"]["Pneumonia"]["auroc"],
        deployed["sensitivity"],
        deployed["specificity"],
    )
    again = [figure["value"] for figure in figures]
    assert [float(value) for value in of_card] == pytest.approx(again, abs=1e-4)


def test_the_notice_names_whose_films_and_weights_are_in_them() -> None:
    notice = (shipped.FOLDER / "NOTICE.md").read_text(encoding="utf-8")
    for owed in ("Kermany", "CC BY 4.0", "EfficientNet-Lite0", "Apache-2.0"):
        assert owed in notice


def test_the_search_for_private_strings_finds_them() -> None:
    for line in (b'"command": "hilum train --out /tmp/x"', b"C:\\Users\\me", b"me@host.example"):
        assert _PRIVATE.search(line), line
    for line in (b"folder:kermany_224/labels.csv", b"and/or", b"https://zenodo.org/var/x"):
        assert not _PRIVATE.search(line), line


@pytest.fixture
def here(small_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another folder of shipped bundles with one in it, and an empty current folder."""
    folder = tmp_path / "site-packages"
    shutil.copytree(small_bundle.folder, folder / "small-64")
    monkeypatch.setattr(shipped, "FOLDER", folder)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "current").mkdir()
    monkeypatch.chdir(tmp_path / "current")
    return folder / "small-64"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.png"
    Image.effect_noise((200, 180), 60).save(path)
    return path


def test_two_bundles_ship() -> None:
    assert shipped_bundles() == ("kermany-224", "pneumoniamnist")


def test_a_name_is_enough(here: Path, film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shipped_bundles() == ("small-64",)
    assert open_model("small-64").folder == open_model("small_64").folder == here
    assert run(["predict", "small-64", str(film), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bundle"] == load_bundle(here).digest


def test_one_film_loads_no_more_than_it_needs(here: Path, film: Path) -> None:
    """Both take longer to import than all the rest; an answer is promised in 5 seconds."""
    code = (
        "import sys; from pathlib import Path; "
        "from hilum import shipped; from hilum.cli import run; "
        f"shipped.FOLDER = Path({str(here.parent)!r}); code = run(['predict', 'small-64', "
        f"{str(film)!r}]); "
        "print(code, [m for m in ('torch', 'matplotlib', 'scipy.stats') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


def test_bundles_are_made_from_a_commit_alone(tmp_path: Path) -> None:
    """What makes them refuses a tree whose changes stand in no commit."""
    script = Path(__file__).parent.parent / "scripts" / "make-bundles"
    tree = tmp_path / "tree"
    (tree / "scripts").mkdir(parents=True)
    shutil.copy(script, tree / "scripts")
    subprocess.run(["git", "init", "-q", tree], check=True)
    settings = {"HILUM_DATA": str(tmp_path), "PYTHON": sys.executable}
    done = subprocess.run(
        [tree / "scripts" / "make-bundles"],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("make-bundles: the tree has changes")


def test_a_folder_of_that_name_wins(
    here: Path, small_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    own = Path("small-64")
    own.mkdir()
    with pytest.raises(BundleError, match=f"no bundle here.*ships with Hilum is {here}"):
        load_bundle("small-64")
    shutil.copytree(small_bundle.folder, own, dirs_exist_ok=True)
    assert load_bundle("small-64").folder == own
    assert not load_bundle("small-64").shipped


def test_an_unknown_name_is_told_which_there_are(
    here: Path, film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", "small", str(film)]) == 2
    error = capsys.readouterr().err
    assert "the name of one that ships with Hilum (small-64)" in error
    assert error.count("\n") == 1


def test_what_ships_is_listed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bundle", "list"]) == 0
    assert capsys.readouterr().out.startswith("small-64: Pneumonia; efficientnet_lite0, input 64")
    assert run(["bundle", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["small-64"]["folder"] == str(here)
    shutil.rmtree(here)
    assert run(["bundle", "list"]) == 0
    assert shipped_bundle("small-64") is None


def test_openings_and_checks_are_kept_for_the_user_and_nothing_is_written_beside_it(
    here: Path, tmp_path: Path, small_npz: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = load_bundle(here)
    assert first.ledger is not None
    (here / "openings.jsonl").write_text(json.dumps({"role": "test", "source": "ours"}) + "\n")
    before = {each: each.stat().st_mtime_ns for each in here.rglob("*")}
    words = ["evaluate", "small-64", "--data", str(small_npz), "--out", str(tmp_path / "out")]
    assert run(words) == 0
    assert first.record_checks("cam", [], finding="Pneumonia", source="ours", n=3)
    assert [each["source"] for each in first.openings()] == ["ours", "pneumoniamnist"]
    assert [each["n"] for each in first.checks("cam")] == [3]
    assert {each: each.stat().st_mtime_ns for each in here.rglob("*")} == before
    name = f"small-64-{first.digest[:12]}.jsonl"
    state = tmp_path / "state" / "hilum"
    assert sorted(each.relative_to(state).as_posix() for each in state.rglob("*.jsonl")) == [
        f"openings/{name}",
        f"sanity/{name}",
    ]
    capsys.readouterr()
    assert run(["bundle", "show", "small-64"]) == 0
    assert f"is noted in {state / 'openings' / name}" in capsys.readouterr().out


def test_where_the_state_folder_cannot_be_written_one_is_told(
    here: Path,
    tmp_path: Path,
    small_npz: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    words = ["evaluate", "small-64", "--data", str(small_npz), "--out", str(tmp_path / "out")]
    assert run(words) == 0
    told = capsys.readouterr().err
    assert f"{tmp_path / 'file' / 'hilum'}" in told
    assert "cannot be written; the ledger of openings lacks this one" in told
    monkeypatch.delenv("XDG_STATE_HOME")

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert load_bundle(here).ledger is None
    assert not load_bundle(here).record_opening("test", "ours", 1, {})
    assert load_bundle(here).openings() == []


def test_an_engine_is_not_put_beside_it_and_a_copy_is_proposed(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", "small-64", "--to", "openvino"]) == 2
    error = capsys.readouterr().err
    assert "no engine is put beside it" in error
    assert f"cp -r {here} my-small-64" in error


def test_its_card_is_left_as_it_is(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (here / "card.md").read_bytes()
    assert run(["card", "small-64"]) == 2
    assert "ships with Hilum, and keeps its card" in capsys.readouterr().err
    assert run(["card", "small-64", "--out", str(tmp_path / "card.md")]) == 0
    assert (here / "card.md").read_bytes() == before
