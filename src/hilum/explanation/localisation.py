"""Saliency maps against where radiologists, or masks, say that the finding is.

Every figure is a mean over films with evidence, a film counting once whatever its size, with an
interval over patients; beside it stands what three maps reach that know nothing of the classifier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hilum.data.preprocessing import Step, Window, shown
from hilum.data.resampling import resample
from hilum.estimates import Estimate
from hilum.evaluation.discrimination import average_precision
from hilum.evaluation.intervals import Resampling, percentile
from hilum.explanation.grid import Grid
from hilum.explanation.saliency import on_film
from hilum.units import Units, proportion

SIDE = 128  # pixels of the longer side on which maps and evidence meet: finer than any such map
SIZES = (("small", 0.0, 0.05), ("medium", 0.05, 0.15), ("large", 0.15, 1.0))  # share of the film
THRESHOLDS = 101  # tried, evenly in quantiles of the maps' values
FOLDS = 5

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """One film's evidence on the common grid, and what of the film the network saw.

    truth_hw: True where the finding is, bool [h, w], h and w at most SIDE
    grey_hw: the film itself, float32 [h, w] in [0, 1]
    window: what the network saw, in pixels of [h, w]
    """

    truth_hw: Bools
    grey_hw: NDArray[np.float32]
    window: Window


def scene_of(grey_hw: NDArray[np.float32], truth_hw: Bools, steps: tuple[Step, ...]) -> Scene:
    """One film's evidence beside the film.

    grey_hw: the film, float32 [height, width] in [0, 1]; truth_hw: on the common grid
    steps: from the film to the network's input
    """
    (height, width), (rows, columns) = grey_hw.shape, truth_hw.shape
    window = shown(height, width, steps).scaled(rows / height, columns / width)
    small_hw = np.clip(resample(grey_hw, rows, columns, "bilinear"), 0, 1)
    return Scene(truth_hw, small_hw, window)


def grid_of(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the common grid for a film of this size."""
    scale = SIDE / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def boxes_on_grid(
    boxes: Sequence[tuple[float, float, float, float]], height: int, width: int
) -> Bools:
    """A mask on the common grid of a film: True where the centre of a cell lies in a box, and for
    a box between the centres at the cell of its middle.

    boxes: (x, y, width, height) in pixels of the film of height x width
    Raises ValueError for a box of which nothing lies on the film.
    """
    rows, columns = grid_of(height, width)
    y_h = (np.arange(rows) + 0.5) * height / rows
    x_w = (np.arange(columns) + 0.5) * width / columns
    mask_hw = np.zeros((rows, columns), dtype=np.bool_)
    for x, y, wide, high in boxes:
        down_h, across_w = (y_h >= y) & (y_h < y + high), (x_w >= x) & (x_w < x + wide)
        if min(x + wide, width) <= max(x, 0) or min(y + high, height) <= max(y, 0):
            raise ValueError(f"the box {x:g}, {y:g}, {wide:g}, {high:g} lies beyond the film")
        if not down_h.any():
            down_h[_cell_of((max(y, 0) + min(y + high, height)) / 2, height, rows)] = True
        if not across_w.any():
            across_w[_cell_of((max(x, 0) + min(x + wide, width)) / 2, width, columns)] = True
        mask_hw |= down_h[:, None] & across_w[None, :]
    return mask_hw


def _cell_of(pixel: float, extent: int, cells: int) -> int:
    return min(int(pixel * cells / extent), cells - 1)


def mask_on_grid(mask_hw: Bools, height: int, width: int) -> Bools:
    """A mask on the common grid of a film of this size: True where half a cell or more is marked.

    mask_hw: of the whole film, in pixels of any size
    What is smaller than half a cell marks the cell that has most of it.
    """
    rows, columns = grid_of(height, width)
    with Image.fromarray(mask_hw.astype(np.float32)) as image:
        share_hw = np.asarray(image.resize((columns, rows), Image.Resampling.BOX))
    marked_hw = share_hw >= 0.5
    return marked_hw if marked_hw.any() else (share_hw == share_hw.max()) & (share_hw > 0)


@dataclass(frozen=True)
class FilmFigures:
    """How one map meets the evidence of one film.

    hit: the map's highest place lies in it (pointing game, Zhang et al. 2018)
    energy: share of what speaks for the finding that lies in it (Wang et al. 2020)
    area: its share of the film; energy / area is 1 for a map that is even
    average_precision: of the film's pixels ranked by the map
    """

    hit: bool
    energy: float
    area: float
    average_precision: float


def film_figures(map_hw: NDArray[np.floating], truth_hw: Bools) -> FilmFigures:
    """map_hw: on the common grid, NaN where the network saw nothing, which counts as not shown."""
    seen_hw = ~np.isnan(map_hw)
    lowest = float(np.min(map_hw[seen_hw], initial=np.inf)) if seen_hw.any() else 0.0
    ranked_hw = np.where(seen_hw, map_hw, lowest - 1.0)
    for_it_hw = np.clip(np.where(seen_hw, map_hw, 0.0), 0.0, None)
    total = float(for_it_hw.sum())
    return FilmFigures(
        hit=bool(truth_hw[_peak(ranked_hw)]),
        energy=float(for_it_hw[truth_hw].sum()) / total if total > 0 else 0.0,
        area=float(truth_hw.mean()),
        average_precision=average_precision(
            ranked_hw.ravel().astype(np.float64), truth_hw.ravel().astype(np.float64)
        ),
    )


