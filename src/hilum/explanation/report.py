"""What an explanation leaves behind: panels, raw maps, contact sheet, mean maps, JSON.

How a map is made is `saliency`'s and `gradients`'; what a picture looks like, `pictures`'.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.data.preprocessing import Step, Window, shown
from hilum.data.resampling import resample
from hilum.errors import OutputError
from hilum.estimates import Estimate
from hilum.evaluation.predictions import Predictions
from hilum.explanation.attention import (
    Attention,
    Place,
    attention_over,
    drawn_by_lot,
    frame_of,
)
from hilum.explanation.evidence import Box, Evidence
from hilum.explanation.explaining import Explanation
from hilum.explanation.grid import Grid
from hilum.explanation.localisation import SIDE, Bools, Scene, localise, scene_of
from hilum.explanation.pictures import (
    KINDS,
    MOST_PIXELS,
    TILES,
    Judged,
    Shown,
    errors_first,
    write_mean_maps,
    write_panel,
    write_sheet,
    write_zones,
)
from hilum.explanation.saliency import on_film
from hilum.units import units_of
from hilum.writing import replacing

SCHEMA = 1
KnownMaps = tuple[NDArray[np.floating], Sequence[Scene]]
FOLDERS = ("panels", "maps")
FILES = (
    "contact_sheet.png", "mean_maps.png", "zones.png", "explanation.json", "sanity.png",
    "sanity.json", "shortcuts.png", "shortcuts.json",
)  # fmt: skip
_SUFFIX = re.compile(r"\.(png|jpe?g|dcm|dicom|tiff?|bmp|gz)$", re.IGNORECASE)
NOT_A_DEVICE = "Research use only: not a medical device."
ALIGNED = {
    "lungs": "films laid over one another by the outline of their lungs",
    "view": "films laid over one another as the network sees them, for want of lung masks",
}


@dataclass(frozen=True)
class Settings:
    """What a report on maps needs beside them.

    steps: of the bundle, from a film to the network's input
    thresholds: finding -> the deployed point, on probability
    bundle, source: what they are called; synthetic: the films or the bundle are
    caution: what must be said of the method wherever it is shown
    """

    steps: tuple[Step, ...]
    thresholds: Mapping[str, float]
    bundle: str
    source: str
    synthetic: bool
    caution: str


def own_files(folder: Path) -> list[str]:
    """What of an explanation lies in a folder: folders end in a stroke."""
    names = [name for name in FILES if (folder / name).exists()]
    return [f"{name}/" for name in FOLDERS if (folder / name).is_dir()] + names


def clear(folder: Path, findings: Sequence[str] = ()) -> None:
    """Take away what an earlier explanation left there, and nothing else: panels of other films, or
    what was said of another method, would mislead.

    findings: that have folders of their own there, besides those that `explanation.json` tells of
    Raises OutputError.
    """
    own = [folder / _slug(finding) for finding in findings]
    try:
        for each in [folder, *own, *_findings_of(folder)]:
            for name in FOLDERS:
                for file in (*(each / name).glob("*.png"), *(each / name).glob("*.npz")):
                    file.unlink()
                if (each / name).is_dir() and not any((each / name).iterdir()):
                    (each / name).rmdir()
            for name in FILES:
                (each / name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            Path(error.filename or folder), f"cannot be taken away ({error.strerror})"
        ) from error


def _findings_of(folder: Path) -> list[Path]:
    """The folders that an explanation of several findings made there."""
    try:
        told = json.loads((folder / "explanation.json").read_text(encoding="utf-8"))["findings"]
    except (OSError, ValueError, KeyError):
        return []
    return [folder / _slug(finding) for finding in told if (folder / _slug(finding)).is_dir()]


def write_explanation(
    folder: Path,
    explanation: Explanation,
    evidence: Evidence,
    settings: Settings,
    *,
    calibrate: tuple[Explanation, Evidence] | None = None,
    panels: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write all of it into the folder and return what stands in `explanation.json`.

    evidence: of the very films of the explanation
    calibrate: other films, likewise, on which the threshold of IoU and Dice is set; without any,
        or without evidence on them, it is set on the other patients of these films
    panels: at most so many films get a panel and a file of raw maps, errors first; None: all
    Raises OutputError, DataError for a mask that does not fit its film.
    """
    findings = explanation.predictions.findings
    told: dict[str, Any] = {}
    try:
        for f, finding in enumerate(findings):
            own = folder if len(findings) == 1 else folder / _slug(finding)
            known = calibrate and _known_maps(*calibrate, settings.steps, f)
            told[finding] = _of_finding(
                own, explanation, evidence, settings, f, known, panels, progress
            )
    except BaseException:
        clear(folder, findings)  # nothing half-written stays
        raise
    result = {
        "schema": SCHEMA,
        "bundle": settings.bundle,
        "source": settings.source,
        "synthetic": settings.synthetic,
        "method": explanation.saliency.method,
        "layer": explanation.saliency.layer,
        "caution": settings.caution,
        "findings": told,
        "note": NOT_A_DEVICE,
    }
    with replacing(folder / "explanation.json") as draft:
        draft.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return result


