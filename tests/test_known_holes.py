"""No locked version, and no oldest one that pyproject.toml allows, has a hole that is known.

The table is short and kept by hand: holes in what Hilum runs or reads strangers' files with. What
is not in it is not known to be safe.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent
LOCKS = sorted(ROOT.glob("requirements*.lock"))


class Hole(NamedTuple):
    package: str
    fixed: str
    advisory: str


HOLES = (
    Hole("aiohttp", "3.13.4", "CVE-2026-22815"),
    Hole("fonttools", "4.61.0", "CVE-2025-66034"),
    Hole("h11", "0.16.0", "CVE-2025-43859"),  # chunked bodies that a proxy reads otherwise
    Hole("jinja2", "3.1.6", "CVE-2025-27516"),
    Hole("keras", "3.13.2", "CVE-2026-1462"),  # code run from a .keras file in spite of safe_mode
    Hole("mlflow", "3.16.0", "CVE-2026-71211"),
    Hole("onnx", "1.21.0", "CVE-2026-27489"),  # external data of a model leads out of its folder
    Hole("pillow", "12.1.1", "CVE-2026-25990"),  # written out of bounds
    Hole("pillow", "12.2.0", "CVE-2026-42308"),
    Hole("protobuf", "6.31.1", "CVE-2025-4565"),
    Hole("pyarrow", "23.0.1", "CVE-2026-25087"),
    Hole("pydicom", "3.0.2", "CVE-2026-32711"),  # a DICOMDIR leads out of its folder
    Hole("python-multipart", "0.0.22", "CVE-2026-24486"),
    Hole("python-multipart", "0.0.26", "CVE-2026-40347"),  # a body that takes for ever
    Hole("requests", "2.32.4", "CVE-2024-47081"),
    Hole("starlette", "0.49.1", "CVE-2025-62727"),  # a Range header that takes for ever
    Hole("torch", "2.10.0", "CVE-2026-24747"),  # torch.load writes memory in spite of weights_only
    Hole("urllib3", "2.7.0", "CVE-2026-44431"),
)


def locked(text: str) -> list[tuple[str, Version]]:
    """Every pin of a lock file; a package may have several, by platform."""
    found = re.findall(r"(?m)^([A-Za-z0-9._-]+)==([^\s;\\]+)", text)
    return [(name.lower().replace("_", "-"), Version(version)) for name, version in found]


def oldest_allowed() -> dict[str, Version]:
    """Of each package that pyproject.toml names, in the base or an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    asked = map(Requirement, [*project["dependencies"], *(each for e in extras for each in e)])
    return {
        each.name: Version(next(s.version for s in each.specifier if s.operator == ">="))
        for each in asked
    }


def behind(version: Version, package: str) -> list[str]:
    return [
        f"{package} {version}: {hole.advisory}, fixed in {hole.fixed}"
        for hole in HOLES
        if hole.package == package and version < Version(hole.fixed)
    ]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_no_locked_version_has_a_known_hole(lock: Path) -> None:
    pins = locked(lock.read_text(encoding="utf-8"))
    assert len(pins) > 20
    assert [told for name, version in pins for told in behind(version, name)] == []


def test_no_oldest_version_that_is_allowed_has_a_known_hole() -> None:
    oldest = oldest_allowed()
    assert {"torch", "pydicom", "keras"} <= set(oldest)
    assert [told for name, version in oldest.items() for told in behind(version, name)] == []


def test_every_hole_of_the_table_is_of_something_that_is_locked() -> None:
    everything = {name for name, _ in locked((ROOT / "requirements.lock").read_text())}
    assert {hole.package for hole in HOLES} <= everything


def test_an_old_version_is_found() -> None:
    (torch,) = locked("torch==2.9.1 ; sys_platform == 'linux' \\\n    --hash=sha256:00\n")
    assert behind(torch[1], torch[0]) == ["torch 2.9.1: CVE-2026-24747, fixed in 2.10.0"]
    assert behind(Version("2.10.0"), "torch") == []
    assert len(behind(Version("0.0.20"), "python-multipart")) == 2
