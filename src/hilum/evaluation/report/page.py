"""Page: a report's contents as one HTML file that needs no network.

What it says is put together in `contents`; its looks stand in `templates`. The page carries its
style, its script, its drawings and its films; its policy lets the browser fetch nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from hilum.evaluation.plots import STANDING_IN, point_words
from hilum.evaluation.report import panel as live
from hilum.evaluation.report.blocks import Block, Chapter, Contents, Panel, Picture, Table
from hilum.evaluation.report.phrases import class_names, threshold_words
from hilum.evaluation.report.verdict import NOT_A_DEVICE

FIGURES = (
    ("sensitivity", "Sensitivity"),
    ("specificity", "Specificity"),
    ("ppv", "PPV"),
    ("npv", "NPV"),
    ("lr_positive", "LR+"),
    ("lr_negative", "LR\N{MINUS SIGN}"),
    ("net_benefit", "Net benefit"),
    ("net_benefit_all", "Acting on everyone"),
)


FULL = 14  # findings shown in full; a page of more would be too heavy to send


def page(report: Contents, drawings: Mapping[tuple[str, str], str]) -> str:
    """The page as HTML.

    drawings: SVG elements by a chapter's key and a picture's name; made by `drawing.for_page`
    Findings beyond the first FULL stand in the table of findings alone, and the page says so.
    """
    shown = report.chapters[:FULL]
    script = _read("page.js")
    html: str = _template().render(
        report=report,
        chapters=shown,
        several=len(report.chapters) > 1,
        left_out=len(report.chapters) - len(shown),
        # matplotlib has escaped what it wrote.
        drawings={key: Markup(svg) for key, svg in drawings.items()},  # nosec B704
        panels={chapter.key: _panel(panel) for chapter in shown for panel in _panels(chapter)},
        rows=_rows,
        policy=_policy(script),
        # Neither holds anything of the data: they are files of this package.
        style=Markup(_read("page.css")),  # nosec B704
        script=Markup(script),  # nosec B704
        not_a_device=NOT_A_DEVICE,
    )
    return html


def _policy(script: str) -> str:
    """Nothing is fetched; no script runs but the page's own, known by its digest."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _panels(chapter: Chapter) -> list[Panel]:
    """The chapter's panel, where it has one."""
    return [b for part in chapter.sections for b in part.blocks if isinstance(b, Panel)]


def _panel(found: Panel) -> dict[str, Any]:
    """What the template needs to lay out a panel."""
    position, data = live.start(found), live.data(found)
    i, counts = position.threshold, found.counts
    without, having = class_names(found.finding)
    return {
        "data": data,
        "said": live.at(counts, position),
        "start": position,
        "jumps": [(_point(name, t), counts.threshold.index(t)) for name, t in found.points.items()],
        "names": (f"Truly {without}", f"Truly {having}"),
        "figures": FIGURES,
        "bars": live.bars(found),
        "roc": live.roc_path(counts),
        "cut": f"{live.SIDE * counts.threshold[i]:.2f}",
        "dot": (
            f"{live.SIDE * counts.fp[i] / max(1, counts.absent):.1f}",
            f"{live.SIDE - live.SIDE * counts.tp[i] / max(1, counts.present):.1f}",
        ),
    }


def _point(name: str, threshold: float) -> str:
    """What the button of an operating point says."""
    if name in ("0.5", STANDING_IN):
        return name
    return f"{point_words(name)}: {threshold_words(threshold)}"


def _rows(blocks: Sequence[Block]) -> list[list[Block]]:
    """Blocks in rows: pictures beside one another, and a lone picture beside its table."""
    rows: list[list[Block]] = []
    for block in blocks:
        above = rows[-1] if rows else []
        pictures = bool(above) and all(isinstance(other, Picture) for other in above)
        small = isinstance(block, Table) and len(block.head) <= 3 and len(above) == 1
        beside = small or isinstance(block, Picture)
        if pictures and beside and len(above) < 2:
            above.append(block)
        else:
            rows.append([block])
    return rows


@lru_cache(maxsize=1)
def _template() -> Any:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    return environment.from_string(_read("page.html"))


def _read(name: str) -> str:
    return (files(__package__) / "templates" / name).read_text(encoding="utf-8")
