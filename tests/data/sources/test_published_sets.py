"""The whole public data sets: their published counts, in the time that was asked for."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from hilum.data.cohort import Cohort
from hilum.data.findings import CHEXPERT
from hilum.data.sources.chexpert import chexpert_cohort
from hilum.data.sources.nih import nih_cohort
from hilum.data.sources.rsna import rsna_cohort
from hilum.recipe import DataPart, ReadingPart
from published_layouts import wheel_tables, write_chexpert, write_nih, write_rsna

# Images with each finding as NIH gives them with the corrected table of 2020.
NIH_COUNTS = {
    "atelectasis": 11559, "cardiomegaly": 2776, "pleural_effusion": 13317, "infiltration": 19894,
    "mass": 5782, "nodule": 6331, "pneumonia": 1431, "pneumothorax": 5302, "consolidation": 4667,
    "edema": 2303, "emphysema": 2516, "fibrosis": 1686, "pleural_thickening": 3385, "hernia": 227,
}  # fmt: skip
# Studies that are positive and uncertain, Irvin et al. 2019, table 1, which gives the rest of
# 187,641 as negative: what is not named, too.
CHEXPERT_COUNTS = {
    "No Finding": (16627, 0), "Enlarged Cardiomediastinum": (9020, 10148),
    "Cardiomegaly": (23002, 6597), "Lung Lesion": (6856, 1071), "Edema": (48905, 11571),
    "Consolidation": (12730, 23976), "Pneumonia": (4576, 15658), "Atelectasis": (29333, 29377),
    "Pneumothorax": (17313, 2663), "Pleural Effusion": (75696, 9419), "Pleural Other": (2441, 1771),
    "Fracture": (7270, 484), "Support Devices": (105831, 898),
}  # fmt: skip


@pytest.fixture(scope="module")
def tables() -> Path:
    tables = wheel_tables()
    if tables is None:
        pytest.skip("torchxrayvision, whose wheel holds the tables, is not installed")
    return tables


@pytest.fixture(scope="module")
def room() -> Iterator[Path]:
    """A folder in memory where there is one: 200,000 files are slow to remove from a disk."""
    memory = Path("/dev/shm")
    room = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    yield room
    shutil.rmtree(room)


def timed(build: object, folder: Path, **options: object) -> Cohort:
    """The cohort, built in 5 s of a processor; memory is measured in benchmarks/cohorts.py."""
    start = time.process_time()
    cohort: Cohort = build(folder, DataPart.model_validate(options), ReadingPart())  # type: ignore[operator]
    assert time.process_time() - start < 5
    return cohort


def test_nih_has_its_published_counts(tables: Path, room: Path) -> None:
    cohort = timed(nih_cohort, write_nih(tables, room / "nih"))
    assert len(cohort) == 112_120
    assert cohort.table["patient_id"].nunique() == 30_805
    counts = cohort.table.filter(like="label_").sum()
    assert {name.removeprefix("label_"): int(n) for name, n in counts.items()} == NIH_COUNTS
    assert (cohort.label_nf.sum(axis=1) == 0).sum() == 60_361  # No Finding
    assert cohort.table["view"].value_counts().to_dict() == {"PA": 67_310, "AP": 44_810}
    assert len(cohort.boxes) == 984
    assert cohort.boxes["image_id"].nunique() == 880
    assert cohort.excluded.empty


def test_rsna_has_its_published_counts(tables: Path, room: Path) -> None:
    cohort = timed(rsna_cohort, write_rsna(tables, room / "rsna"))
    assert len(cohort) == 26_684
    assert cohort.table["label_lung_opacity"].sum() == 6_012
    assert len(cohort.boxes) == 9_555
    assert cohort.table["view"].notna().all()
    assert cohort.table["age"].isna().sum() == 5  # 148 to 155 years


def test_chexpert_has_its_published_counts(tables: Path, room: Path) -> None:
    folder = write_chexpert(tables, room / "chexpert")
    frontal = timed(chexpert_cohort, folder)
    lateral = timed(chexpert_cohort, folder, views=["LATERAL"])
    assert frontal.excluded["reason"].value_counts().to_dict() == {"lateral view": 32_387}
    assert len(lateral) == 32_387
    table = pd.concat([frontal.table, lateral.table])
    assert len(table) == 223_414
    assert table["patient_id"].nunique() == 64_540
    studies = table.drop_duplicates("study_id")
    assert len(studies) == 187_641
    for finding, (positive, uncertain) in CHEXPERT_COUNTS.items():
        label_n = studies[f"label_{finding.lower().replace(' ', '_')}"]
        assert ((label_n == 1).sum(), label_n.isna().sum()) == (positive, uncertain), finding
    assert set(CHEXPERT) - CHEXPERT_COUNTS.keys() == {"Lung Opacity"}
    # By the rule, from the published table itself.
    rows = pd.read_csv(folder / "train.csv").query("`Frontal/Lateral` == 'Frontal'")
    own, below = (
        rows["Lung Opacity"],
        rows[["Lung Lesion", "Edema", "Consolidation", "Pneumonia", "Atelectasis"]],
    )
    present_n = (own == 1) | (own.isna() & below.eq(1).any(axis=1))
    assert frontal.table["label_lung_opacity"].sum() == present_n.sum()
