"""Commands are tested without drawing, which takes most of their time; `ink` asks for it."""

from __future__ import annotations

import pytest


@pytest.fixture
def ink() -> None:
    """Pictures are drawn."""


@pytest.fixture(autouse=True)
def drawn_where_asked(request: pytest.FixtureRequest) -> None:
    if "ink" not in request.fixturenames:
        request.getfixturevalue("no_ink")
