"""One world for all pages; each page has a copy of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.typist import at_the_keyboard
from docs.world import World, make_world


@pytest.fixture(scope="session")
def first_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("docs") / "world"
    folder.mkdir()
    with at_the_keyboard(World(folder)):
        return make_world(folder)


@pytest.fixture
def world(first_world: World, tmp_path: Path) -> Iterator[World]:
    """A world that may be changed; what is set in the environment there does not outlast it."""
    before = dict(os.environ)
    yield first_world.copy(tmp_path / "world")
    os.environ.clear()
    os.environ.update(before)
