from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.bundle import Bundle
from hilum.data.cohort import Cohort
from hilum.data.sources.films import films
from hilum.engines import openvino_engine
from hilum.errors import BundleError
from hilum.openvino_runtime import openvino
from hilum.predict import predict


def test_films_in_files_get_what_the_same_films_get_in_the_archive(
    small_bundle: Bundle, small_cohort: Cohort, tmp_path: Path
) -> None:
    for i in range(5):
        grey = np.rint(small_cohort.radiograph(i) * 255).astype(np.uint8)
        Image.fromarray(grey).save(tmp_path / f"{i}.png")
    from_files = predict(small_bundle, films([tmp_path], small_bundle.findings))
    from_archive = predict(small_bundle, small_cohort.where(np.arange(len(small_cohort)) < 5))
    np.testing.assert_allclose(
        from_files.prob("Pneumonia"), from_archive.prob("Pneumonia"), atol=1e-6
    )
    assert np.isnan(from_files.label("Pneumonia")).all()


def test_a_film_of_any_size_is_brought_down_to_the_source_first(
    small_bundle: Bundle, small_cohort: Cohort, tmp_path: Path
) -> None:
    grey = np.rint(small_cohort.radiograph(0) * 255).astype(np.uint8)
    Image.fromarray(np.kron(grey, np.ones((50, 50), np.uint8))).save(tmp_path / "large.png")
    wide = np.pad(np.kron(grey, np.ones((50, 50), np.uint8)), ((0, 0), (300, 300)))
    Image.fromarray(wide).save(tmp_path / "wide.png")
    prob_n = predict(small_bundle, films([tmp_path], ["Pneumonia"])).prob("Pneumonia")
    assert prob_n[0] == prob_n[1]  # the centre square of the wide film is the large one


def test_the_answer_does_not_depend_on_the_batch(
    small_bundle: Bundle, small_cohort: Cohort
) -> None:
    whole = predict(small_bundle, small_cohort).logit("Pneumonia")
    alone = predict(small_bundle, small_cohort.where(np.arange(len(small_cohort)) == 40))
    assert alone.logit("Pneumonia")[0] == pytest.approx(whole[40], abs=1e-5)


def test_progress_is_told_to_the_end(small_bundle: Bundle, small_cohort: Cohort) -> None:
    seen: list[tuple[int, int]] = []
    predict(small_bundle, small_cohort, progress=lambda *x: seen.append(x))
    assert seen[-1] == (180, 180)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_an_engine_that_is_none_ends_in_one_line(small_cohort: Cohort) -> None:
    with pytest.raises(BundleError, match="OpenVINO cannot load it"):
        openvino_engine((b"<net/>", b""))


def test_the_engine_gives_the_last_feature_map_too(
    small_bundle: Bundle, small_cohort: Cohort
) -> None:
    """Mean over the map, times the head, is the logit: what Grad-CAM without gradients rests on."""
    from safetensors.numpy import load_file

    from hilum.data.reading import consecutive, read_batches

    core = openvino.Core()
    network = core.read_model(*small_bundle.engine)
    model = core.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    ((_, image_nchw),) = read_batches(
        small_cohort, small_bundle.manifest.preprocessing, consecutive(8, 8)
    )
    outputs = model(image_nchw)
    state = load_file(small_bundle.folder / "weights.safetensors")
    pooled_nc = outputs["feature_nchw"].mean(axis=(2, 3))
    logit_nf = pooled_nc @ state["classifier.weight"].T + state["classifier.bias"]
    np.testing.assert_allclose(outputs["logit_nf"], logit_nf, atol=1e-4)


def test_openvino_reports_to_nobody(tmp_path: Path) -> None:
    """Its telemetry is never loaded, and no identifier is left in the home folder."""
    code = (
        "import hilum.predict, sys; import openvino.tools.ovc; "
        "assert not any(n.startswith('openvino_telemetry.') for n in sys.modules)"
    )
    environment = os.environ | {"HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert list(tmp_path.iterdir()) == []
