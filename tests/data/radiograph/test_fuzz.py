"""Damaged films end in a RadiographError, or are read: nothing else, soon, and in little memory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from data.radiograph.fuzzing import Report, fuzz, mutant
from data.radiograph.made_films import all_formats


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for name, data in all_formats().items():
        (folder / name).write_bytes(data)
    return folder


def check(report: Report, mutants: int) -> None:
    print(report)
    assert not report.faults, "\n".join(map(str, report.faults))
    assert report.read + report.refused == mutants
    assert min(report.read, report.refused) > mutants / 20  # both ways out are taken


def test_some_damaged_films_are_read_or_refused(films: Path) -> None:
    check(fuzz(films, 0, 500), 500)


@pytest.mark.slow
def test_a_great_many_damaged_films_are_read_or_refused(films: Path) -> None:
    """With the real files, too, where they are at hand; takes some minutes."""
    real = Path(os.environ.get("HILUM_DATA", "")) / "dicom" / "derived_chest"
    for path in real.glob("*.dcm"):
        (films / path.name).write_bytes(path.read_bytes())
    check(fuzz(films, 0, 26_000), 26_000)


def test_a_mutant_is_the_same_each_time_and_no_other() -> None:
    files = list(all_formats().values())
    some = [mutant(files, number) for number in range(200)]
    assert some == [mutant(files, number) for number in range(200)]
    assert len(set(some)) > 190
    assert sum(data in files for data in some) < 10
