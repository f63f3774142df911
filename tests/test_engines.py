from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.bundle import Bundle, load_bundle, seal_of
from hilum.data.cohort import Cohort
from hilum.data.reading import Quarantine
from hilum.data.roles import assign_roles
from hilum.engines import (
    CARRIED,
    Engine,
    Output,
    carried_engine,
    choosing,
    engines_of,
    exported_engines,
    fastest,
    open_engine,
    read_exported,
)
from hilum.engines.running import has_bf16, processor
from hilum.errors import BundleError, MissingExtraError
from hilum.explanation.explaining import explain
from hilum.exporting import agreement, exporting
from hilum.exporting.agreement import Films, read_films
from hilum.exporting.exporting import export, reference_engine
from hilum.predict import predict

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def films(small_bundle: Bundle, small_cohort: Cohort) -> Films:
    assigned, _ = assign_roles(small_cohort, small_bundle.data, seed=0)
    reference = reference_engine(small_bundle, fp32=True)
    assert reference.name == "torch"
    calibrate = assigned.with_role("calibrate")
    quarantine = Quarantine(len(calibrate))
    return read_films(small_bundle, calibrate, "calibrate", reference, quarantine=quarantine)


@pytest.fixture(scope="module")
def exported(
    small_bundle: Bundle, films: Films, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    """The small bundle with an int8 and an ONNX engine; tests that change it copy it first."""
    folder = tmp_path_factory.mktemp("models") / "small"
    bundle = load_bundle(shutil.copytree(small_bundle.folder, folder))
    export(bundle, "openvino-int8", films)
    export(bundle, "onnx-f32", films)
    return bundle


@pytest.fixture
def copy(exported: Bundle, tmp_path: Path) -> Bundle:
    return load_bundle(shutil.copytree(exported.folder, tmp_path / "copy"))


def rewrite(bundle: Bundle, name: str, change: Change) -> None:
    """Change what an engine's record says, under a digest that fits."""
    path = bundle.folder / "engines" / name / "engine.json"
    values = json.loads(path.read_text())
    del values["digest"]
    change(values)
    path.write_text(json.dumps(values | {"digest": seal_of(values)}))


def test_an_export_leaves_the_bundle_what_it_was(small_bundle: Bundle, exported: Bundle) -> None:
    assert load_bundle(exported.folder).digest == small_bundle.digest
    assert engines_of(small_bundle) == (CARRIED,)
    assert engines_of(exported) == (CARRIED, "openvino-int8", "onnx-f32")


def test_what_is_kept_of_an_engine_says_how_it_agrees(exported: Bundle, films: Films) -> None:
    found = exported_engines(exported)["onnx-f32"].record
    assert (found.agreement.reference, found.agreement.role) == ("torch", "calibrate")
    assert found.agreement.n == len(films.image_nchw) > 20
    assert found.agreement.largest_probability_difference <= 1e-4
    assert found.agreement.auroc["Pneumonia"].difference == 0
    assert found.agreement.decisions_changed == {"Pneumonia": 0}
    assert found.opset == 17
    assert found.speed.processor == processor()
    int8 = exported_engines(exported)["openvino-int8"].record
    # It computes with other numbers, or it is no int8 at all.
    assert int8.agreement.largest_probability_difference > 1e-4
    assert (int8.agreement.auroc["Pneumonia"].difference or 0) <= 0.005
    assert int8.quantisation == {"preset": "performance", "films": found.agreement.n}


@pytest.mark.parametrize("name", ["openvino-int8", "onnx-f32"])
def test_an_exported_engine_answers_and_its_maps_add_up(
    exported: Bundle, small_cohort: Cohort, name: str
) -> None:
    engine = open_engine(exported, name, threads=1)
    assert engine.name == name
    known = predict(exported, small_cohort)
    found = explain(exported, small_cohort, engine=engine)  # refuses a map that does not add up
    if name == "onnx-f32":
        prob_n = found.predictions.prob("Pneumonia")
        np.testing.assert_allclose(prob_n, known.prob("Pneumonia"), atol=1e-4)
    assert np.corrcoef(found.predictions.logit("Pneumonia"), known.logit("Pneumonia"))[0, 1] > 0.9


@pytest.mark.skipif(not has_bf16(), reason="this processor does not multiply in bf16")
def test_bf16_keeps_no_second_copy_of_the_network(
    copy: Bundle, films: Films, small_cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "AUROC_LIMITS", {"bf16": 0.05})  # the small bundle's is coarse
    export(copy, "openvino-bf16", films)
    assert [each.name for each in (copy.folder / "engines" / "openvino-bf16").iterdir()] == [
        "engine.json"
    ]
    found = explain(copy, small_cohort, engine=open_engine(copy, "openvino-bf16"))
    assert len(found.predictions) == len(small_cohort)


def test_bf16_is_refused_where_the_processor_lacks_it(
    copy: Bundle, films: Films, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "has_bf16", lambda: False)
    with pytest.raises(BundleError, match="does not multiply in bf16"):
        export(copy, "openvino-bf16", films)


def test_an_engine_beyond_its_limit_leaves_nothing_behind(
    small_bundle: Bundle, films: Films, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = load_bundle(shutil.copytree(small_bundle.folder, tmp_path / "copy"))
    before = sorted(bundle.folder.rglob("*"))
    monkeypatch.setattr(agreement, "PROBABILITY_LIMIT", 0.0)
    with pytest.raises(BundleError, match=r"onnx-f32: not exported: .* differs from torch's by"):
        export(bundle, "onnx-f32", films)
    assert sorted(bundle.folder.rglob("*")) == before


def test_an_engine_beyond_its_limit_leaves_the_one_before(
    copy: Bundle, films: Films, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_exported(copy, "openvino-int8")
    monkeypatch.setattr(agreement, "AUROC_LIMITS", {"int8": -1.0})
    with pytest.raises(BundleError, match="the AUROC of Pneumonia differs from torch's by 0"):
        export(copy, "openvino-int8", films)
    assert read_exported(copy, "openvino-int8") == before


class _Nonsense:
    """An engine whose answers are no numbers."""

    name = "nonsense"

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def __call__(self, image_nchw: np.ndarray) -> Output:
        logit_nf, feature_nchw = self.engine(image_nchw)
        return Output(np.full_like(logit_nf, np.nan), feature_nchw)


@pytest.mark.parametrize("precision", ["f32", "int8"])
def test_an_engine_that_answers_no_number_agrees_with_nothing(
    small_bundle: Bundle, films: Films, precision: str
) -> None:
    found = agreement.agreement(small_bundle, _Nonsense(carried_engine(small_bundle)), films)
    with pytest.raises(BundleError, match="not exported"):
        agreement.refuse_disagreement("it", precision, found)


def test_quantisation_is_refused_where_auroc_cannot_be_told(
    small_bundle: Bundle, films: Films
) -> None:
    healthy = replace(films, label_nf=np.zeros_like(films.label_nf))
    found = agreement.agreement(small_bundle, carried_engine(small_bundle), healthy)
    with pytest.raises(BundleError, match="AUROC cannot be told"):
        agreement.refuse_disagreement("openvino-int8", "int8", found)


@pytest.mark.parametrize("file", ["model.xml", "model.bin"])
def test_a_tampered_file_is_refused(copy: Bundle, file: str) -> None:
    path = copy.folder / "engines" / "openvino-int8" / file
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(BundleError, match=f"{file}: damaged"):
        open_engine(copy, "openvino-int8")
    with pytest.raises(BundleError, match=f"{file}: damaged"):
        open_engine(copy)
    assert carried_engine(copy).name == CARRIED


def test_an_engine_of_another_bundle_is_refused(copy: Bundle) -> None:
    rewrite(copy, "onnx-f32", lambda values: values.update(bundle="0" * 64))
    with pytest.raises(BundleError, match="belongs to another bundle, 000000000000…"):
        open_engine(copy, "onnx-f32")


def test_an_engine_under_another_name_is_refused(copy: Bundle) -> None:
    rewrite(copy, "onnx-f32", lambda values: values.update(name=CARRIED, files={}))
    with pytest.raises(BundleError, match="says that it is openvino-f32"):
        open_engine(copy, "onnx-f32")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda values: values["files"].update({"../../bundle.json": "0"}), "not the files of"),
        (lambda values: values.pop("speed"), "not an engine of schema 1"),
        (lambda values: values.update(schema_version=2), "engine of schema 2"),
    ],
)
def test_a_record_that_is_none_is_refused(copy: Bundle, change: Change, words: str) -> None:
    rewrite(copy, "onnx-f32", change)
    with pytest.raises(BundleError, match=words):
        open_engine(copy, "onnx-f32")


