"""Writing: the sections in their order, and the file that holds them, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from hilum.bundle import CARD, Bundle, Manifest
from hilum.card.about import how_it_was_made, population, use, what_it_is
from hilum.card.change_plan import change_plan
from hilum.card.elsewhere import elsewhere
from hilum.card.failing import how_it_fails, shortcuts
from hilum.card.figures import by_group, fixed, on_test
from hilum.card.front_matter import front_matter
from hilum.card.in_short import in_short
from hilum.card.results import Results
from hilum.card.site import before_use
from hilum.card.subject import Subject
from hilum.errors import OutputError
from hilum.writing import replacing


def card_text(subject: Subject, results: Results) -> str:
    """The whole card as Markdown. results: about this very bundle, as `read_results` sees to."""
    lines = [
        *what_it_is(subject),
        *in_short(subject, results),
        *use(subject),
        *population(subject),
        *on_test(subject, results),
        *by_group(subject, results),
        *how_it_fails(subject, results),
        *shortcuts(subject, results),
        *fixed(subject, results),
        *elsewhere(subject, results),
        *before_use(subject),
        *change_plan(subject, results),
        *how_it_was_made(subject),
    ]
    return front_matter(subject.manifest, results) + "\n" + "\n".join(lines).rstrip() + "\n"


def first_card(manifest: Manifest, digest: str) -> str:
    """The card of a bundle that has just been made: nothing has been judged yet, and it says so."""
    return card_text(Subject(manifest, digest), Results())


def write_card(bundle: Bundle, results: Results, out: Path | None = None) -> Path:
    """Write the card and return where. out: None is the bundle's own `card.md`.

    Raises OutputError: a bundle whose card is digested or that is no folder, a name that is a
    folder or another of the bundle's files, or a place that cannot be written.
    """
    path = bundle.folder / CARD if out is None else out
    remedy = f"name a file with --out, such as --out {bundle.manifest.name}-card.md"
    if bundle.foreign and out is None:
        raise OutputError(
            bundle.folder, "a model made elsewhere has no folder of its own", remedy=remedy
        )
    own = path.resolve().is_relative_to(bundle.folder.resolve())
    name = path.resolve().relative_to(bundle.folder.resolve()).as_posix() if own else ""
    if name == CARD and CARD in bundle.manifest.files:
        raise OutputError(
            path, "is digested in this bundle, which was made by an earlier Hilum", remedy=remedy
        )
    if own and name != CARD:
        raise OutputError(path, "lies inside the bundle", remedy=remedy)
    if path.is_dir():
        raise OutputError(path, "is a folder", expected="a file", remedy=remedy)
    if own and not os.access(path.parent, os.W_OK):
        raise OutputError(path, "cannot be written", remedy=remedy)
    with replacing(path) as draft:
        draft.write_text(card_text(Subject.of(bundle), results), encoding="utf-8")
    return path
