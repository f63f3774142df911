import numpy as np
import pandas as pd
import pytest

from hilum.columns import column
from hilum.data.cohort import Cohort
from hilum.data.pixels import ArrayPixels
from hilum.errors import DataError

PIXELS = ArrayPixels(np.zeros((3, 16, 16), dtype=np.uint8))


def table(**columns: object) -> pd.DataFrame:
    rows = {"image_id": ["a", "b", "c"], "label_pneumonia": [0.0, 1.0, np.nan], **columns}
    return pd.DataFrame(rows).assign(
        patient_id=None, site=None, view=None, age=np.nan, sex=None, split=None, role="train"
    )


def test_missing_labels_stay_missing() -> None:
    cohort = Cohort("made", ("Pneumonia",), table(), PIXELS)
    np.testing.assert_array_equal(cohort.label_nf[:, 0], [0, 1, np.nan])


def test_rows_that_are_selected_keep_their_pixels() -> None:
    pixels = ArrayPixels(np.arange(3, dtype=np.uint8)[:, None, None] * np.ones((16, 16), np.uint8))
    cohort = Cohort("made", ("Pneumonia",), table(), pixels)
    last = cohort.where(np.array([False, False, True]))
    assert last.radiograph(0)[0, 0] == np.float32(2) / 255


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"image_id": ["a", "b", "a"]}, "image id 'a' stands more than once"),
        ({"label_pneumonia": [0.0, 1.0, -1.0]}, "label -1 for Pneumonia"),
    ],
)
def test_a_table_that_is_no_cohort_is_refused(columns: dict[str, object], words: str) -> None:
    with pytest.raises(DataError, match=words):
        Cohort("made", ("Pneumonia",), table(**columns), PIXELS)


def test_a_table_without_a_column_is_refused() -> None:
    with pytest.raises(DataError, match="lacks the columns label_effusion"):
        Cohort("made", ("Effusion",), table(), PIXELS)


def test_a_finding_of_two_words_has_one_column() -> None:
    assert column("label", "Lung Opacity") == "label_lung_opacity"
