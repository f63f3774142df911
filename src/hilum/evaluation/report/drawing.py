"""Drawing: a picture as PNG, as an SVG file, and as SVG that takes on the colours of a page.

What is drawn is `plots`' and `pictures`'. The same picture gives the same bytes.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from hilum.evaluation.plots import (
    ABSENT,
    GRID,
    INK,
    MUTED,
    PAPER,
    PRESENT,
    RULE,
    stamp_synthetic,
)
from hilum.evaluation.report.blocks import Picture
from hilum.writing import replacing

DPI = 200
# For scripts that the first lacks, as far as they are installed; names may be in any script.
FONTS = ("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans", "Noto Sans Arabic", "Arial Unicode MS")
INSTALLED = frozenset(fontManager.get_font_names())
NO_MATHS: Any = {
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "font.family": [font for font in FONTS if font in INSTALLED],
}
# Text stays text, and curves lose what a fifth of a point cannot show.
STYLE: Any = {**NO_MATHS, "svg.fonttype": "none", "path.simplify_threshold": 0.2}

COLOURS = {
    ABSENT: "var(--absent)",
    PRESENT: "var(--present)",
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    GRID: "var(--grid)",
    PAPER: "var(--paper)",
}


@contextmanager
def unseen_letters() -> Iterator[None]:
    """A letter that no font here has is a box, and that is all that need be known of it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from", UserWarning)
        yield


def figure_of(picture: Picture, *, synthetic: bool) -> Figure:
    """The picture on paper of its own, stamped where it is synthetic."""
    with matplotlib.rc_context(NO_MATHS):
        figure = Figure(figsize=picture.size, facecolor=PAPER)
        # A browser's letters may be a little larger than those laid out here.
        figure.set_layout_engine("constrained", w_pad=0.07, h_pad=0.08)
        picture.draw(figure.subplots())
        if synthetic:
            stamp_synthetic(figure)
    return figure


def svg_of(figure: Figure, picture: Picture, about: str) -> str:
    """The figure as an SVG document without date.

    about: what its metadata say of the images
    """
    target = StringIO()
    metadata = {"Title": picture.title, "Description": f"{picture.alt} {about}", "Date": None}
    # With a salt of its own a picture's ids are the same in every run.
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": picture.name}), unseen_letters():
        figure.savefig(target, format="svg", metadata=metadata)
    return target.getvalue()


def png_of(figure: Figure, picture: Picture, about: str) -> bytes:
    """The figure as PNG without date."""
    target = BytesIO()
    metadata = {
        "Title": picture.title,
        "Description": f"{picture.alt} {about}",
        "Software": "hilum",
    }
    with matplotlib.rc_context(STYLE), unseen_letters():
        figure.savefig(target, format="png", dpi=DPI, metadata=metadata)
    return target.getvalue()


def write_picture(picture: Picture, folder: Path, about: str, *, synthetic: bool) -> str:
    """Write `{name}.png` and `{name}.svg`; return the SVG. Raises OutputError."""
    figure = figure_of(picture, synthetic=synthetic)
    svg = svg_of(figure, picture, about)
    figure.set_layout_engine(None)  # it has been laid out, and stays so
    with replacing(folder / f"{picture.name}.svg") as draft:
        draft.write_text(svg, encoding="utf-8")
    with replacing(folder / f"{picture.name}.png") as draft:
        draft.write_bytes(png_of(figure, picture, about))
    return svg


def for_page(svg: str, prefix: str) -> str:
    """An SVG document as an element of a page: its colours the page's own, its ids told apart.

    prefix: unique among the SVGs of the page
    It has no size of its own, no font of its own and no name: the page gives all three.
    """
    view = re.search(r'viewBox="([^"]+)"', svg)
    start, end = svg.index("</metadata>") + len("</metadata>"), svg.rindex("</svg>")
    inside = svg[start:end]
    inside = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", inside, count=1, flags=re.S)
    inside = re.sub(r"<!--.*?-->", "", inside, flags=re.S)
    inside = re.sub(r"<[^>]+>", lambda tag: _light(tag[0], prefix), inside)
    inside = re.sub(r">\s+<", "><", inside)
    box = view[1] if view else "0 0 300 300"
    return f'<svg viewBox="{box}" aria-hidden="true" focusable="false">{inside}</svg>'


def _light(tag: str, prefix: str) -> str:
    """One tag for the page; what stands between tags is words, and stays as it is."""
    tag = re.sub(r'<g id="[^"]*">', "<g>", tag)
    tag = re.sub(r"font-family: [^;\"]+;? ?", "", tag)
    tag = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{prefix}-", tag).replace("xlink:href", "href")
    # A hundredth of a point cannot be seen.
    tag = re.sub(r"-?\d+\.\d{3,}", lambda m: f"{float(m[0]):.2f}".rstrip("0").rstrip("."), tag)
    for colour, variable in COLOURS.items():
        tag = tag.replace(colour, variable)
    tag = re.sub(r' transform="rotate\(-0 [^"]*"', "", re.sub(r"\s+", " ", tag))
    return re.sub(r" ?\b([MLQCz]) (?=[-\d\"])", r"\1", tag) if " d=" in tag else tag