def _peak(map_hw: NDArray[np.floating]) -> tuple[int, int]:
    """The highest place; of a plateau the place nearest its middle."""
    places_k2 = np.argwhere(map_hw == map_hw.max())
    apart_k = ((places_k2 - places_k2.mean(axis=0)) ** 2).sum(axis=1)
    row, column = places_k2[int(np.argmin(apart_k))]
    return int(row), int(column)


def overlaps(
    map_hw: NDArray[np.floating], truth_hw: Bools, threshold_t: Floats
) -> tuple[Floats, Floats]:
    """IoU and Dice of the map above each threshold with the evidence, shape (t,) each.

    Both are 0 where the map marks nothing. Pixels that the network did not see are marked by none.
    """
    inside_t = np.searchsorted(np.sort(map_hw[truth_hw & ~np.isnan(map_hw)]), threshold_t)
    marked = np.sort(map_hw[~np.isnan(map_hw)])
    hits_t = (truth_hw & ~np.isnan(map_hw)).sum() - inside_t
    marked_t = len(marked) - np.searchsorted(marked, threshold_t)
    truth = int(truth_hw.sum())
    return hits_t / (marked_t + truth - hits_t), 2 * hits_t / (marked_t + truth)


def best_threshold(map_khw: Sequence[NDArray[np.floating]], truth_khw: Sequence[Bools]) -> float:
    """The value above which maps overlap the evidence most: the highest mean Dice of the films."""
    values = np.concatenate([each[~np.isnan(each)] for each in map_khw])
    threshold_t = np.unique(np.quantile(values, np.linspace(0, 1, THRESHOLDS)))
    dice_kt = [
        overlaps(each, truth, threshold_t)[1]
        for each, truth in zip(map_khw, truth_khw, strict=True)
    ]
    return float(threshold_t[int(np.argmax(np.mean(dice_kt, axis=0)))])


@dataclass(frozen=True)
class Localisation:
    """How maps of one finding meet the evidence on a group of films.

    group: "all", or a size of the evidence; n: films
    figures: of FIGURES, of the maps
    baselines: the same of maps that know nothing of the classifier, by the names of BASELINES
    above: how far the maps lie above each baseline on the same films
    threshold: where the threshold of `iou` and `dice` comes from
    """

    finding: str
    group: str
    n: int
    figures: Mapping[str, Estimate]
    baselines: Mapping[str, Mapping[str, Estimate]]
    above: Mapping[str, Mapping[str, Estimate]]
    threshold: str


BASELINES = ("centre prior", "mean map", "brightness")
FIGURES = ("hit_rate", "energy", "energy_over_area", "average_precision", "iou", "dice")
_PER_FILM = ("hit", "energy", "area", "average_precision", "iou", "dice")

Maps = Sequence[NDArray[np.floating]]


def centre_prior(window: Window, height: int, width: int) -> NDArray[np.float32]:
    """A bell over the middle of what the network saw, a quarter of its side wide."""
    down_h = (np.arange(height) + 0.5 - window.top) / window.height - 0.5
    across_w = (np.arange(width) + 0.5 - window.left) / window.width - 0.5
    bell_hw = np.exp(-8 * (down_h[:, None] ** 2 + across_w[None, :] ** 2))
    return np.asarray(bell_hw, dtype=np.float32)


def localise(
    finding: str,
    map_nhw: NDArray[np.floating],
    grid: Grid,
    scenes: Sequence[Scene],
    units: Units,
    rng: np.random.Generator,
    *,
    calibrate: tuple[NDArray[np.floating], Sequence[Scene]] | None = None,
    resamples: int = 2000,
) -> list[Localisation]:
    """Figures of all films, then by the evidence's share of the film where it has several sizes.

    map_nhw: maps of films with the finding and with evidence; grid: where their cells stand
    scenes, units: of the same films
    calibrate: maps and scenes of other films, for the threshold of IoU and Dice. Without any, and
        for the baselines, it is found on the other patients of these films, in five folds
    Raises ValueError without a film.
    """
    if not len(map_nhw):
        raise ValueError("no film has evidence")
    truths = [scene.truth_hw for scene in scenes]
    fold_n = (rng.permutation(units.count) % FOLDS)[units.unit_n]
    figure_nk = {
        kind: _per_film(maps, truths, fold_n)
        for kind, maps in _kinds(map_nhw, grid, scenes).items()
    }
    threshold = "set on other patients, in five folds"
    if calibrate is not None:
        threshold = "set on calibrate; of the baselines on other patients, in five folds"
        known = [scene.truth_hw for scene in calibrate[1]]
        value = best_threshold(_on_films(calibrate[0], grid, calibrate[1]), known)
        shown_maps = _on_films(map_nhw, grid, scenes)
        for n, (map_hw, truth_hw) in enumerate(zip(shown_maps, truths, strict=True)):
            iou_t, dice_t = overlaps(map_hw, truth_hw, np.array([value]))
            figure_nk["map"][n, -2:] = iou_t[0], dice_t[0]
    return [
        _of_group(finding, name, keep_n, figure_nk, units, rng, resamples, threshold)
        for name, keep_n in _groups(np.array([truth.mean() for truth in truths])).items()
    ]


