from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hilum.bundle import Bundle
from hilum.card import read_results
from hilum.cli import run
from hilum.evaluation import Evaluation

Captured = pytest.CaptureFixture[str]


def write_site(folder: Path, n: int = 60, seed: int = 1) -> Path:
    """Films as `made.write_npz` has them, one or two a patient, with two columns of labels of which
    the second errs now and then."""
    rng = np.random.default_rng(seed)
    (folder / "films").mkdir(parents=True)
    label_n = np.arange(n) % 2
    rows = []
    for k, label in enumerate(label_n):
        grey = rng.integers(0, 160, (28, 28)) + 40 * label + rng.integers(0, 30)
        name = f"films/{k:03d}.png"
        Image.fromarray(grey.clip(0, 255).astype(np.uint8)).save(folder / name)
        read = 1 - label if rng.random() < 0.15 else label
        patient = f"{folder.name}-{k - k % 2 if k < 20 else k}"
        rows.append((name, patient, label, read, "M" if k % 3 else "F"))
    table = pd.DataFrame(rows, columns=["path", "patient_id", "nlp", "read", "sex"])
    table.to_csv(folder / "films.csv", index=False)
    return folder / "films.csv"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(tmp_path_factory.mktemp("sites") / "b")


def copy_of(bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle.folder, tmp_path / "bundle"))


