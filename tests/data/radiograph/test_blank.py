"""A film without an image is told, or refused where the user is strict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.data.radiograph import read_radiograph
from hilum.errors import RadiographError


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_blank_film_is_told_and_strictly_refused(tmp_path: Path, level: int) -> None:
    path = tmp_path / "blank.png"
    Image.new("L", (40, 30), level).save(path)
    assert "blank: every pixel has the same grey value" in read_radiograph(path).warnings
    with pytest.raises(RadiographError, match=r"blank\.png: blank"):
        read_radiograph(path, strict=True)


def test_a_film_with_one_pixel_of_another_value_is_not_blank(tmp_path: Path) -> None:
    grey_hw = np.full((40, 40), 9, dtype=np.uint8)
    grey_hw[17, 21] = 10
    Image.fromarray(grey_hw).save(tmp_path / "one.png")
    assert not any("blank" in line for line in read_radiograph(tmp_path / "one.png").warnings)
