"""Pictures of maps: a panel a film, a contact sheet, and the mean map of each kind of answer.

Colours have one fixed scale: red speaks for the finding, blue against it, and a film of which
nothing speaks for it does not glow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from hilum.estimates import Estimate
from hilum.evaluation.plots import (
    ABSENT,
    DASHES,
    INK,
    MUTED,
    PAPER,
    PRESENT,
    at_least,
    grid,
    legend_above,
    middle,
    restrain,
    stamp_synthetic,
)
from hilum.evaluation.report.drawing import NO_MATHS, unseen_letters
from hilum.explanation.saliency import NAMES, Method
from hilum.writing import replacing

# Where the colours end, in the unit of `Saliency.densities`, logits: nine places of ten of films
# with the finding lie within, as measured on classifiers of PneumoniaMNIST and of Kermany's films.
LIMIT: Mapping[Method, float] = {
    "grad_cam": 30.0,
    "hires_cam": 80.0,  # of earlier layers, where places for and against nearly cancel
    "integrated_gradients": 1500.0,  # and still more so
    "occlusion": 3.0,
}
COLOURS = matplotlib.colormaps["RdBu_r"]
MOST_PIXELS = 700  # of a film in a panel, along its longer side
DPI = 110
KINDS = ("false negative", "false positive", "true positive", "true negative", "no label")
TILES = 12  # of each kind on a contact sheet

_LEGEND = {
    True: "logit, were all of the film like this place",
    False: "fall of the logit with this place covered",
}


@dataclass(frozen=True)
class Judged:
    """What was said of one film, and what is known.

    label: 1 present, 0 absent, NaN unknown; refer: why it is handed on, "" where it is answered
    """

    image_id: str
    prob: float
    threshold: float
    label: float
    refer: str = ""

    @property
    def kind(self) -> str:
        """True or false positive or negative at the deployed point: one of KINDS."""
        if np.isnan(self.label):
            return "no label"
        called = self.prob >= self.threshold
        right = "true" if called == bool(self.label) else "false"
        return f"{right} {'positive' if called else 'negative'}"


def errors_first(judged: Sequence[Judged]) -> list[int]:
    """Places in the order of KINDS, and of each kind those furthest from the threshold first."""
    return sorted(
        range(len(judged)),
        key=lambda n: (
            KINDS.index(judged[n].kind),
            -abs(judged[n].prob - judged[n].threshold),
            judged[n].image_id,
        ),
    )


@dataclass(frozen=True)
class Shown:
    """One film with its map, ready to be drawn.

    grey_hw: the film, float32 [h, w] in [0, 1]
    map_hw: on the film, NaN where the network saw nothing, in logits
    boxes: (x, y, width, height) in pixels of [h, w]
    """

    judged: Judged
    grey_hw: NDArray[np.float32]
    map_hw: NDArray[np.float32]
    boxes: tuple[tuple[float, float, float, float], ...] = ()


def tinted(
    grey_hw: NDArray[np.float32], map_hw: NDArray[np.float32], limit: float
) -> NDArray[np.float32]:
    """The film with the map's colours laid over it, float32 [h, w, 3] in [0, 1].

    The stronger the map the less is left of the film's grey; nought leaves it as it is. What the
    network did not see is darkened; where there is no film (NaN, of a mean) all is black.
    """
    share_hw = np.clip(np.nan_to_num(map_hw) / limit, -1, 1)
    colour_hw3 = COLOURS(0.5 + share_hw / 2)[..., :3]
    strength_hw1 = 0.65 * np.abs(share_hw)[..., None] ** 0.7
    film_hw1 = (np.where(np.isnan(map_hw), 0.35, 1.0) * np.nan_to_num(grey_hw))[..., None]
    return np.asarray((1 - strength_hw1) * film_hw1 + strength_hw1 * colour_hw3, dtype=np.float32)


def write_panel(
    path: Path, film: Shown, finding: str, method: Method, caution: str, *, synthetic: bool
) -> None:
    """The film, and the film under its map, with probability, point, label and legend, as PNG.

    caution: what must be said of the method wherever it is shown
    """
    height, width = film.grey_hw.shape
    tall = 3.6
    wide = min(max(tall * width / height, 2.2), 6.0)
    figure = Figure(figsize=(2 * wide + 1.35, tall + 1.0), facecolor=PAPER)
    with matplotlib.rc_context(NO_MATHS):
        figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.06)
        left, right = figure.subplots(1, 2)
        limit = LIMIT[method]
        left.imshow(film.grey_hw, cmap="gray", vmin=0, vmax=1)
        right.imshow(tinted(film.grey_hw, film.map_hw, limit))
        for ax in (left, right):
            _boxed(ax, film)
            ax.axis("off")
        _legend(figure, right, method)
        judged = film.judged
        called = "called present" if judged.prob >= judged.threshold else "called absent"
        referred = f"; referred: {judged.refer}" if judged.refer else ""
        figure.suptitle(
            f"{finding}: P = {judged.prob:.3f}, {called} ({at_least(judged.threshold)}){referred}",
            fontsize=11,
            weight="bold",
            color=INK,
            x=0.02,
            ha="left",
        )
        known = {1.0: "label: present", 0.0: "label: absent"}.get(judged.label, "no label")
        left.set_title(middle(judged.image_id, 40), fontsize=8, color=MUTED, loc="left")
        boxed = ", boxes: its evidence" if film.boxes else ""
        right.set_title(f"{NAMES[method]}; {known}{boxed}", fontsize=8, color=MUTED, loc="left")
        _footnote(figure, caution)
        save(figure, path, synthetic=synthetic)


def write_sheet(
    path: Path,
    films: Sequence[Shown],
    counts: Mapping[str, int],
    finding: str,
    method: Method,
    caution: str,
    *,
    synthetic: bool,
) -> None:
    """Films under their maps, by kind of answer, those of each kind that went furthest first.

    films: at least TILES of each kind, if there are so many; counts: kind -> films of it in all
    """
    order = errors_first([film.judged for film in films])
    rows = [(kind, [films[n] for n in order if films[n].judged.kind == kind]) for kind in KINDS]
    rows = [(kind, some) for kind, some in rows if some]
    columns = max(len(some[:TILES]) for _, some in rows)
    side, caption, head = 1.25, 0.34, 0.3
    wide = max(columns * (side + 0.06) + 0.3, 6.2) + 1.1
    high = 0.75 + len(rows) * (side + caption + head)
    figure = Figure(figsize=(wide, high), facecolor=PAPER)
    with matplotlib.rc_context(NO_MATHS):
        figure.text(
            0.15 / wide, 1 - 0.12 / high,
            f"{finding}: {NAMES[method]} by kind of answer",
            fontsize=12, weight="bold", color=INK, va="top",
        )  # fmt: skip
        figure.text(
            0.15 / wide, 1 - 0.36 / high, caution, fontsize=7.5, color=_tone(caution), va="top"
        )
        top = high - 0.62
        for kind, some in rows:
            n = counts[kind]
            shown = "all shown" if n <= TILES else f"the {TILES} furthest from the point"
            figure.text(
                0.15 / wide, top / high, f"{kind}: {n:,}, {shown}",
                fontsize=9, weight="bold", color=PRESENT if "false" in kind else INK, va="top",
            )  # fmt: skip
            for k, film in enumerate(some[:TILES]):
                place = (0.15 + k * (side + 0.06), top - head - side, side, side)
                x, y, w, h = place
                ax = figure.add_axes((x / wide, y / high, w / wide, h / high))
                ax.imshow(tinted(film.grey_hw, film.map_hw, LIMIT[method]))
                _boxed(ax, film)
                ax.axis("off")
                ax.text(
                    0, -0.04, f"P = {film.judged.prob:.3f}\n{middle(film.judged.image_id, 20)}",
                    fontsize=6.5, color=MUTED, va="top", transform=ax.transAxes, linespacing=1.2,
                )  # fmt: skip
            top -= side + caption + head
        bar = figure.add_axes(((wide - 0.85) / wide, 0.3, 0.12 / wide, 0.4))
        _legend(figure, bar, method, into=bar)
        save(figure, path, synthetic=synthetic)


def write_mean_maps(
    path: Path,
    means: Mapping[str, tuple[int, NDArray[np.float32], NDArray[np.float32]]],
    finding: str,
    method: Method,
    about: str,
    *,
    synthetic: bool,
) -> None:
    """The mean film of each kind of answer under its mean map.

    means: kind -> films, mean film [h, w], mean map [h, w]; about: how films were laid over
    one another
    """
    kinds = [kind for kind in KINDS if kind in means]
    figure = Figure(figsize=(max(2.3 * len(kinds), 4.6) + 1.2, 3.5), facecolor=PAPER)
    with matplotlib.rc_context(NO_MATHS):
        figure.set_layout_engine("constrained", w_pad=0.05, h_pad=0.06)
        # One kind alone stands on the left, with its legend beside it.
        columns = max(len(kinds), 2)
        axes = figure.subplots(1, columns, squeeze=False)[0][: len(kinds)]
        for spare in figure.axes[len(kinds) :]:
            spare.remove()
        for ax, kind in zip(axes, kinds, strict=True):
            n, film_hw, map_hw = means[kind]
            ax.imshow(tinted(film_hw, map_hw, LIMIT[method]))
            ax.set_title(f"{kind}\n{n:,} films", fontsize=9, color=INK, loc="left")
            ax.axis("off")
        _legend(figure, axes[-1], method)
        figure.suptitle(
            f"{finding}: where the classifier looks, on average", fontsize=11, weight="bold",
            color=INK, x=0.02, ha="left",
        )  # fmt: skip
        _footnote(figure, about)
        save(figure, path, synthetic=synthetic)


def draw_zones(zones: Mapping[str, Mapping[str, Estimate]], ax: Axes) -> Axes:
    """The share of attention in each zone of the chest by label, with its interval.

    zones: "present" and "absent" (others are left out) -> zone -> share
    """
    colours = {"present": PRESENT, "absent": ABSENT}
    shown = [label for label in colours if label in zones] or list(zones)[:1]
    names = list(zones[shown[0]])
    ax.axvline(1 / len(names), color=MUTED, linewidth=1, linestyle=DASHES, zorder=1)
    highest = 2 / len(names)
    for k, label in enumerate(shown):
        for row, name in enumerate(names):
            share, y = zones[label][name], row + 0.22 * (k - (len(shown) - 1) / 2)
            if share.value is None:
                continue
            colour = colours.get(label, INK)
            if share.low is not None and share.high is not None:
                ax.hlines(y, share.low, share.high, color=colour, linewidth=1.8, zorder=3)
                highest = max(highest, share.high)
            named = f"finding {label}" if label in colours else label
            named += f" ({share.n:,} films)"
            ax.plot(
                share.value, y, marker="s", markersize=5, color=colour, linestyle="none", zorder=4,
                label=named if row == 0 else "_nolegend_",
            )  # fmt: skip
            highest = max(highest, share.value)
    ax.set(xlim=(0, highest * 1.06), ylim=(len(names) - 0.5, -0.5))
    ax.set_yticks(range(len(names)), [f"{name} of the patient" for name in names])
    ax.set_xlabel("Share of the attention (dashed: evenly spread)")
    restrain(ax)
    grid(ax, "x")
    if ax.get_legend_handles_labels()[1]:
        legend_above(ax)
    else:
        reason = zones[shown[0]][names[0]].reason or ""
        ax.text(0.5, 0.5, reason, transform=ax.transAxes, ha="center", color=MUTED, style="italic")
    return ax


def write_zones(
    path: Path,
    zones: Mapping[str, Mapping[str, Estimate]],
    finding: str,
    about: str,
    *,
    synthetic: bool,
) -> None:
    """`draw_zones` as a picture of its own."""
    figure = Figure(figsize=(6.4, 3.9), facecolor=PAPER)
    with matplotlib.rc_context(NO_MATHS):
        figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.06)
        draw_zones(zones, figure.subplots())
        figure.suptitle(
            f"{finding}: attention by zone of the chest", fontsize=11, weight="bold", color=INK,
            x=0.02, ha="left",
        )  # fmt: skip
        _footnote(figure, about)
        save(figure, path, synthetic=synthetic)


def _footnote(figure: Figure, words: str) -> None:
    # Fifteen letters of this size are as wide as an inch.
    lines = fill(words, int(15 * figure.get_figwidth()))
    figure.supxlabel(lines, fontsize=7.5, color=_tone(words), x=0.02, ha="left")


def _tone(caution: str) -> str:
    return PRESENT if "FAILED" in caution else MUTED


def _boxed(ax: Axes, film: Shown) -> None:
    for x, y, width, height in film.boxes:
        ax.add_patch(
            Rectangle(
                (x - 0.5, y - 0.5), width, height, fill=False, edgecolor="#ffd84d", linewidth=1.2
            )
        )


def _legend(figure: Figure, ax: Axes, method: Method, into: Axes | None = None) -> None:
    limit = LIMIT[method]
    colours = ScalarMappable(Normalize(-limit, limit), COLOURS)
    placed = {"cax": into} if into is not None else {"ax": ax, "fraction": 0.05, "pad": 0.03}
    bar = figure.colorbar(
        colours, ticks=[-limit, -limit / 2, 0, limit / 2, limit], extend="both", **placed
    )
    bar.ax.tick_params(labelsize=7, colors=MUTED, labelcolor=INK)
    bar.set_label(_LEGEND[method != "occlusion"], fontsize=7, color=INK)
    bar.outline.set_visible(False)


def save(figure: Figure, path: Path, *, synthetic: bool) -> None:
    """Write a figure as PNG, stamped where it is synthetic. Raises OutputError."""
    if synthetic:
        stamp_synthetic(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft, unseen_letters():
        figure.savefig(draft, format="png", dpi=DPI, metadata={"Software": "hilum"})
