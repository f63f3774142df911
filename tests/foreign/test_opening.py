"""Which model a path means, what is known of it, and what is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hilum.bundle import Bundle
from hilum.errors import BundleError, HilumError, RecipeError
from hilum.foreign import open_model
from hilum.foreign.settings import PRESETS
from hilum.predict import predict
from others import PROBABILITY, Net, write_onnx, write_toml


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_onnx(tmp_path / "models" / "m.onnx", Net.random(1, 1))


@pytest.fixture(autouse=True)
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def test_the_folder_the_file_and_its_settings_mean_the_same_model(
    models: Path, model: Path
) -> None:
    stated = write_toml(model, PROBABILITY)
    assert {open_model(path).digest for path in (models, model, stated)} == {
        open_model(model).digest
    }
    assert open_model(models).folder == model


@pytest.mark.parametrize("name", ["m.onnx.toml", "m.toml", "model.toml"])
def test_settings_are_found_by_the_names_that_the_docs_give(
    models: Path, model: Path, name: str
) -> None:
    named = 'file = "m.onnx"\n' if name == "model.toml" else ""
    (models / name).write_text(named + PROBABILITY)
    assert open_model(model).manifest.recipe["foreign"]["stated_in"] == name


def test_a_bundle_is_opened_as_ever(small_bundle: Bundle) -> None:
    for path in (small_bundle.folder, small_bundle.folder.parent):
        assert open_model(path).digest == small_bundle.digest


def test_beside_a_bundle_one_has_to_be_named(
    small_bundle: Bundle, models: Path, model: Path
) -> None:
    write_toml(model, PROBABILITY)
    shutil.copytree(small_bundle.folder, models / "ours")
    with pytest.raises(BundleError, match=r"2 models: ours, m\.onnx; expected one; name it"):
        open_model(models)
    assert open_model(models / "ours").digest == small_bundle.digest
    assert open_model(model).foreign


def test_without_settings_the_line_says_which_keys_it_needs(model: Path) -> None:
    with pytest.raises(BundleError, match=r"findings, output and input.range: see docs/foreign"):
        open_model(model)


@pytest.mark.parametrize("name", ["m.pt", "m.pkl", "m.pb"])
def test_other_formats_are_sent_to_onnx(models: Path, name: str) -> None:
    (models / name).write_bytes(b"")
    with pytest.raises(BundleError, match="export it to ONNX"):
        open_model(models / name)


def test_nothing_there_is_no_bundle(models: Path, tmp_path: Path) -> None:
    for path in (models, tmp_path / "none", tmp_path / "none.onnx"):
        with pytest.raises(BundleError, match="no bundle here"):
            open_model(path)


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ("findngs = { Pneumonia = 0 }", "unknown key findngs; did you mean findings?"),
        (PROBABILITY + "input.rnge = [0, 1]", "unknown key input.rnge; did you mean input.range?"),
        (PROBABILITY.replace("probability", "odds"), "output = 'odds'; set 'probability', 'logit'"),
        ('findings = { Pneumonia = 0 }\noutput = "logit"', "input is missing; set it"),
        ("findings = [", "cannot be read as TOML"),
        (PROBABILITY + "threshold = 1.5", "threshold = 1.5; set less than 1"),
        (PROBABILITY.replace("[0, 1]", "[1, 0]"), "set black, then white"),
        (PROBABILITY.replace("0 }", "[0, 1] }"), "of a softmax alone"),
        ('file = "../m.onnx"\n' + PROBABILITY, "name a file beside this one"),
    ],
)
def test_wrong_settings_are_one_line(models: Path, model: Path, stated: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        open_model(write_toml(model, stated))
    assert said in str(caught.value)


def test_settings_of_no_file_say_so(models: Path) -> None:
    (models / "m.toml").write_text(PROBABILITY)
    with pytest.raises(HilumError, match="no models of this name beside it"):
        open_model(models / "m.toml")
    (models / "m.toml").write_text('file = "gone.onnx"\n' + PROBABILITY)
    with pytest.raises(BundleError, match=r"gone\.onnx: no such file"):
        open_model(models / "m.toml")


def test_the_digest_is_of_the_file_and_of_what_is_stated(model: Path) -> None:
    stated = write_toml(model, PROBABILITY)
    first = open_model(model).digest
    assert open_model(model).digest == first
    stated.write_text(PROBABILITY + "threshold = 0.4\n")
    second = open_model(model).digest
    stated.write_text(PROBABILITY)
    write_onnx(model, Net.random(1, 1, seed=1))
    assert len({first, second, open_model(model).digest}) == 3


def test_nothing_is_said_to_be_known_that_is_not(model: Path) -> None:
    write_toml(model, PROBABILITY + 'threshold = 0.3\ntrained_on = "our own films"\n')
    bundle = open_model(model)
    assert bundle.seen() is None
    assert bundle.policy() is None
    assert bundle.conformal_limits("Pneumonia") is None
    logit_n = np.linspace(-4, 4, 9)
    np.testing.assert_allclose(
        bundle.calibrator("Pneumonia").prob(logit_n), 1 / (1 + np.exp(-logit_n))
    )
    (deployed,) = bundle.deployments().values()
    assert deployed.thresholds == {"deployed": 0.3}
    assert "as m.toml states it" in deployed.rules["deployed"]
    assert bundle.manifest.source == "our own films"


def test_looks_at_test_are_written_beside_the_model(model: Path) -> None:
    write_toml(model, PROBABILITY)
    bundle = open_model(model)
    assert bundle.record_opening("test", "somewhere", 10, {"Pneumonia": 0.5})
    (line,) = (model.parent / "m.onnx.openings.jsonl").read_text().splitlines()
    assert json.loads(line)["bundle"] == bundle.digest
    assert [each["n"] for each in open_model(model).openings()] == [10]


def test_films_of_any_shape_are_brought_to_the_models_square(model: Path, small_cohort) -> None:
    write_toml(model, PROBABILITY + 'input.reduction = 28\ninput.resampling = "bicubic"\n')
    bundle = open_model(model)
    prob_n = predict(bundle, small_cohort).prob("Pneumonia")
    assert len(prob_n) == len(small_cohort)
    assert np.isfinite(prob_n).all()
    assert np.ptp(prob_n) > 0.01


def test_the_predecessors_model_needs_no_settings() -> None:
    (settings,) = PRESETS.values()
    steps = [step.model_dump() for step in settings.input.steps(224)]
    assert [step["step"] for step in steps] == ["centre_square", "resize", "resize"]
    assert steps[-1] == {
        "step": "resize", "height": 224, "width": 224, "interpolation": "bilinear"
    }  # fmt: skip
    assert (settings.output, settings.threshold, settings.source) == (
        "probability", 0.5, "pneumoniamnist"
    )  # fmt: skip
    assert settings.input.range == (0, 255)
