"""`hilum card`: where it writes, and where it refuses to."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from cards import made_bundle, write_results
from hilum.bundle import CARD, load_bundle
from hilum.cli import run
from hilum.foreign import open_model
from others import PROBABILITY, Net, write_onnx, write_toml

Captured = pytest.CaptureFixture[str]


def told(capsys: Captured, *arguments: object) -> tuple[int, str]:
    code = run(["card", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_the_card_stands_in_the_bundle_which_stays_whole(tmp_path: Path, capsys: Captured) -> None:
    bundle = made_bundle(tmp_path / "mine")
    folders = write_results(tmp_path / "results", bundle.digest)
    given = [word for folder in folders for word in ("--from", str(folder))]
    code, said = told(capsys, bundle.folder, *given)
    assert code == 0, said
    assert "mine/card.md: the card of old" in said
    again = load_bundle(bundle.folder)
    assert again.digest == bundle.digest
    assert again.card() == (bundle.folder / CARD).read_bytes()
    assert "## Change plan" in (bundle.folder / CARD).read_text()
    assert not list(bundle.folder.glob(".*"))


def test_the_card_can_stand_elsewhere_and_be_told_to_machines(
    tmp_path: Path, capsys: Captured
) -> None:
    bundle = made_bundle(tmp_path / "mine")
    out = tmp_path / "hub" / "README.md"
    code, said = told(capsys, bundle.folder, "--out", out, "--json")
    assert (code, json.loads(said)) == (0, {"card": str(out), "bundle": bundle.digest})
    assert out.read_text().startswith("---\nlicense: ")
    assert not (bundle.folder / CARD).exists()


def test_a_card_that_is_digested_is_left_as_it_is(tmp_path: Path, capsys: Captured) -> None:
    plain = made_bundle(tmp_path / "plain").manifest
    files = plain.files | {CARD: hashlib.sha256(b"# sealed").hexdigest()}
    folder = tmp_path / "old"
    with pytest.raises(Exception, match="missing"):
        made_bundle(folder, files=files)
    (folder / CARD).write_text("# sealed")
    assert load_bundle(folder).card() == b"# sealed"
    code, said = told(capsys, folder)
    assert code == 2
    assert "is digested in this bundle, which was made by an earlier Hilum" in said
    assert "--out old-card.md" in said
    assert load_bundle(folder).card() == b"# sealed"
    assert told(capsys, folder, "--out", tmp_path / "card.md")[0] == 0


@pytest.mark.parametrize(
    ("name", "words"),
    [("mine/weights.safetensors", "lies inside the bundle"), ("folder", "is a folder")],
)
def test_nothing_else_is_written_over(
    tmp_path: Path, capsys: Captured, name: str, words: str
) -> None:
    bundle = made_bundle(tmp_path / "mine")
    (tmp_path / "folder").mkdir()
    code, said = told(capsys, bundle.folder, "--out", tmp_path / name)
    assert code == 2
    assert words in said
    assert said.count("\n") == 1
    load_bundle(bundle.folder)


def test_a_bundle_that_cannot_be_written_says_to_name_a_file(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = made_bundle(tmp_path / "mine")
    real = os.access

    def access(path: Path, mode: int) -> bool:  # root may write anywhere
        return not (Path(path) == bundle.folder and mode == os.W_OK) and real(path, mode)

    monkeypatch.setattr(os, "access", access)
    code, said = told(capsys, bundle.folder)
    assert code == 2
    assert "cannot be written; name a file with --out" in said


def test_results_of_another_bundle_leave_the_card_as_it_was(
    tmp_path: Path, capsys: Captured
) -> None:
    bundle = made_bundle(tmp_path / "mine")
    told(capsys, bundle.folder)
    before = (bundle.folder / CARD).read_bytes()
    folder, *_ = write_results(tmp_path / "results", "f" * 64)
    code, said = told(capsys, bundle.folder, "--from", folder)
    assert code == 2
    assert "is of the bundle ffffffffffff…" in said
    assert (bundle.folder / CARD).read_bytes() == before


def test_a_model_made_elsewhere_has_a_card_that_claims_nothing_for_its_makers(
    tmp_path: Path, capsys: Captured
) -> None:
    model = write_onnx(tmp_path / "m.onnx", Net.random(1, 1), ends=["Relu", "Neg", "Sigmoid"])
    write_toml(model, PROBABILITY + 'trained_on = "their films"\n')
    code, said = told(capsys, model)
    assert code == 2
    assert "has no folder of its own; name a file with --out" in said
    out = tmp_path / "card.md"
    opened = open_model(model)
    assert opened.record_opening("test", "pneumoniamnist", 1, {})
    folder, *_ = write_results(tmp_path / "results", opened.digest)
    assert told(capsys, model, "--from", folder, "--out", out)[0] == 0
    card = out.read_text()
    assert "## How it did, pneumoniamnist, role test" in card
    assert "| Made | elsewhere, from their films |" in card
    assert "Of which images, and of whom, is not on record" in card
    assert "## Stated by its makers: Pneumonia" in card
    assert "the same recipe on more" not in card
    assert "Pneumonia: AUROC |" in card  # a limit
    assert "Test has been opened 1 times by the ledger" in card
    assert "holds no opening" not in card
