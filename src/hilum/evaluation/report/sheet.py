"""A picture's paper: heading, footer with warnings, the synthetic stamp, and the file.

What stands on it is drawn by `plots` and `gallery`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hilum.evaluation.evaluation import Evaluation
from hilum.evaluation.plots import INK, MUTED, PAPER, stamp_synthetic
from hilum.evaluation.report.drawing import unseen_letters
from hilum.writing import replacing

NOT_A_DEVICE = "For research; not a medical device."
DPI = 150
MARGIN = 0.22  # inches
TITLE, SUBTITLE, FOOT = 13.0, 8.5, 6.5  # points


@dataclass(frozen=True)
class Sheet:
    """A page `width` inches wide, as high as what stands between heading and footer asks for.

    note: what the heading adds to finding, source and number of images
    """

    title: str
    evaluation: Evaluation
    finding: str
    width: float
    note: str = ""

    @property
    def head(self) -> float:
        """Inches that the heading takes, with the space below it."""
        return 0.4 + _tall(self._subtitle, SUBTITLE) + 0.2

    @property
    def foot(self) -> float:
        """Inches that the footer takes, with the space above it."""
        return 0.24 + _tall(self._footer, FOOT)

    def blank(self, inside: float) -> Figure:
        """The page with `inside` inches left free between heading and footer."""
        height = self.head + inside + self.foot
        figure = Figure(figsize=(self.width, height), facecolor=PAPER)
        left = MARGIN / self.width

        def put(from_top: float, words: list[str], points: float, colour: str, bold: bool) -> None:
            figure.text(
                left,
                1 - from_top / height,
                "\n".join(words),
                fontsize=points,
                color=colour,
                weight="bold" if bold else "normal",
                va="top",
                linespacing=1.3,
            )

        put(0.16, [self.title], TITLE, INK, True)
        put(0.41, self._subtitle, SUBTITLE, MUTED, False)
        put(height - self.foot + 0.14, self._footer, FOOT, MUTED, False)
        return figure

    def with_axes(self, inside: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
        """The page with a row of axes in the free space."""
        figure = self.blank(inside)
        height = self.head + inside + self.foot
        between = (0.0, self.foot / height, 1.0, inside / height)
        figure.set_layout_engine("constrained", rect=between, w_pad=0.12, h_pad=0.03, wspace=0.06)
        return figure, list(figure.subplots(1, columns, squeeze=False)[0])

    def save(self, figure: Figure, path: Path) -> None:
        """Write the page as PNG, stamped where the evaluation is synthetic. Raises OutputError."""
        if self.evaluation.synthetic:
            stamp_synthetic(figure)
        with replacing(path) as draft, unseen_letters():
            figure.savefig(draft, format="png", dpi=DPI, metadata={"Software": "hilum"})

    @property
    def _subtitle(self) -> list[str]:
        about = self.evaluation
        facts = [self.finding, f"{about.source}, {about.role}", f"{about.n:,} images", self.note]
        return self._wrapped(" \N{MIDDLE DOT} ".join(fact for fact in facts if fact), SUBTITLE)

    @property
    def _footer(self) -> list[str]:
        told = (*(f"Warning: {warning}" for warning in self.evaluation.warnings), NOT_A_DEVICE)
        return [line for sentence in told for line in self._wrapped(sentence, FOOT)]

    def _wrapped(self, sentence: str, points: float) -> list[str]:
        # A letter of the font is a little more than half as wide as it is high, on average.
        return wrap(sentence, int((self.width - 2 * MARGIN) * 72 / (points * 0.58)))


def _tall(lines: list[str], points: float) -> float:
    return len(lines) * points * 1.5 / 72
