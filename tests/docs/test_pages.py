"""Every code block of README and docs does what its page says it does."""

from __future__ import annotations

import io
import json
import re
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from docs.blocks import PAGES, ROOT, Block, Command, blocks_of, commands_of
from docs.typist import (
    ENDS_WITH,
    NOT_RUN,
    SHELL,
    SLOW,
    at_the_keyboard,
    is_slow,
    parse,
    reason_not_to_run,
)
from docs.world import World
from hilum.foreign import Settings
from hilum.recipe import Recipe, make_recipe

# rdflib, below mlcroissant, warns of its own old names; webdataset leaves a shard to the collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:rdflib",
    "ignore::DeprecationWarning:mlcroissant",
    "ignore:unclosed file.*shards/nih:ResourceWarning",
    "ignore:.*shards/nih.*:pytest.PytestUnraisableExceptionWarning",
)
BLOCKS = {page: blocks_of(page) for page in PAGES}
KINDS = ("sh", "python", "toml", "json", "csv", "text")


def shell_and_python(page: Path) -> list[Block]:
    return [block for block in BLOCKS[page] if block.kind in ("sh", "python")]


def commands(page: Path) -> list[Command]:
    return [c for b in BLOCKS[page] if b.kind == "sh" for c in commands_of(b)]


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


RUNNABLE = [page for page in PAGES if shell_and_python(page)]
COMMANDS = [command for page in PAGES for command in commands(page)]
# A line that stands on several pages is run in the first; what is slow, on demand.
QUICK = {
    command.text: command.where
    for command in reversed(COMMANDS)
    if not is_slow(command.text) and reason_not_to_run(command.text) is None
}


def type_page(page: Path, world: World, *, everything: bool) -> None:
    names: dict[str, object] = {}
    with at_the_keyboard(world) as typist:
        for block in shell_and_python(page):
            if block.kind == "python":
                exec(compile(block.text, block.where, "exec"), names)
                continue
            for command in commands_of(block):
                if reason_not_to_run(command.text) is not None:
                    continue
                setting = command.text.startswith("export ")
                if everything or setting or QUICK.get(command.text) == command.where:
                    typist.type(command)


@pytest.mark.parametrize(
    "page", [p for p in RUNNABLE if any(c.where in QUICK.values() for c in commands(p))
             or any(b.kind == "python" for b in BLOCKS[p])], ids=named
)  # fmt: skip
def test_what_is_quick_on_a_page_runs_as_it_is_typed(page: Path, world: World) -> None:
    type_page(page, world, everything=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNABLE, ids=named)
def test_a_page_runs_from_its_first_line_to_its_last(page: Path, world: World) -> None:
    type_page(page, world, everything=True)


@pytest.mark.parametrize(
    "text", sorted({c.text for c in COMMANDS if c.text.startswith("hilum ")})
)  # fmt: skip
def test_every_hilum_command_has_verbs_and_options_that_exist(text: str) -> None:
    parse(text)


def test_every_block_says_what_it_is() -> None:
    unknown = [b.where for each in BLOCKS.values() for b in each if b.kind not in KINDS]
    assert unknown == []


def test_no_command_hides_in_what_is_only_shown() -> None:
    shown = [b for each in BLOCKS.values() for b in each if b.kind == "text"]
    hidden = [
        b.where for b in shown if any(line.startswith("hilum ") for line in b.text.splitlines())
    ]
    assert hidden == []


@pytest.mark.parametrize(
    "block", [b for each in BLOCKS.values() for b in each if b.kind == "toml"],
    ids=lambda block: block.where,
)  # fmt: skip
def test_toml_is_a_recipe_or_says_what_somebodys_model_is(block: Block) -> None:
    told = tomllib.loads(block.text)
    if set(told) <= set(Recipe.model_fields):
        make_recipe(told)
    else:
        Settings.model_validate(told)


@pytest.mark.parametrize(
    "block", [b for each in BLOCKS.values() for b in each if b.kind in ("json", "csv")],
    ids=lambda block: block.where,
)  # fmt: skip
def test_json_and_tables_can_be_read(block: Block) -> None:
    if block.kind == "json":
        json.loads(block.text)
    else:
        assert pd.read_csv(io.StringIO(block.text)).notna().to_numpy().all()


def test_every_command_is_run_or_has_a_reason_that_names_what_tests_it() -> None:
    unknown = [
        f"{command.where}: {command.text}"
        for command in COMMANDS
        if reason_not_to_run(command.text) is None
        and not command.text.startswith(("hilum ", "export ", *SHELL))
    ]
    assert unknown == []


def test_no_rule_is_left_of_commands_that_are_gone() -> None:
    texts = [command.text for command in COMMANDS]
    for pattern in (*NOT_RUN, *ENDS_WITH, *SLOW):
        assert any(re.match(pattern, text) for text in texts), pattern
    for _, where in NOT_RUN.values():
        assert (ROOT / where).exists(), where
