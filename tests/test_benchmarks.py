"""What README, docs and benchmarks say of figures can be found: scripts, sections, records."""

from __future__ import annotations

import ast
import importlib
import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "benchmarks"
PAGE = FOLDER / "README.md"
PAGES = [ROOT / "README.md", PAGE, *sorted((ROOT / "docs").rglob("*.md"))]
REGISTER = "## Every page and where its figures come from"


def is_script(path: Path) -> bool:
    return '__name__ == "__main__"' in path.read_text(encoding="utf-8")


SCRIPTS = [path for path in sorted(FOLDER.glob("*.py")) if is_script(path)]


def anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def sections() -> dict[str, str]:
    """Each section of the page by its anchor, its heading first."""
    parts = re.split(r"(?m)^## ", PAGE.read_text(encoding="utf-8"))[1:]
    return {anchor(part.splitlines()[0]): part for part in parts}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("bench")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_benchmark_that_a_page_names_is_there(page: Path) -> None:
    for name in re.findall(r"benchmarks/(\w+\.py)", page.read_text(encoding="utf-8")):
        assert (FOLDER / name).is_file(), name


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_benchmark_has_help(script: Path) -> None:
    """Read, not run: twenty processes that import torch would take a minute."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert "argparse.ArgumentParser" in called
    assert any(name.endswith("parse_args") for name in called)


def test_make_bench_runs_what_is_there_and_says_how(
    bench: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"(?m)^bench:.*\n\t(.*)$", makefile)
    assert "python benchmarks/bench.py" in recipe
    quick: dict[str, tuple[str, ...]] = bench.QUICK  # type: ignore[attr-defined]
    for script, *_ in quick.values():
        text = (FOLDER / script).read_text(encoding="utf-8")
        assert "figures.add_to(" in text, script
        assert "figures.write(" in text, script
    monkeypatch.setattr(sys, "argv", ["bench.py", "--help"])
    with pytest.raises(SystemExit) as end:
        bench.main()  # type: ignore[attr-defined]
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert all(name in said for name in quick)


def test_each_quick_benchmark_is_on_record_with_spread_commit_and_machine(bench: object) -> None:
    recorded = json.loads((FOLDER / "recorded.json").read_text(encoding="utf-8"))
    assert set(recorded) == set(bench.QUICK)  # type: ignore[attr-defined]
    for name, one in recorded.items():
        assert re.fullmatch("[0-9a-f]{7}", one["commit"]), (name, "of a tree that is committed")
        assert {"date", "machine", "versions", "clock", "load_before"} <= set(one)
        assert one["runs"] >= 3
        assert one["ratios"]
        for what, found in one["ratios"].items():
            assert 0 < found["least"] <= found["median"] <= found["greatest"], (name, what)


def test_a_ratio_is_marked_beyond_its_spread_and_a_fifth(bench: object) -> None:
    differs = bench.differs  # type: ignore[attr-defined]
    steady = {"median": 1.0, "least": 0.99, "greatest": 1.01}
    loose = {"median": 1.0, "least": 0.8, "greatest": 1.2}
    assert not differs(1.15, steady)
    assert differs(1.25, steady)
    assert differs(0.75, steady)
    assert not differs(1.7, loose)
    assert differs(1.9, loose)
    old = {"phantom": {"date": "d", "commit": "c", "ratios": {"a": steady}}}
    new = {"phantom": {"ratios": {"a": {**steady, "median": 2.0}, "b": steady}}}
    lines = bench.table(new, old).splitlines()  # type: ignore[attr-defined]
    assert lines[-2] == "| phantom | a | 2 | 1 (0.99 to 1.01) | d, c | differs |"
    assert lines[-1] == "| phantom | b | 1 | – | d, c |  |"


def test_every_section_says_of_which_commit_it_is() -> None:
    for name, text in sections().items():
        if name not in (anchor(REGISTER[3:]), "tune-and-calibrate-by-patient"):
            assert re.search(r"Commits? [0-9a-f]{7}", text.splitlines()[2]), name


def test_every_page_with_figures_is_in_the_register_which_leads_to_sections_and_pages() -> None:
    there = sections()
    register = there[anchor(REGISTER[3:])]
    for target in re.findall(r"\]\(([^)]+)\)", PAGE.read_text(encoding="utf-8")):
        path, _, section = target.partition("#")
        assert (FOLDER / path).exists(), target
        assert path or section in there, target
    for line in re.findall(r"(?m)^\|.*\|$", register)[2:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert len(cells) == 4, line
        assert all(cells[1:]), line
        assert all(re.fullmatch("[0-9a-f]{7}", commit) for commit in cells[3].split(", ")), line


def test_a_page_of_docs_that_measured_something_is_in_the_register() -> None:
    """An interval, or a figure ± its spread, was measured: the page has to be listed."""
    register = sections()[anchor(REGISTER[3:])]
    measured = r"\d\.\d+ \(−?-?\d\.\d+ to|\d ± \d"
    for page in PAGES:
        if page != PAGE and re.search(measured, page.read_text(encoding="utf-8")):
            target = "../" + str(page.relative_to(ROOT))
            assert f"]({target})" in register, target
