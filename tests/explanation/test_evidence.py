from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.data.cohort import Cohort
from hilum.data.pixels import RememberedPixels
from hilum.data.sources.phantom import phantom_cohort
from hilum.errors import DataError
from hilum.explanation.evidence import Evidence, boxes_in, masks_in
from hilum.explanation.localisation import SIDE, grid_of


@pytest.fixture
def films() -> Cohort:
    return phantom_cohort(30, size=64, seed=1)


def write_mask(path: Path, height: int, width: int, top: int) -> None:
    marked = np.zeros((height, width), dtype=np.uint8)
    marked[top:, :] = 255
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(marked).save(path)


def test_the_phantom_knows_its_lungs_and_its_opacities(films: Cohort) -> None:
    evidence = Evidence(films)
    label_n = films.label_nf[:, 0]
    for n, label in enumerate(label_n):
        found = evidence.finding_on_grid(n, "Pneumonia", 64, 64)
        assert (found is not None) == bool(label)
        lungs = evidence.lungs_on_grid(n, 64, 64)
        assert lungs is not None
        assert lungs.shape == grid_of(64, 64) == (SIDE, SIDE)
        assert 0.1 < lungs.mean() < 0.6
    ill = int(np.flatnonzero(label_n == 1)[0])
    mask_hw = evidence.finding_on_grid(ill, "Pneumonia", 64, 64)
    boxes = evidence.boxes(ill, "Pneumonia")
    assert mask_hw is not None
    rows, columns = np.nonzero(mask_hw)
    tops, lefts = [box[1] for box in boxes], [box[0] for box in boxes]
    assert rows.min() / 2 == pytest.approx(min(tops), abs=2)
    assert columns.min() / 2 == pytest.approx(min(lefts), abs=2)


def test_a_readers_box_may_stand_for_the_phantoms_outline(films: Cohort) -> None:
    kept = replace(films, pixels=RememberedPixels(films.pixels))  # as a recipe's source gives it
    ill = int(np.flatnonzero(films.label_nf[:, 0] == 1)[0])
    outline = Evidence(kept).finding_on_grid(ill, "Pneumonia", 64, 64)
    box = Evidence(kept, boxes_first=True).finding_on_grid(ill, "Pneumonia", 64, 64)
    assert outline is not None
    assert box is not None
    assert box.sum() > outline.sum()
    assert (box & outline).sum() > 0.9 * outline.sum()


