from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hilum.bundle import Bundle
from hilum.data.sources.phantom import phantom_cohort
from hilum.explanation.evidence import Evidence
from hilum.explanation.explaining import Explanation, explain
from hilum.explanation.localisation import BASELINES, FIGURES
from hilum.explanation.report import Settings, write_explanation
from hilum.explanation.saliency import Method


@pytest.fixture(scope="module")
def explained(small_bundle: Bundle) -> Explanation:
    return explain(small_bundle, phantom_cohort(60, size=48, seed=3))


def settings(bundle: Bundle) -> Settings:
    return Settings(bundle.manifest.preprocessing, {"Pneumonia": 0.5}, bundle.digest, "p", True, "")


def test_the_phantoms_evidence_is_held_against_the_maps(
    small_bundle: Bundle, explained: Explanation, tmp_path: Path
) -> None:
    told = write_explanation(
        tmp_path, explained, Evidence(explained.cohort), settings(small_bundle), panels=3
    )
    assert told == json.loads((tmp_path / "explanation.json").read_text())
    found = told["findings"]["Pneumonia"]
    assert found["aligned_by"] == "lungs"
    assert found["lungs"]["all"]["attention within the lungs"]["n"] <= 60
    everything = found["localisation"][0]
    ill = int((explained.predictions.label("Pneumonia") == 1).sum())
    assert (everything["group"], everything["n"]) == ("all", ill)
    assert tuple(everything["figures"]) == FIGURES
    assert tuple(everything["baselines"]) == tuple(everything["above"]) == BASELINES
    assert {group["n"] for group in found["localisation"][1:]} <= set(range(1, ill))
    assert len(list((tmp_path / "panels").iterdir())) == 3


@pytest.mark.parametrize(
    ("method", "layer", "cells", "where"),
    [
        ("grad_cam", "blocks.4", 4, "blocks.4"),
        ("hires_cam", None, 2, "last feature map (bn2)"),
        ("occlusion", None, 16, "the input"),
    ],
)
def test_other_methods_take_the_network_itself(
    small_bundle: Bundle, method: Method, layer: str | None, cells: int, where: str
) -> None:
    some = phantom_cohort(4, size=48, seed=3)
    found = explain(small_bundle, some, method=method, layer=layer).saliency
    assert found.map_nfhw.shape == (4, 1, cells, cells)
    assert not np.isnan(found.map_nfhw).any()
    assert found.layer == f"{where}, {cells} × {cells}"
    assert found.grid.side == 64
