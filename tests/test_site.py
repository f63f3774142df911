"""The site of the docs: it builds strict, asks nothing of another server, shows what is public.

What its commands do is tested with the docs they stand in.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import hilum
from hilum.recipe import Recipe, _keys

ROOT = Path(__file__).parent.parent
PICTURES = re.findall(r'"(report-\w+)":', (ROOT / "scripts/docs-pictures").read_text("utf-8"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as CI builds it."""
    folder = tmp_path_factory.mktemp("site")
    # Not --quiet: it hides warnings from --strict, too.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(folder)]
    # Else the theme tells at length of a mkdocs 2 that nothing here asks for.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr, done.stderr
    return folder


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def part(name: str) -> ModuleType:
    """One of the modules that build the site, which stand outside the package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / "site" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_page_loads_anything_from_another_server(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        loaded = re.findall(r'<(?:script|img|iframe|source)\b[^>]*?\bsrc="([^"]*)"', text_of(page))
        loaded += re.findall(r'<link\b[^>]*?\bhref="([^"]*)"', text_of(page))
        outside = [each for each in loaded if re.match(r"(?:https?:)?//", each)]
        assert not outside, page.relative_to(site)


def test_every_link_of_a_page_leads_to_a_page_of_the_site(site: Path) -> None:
    for page in sorted(site.rglob("*.html")):
        if page.name == "404.html":  # is shown at any depth, so its links start at the root
            continue
        for link in re.findall(r'<a\b[^>]*?\bhref="([^"#?]+)', text_of(page)):
            if re.match(r"[a-z]+:", link):
                continue
            target = page.parent / link
            target = target / "index.html" if link.endswith(("/", ".")) else target
            assert target.is_file(), f"{page.relative_to(site)}: {link}"


def test_every_public_name_stands_in_the_reference(site: Path) -> None:
    reference = "".join(map(text_of, (site / "reference").rglob("*.html")))
    homes = {"HilumError": "hilum.errors.HilumError"}
    for name in set(hilum.__all__) - {"__version__"}:
        assert f'id="{homes.get(name, f"hilum.{name}")}"' in reference, name


def test_every_key_of_the_recipe_stands_in_the_reference_with_its_default(site: Path) -> None:
    page = text_of(site / "reference" / "recipe" / "index.html")
    rows = re.findall(r"<tr>\s*<td><code>(\w+)</code></td>\s*<td>(.+?)</td>\s*<td>(.+?)</td>", page)
    listed = {name for name, _, _ in rows}
    keys = {key.split(".")[-1] for key in _keys(Recipe) if "." in key}
    assert keys <= listed
    assert ("patience", "whole number, ≥ 1", "<code>3</code>") in [
        (name, values.replace("&gt;", ">"), default) for name, values, default in rows
    ]


def test_a_docstring_becomes_a_list_of_what_it_describes() -> None:
    said = part("docstrings").as_markdown(
        "Expected error.\n\nprob_n: in [0, 1],\n    calibrated\nlow, high: limits\n"
        "Returns a fraction of [h, w]. Raises EvaluationError.\nSource: Roelofs 2022."
    )
    assert said == (
        "Expected error.\n\n\n- `prob_n`: in [0, 1],\n  calibrated\n- `low`, `high`: limits\n"
        "\n**Returns** a fraction of `[h, w]`. Raises EvaluationError.\n\n**Source:** Roelofs 2022."
    )


def test_keys_that_share_a_line_of_a_docstring_are_told_apart() -> None:
    words, told = part("recipe_tables").parted(
        "Ranges.\n\nscale: of the size;\n    both ways; noise: at most\nlow, high: limits",
        {"scale", "noise", "low", "high"},
    )
    assert words.strip() == "Ranges."
    assert told == {
        "scale": "of the size; both ways",
        "noise": "at most",
        "low": "limits",
        "high": "limits",
    }


@pytest.mark.parametrize("name", [*(f"{name}.png" for name in PICTURES), "start-films.jpg"])
def test_a_picture_that_is_made_by_command_is_light_and_is_shown(name: str) -> None:
    assert (ROOT / "docs" / "images" / name).stat().st_size <= 150_000
    assert any(f"images/{name}" in text_of(page) for page in (ROOT / "docs").glob("*.md"))