def test_a_record_that_was_edited_is_refused(copy: Bundle) -> None:
    path = copy.folder / "engines" / "onnx-f32" / "engine.json"
    path.write_text(path.read_text().replace('"n": ', '"n": 1'))
    with pytest.raises(BundleError, match="its digest does not match"):
        open_engine(copy, "onnx-f32")


def test_an_unknown_engine_is_refused_with_those_there_are(exported: Bundle) -> None:
    with pytest.raises(BundleError, match="expected openvino-f32, openvino-int8, onnx-f32"):
        open_engine(exported, "tensorrt")
    with pytest.raises(BundleError, match="not among the bundle's engines"):
        open_engine(exported, "openvino-bf16")


def measured(images_per_s: float, on: str | None = None) -> Change:
    """A speed, where the carried engine made 100."""

    def change(values: dict[str, Any]) -> None:
        speed = {"images_per_s": images_per_s, "carried_images_per_s": 100.0}
        values["speed"].update(speed, processor=on or processor())

    return change


def test_the_fastest_as_measured_here_answers(copy: Bundle) -> None:
    rewrite(copy, "openvino-int8", measured(150))
    rewrite(copy, "onnx-f32", measured(200))
    assert open_engine(copy).name == "onnx-f32"
    rewrite(copy, "onnx-f32", measured(120))
    assert open_engine(copy).name == "openvino-int8"
    rewrite(copy, "openvino-int8", measured(90))
    rewrite(copy, "onnx-f32", measured(90))
    assert open_engine(copy).name == CARRIED


