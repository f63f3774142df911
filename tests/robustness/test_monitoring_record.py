from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.bundle import Bundle, sha256_of
from hilum.cli import run
from hilum.data.cohort import Cohort
from hilum.errors import DataError, OutputError
from hilum.observing import observe
from hilum.robustness.monitoring.days import days_of, stream_of
from hilum.robustness.monitoring.record import Line, append, lines_of, read_record
from hilum.robustness.monitoring.summary import NUMBERS, feature_summary
from served import made_lines


def test_what_is_appended_is_read_again_by_time(tmp_path: Path) -> None:
    lines = made_lines(np.random.default_rng(0), [3, 2])
    append(tmp_path / "record", lines[3:])
    append(tmp_path / "record", lines[:3])
    assert read_record(tmp_path / "record").lines == tuple(lines)
    assert sorted(file.name for file in (tmp_path / "record").iterdir()) == [
        "2026-03-02.jsonl", "2026-03-03.jsonl"
    ]  # fmt: skip


def test_a_line_holds_no_id_and_fields_of_others_are_let_be(
    small_bundle: Bundle, small_cohort: Cohort, tmp_path: Path
) -> None:
    films = small_cohort.where(np.arange(len(small_cohort)) < 4)
    observed = observe(small_bundle, films)
    said = observed.predictions.table.assign(refer=["gate", "", "", ""])
    observed = replace(observed, predictions=replace(observed.predictions, table=said))
    digests = [f"{i:064x}" for i in range(4)]
    lines = lines_of(small_bundle, observed, digests, datetime.now(UTC))
    append(tmp_path, lines)
    (file,) = tmp_path.iterdir()
    told = [json.loads(text) for text in file.read_text().splitlines()]
    assert set(told[0]) == set(Line.model_fields)
    assert [each["refer"] for each in told] == ["gate", None, None, None]
    assert not any(image_id in file.read_text() for image_id in films.table["image_id"])
    logit_n = observed.predictions.logit("Pneumonia")
    np.testing.assert_allclose(
        [each["findings"]["Pneumonia"]["logit"] for each in told], logit_n, rtol=1e-6
    )
    file.write_text("".join(json.dumps(each | {"before": "hash"}) + "\n" for each in told))
    assert len(read_record(tmp_path).lines) == 4


def _write_many(folder: Path, seed: int) -> None:
    for line in made_lines(np.random.default_rng(seed), [50]):
        append(folder, [line])


def test_several_processes_write_whole_lines(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_many, args=(tmp_path, seed)) for seed in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    record = read_record(tmp_path)
    assert len({line.input for line in record.lines}) == 200
    assert not record.notes


def test_a_torn_last_line_is_told_and_never_written_to_again(tmp_path: Path) -> None:
    lines = made_lines(np.random.default_rng(0), [3])
    append(tmp_path, lines[:2])
    file = tmp_path / "2026-03-02.jsonl"
    file.write_text(file.read_text() + lines[2].model_dump_json()[:50])
    record = read_record(tmp_path)
    assert len(record.lines) == 2
    assert record.notes == ("2026-03-02.jsonl:3: the last line is torn and is left out",)
    append(tmp_path, lines[2:])
    assert read_record(tmp_path).lines == tuple(lines)
    assert (tmp_path / "2026-03-02.1.jsonl").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda plain: "{", "damaged line"),
        (lambda plain: json.dumps(plain | {"time": "2026-03-02T08:00:00"}), "time: "),
        (lambda plain: json.dumps(plain | {"schema_version": 2}), "schema 2"),
        (lambda plain: json.dumps(plain | {"appearance": {"noise": 0.1}}), "no exposure, contrast"),
        (lambda plain: json.dumps(plain | {"feature": [1.0]}), "feature: "),
    ],
)
def test_a_damaged_line_is_named_by_file_and_number(tmp_path: Path, change, said: str) -> None:  # type: ignore[no-untyped-def]
    first, second = made_lines(np.random.default_rng(0), [2])
    damaged = change(json.loads(second.model_dump_json()))
    (tmp_path / "a.jsonl").write_text(first.model_dump_json() + "\n" + damaged + "\n")
    with pytest.raises(DataError) as error:
        read_record(tmp_path)
    assert str(error.value).startswith(f"{tmp_path / 'a.jsonl'}:2: ")
    assert said in str(error.value)


def test_no_folder_no_file_and_no_line_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        read_record(tmp_path / "none")
    with pytest.raises(DataError, match="no file"):
        read_record(tmp_path)
    (tmp_path / "a.jsonl").write_text("\n")
    with pytest.raises(DataError, match="no line in the record"):
        read_record(tmp_path)
    with pytest.raises(OutputError, match="cannot be written"):
        append(tmp_path / "a.jsonl", made_lines(np.random.default_rng(0), [1]))


def test_summaries_keep_distances_between_films_and_belong_to_one_bundle() -> None:
    feature_nd = np.random.default_rng(0).gamma(0.5, 1.0, (60, 1280))
    number_nk = feature_summary(feature_nd, "0a" * 32)
    assert number_nk.shape == (60, NUMBERS)
    np.testing.assert_array_equal(number_nk, feature_summary(feature_nd, "0a" * 32))
    assert not np.allclose(number_nk, feature_summary(feature_nd, "0b" * 32))
    i, j = np.triu_indices(60, k=1)
    true = ((feature_nd[i] - feature_nd[j]) ** 2).sum(axis=1)
    kept = ((number_nk[i] - number_nk[j]) ** 2).sum(axis=1) * 1280 / NUMBERS
    assert np.mean(kept / true) == pytest.approx(1, abs=0.15)
    assert np.std(kept / true) < 0.5


def test_small_days_are_pooled_and_a_film_answered_again_counts_once() -> None:
    lines = made_lines(np.random.default_rng(0), [30, 5, 6, 12, 25, 3])
    stream = stream_of([*lines, lines[0]], ["Pneumonia"])
    days, waiting = days_of(stream, 20)
    assert [len(day.row_n) for day in days] == [30, 23, 25]
    assert [str(day) for day in days] == [
        "2026-03-02", "2026-03-03 to 2026-03-05", "2026-03-06"
    ]  # fmt: skip
    assert waiting == 3


def test_predict_adds_a_line_a_film_known_by_its_file(
    small_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    films = tmp_path / "films"
    films.mkdir()
    rng = np.random.default_rng(0)
    for i in range(3):
        grey_hw = rng.integers(0, 255, (40, 40)).astype(np.uint8)
        Image.fromarray(grey_hw).save(films / f"{i}.png")
    log = tmp_path / "record"
    arguments = ["predict", str(small_bundle.folder), str(films), "--log", str(log)]
    assert run([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["films"]
    lines = read_record(log).lines
    assert {line.input for line in lines} == {sha256_of(film) for film in films.iterdir()}
    prob_of = {sha256_of(Path(film["image_id"])): film["probability"] for film in told}
    for line in lines:
        assert line.bundle == small_bundle.digest
        assert line.findings["Pneumonia"].prob == pytest.approx(prob_of[line.input], abs=1e-6)
    assert run([*arguments, "--explain", str(tmp_path / "e")]) == 2
    assert "--explain: does not go with --log" in capsys.readouterr().err