def test_masks_belong_to_the_films_of_their_name(films: Cohort, tmp_path: Path) -> None:
    image_id = str(films.table["image_id"].iloc[2])
    write_mask(tmp_path / f"{image_id}.png", 128, 128, 64)
    write_mask(tmp_path / "nobody.png", 128, 128, 0)
    masks = masks_in(tmp_path, films)
    assert list(masks) == [int(films.table.index[2])]
    found = Evidence(films, masks).finding_on_grid(2, "Pneumonia", 64, 64)
    assert found is not None
    assert not found[: SIDE // 2].any()
    assert found[SIDE // 2 :].all()
    with pytest.raises(DataError, match="proportions of its film"):
        Evidence(films, masks).finding_on_grid(2, "Pneumonia", 64, 90)


def test_a_folder_without_any_mask_of_these_films_is_refused(films: Cohort, tmp_path: Path) -> None:
    write_mask(tmp_path / "nobody.png", 9, 9, 0)
    with pytest.raises(DataError, match="no mask of any of the 30 films"):
        masks_in(tmp_path, films)
    image_id = str(films.table["image_id"].iloc[0])
    write_mask(tmp_path / f"{image_id}.png", 9, 9, 0)
    write_mask(tmp_path / "more" / f"{image_id}.png", 9, 9, 0)
    with pytest.raises(DataError, match="a second mask of this name"):
        masks_in(tmp_path, films)
    (tmp_path / "more" / f"{image_id}.png").unlink()
    (tmp_path / f"{image_id}.png").write_text("no picture")
    masks = masks_in(tmp_path, films)
    with pytest.raises(DataError, match="cannot be read as a mask"):
        Evidence(films, masks).finding_on_grid(0, "Pneumonia", 64, 64)


def test_boxes_come_from_a_table(films: Cohort, tmp_path: Path) -> None:
    image_id = films.table["image_id"].iloc[0]
    table = tmp_path / "boxes.csv"
    table.write_text(
        f"image_id,x,y,width,height\n{image_id},8,16,32,8\n{image_id},,,,\nother,1,1,1,1\n"
    )
    with_boxes = boxes_in(table, films, "Pneumonia")
    assert Evidence(with_boxes).boxes(0, "Pneumonia") == ((8.0, 16.0, 32.0, 8.0),)
    assert Evidence(with_boxes).boxes(0, "Edema") == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image_id,x,y\na,1,2\n", "lacks the columns width, height"),
        ("image_id,x,y,width,height\nother,1,1,1,1\n", "no box of any film"),
        ("image_id,x,y,width,height,finding\n{id},1,1,1,1,nodule\n", "no box is of Pneumonia"),
        ("image_id,x,y,width,height\n{id},1,1,1,1\n{id},1,1,-1,1\n", "row 3 has the box 1"),
        ("image_id,x,y,width,height\n{id},1,1,abc,1\n", "row 2 has the box 1, 1, abc, 1"),
        ("", "cannot be read as a table"),
    ],
)
def test_a_table_that_is_none_is_refused(
    films: Cohort, tmp_path: Path, text: str, said: str
) -> None:
    table = tmp_path / "boxes.csv"
    table.write_text(text.replace("{id}", films.table["image_id"].iloc[0]))
    with pytest.raises(DataError, match=said):
        boxes_in(table, films, "Pneumonia")


def test_a_box_may_spell_its_finding_otherwise(films: Cohort, tmp_path: Path) -> None:
    table = tmp_path / "boxes.csv"
    image_id = films.table["image_id"].iloc[0]
    table.write_text(f"image_id,x,y,width,height,finding\n{image_id},1,1,9,9,pneumonia\n")
    assert Evidence(boxes_in(table, films, "Edema")).boxes(0, "Pneumonia") == ((1, 1, 9, 9),)


def test_a_box_beyond_its_film_is_named(films: Cohort, tmp_path: Path) -> None:
    image_id = films.table["image_id"].iloc[0]
    table = tmp_path / "boxes.csv"
    table.write_text(f"image_id,x,y,width,height\n{image_id},300,300,10,10\n")
    evidence = Evidence(boxes_in(table, films, "Pneumonia"), boxes_first=True)
    with pytest.raises(DataError, match=f"boxes of {image_id}: the box 300, 300, 10, 10 lies"):
        evidence.finding_on_grid(0, "Pneumonia", 64, 64)


def test_a_black_mask_of_the_finding_tells_nothing_and_one_of_lungs_is_refused(
    films: Cohort, tmp_path: Path
) -> None:
    file = tmp_path / "black.png"
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(file)
    index = int(films.table.index[0])
    evidence = Evidence(films, {index: file}, {index: file})
    assert evidence.finding_on_grid(0, "Pneumonia", 64, 64) is None
    with pytest.raises(DataError, match=r"black\.png: a mask of the lungs that marks nothing"):
        evidence.lungs_on_grid(0, 64, 64)


def test_what_a_phantom_outlines_is_of_its_finding_alone(films: Cohort) -> None:
    ill = int(np.flatnonzero(films.table["label_pneumonia"] == 1)[0])
    assert Evidence(films).finding_on_grid(ill, "Pneumonia", 64, 64) is not None
    assert Evidence(films).finding_on_grid(ill, "Pneumothorax", 64, 64) is None
    assert Evidence(films, of_source=False).of_finding(ill) == (len(films.boxes) > 0)
