"""What Hilum asks of other packages, held against what is there."""

from __future__ import annotations

from collections.abc import Mapping

from hilum.doctor.requirements import Library, asked_by_hilum, libraries, parts, problems

ASKED = (
    "numpy>=2.2",
    'torch>=2.10; extra == "train"',
    'timm>=1.0.24; extra == "train"',
    'pynetdicom<4,>=3.0; extra == "serve"',
    'colorama>=0.4; sys_platform == "nowhere"',
)


def found(installed: Mapping[str, str]) -> tuple[Library, ...]:
    return libraries(ASKED, installed.get)


def test_what_is_asked_for_is_told_by_part_and_only_for_this_platform() -> None:
    names = [(each.part, each.name) for each in found({})]
    assert names == [
        ("base", "numpy"),
        ("serve", "pynetdicom"),
        ("train", "timm"),
        ("train", "torch"),
    ]


def test_a_base_package_that_is_absent_or_too_old_is_broken() -> None:
    (absent,) = problems(found({}))
    assert absent.broken
    assert absent.line.startswith("numpy: not installed, and nothing works without it; pip install")
    (old,) = problems(found({"numpy": "1.26.4"}))
    assert old.broken
    assert old.line == "numpy: 1.26.4, and hilum asks for >=2.2; pip install --upgrade 'numpy>=2.2'"


def test_versions_are_compared_as_numbers() -> None:
    assert not problems(found({"numpy": "2.10.1"}))
    assert not problems(found({"numpy": "2.2.0", "torch": "2.10.0+cpu", "timm": "1.0.24"}))


def test_an_old_package_of_an_extra_is_broken_where_the_extra_is_in_use() -> None:
    (told,) = problems(found({"numpy": "2.4", "torch": "2.9.1", "timm": "1.0.30"}))
    assert told.broken
    assert "the part 'train' asks for >=2.10" in told.line
    (told,) = problems(found({"numpy": "2.4", "torch": "2.9.1"}))
    assert not told.broken


def test_a_version_that_is_too_new_is_told_as_well() -> None:
    (told,) = problems(found({"numpy": "2.4", "pynetdicom": "4.0"}))
    assert "4.0, and the part 'serve' asks for <4,>=3.0" in told.line


def test_an_extra_is_whole_when_all_of_it_is_there() -> None:
    half = {"numpy": "2.4", "torch": "2.11"}
    assert parts(found(half)) == {"serve": False, "train": False}
    assert parts(found({**half, "timm": "1.0.30"})) == {"serve": False, "train": True}


def test_hilum_states_what_it_asks_for() -> None:
    asked = libraries(asked_by_hilum(), lambda name: "0")
    assert {"openvino", "pydicom"} <= {each.name for each in asked if each.part == "base"}
    assert {"train", "serve", "export"} <= {each.part for each in asked}
    assert "torch" not in {each.name for each in asked if each.part == "base"}