def test_speeds_of_another_processor_do_not_choose(copy: Bundle) -> None:
    rewrite(copy, "openvino-int8", measured(90, on="another"))
    rewrite(copy, "onnx-f32", measured(900))
    assert fastest(copy) == "openvino-int8"


def test_an_engine_without_its_runtime_is_passed_over(
    copy: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite(copy, "openvino-int8", measured(90))
    rewrite(copy, "onnx-f32", measured(900))
    monkeypatch.setattr(choosing, "has_onnx_runtime", lambda: False)
    monkeypatch.setattr("hilum.engines.running.has_onnx_runtime", lambda: False)
    assert fastest(copy) == CARRIED
    with pytest.raises(MissingExtraError, match=r"hilum\[export\]"):
        open_engine(copy, "onnx-f32")


def test_judging_stays_with_the_carried_engine(
    small_bundle: Bundle, exported: Bundle, small_cohort: Cohort
) -> None:
    known, found = predict(small_bundle, small_cohort), predict(exported, small_cohort)
    np.testing.assert_array_equal(known.logit("Pneumonia"), found.logit("Pneumonia"))


def test_onnx_is_one_file_that_takes_any_number_of_films(exported: Bundle) -> None:
    import onnx
    import onnxruntime

    path = exported.folder / "engines" / "onnx-f32" / "model.onnx"
    model = onnx.load(path, load_external_data=False)
    assert [each.version for each in model.opset_import if each.domain == ""] == [17]
    assert all(each.data_location == onnx.TensorProto.DEFAULT for each in model.graph.initializer)
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_outputs()] == ["logit_nf", "feature_nchw"]
    image_nchw = np.random.default_rng(0).random((5, 1, 64, 64), dtype=np.float32)
    known = carried_engine(exported)(image_nchw)
    logit_nf, feature_nchw = session.run(None, {"image_nchw": image_nchw})
    np.testing.assert_allclose(logit_nf, known.logit_nf, atol=1e-3)
    np.testing.assert_allclose(feature_nchw, known.feature_nchw, atol=1e-3)
    one = session.run(["logit_nf"], {"image_nchw": image_nchw[:1]})[0]
    np.testing.assert_allclose(one, logit_nf[:1], atol=1e-4)


def test_what_quantises_reports_to_nobody(tmp_path: Path) -> None:
    code = (
        "import sys; from hilum.exporting.quantising import quantise; import nncf; "
        "assert not any(n.startswith('openvino_telemetry.') for n in sys.modules)"
    )
    environment = os.environ | {"HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    names = [each.name for each in tmp_path.rglob("*")]
    assert not [name for name in names if "telemetry" in name or "intel" in name]
