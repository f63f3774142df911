"""What README and docs tell a reader to type, and what they point at, exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from hilum.cli.app import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def shell_lines(page: Path) -> list[str]:
    blocks = re.findall(r"```(?:sh|console)?\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
    indented = re.findall(r"(?m)^ {4}(\S.*)$", page.read_text(encoding="utf-8"))
    lines = [line.strip() for block in blocks for line in block.splitlines()] + indented
    return [line.split("  #")[0].strip() for line in lines]


COMMANDS = sorted({x for page in PAGES for x in shell_lines(page) if x.startswith("hilum ")})


@pytest.mark.parametrize("line", COMMANDS)
def test_every_hilum_command_in_the_docs_can_be_typed(line: str) -> None:
    command = typer.main.get_command(app)
    words = shlex.split(line)[1:]
    context = command.make_context("hilum", list(words))
    while hasattr(command, "resolve_command"):
        _, command, words = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        context = command.make_context(command.name, list(words), parent=context)


def test_there_are_commands_in_the_readme() -> None:
    assert any(line.startswith("hilum reproduce") for line in COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("target", ["reproduce", "test", "check"])
def test_make_knows_what_the_readme_names(target: str) -> None:
    assert f"make {target}" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"(?m)^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"))
