"""Blocks: what a report is made of, before it is a page or Markdown.

What they say is put together in `contents` and the modules it names; how they look is left to
`page` and `markdown`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from matplotlib.axes import Axes

from hilum.evaluation.results import ScoreHistogram, ThresholdCounts


@dataclass(frozen=True)
class Text:
    """A paragraph. link: words and address that end it."""

    sentence: str
    link: tuple[str, str] | None = None
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Bullets:
    """Sentences of equal rank. tone: "plain", "lead" for the verdict, "warning" for caveats."""

    entries: tuple[str, ...]
    tone: str = "plain"
    kind: ClassVar[str] = "bullets"


@dataclass(frozen=True)
class KeyFigures:
    """The few figures that head a page: name, value, and its interval or why there is none."""

    figures: tuple[tuple[str, str, str], ...]
    kind: ClassVar[str] = "key_figures"


@dataclass(frozen=True)
class Table:
    """A table whose first column names its rows.

    words: positions of the columns that hold words; the others hold figures
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: tuple[int, ...] = (0,)
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Picture:
    """A plot that can be drawn again and again.

    name: of its files; caption: how to read it; alt: what it shows, for who cannot see it
    size: inches; draw: onto empty axes
    """

    name: str
    title: str
    caption: str
    alt: str
    size: tuple[float, float]
    draw: Callable[[Axes], Axes]
    kind: ClassVar[str] = "picture"


@dataclass(frozen=True)
class Film:
    """One image. pixels: a data address, None where no pixels are shown; lines: what stands
    below it, the id first."""

    lines: tuple[str, ...]
    alt: str
    pixels: str | None = None


@dataclass(frozen=True)
class Films:
    """A row of images. note: how they were chosen; empty: what is said where there are none."""

    title: str
    note: str
    films: tuple[Film, ...]
    empty: str
    kind: ClassVar[str] = "films"


@dataclass(frozen=True)
class References:
    """Sources in words, each with its DOI where it has one."""

    entries: tuple[tuple[str, str | None], ...]
    kind: ClassVar[str] = "references"


@dataclass(frozen=True)
class Panel:
    """What a reader may move: threshold and prevalence of one finding.

    points: threshold by operating point
    """

    finding: str
    counts: ThresholdCounts
    scores: ScoreHistogram
    points: dict[str, float]
    kind: ClassVar[str] = "panel"


Block = Text | Bullets | KeyFigures | Table | Picture | Films | References | Panel


@dataclass(frozen=True)
class Section:
    """Blocks below one heading. key: what a link to it is called."""

    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Chapter:
    """Everything said of one finding."""

    key: str
    finding: str
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class Contents:
    """A whole report: what comes first, a chapter per finding, what comes last.

    banner: what no reader may miss, None where there is nothing of the kind
    about: which images, in a few words each
    kicker: what kind of page it is; chapters_are: what there is a chapter of each
    footer: what stands beside the page, and where; none: as beside an evaluation
    """

    title: str
    about: tuple[str, ...]
    banner: str | None
    first: tuple[Section, ...]
    chapters: tuple[Chapter, ...]
    last: tuple[Section, ...]
    kicker: str = "evaluation of a classifier"
    chapters_are: str = "finding"
    footer: tuple[Text, ...] = ()