def no_data(patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which the bundle's own films are not."""
    from hilum.cli import validating
    from hilum.errors import DataMissingError

    real = validating.open_cohort

    def opened(options, *more):  # type: ignore[no-untyped-def]
        if options.source == "pneumoniamnist":
            raise DataMissingError("pneumoniamnist", "not on this machine")
        return real(options, *more)

    patch.setattr(validating, "open_cohort", opened)


def test_one_page_holds_both_sides_and_what_could_be_done(
    small_bundle: Bundle, small_npz: Path, site: Path, tmp_path: Path, capsys: Captured
) -> None:
    copy, out = copy_of(small_bundle, tmp_path), tmp_path / "out"
    start = ["validate", str(copy), "--on", f"folder:{site}", "--data", str(small_npz)]
    both = ["--labels", "reports=nlp", "--labels", "radiologists=read"]
    assert run([*start, *both, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    told = json.loads((out / "validation.json").read_text())
    ((of_card, evaluation),) = read_results([out], small_bundle.digest).sites
    assert evaluation is not None
    assert of_card.n == evaluation.n
    (there,) = told["sites"]
    drop = there["drop"]["Pneumonia"]["auroc"]
    assert drop["difference"]["value"] == pytest.approx(
        drop["outside"]["value"] - drop["inside"]["value"]
    )
    evaluation = Evaluation.from_json((out / there["folder"] / "evaluation.json").read_text())
    assert evaluation.figures["Pneumonia"]["auroc"].value == pytest.approx(
        drop["outside"]["value"], abs=1e-9
    )
    assert evaluation.n == 60
    table = pd.read_csv(site)
    counts = there["labellings"]["Pneumonia"]["counts"]
    assert counts["01"] == int(((table["nlp"] == 0) & (table["read"] == 1)).sum())
    assert [step["k"] for step in there["remedies"]["Pneumonia"]["local"]["steps"]] == [20, 25]
    # The films it was made from are of 28 pixels, which no perceptual hash tells apart.
    assert "too small to be known again" in there["seen"][0]
    assert there["referrals"]["Pneumonia"]["whole"]["n"] == 60
    ledger = [json.loads(line) for line in (copy / "openings.jsonl").read_text().splitlines()]
    assert (ledger[-1]["role"], ledger[-1]["n"]) == ("test", 60)
    page = (out / "validation.html").read_text()
    for words in (
        "Inside and outside", "Reliability inside", "Reliability outside", "Decision curve",
        "What could be done", "Two labellings", "of these images and", "Subgroups", "Missed",
        "too small to be known again", "Why it dropped", "not a medical device",
    ):  # fmt: skip
        assert words in page
    # One file: nothing is fetched, and every link leads to what lies beside it or to a source.
    assert not re.findall(r'(?:src|href)="(?!data:|#|https://doi\.org/)http', page)
    for link in re.findall(r'href="(?!#|https://)([^"]+)"', page):
        assert (out / link).exists(), link
    assert "Pneumonia, folder:b/films.csv: 60" in printed
    assert "For decisions: " in printed


@pytest.mark.usefixtures("ink")
def test_several_sites_are_summed_up_and_shared_patients_told(
    small_bundle: Bundle, small_npz: Path, site: Path, tmp_path: Path, capsys: Captured
) -> None:
    copy, out = copy_of(small_bundle, tmp_path), tmp_path / "out"
    other = write_site(tmp_path / "c", seed=2)
    table = pd.read_csv(other)
    table.loc[:3, "patient_id"] = pd.read_csv(site).loc[:3, "patient_id"]
    table.rename(columns={"nlp": "label"}).to_csv(other, index=False)
    start = ["validate", str(copy), "--data", str(small_npz), "--out", str(out), "--json"]
    places = ["--on", f"folder:{site}", "--on", f"folder:{other}"]
    assert run([*start, *places, "--option", f"folder:{site}:columns.label=nlp"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in told["sites"]] == ["folder:b/films.csv", "folder:c/films.csv"]
    pooled = told["pooled"]["Pneumonia"]
    values = [each["drop"]["Pneumonia"]["auroc"]["outside"]["value"] for each in told["sites"]]
    if not pooled["left_out"]:
        assert min(values) <= pooled["summary"]["value"] <= max(values)
    assert any("2 patient ids stand in both" in note for note in told["notes"])
    with Image.open(out / "forest.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 10
    assert "Each site" in (out / "validation.html").read_text()


def test_without_its_own_films_inside_is_what_the_bundle_says_and_flatters(
    small_bundle: Bundle, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:  # fmt: skip
    no_data(monkeypatch, tmp_path)
    copy, out = copy_of(small_bundle, tmp_path), tmp_path / "out"
    start = ["validate", str(copy), "--on", f"folder:{site}", "--option", "columns.label=nlp"]
    before = (copy / "openings.jsonl").read_text() if (copy / "openings.jsonl").exists() else ""
    assert run([*start, "--out", str(out)]) == 0
    told = json.loads((out / "validation.json").read_text())
    stated = small_bundle.manifest.figures["calibrate"]["Pneumonia"]["auroc"]["value"]
    assert told["inside"]["role"] == "calibrate"
    assert told["inside"]["figures"]["Pneumonia"]["auroc"]["value"] == stated
    assert "figures flatter" in told["inside"]["note"]
    assert told["sites"][0]["shift"] == {}
    assert "Inside is the role calibrate" in capsys.readouterr().out
    after = (copy / "openings.jsonl").read_text() if (copy / "openings.jsonl").exists() else ""
    assert after == before


def test_films_that_training_saw_are_refused_or_left_out(
    small_bundle: Bundle, small_npz: Path, tmp_path: Path, capsys: Captured
) -> None:
    copy = copy_of(small_bundle, tmp_path)
    table = write_site(tmp_path / "d")
    with np.load(small_npz) as arrays:
        Image.fromarray(arrays["train_images"][0]).save(tmp_path / "d" / "films" / "000.png")
    start = ["validate", str(copy), "--on", f"folder:{table}", "--option", "columns.label=nlp"]
    start += ["--data", str(small_npz)]
    assert run([*start, "--out", str(tmp_path / "out")]) == 2
    assert "1 image that the bundle was trained on" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert run([*start, "--leave-out-seen", "--out", str(tmp_path / "out")]) == 0
    told = json.loads((tmp_path / "out" / "validation.json").read_text())
    assert told["sites"][0]["n"] == 59
    assert "1 image that the bundle was trained on" in told["sites"][0]["seen"][0]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--on", "pneumoniamnist"], "the bundle's own source is no other place"),
        (["--on", "phantom", "--labels", "a=b", "--labels", "c=d"], "has no columns"),
        (["--on", "folder:x.csv", "--labels", "a=b"], "1 labelling"),
        (["--on", "folder:x.csv", "--labels", "ab"], "expected NAME=COLUMN"),
        (["--on", "folder:x.csv", "--option", "rsna:negatives=normal"], "names no source"),
        (["--on", "phantom", "--internal", "phantom:train"], "role test or all"),
        (["--on", "nowhere"], "no source of this name"),
    ],
)
def test_what_cannot_be_meant_is_told_in_one_line(
    more: list[str], says: str, small_bundle: Bundle, small_npz: Path, tmp_path: Path,
    capsys: Captured,
) -> None:  # fmt: skip
    copy, out = copy_of(small_bundle, tmp_path), tmp_path / "out"
    assert run(["validate", str(copy), "--data", str(small_npz), "--out", str(out), *more]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert says in error
    assert not out.exists()


def test_an_option_is_meant_for_the_source_it_names() -> None:
    from hilum.cli.validating import _colon, _is_of

    option = "rsna:rsna_sample:negatives=a:b"
    assert option[_colon(option) + 1 :] == "negatives=a:b"
    assert _is_of(option, "rsna:rsna_sample")
    assert _is_of(option, "rsna:rsna_sample:all")
    assert not _is_of(option, "nih:nih_sample")
    assert _is_of("rsna:negatives=normal", "rsna:rsna_sample:test")
