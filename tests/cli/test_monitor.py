from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.bundle import Bundle
from hilum.cli import run
from hilum.data.faults import FAULTS, FaultyPixels
from hilum.data.sources.phantom import phantom_cohort
from hilum.observing import observe
from hilum.robustness.monitoring.answering import film_digests
from hilum.robustness.monitoring.record import append, lines_of, read_record
from served import made_lines

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def record(small_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms in service: 14 days of reference, 8 quiet ones, and 4 with too little dose."""
    folder = tmp_path_factory.mktemp("service") / "record"
    films = phantom_cohort(26 * 24, size=28, seed=7)
    darker = FaultyPixels(films.pixels, FAULTS["under_exposure"], 2)
    late_n = np.arange(len(films)) >= 22 * 24
    parts = [films.where(~late_n), replace(films, pixels=darker).where(late_n)]
    start = datetime(2026, 3, 2, 9, tzinfo=UTC)
    row = 0
    for part in parts:
        for line in lines_of(small_bundle, observe(small_bundle, part), film_digests(part), start):
            append(folder, [line.model_copy(update={"time": start + timedelta(days=row // 24)})])
            row += 1
    return folder


@pytest.mark.usefixtures("ink")
def test_drift_on_the_phantom_is_found_within_three_days_and_all_is_written(
    small_bundle: Bundle, record: Path, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "out"
    lines = read_record(record).lines
    rows = "".join(f"{line.input},{k % 2}\n" for k, line in enumerate(lines))
    (tmp_path / "labels.csv").write_text("input,label_pneumonia\n" + rows)
    arguments = ["monitor", str(small_bundle.folder), "--log", str(record), "--out", str(out)]
    assert run([*arguments, "--labels", str(tmp_path / "labels.csv")]) == 0
    printed = capsys.readouterr()
    assert "Moved most: exposure" in printed.out
    assert "SYNTHETIC" in printed.err
    told = json.loads((out / "monitor.json").read_text())
    assert told["verdict"] == "drift"
    assert "2026-03-24" <= told["first_alarm"] <= "2026-03-27"
    assert len(told["days"]) == 12
    assert not any(day["alarms"] for day in told["days"][:8])
    assert {each["figure"] for each in told["late_labels"]} == {"sensitivity", "specificity"}
    # Labels by turns are no truth: half of either side is called, whatever was claimed.
    assert all(each["reason"] is None for each in told["late_labels"])
    page = (out / "monitor.html").read_text()
    assert "SYNTHETIC" in page
    assert page.count("<svg") == 5
    assert not re.search(r'(?:src|href)="https?:', page)
    assert "2026-03-24" in page
    with Image.open(out / "monitor.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 10


def test_a_reference_of_its_own_is_taken_and_json_is_for_machines(
    small_bundle: Bundle, record: Path, tmp_path: Path, capsys: Captured
) -> None:
    quiet, later = tmp_path / "quiet", tmp_path / "later"
    quiet.mkdir()
    later.mkdir()
    for file in sorted(record.iterdir()):
        shutil.copy(file, quiet if file.name < "2026-03-16" else later)
    start = ["monitor", str(small_bundle.folder), "--log", str(later)]
    more = ["--reference", str(quiet), "--out", str(tmp_path / "out"), "--json"]
    assert run([*start, *more]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["reference"][-1]["last"], told["days"][0]["first"]) == ("2026-03-15", "2026-03-16")
    assert told["verdict"] == "drift"
    assert run([*start, *more, "--reference-days", "7"]) == 2
    assert "--reference-days: does not go with --reference" in capsys.readouterr().err


def test_bad_input_is_told_in_one_line_and_leaves_no_folder(
    small_bundle: Bundle, record: Path, tmp_path: Path, capsys: Captured
) -> None:
    out, empty, other = tmp_path / "out", tmp_path / "empty", tmp_path / "other"
    empty.mkdir()
    append(other, made_lines(np.random.default_rng(0), [30]))
    for log, more, said in (
        (tmp_path / "none", [], "no such folder"),
        (empty, [], "no file *.jsonl"),
        (other, [], "none of its 30 lines is of this bundle"),
        (record, ["--reference-days", "3"], "72 films on 3 days of 20 films or more"),
        (record, ["--reference-days", "26"], "0 films after the reference"),
        (record, ["--false-alarms", "2"], "--false-alarms: 2; expected a number between 0 and 1"),
        (record, ["--labels", str(tmp_path / "none.csv")], "none.csv: cannot be read"),
    ):
        arguments = ["monitor", str(small_bundle.folder), "--log", str(log), "--out", str(out)]
        assert run([*arguments, *more]) == 2
        error = capsys.readouterr().err.strip()
        assert said in error
        assert len(error.splitlines()) == 1
        assert not out.exists()
