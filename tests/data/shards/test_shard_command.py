"""`hilum data shard` as a person types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from hilum.cli.data_shard import shard
from hilum.data.shards import writing
from hilum.data.sources import open_source
from hilum.errors import DataError

app = typer.Typer()
app.command()(shard)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, grey in (("NORMAL", 90), ("PNEUMONIA", 160)):
        (tmp_path / "films" / name).mkdir(parents=True)
        for i in range(4):
            film = Image.new("L", (60, 48), grey + i)
            film.save(tmp_path / "films" / name / f"{i}.png")
    return tmp_path / "films"


def test_a_folder_becomes_shards_that_are_a_source(folder: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "s")
    text = run(f"folder:{folder}", "--out", out, "--size", "32", "--per-shard", "3")
    assert "8 films in 3 shards" in text
    assert f"shards:{out}" in text
    cohort = open_source(f"shards:{out}")
    assert cohort.radiograph(0).shape == (32, 40)
    assert cohort.table["label_pneumonia"].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert not cohort.table["image_id"].str.contains("png").any()


def test_json_tells_what_the_manifest_tells(folder: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "s")
    told = json.loads(
        run(f"folder:{folder}", "--out", out, "--encoding", "original", "--keep-ids", "--json")
    )
    assert (told["n"], told["broken"], told["encoding"]) == (8, 0, "original")
    assert told["bytes"] == (tmp_path / "s" / "000000.tar").stat().st_size


def test_broken_films_are_told_up_to_a_limit(folder: Path, tmp_path: Path) -> None:
    (folder / "NORMAL" / "0.png").write_bytes((folder / "NORMAL" / "0.png").read_bytes()[:60])
    arguments = (f"folder:{folder}", "--out", str(tmp_path / "s"))
    with pytest.raises(DataError):
        run(*arguments, "--broken-limit", "0")
    assert "1 of 8 could not be read" in run(*arguments, "--broken-limit", "0.2")


def test_an_interrupted_run_says_how_to_go_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = str(tmp_path / "s")
    real: Callable[..., object] = writing.encode

    def interrupted(cohort: object, position: int, *form: object) -> object:
        if position == 5:
            raise KeyboardInterrupt
        return real(cohort, position, *form)

    monkeypatch.setattr(writing, "encode", interrupted)
    result = CliRunner().invoke(app, [f"folder:{folder}", "--out", out, "--per-shard", "3"])
    assert result.exit_code == 130
    assert "the same command goes on" in result.output
    monkeypatch.setattr(writing, "encode", real)
    run(f"folder:{folder}", "--out", out, "--per-shard", "3")
    assert len(open_source(f"shards:{out}")) == 8
