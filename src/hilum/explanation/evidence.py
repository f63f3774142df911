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
from hilum.data.findings import spelling
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
    of_source: whether what the source itself knows of its finding counts, or these alone
    """

    cohort: Cohort
    finding_masks: Mapping[int, Path] = field(default_factory=dict)
    lung_masks: Mapping[int, Path] = field(default_factory=dict)
    boxes_first: bool = False
    of_source: bool = True

    def where(self, keep_n: Bools) -> Evidence:
        """Of some of the films."""
        return self.of_films(self.cohort.where(keep_n))

    def of_films(self, films: Cohort) -> Evidence:
        """Of films of the same table, be it some of them or all by other names."""
        return replace(self, cohort=films)

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
            or (self.of_source and isinstance(self._source, PhantomPixels))
        )

    def of_lungs(self, position: int) -> bool:
        """Whether it is known where the lungs are on the film of this row."""
        index = int(self.cohort.table.index[position])
        return index in self.lung_masks or isinstance(self._source, PhantomPixels)

    @property
    def of_all_lungs(self) -> bool:
        """Whether that is so for every row: films are aligned by lungs all, or none."""
        return all(self.of_lungs(position) for position in range(len(self.cohort)))

    @cached_property
    def _ids(self) -> list[str]:
        return self.cohort.table["image_id"].tolist()

    @cached_property
    def _boxed(self) -> frozenset[str]:
        return frozenset(self.cohort.boxes["image_id"])

    def finding_on_grid(self, position: int, finding: str, height: int, width: int) -> Bools | None:
        """Where the finding is on the film of this size; None where nothing is known of it.

        A mask is taken before boxes, as it tells more; one that marks nothing tells nothing. Raises
        DataError for a mask of other proportions, and for a box beyond its film.
        """
        index = int(self.cohort.table.index[position])
        if (file := self.finding_masks.get(index)) is not None:
            mask_hw = _mask(file, height, width)
            return mask_hw if mask_hw.any() else None
        pixels = self._source
        outlined = self.of_source and not self.boxes_first and finding == self.cohort.findings[0]
        if outlined and isinstance(pixels, PhantomPixels):
            mask_hw = pixels.opacity_mask(index)
            return mask_on_grid(mask_hw, height, width) if mask_hw.any() else None
        boxes = self.boxes(position, finding)
        if not boxes:
            return None
        try:
            return boxes_on_grid(boxes, height, width)
        except ValueError as error:
            raise DataError(
                f"boxes of {self._ids[position]}",
                str(error),
                expected=f"pixels of the film, which is {width} × {height}",
            ) from error

    def lungs_on_grid(self, position: int, height: int, width: int) -> Bools | None:
        """Where the lungs are, likewise. Raises DataError for a mask that marks nothing, too."""
        index = int(self.cohort.table.index[position])
        if (file := self.lung_masks.get(index)) is not None:
            mask_hw = _mask(file, height, width)
            if not mask_hw.any():
                raise DataError(file, "a mask of the lungs that marks nothing", expected="lungs")
            return mask_hw
        if isinstance(pixels := self._source, PhantomPixels):
            mask_hw = pixels.lung_mask(index)
            return mask_on_grid(mask_hw, height, width)
        return None


def masks_in(folder: Path, cohort: Cohort, *, needed: bool = True) -> dict[int, Path]:
    """Index of the table -> the picture in the folder that is named as the film is.

    A mask belongs to the film whose id, without folders and suffix, is its own name without suffix.
    Raises DataError for two of one name and, if needed, where the folder has none for any film.
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
    if not found and needed:
        some = cohort.table["image_id"].iloc[0] if len(cohort) else "none"
        raise DataError(
            folder,
            f"no mask of any of the {len(cohort):,} films, the first of which is {some}",
            expected="pictures named as the films are, such as ID.png",
        )
    return found


def boxes_in(file: Path, cohort: Cohort, finding: str, *, needed: bool = True) -> Cohort:
    """The cohort with the boxes of a CSV: image_id, x, y, width, height, in the film's pixels.

    A column `finding` says whose box it is, in any spelling that is known; without one they are all
    of `finding`. Rows of films that are not asked about, and rows of an id alone (a film without a
    box), are left out. Raises DataError, also, if needed, where no box is of these films and of a
    finding of theirs.
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
    table = table[~table[_CORNERS].isna().all(axis=1)]
    corners = table[_CORNERS].apply(pd.to_numeric, errors="coerce")
    wrong_n = ~(corners.notna().all(axis=1) & (corners[["width", "height"]] > 0).all(axis=1))
    if wrong_n.any():
        line = int(table.index[wrong_n.to_numpy()][0])
        raise DataError(
            file,
            f"row {line + 2} has the box {', '.join(map(str, table.loc[line, _CORNERS]))}",
            expected="numbers x, y, width and height, the last two above 0",
        )
    named = table.get("finding", pd.Series(finding, index=table.index)).astype(str)
    table = table.assign(**corners, finding=[spelling(name) or name for name in named])
    here_n = table["image_id"].isin(cohort.table["image_id"])
    kept = table[here_n & table["finding"].isin(cohort.findings)]
    if needed and not len(kept):
        some, ours = cohort.table["image_id"].iloc[0], ", ".join(cohort.findings)
        theirs = ", ".join(sorted(set(table["finding"]))[:5])
        found = f"no box is of {ours}, but of {theirs}" if here_n.any() else "no box of any film"
        raise DataError(file, found, expected=f"ids such as {some}, and findings: {ours}")
    return replace(cohort, boxes=kept[["image_id", "finding", *_CORNERS]].reset_index(drop=True))


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
