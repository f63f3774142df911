"""`hilum data` as a user meets it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from data.checking.made_site import NAME, RECORD, make_site
from hilum.cli import run
from hilum.recipe import DataPart, ReadingPart, source_options
from made import write_npz

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def site_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_site(tmp_path_factory.mktemp("hospital"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_list_tells_each_kind_and_what_is_at_hand(
    site_table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("HILUM_DATA", str(tmp_path))
    write_npz(tmp_path / "pneumoniamnist.npz", n=2)
    shutil.copytree(site_table.parent, tmp_path / "site_b")
    for name, line in (
        ("nih/Data_Entry_2017_v2020.csv", "Image Index"),
        ("rsna/stage_2_train_labels.csv", "patientId"),
        ("chex/train.csv", "Path,Sex"),
        ("chex/valid.csv", "Path,Sex"),
        ("other/notes.csv", "weather"),
        ("shards/manifest.json", "{}"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(line + "\n")
    assert run(["data", "list", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["at_hand"] == [
        "pneumoniamnist",
        "chexpert:chex",
        "nih:nih",
        "rsna:rsna",
        "shards:shards",
        "folder:site_b/labels.csv",
    ]
    assert set(told["kinds"]) >= {"pneumoniamnist", "phantom", "nih", "rsna", "chexpert", "folder"}
    assert run(["data", "list"]) == 0
    printed = capsys.readouterr().out
    assert "nih:PATH" in printed
    assert "  folder:site_b/labels.csv" in printed


def test_list_without_a_folder_says_how_to_name_one(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.delenv("HILUM_DATA", raising=False)
    assert run(["data", "list"]) == 0
    assert "HILUM_DATA is not set" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "word"), [("nih", "box.com"), ("rsna", "accept"), ("chexpert", "register")]
)
def test_what_no_program_may_fetch_is_explained(name: str, word: str, capsys: Captured) -> None:
    assert run(["data", "fetch", name]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert word in said
    assert f"{name}:FOLDER" in said


@pytest.mark.parametrize("name", ["mnist", "pneumoniamnist@99", "pneumoniamnist@big", "folder:x"])
def test_a_name_that_is_not_known_is_refused_in_one_line(name: str, capsys: Captured) -> None:
    assert run(["data", "fetch", name]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_fetch_says_what_lies_there_already(tmp_path: Path, capsys: Captured) -> None:
    write_npz(tmp_path / "pneumoniamnist.npz", n=4)
    assert run(["data", "fetch", "pneumoniamnist", "--data", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert "12 images, was there already" in said.out
    assert "is not the official PneumoniaMNIST" in said.err


def test_a_failed_download_leaves_no_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr("hilum.data.sources.medmnist._RECORD", "http://127.0.0.1:9")
    monkeypatch.setattr("hilum.data.download.time.sleep", lambda _: None)
    assert run(["data", "fetch", "pneumoniamnist", "--data", str(tmp_path)]) == 2
    assert "download failed" in capsys.readouterr().err
    assert not (tmp_path / "pneumoniamnist.npz").exists()


def test_check_tells_prints_and_writes(site_table: Path, tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "check"
    assert run(["data", "check", f"folder:{site_table}", "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "29 images, 16 patients" in said.out
    assert "things to look into" in said.out
    assert "not a medical device" in said.err
    assert {each.name for each in out.iterdir()} == {
        "check.json", "contact_sheet.png", "duplicates.csv", "excluded.csv",
    }  # fmt: skip
    written = json.loads((out / "check.json").read_text())
    assert written["schema"] == 1
    assert written["ids"] == "pseudonyms"
    assert len(written["contact_sheet"]) == 3
    assert NAME not in said.out + said.err
    assert RECORD not in said.out + said.err


def test_check_as_json_prints_json_alone(site_table: Path, capsys: Captured) -> None:
    assert (
        run(["data", "check", f"folder:{site_table}", "--no-pixels", "--keep-ids", "--json"]) == 0
    )
    told = json.loads(capsys.readouterr().out)
    assert told["n_images"] == 29
    assert told["pixels_read"] is False
    assert told["excluded"][0]["examples"] == ["films/gone.png"]
    assert told["files"] == []


def test_options_reach_the_source(site_table: Path, capsys: Captured) -> None:
    arguments = ["data", "check", f"folder:{site_table}", "--no-pixels", "--json"]
    assert run([*arguments, "--option", "views=AP", "--option", "findings=Mass"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["view"] == {"AP": 9}
    assert told["labels"][0]["finding"] == "Mass"
    assert run([*arguments, "--option", "veiws=AP"]) == 2
    assert "--option: unknown key veiws; did you mean views?" in capsys.readouterr().err


def test_a_source_is_held_against_another(site_table: Path, capsys: Captured) -> None:
    source = f"folder:{site_table}"
    assert run(["data", "check", source, "--against", source, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["against"]
    assert (told["same_pixels"], told["same_patient"]) == (27, 29)


@pytest.mark.parametrize(("encoding", "told"), [("png", 27), ("webp", 27)])
def test_shards_are_checked_as_files_are(
    encoding: str, told: int, site_table: Path, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "shards"
    arguments = ["--out", str(out), "--encoding", encoding, "--broken-limit", "0.5"]
    assert run(["data", "shard", f"folder:{site_table}", *arguments]) == 0
    capsys.readouterr()
    assert run(["data", "check", f"shards:{out}", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["films"]["n"] == told
    assert found["films"]["sizes"] == {"96 x 120": 26, "130 x 140": 1}
    assert found["duplicates"]["same_pixels_sets"] == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # rdflib's, of its own old names
def test_croissant_is_written_on_request(
    site_table: Path, tmp_path: Path, capsys: Captured
) -> None:
    pytest.importorskip("mlcroissant")
    arguments = ["data", "check", f"folder:{site_table}", "--no-pixels", "--croissant"]
    assert run(arguments) == 2
    assert "name it by --out" in capsys.readouterr().err
    assert run([*arguments, "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "croissant.json").is_file()


def test_check_of_nothing_is_one_line_and_leaves_no_folder(
    tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "out"
    assert run(["data", "check", f"folder:{tmp_path / 'no.csv'}", "--out", str(out)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("findings=Lung Opacity, Pneumonia", {"findings": ("Lung Opacity", "Pneumonia")}),
        ('views=["PA", "AP"]', {"views": ("PA", "AP")}),
        ("data.duplicates=off", {"duplicates": "off"}),
        ("columns.label=finding", {"columns": {"label": "finding"}}),
        ("uncertain.Pneumonia=ones", {"uncertain": {"Pneumonia": "ones"}}),
        ("calibrate_fraction=0.2", {"calibrate_fraction": 0.2}),
        ("source=nih:x", {"source": "nih:x"}),
    ],
)
def test_an_option_is_a_key_of_data(change: str, expected: dict[str, object]) -> None:
    assert source_options([change]) == (DataPart(**expected), ReadingPart())  # type: ignore[arg-type]


def test_reading_stands_behind_its_name() -> None:
    changes = ["reading.window=2", "reading.bits=12"]
    assert source_options(changes) == (DataPart(), ReadingPart(window=2, bits=12))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("views", "expected key=value, such as views=PA"),
        ("reading.widow=2", "did you mean reading.window?"),
        ("negatives=norml", "negatives = 'norml'; set 'normal' or 'all'"),
        ("uncertain=maybe", "uncertain = 'maybe'; set 'zeros', 'ones' or 'ignore'"),
        ("broken_limit=2", "broken_limit = 2; set less than 1"),
        ("reading.bits=4", "reading.bits = 4; set 8 or more"),
    ],
)
def test_a_wrong_option_is_one_line_that_names_the_flag(change: str, words: str) -> None:
    from hilum.errors import RecipeError

    with pytest.raises(RecipeError) as caught:
        source_options([change])
    assert str(caught.value).startswith("--option: ")
    assert words in str(caught.value)