def _kinds(map_nhw: NDArray[np.floating], grid: Grid, scenes: Sequence[Scene]) -> dict[str, Maps]:
    """The maps and those of the baselines, on the common grid of each film."""
    # The film's own map is left out of the mean: a mean of few would else tell where it looks.
    others_nhw = (map_nhw.sum(axis=0) - map_nhw) / max(len(map_nhw) - 1, 1)
    return {
        "map": _on_films(map_nhw, grid, scenes),
        "centre prior": [centre_prior(s.window, *s.truth_hw.shape) for s in scenes],
        "mean map": _on_films(others_nhw, grid, scenes),
        "brightness": [s.grey_hw for s in scenes],
    }


def _on_films(map_nhw: NDArray[np.floating], grid: Grid, scenes: Sequence[Scene]) -> Maps:
    return [
        on_film(each, grid, scene.window, *scene.truth_hw.shape)
        for each, scene in zip(map_nhw, scenes, strict=True)
    ]


def _per_film(maps: Maps, truths: Sequence[Bools], fold_n: NDArray[np.intp]) -> Floats:
    """Each film's figures, shape (n, k), k as in _PER_FILM; thresholds from the other folds."""
    figure_nk = np.full((len(maps), len(_PER_FILM)), np.nan)
    for n, (map_hw, truth_hw) in enumerate(zip(maps, truths, strict=True)):
        figure_nk[n, :4] = astuple(film_figures(map_hw, truth_hw))
    for fold in np.unique(fold_n):
        others = np.flatnonzero(fold_n != fold).tolist()
        if not others:
            continue  # one patient alone: nothing to set a threshold on
        value = best_threshold([maps[n] for n in others], [truths[n] for n in others])
        for n in np.flatnonzero(fold_n == fold).tolist():
            iou_t, dice_t = overlaps(maps[n], truths[n], np.array([value]))
            figure_nk[n, 4:] = iou_t[0], dice_t[0]
    return figure_nk


def _groups(area_n: Floats) -> dict[str, Bools]:
    """All films, and those with small, medium and large evidence where there are several sizes."""
    sized = {name: (area_n >= low) & (area_n < high) for name, low, high in SIZES}
    some = {name: keep_n for name, keep_n in sized.items() if keep_n.any()}
    everything = {"all": np.ones(len(area_n), dtype=np.bool_)}
    return everything | some if len(some) > 1 else everything


def _of_group(
    finding: str,
    group: str,
    keep_n: Bools,
    figure_nk: Mapping[str, Floats],
    units: Units,
    rng: np.random.Generator,
    resamples: int,
    threshold: str,
) -> Localisation:
    kept = {kind: each[keep_n] for kind, each in figure_nk.items()}
    own = units.where(keep_n)
    n = int(keep_n.sum())
    drawn = Resampling.of(own, rng, resamples).over(
        own.unit_n,
        lambda count_bn: {
            kind: _means(count_bn.astype(np.float64), each) for kind, each in kept.items()
        },
    )
    whole = {kind: _means(np.ones((1, n)), each)[0] for kind, each in kept.items()}

    def estimates(value_k: Floats, value_bk: Floats) -> dict[str, Estimate]:
        return {
            name: percentile(float(value), value_b, n, own)
            if np.isfinite(value)
            else Estimate.missing("needs films of two or more patients", n)
            for name, value, value_b in zip(FIGURES, value_k, value_bk.T, strict=True)
        }

    def of_kind(kind: str) -> dict[str, Estimate]:
        hits = proportion(kept[kind][:, 0] > 0, own)
        return estimates(whole[kind], drawn[kind]) | {"hit_rate": hits}

    return Localisation(
        finding,
        group,
        n,
        of_kind("map"),
        {kind: of_kind(kind) for kind in BASELINES},
        {
            kind: estimates(whole["map"] - whole[kind], drawn["map"] - drawn[kind])
            for kind in BASELINES
        },
        threshold,
    )


def _means(count_bn: Floats, figure_nk: Floats) -> Floats:
    """FIGURES per row of counts, shape (b, k): means over films, and mean energy over mean area."""
    mean_bk = count_bn @ figure_nk / count_bn.sum(axis=1, keepdims=True)
    hit_b, energy_b, area_b, *rest = mean_bk.T
    return np.stack([hit_b, energy_b, energy_b / area_b, *rest], axis=1)