def _of_finding(
    folder: Path,
    explanation: Explanation,
    evidence: Evidence,
    settings: Settings,
    f: int,
    calibrate: KnownMaps | None,
    panels: int | None,
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    predictions, method = explanation.predictions, explanation.saliency.method
    finding, synthetic, steps = predictions.findings[f], settings.synthetic, settings.steps
    caution = settings.caution
    threshold, label_n = settings.thresholds[finding], predictions.label(finding)
    density_nhw, grid = explanation.saliency.densities()[:, f], explanation.saliency.grid
    judged = judged_by(predictions, finding, threshold)
    order = errors_first(judged)
    drawn, by_lot = set(order[:panels]), drawn_by_lot(len(judged))
    on_sheet = {n for kind in KINDS for n in [k for k in order if judged[k].kind == kind][:TILES]}
    by_lungs = evidence.of_all_lungs
    tiles: list[Shown] = []
    places: list[Place] = []
    scenes: dict[int, Scene] = {}
    for n, film in enumerate(judged):
        truth_hw: Bools | None = None
        if film.label != 1 and not (n in drawn or n in on_sheet or by_lot[n]):
            continue  # of many films most are only counted
        grey_hw = explanation.cohort.radiograph(n)
        boxes = evidence.boxes(n, finding)
        if n in drawn:
            name = f"{n:05d}-{_slug(_SUFFIX.sub('', film.image_id))[-60:]}"
            panel, _ = film_under_map(
                film, grey_hw, density_nhw[n], grid, boxes, settings.steps, MOST_PIXELS
            )
            png, npz = folder / "panels" / f"{name}.png", folder / "maps" / f"{name}.npz"
            write_panel(png, panel, finding, method, caution, synthetic=synthetic)
            _write_maps(npz, explanation, n, finding, grey_hw.shape, steps)
        tile, window = film_under_map(film, grey_hw, density_nhw[n], grid, boxes, steps, SIDE)
        if n in on_sheet:
            tiles.append(tile)
        if by_lot[n]:
            lungs_hw = evidence.lungs_on_grid(n, *grey_hw.shape) if by_lungs else None
            places.append(place_of(tile, window, lungs_hw))
        if film.label == 1:
            truth_hw = evidence.finding_on_grid(n, finding, *grey_hw.shape)
        if truth_hw is not None:
            scenes[n] = scene_of(grey_hw, truth_hw, steps)
        progress(n + 1, len(judged))
    kinds = [film.kind for film in judged]
    counts = {kind: kinds.count(kind) for kind in KINDS if kind in kinds}
    write_sheet(
        folder / "contact_sheet.png", tiles, counts, finding, method, caution, synthetic=synthetic
    )
    units = units_of(predictions.patient_id_n)
    rng = np.random.default_rng(0)
    chosen_kinds = [kind for kind, chosen in zip(kinds, by_lot, strict=True) if chosen]
    attention = attention_over(places, chosen_kinds, label_n[by_lot], units.where(by_lot), rng)
    drawn_from = f"{len(places):,} of {len(judged):,} films, drawn by lot; "
    drawn_from = drawn_from if len(places) < len(judged) else ""
    about = f"{drawn_from}{ALIGNED[attention.aligned_by]}; {caution}"
    write_mean_maps(
        folder / "mean_maps.png", attention.means, finding, method, about, synthetic=synthetic
    )
    write_zones(folder / "zones.png", attention.zones, finding, about, synthetic=synthetic)
    localised = []
    if scenes:
        rows = np.array(list(scenes))
        found = localise(
            finding, density_nhw[rows], grid, list(scenes.values()), units.where(rows), rng,
            calibrate=calibrate,
        )  # fmt: skip
        localised = [_plain(asdict(each)) for each in found]
    told = attention_figures(attention, threshold)
    return told | {"kinds": counts, "localisation": localised}


def _known_maps(
    explanation: Explanation, evidence: Evidence, steps: tuple[Step, ...], f: int
) -> KnownMaps | None:
    """Maps and scenes of the films that have the finding and evidence of it; None without any."""
    finding, density_nhw = explanation.predictions.findings[f], explanation.saliency.densities()
    rows, scenes = [], []
    for n in np.flatnonzero(explanation.predictions.label(finding) == 1).tolist():
        grey_hw = explanation.cohort.radiograph(n)
        truth_hw = evidence.finding_on_grid(n, finding, *grey_hw.shape)
        if truth_hw is not None:
            rows.append(n)
            scenes.append(scene_of(grey_hw, truth_hw, steps))
    return (density_nhw[rows, f], scenes) if rows else None


def attention_figures(attention: Attention, threshold: float) -> dict[str, Any]:
    """What JSON says of where maps lie; the pictures hold the mean maps themselves."""
    return {
        "threshold": threshold,
        "kinds": {kind: attention.means[kind][0] for kind in KINDS if kind in attention.means},
        "aligned_by": attention.aligned_by,
        "zones": _plain(attention.zones),
        "lungs": _plain(attention.lungs),
    }


def judged_by(predictions: Predictions, finding: str, threshold: float) -> list[Judged]:
    """What was said of each film, row by row."""
    reason_n = predictions.referrals(finding)
    return [
        Judged(image_id, float(prob), threshold, float(label), reason)
        for image_id, prob, label, reason in zip(
            predictions.image_id_n,
            predictions.prob(finding),
            predictions.label(finding),
            [""] * len(predictions) if reason_n is None else reason_n,
            strict=True,
        )
    ]


def place_of(tile: Shown, window: Window, lungs_hw: Bools | None) -> Place:
    """A film aligned by its lungs where a mask is at hand, else by what the network saw."""
    frame = window if lungs_hw is None else frame_of(lungs_hw)
    return Place(tile.grey_hw, tile.map_hw, frame, lungs_hw)


def film_under_map(
    judged: Judged,
    grey_hw: NDArray[np.float32],
    map_hw: NDArray[np.float32],
    grid: Grid,
    boxes: Sequence[Box],
    steps: tuple[Step, ...],
    longest: int,
) -> tuple[Shown, Window]:
    """A film with its map and boxes at most `longest` pixels long, and what the network saw."""
    height, width = grey_hw.shape
    scale = longest / max(height, width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    window = shown(height, width, steps).scaled(rows / height, columns / width)
    small_hw = np.clip(resample(grey_hw, rows, columns, "bilinear"), 0, 1)
    placed = tuple(
        (x * columns / width, y * rows / height, w * columns / width, h * rows / height)
        for x, y, w, h in boxes
    )
    return Shown(judged, small_hw, on_film(map_hw, grid, window, rows, columns), placed), window


def _write_maps(
    path: Path,
    explanation: Explanation,
    n: int,
    finding: str,
    shape: tuple[int, ...],
    steps: tuple[Step, ...],
) -> None:
    """One film's raw map as NPZ, with what is needed to place it.

    map_hw: raw, signed, on the method's grid
    grid: side of the network's input, pixels from cell to cell, the pixel of the first
    window: top, left, height and width of what the
        network saw, in pixels of the film
    shape: of the film, rows and columns
    """
    saliency, predictions = explanation.saliency, explanation.predictions
    f = predictions.findings.index(finding)
    with replacing(path) as draft, draft.open("wb") as file:
        np.savez(
            file,
            map_hw=saliency.map_nfhw[n, f],
            grid=np.array([saliency.grid.side, saliency.grid.step, saliency.grid.first]),
            window=np.array(shown(shape[0], shape[1], steps)),
            shape=np.array(shape),
            logit=predictions.logit(finding)[n],
            probability=predictions.prob(finding)[n],
            method=np.array(saliency.method),
            layer=np.array(saliency.layer),
            finding=np.array(finding),
        )


def _plain(value: Any) -> Any:
    """Estimates and mappings as JSON has them."""
    if isinstance(value, Estimate):
        return asdict(value)
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return value


def _slug(name: str) -> str:
    """A name that any file system takes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._") or "film"
