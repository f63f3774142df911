"""Evidence: where on a film the finding and the lungs are, from boxes, masks or the phantom.

How maps meet it is `localisation`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError

from hilum.data.cohort import Cohort
from hilum.data.phantom.pixels import PhantomPixels
from hilum.data.pixels import Pixels, RememberedPixels
from hilum.errors import DataError
from hilum.explanation.localisation import Bools, boxes_on_grid, mask_on_grid

Box = tuple[float, float, float, float]
_CORNERS = ["x", "y", "width", "height"]


@dataclass(frozen=True)
class Evidence:
    """What is known of places on the films of a cohort.

    finding_masks, lung_masks: index of the table -> a picture of the film, marked where not black
    boxes_first: of a phantom's opacity take the box, as a reader would draw it, not the outline
    """

    cohort: Cohort
    finding_masks: Mapping[int, Path] = field(default_factory=dict)
    lung_masks: Mapping[int, Path] = field(default_factory=dict)
    boxes_first: bool = False

    @property
    def _source(self) -> Pixels:
        pixels = self.cohort.pixels
        return pixels.source if isinstance(pixels, RememberedPixels) else pixels

    def boxes(self, position: int, finding: str) -> tuple[Box, ...]:
        """(x, y, width, height) in pixels of the film in this row; none where none is known."""
        boxes, image_id = self.cohort.boxes, self._ids[position]
        if image_id not in self._boxed:
            return ()
        chosen = boxes[(boxes["image_id"] == image_id) & (boxes["finding"] == finding)]
        return tuple((x, y, w, h) for x, y, w, h in chosen[_CORNERS].to_numpy(dtype=float).tolist())

    def of_finding(self, position: int) -> bool:
        """Whether a mask or a box stands for this row, of whatever finding."""
        index, image_id = int(self.cohort.table.index[position]), self._ids[position]
        return (
            index in self.finding_masks
            or image_id in self._boxed
            or isinstance(self._source, PhantomPixels)
        )

    def of_lungs(self, position: int) -> bool:
        """Whether it is known where the lungs are on the film of this row."""
        index = int(self.cohort.table.index[position])
        return index in self.lung_masks or isinstance(self._source, PhantomPixels)

    @cached_property
    def _ids(self) -> list[str]:
        return self.cohort.table["image_id"].tolist()

    @cached_property
    def _boxed(self) -> frozenset[str]:
        return frozenset(self.cohort.boxes["image_id"])

    def finding_on_grid(self, position: int, finding: str, height: int, width: int) -> Bools | None:
        """Where the finding is on the film of this size; None where nothing is known of it.

        A mask is taken before boxes, as it tells more. Raises DataError for a mask of other
        proportions.
        """
        index = int(self.cohort.table.index[position])
        if (file := self.finding_masks.get(index)) is not None:
            return _mask(file, height, width)
        if isinstance(pixels := self._source, PhantomPixels) and not self.boxes_first:
            mask_hw = pixels.opacity_mask(index)
            return mask_on_grid(mask_hw, height, width) if mask_hw.any() else None
        boxes = self.boxes(position, finding)
        return boxes_on_grid(boxes, height, width) if boxes else None

    def lungs_on_grid(self, position: int, height: int, width: int) -> Bools | None:
        """Where the lungs are, likewise."""
        index = int(self.cohort.table.index[position])
        if (file := self.lung_masks.get(index)) is not None:
            return _mask(file, height, width)
        if isinstance(pixels := self._source, PhantomPixels):
            mask_hw = pixels.lung_mask(index)
            return mask_on_grid(mask_hw, height, width)
        return None


def masks_in(folder: Path, cohort: Cohort) -> dict[int, Path]:
    """Index of the table -> the picture in the folder that is named as the film is.

    A mask belongs to the film whose id, without folders and suffix, is its own name without suffix.
    Raises DataError where the folder has none for any film, or two for one.
    """
    if not folder.is_dir():
        raise DataError(folder, "no such folder", expected="pictures named as the films are")
    by_name: dict[str, Path] = {}
    for file in sorted(each for each in folder.rglob("*") if each.is_file()):
        if file.stem in by_name:
            raise DataError(
                file, f"a second mask of this name beside {by_name[file.stem]}", expected="one"
            )
        by_name[file.stem] = file
    found = {
        index: by_name[Path(image_id).stem]
        for index, image_id in zip(
            cohort.table.index.tolist(), cohort.table["image_id"], strict=True
        )
        if Path(image_id).stem in by_name
    }
    if not found:
        some = cohort.table["image_id"].iloc[0] if len(cohort) else "none"
        raise DataError(
            folder,
            f"no mask of any of the {len(cohort):,} films, the first of which is {some}",
            expected="pictures named as the films are, such as ID.png",
        )
    return found


def boxes_in(file: Path, cohort: Cohort, finding: str) -> Cohort:
    """The cohort with the boxes of a CSV: image_id, x, y, width, height, in the film's pixels.

    A column `finding` says whose box it is; without one they are all of `finding`. Rows without
    numbers (a film without a box) are left out. Raises DataError.
    """
    try:
        table = pd.read_csv(file, dtype={"image_id": str})
    except (OSError, ValueError) as error:
        raise DataError(file, f"cannot be read as a table ({error})") from error
    missing = [name for name in ("image_id", *_CORNERS) if name not in table.columns]
    if missing:
        raise DataError(
            file,
            f"lacks the columns {', '.join(missing)}",
            expected="image_id, x, y, width, height and, if there are several, finding",
        )
    if "finding" not in table.columns:
        table["finding"] = finding
    corners = table[_CORNERS].apply(pd.to_numeric, errors="coerce")
    known_n = corners.notna().all(axis=1)
    table = table.assign(**corners).loc[known_n & (corners[["width", "height"]] > 0).all(axis=1)]
    table = table[table["image_id"].isin(cohort.table["image_id"])]
    if not len(table):
        some = cohort.table["image_id"].iloc[0]
        raise DataError(file, "no box of any of the films", expected=f"ids such as {some}")
    return replace(cohort, boxes=table[["image_id", "finding", *_CORNERS]].reset_index(drop=True))


def _mask(file: Path, height: int, width: int) -> Bools:
    try:
        with Image.open(file) as image:
            marked_hw = np.asarray(image.convert("L")) > 0
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(file, f"cannot be read as a mask ({error})") from error
    rows, columns = marked_hw.shape
    if abs(columns / rows / (width / height) - 1) > 0.02:
        raise DataError(
            file,
            f"a mask of {columns} × {rows} pixels",
            expected=f"the proportions of its film, {width} × {height}",
        )
    return mask_on_grid(marked_hw, height, width)
