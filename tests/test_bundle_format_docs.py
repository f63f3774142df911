"""docs/bundle-format.md names every key and file of a bundle, every step and every calibrator."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from hilum import bundle as bundles
from hilum.bundle import Agreement, Backbone, EngineFacts, Manifest
from hilum.calibration import ConformalLimits, OperatingPoint
from hilum.calibration.calibrators import _FROM_DICT
from hilum.calibration.isotonic import Isotonic
from hilum.calibration.logistic import Beta, Platt
from hilum.calibration.temperature import Temperature
from hilum.data.preprocessing import Step
from hilum.recipe import ReadingPart

PAGE = (Path(__file__).parent.parent / "docs" / "bundle-format.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    return PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def rows(heading: str) -> dict[str, list[str]]:
    """First cell of each row → the others."""
    lines = re.findall(r"(?m)^\| (.+) \|$", section(heading))
    return {cells[0].strip("`"): cells[1:] for cells in (line.split(" | ") for line in lines)}


def test_every_key_of_the_manifest_stands_there_in_the_order_of_the_file() -> None:
    keys = [key for key in rows("Keys of `bundle.json`") if re.fullmatch(r"[a-z_]+", key)]
    assert keys == ["key", *Manifest.model_fields, "digest"]


@pytest.mark.parametrize(
    ("key", "inside"),
    [
        ("backbone", Backbone),
        ("engine", EngineFacts),
        ("engine", Agreement),
        ("reading", ReadingPart),
    ],
)
def test_a_table_within_the_manifest_has_all_its_keys_named(
    key: str, inside: type[BaseModel]
) -> None:
    said = set(re.findall(r"`(\w+)`", rows("Keys of `bundle.json`")[key][0]))
    assert set(inside.model_fields) <= said


def test_operating_points_and_limits_of_sets_have_all_their_keys_named() -> None:
    table = rows("Keys of `bundle.json`")
    for key, kind in (("operating_points", OperatingPoint), ("conformal", ConformalLimits)):
        said = set(re.findall(r"`(\w+)`", table[key][0]))
        assert {field.name for field in fields(kind)} <= said, key


def test_the_files_that_every_bundle_has_stand_there() -> None:
    named = set(re.findall(r"`([\w./]+)`", section("Files")))
    fixed = {bundles.MANIFEST, bundles.LEDGER, bundles.CHECKS, bundles.WEIGHTS, bundles.ENGINE}
    assert {*fixed, bundles.SEEN, bundles.ABSTENTION, bundles.CARD} <= named


def test_every_step_of_preprocessing_stands_there_with_its_keys() -> None:
    table = rows("Preprocessing")
    union, *_ = get_args(Step)
    steps = {kind.model_fields["step"].default: kind for kind in get_args(union)}
    assert [*table][1:] == [*steps]
    for name, kind in steps.items():
        said = set(re.findall(r"`(\w+)`", table[name][1])) - {"bilinear", "bicubic", "area"}
        assert said == set(kind.model_fields) - {"step"}, name


def test_every_calibrator_stands_there_with_its_numbers() -> None:
    table = rows("Calibrators")
    assert [*table][1:] == [*_FROM_DICT]
    for kind in (Temperature, Platt, Beta, Isotonic):
        said = re.findall(r"`(\w+)`", table[kind.kind][1])
        assert said == [field.name for field in fields(kind)], kind


def test_the_newest_schema_stands_there() -> None:
    assert [*rows("Versions")][-1] == str(bundles.SCHEMA)
    assert rows("Keys of `bundle.json`")["schema_version"][0] == str(bundles.SCHEMA)
