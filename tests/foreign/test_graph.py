"""What is stated of a model is built into its network: held against plain NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hilum.engines import open_engine
from hilum.errors import BundleError
from hilum.explanation.explaining import default_method
from hilum.explanation.head import head_of
from hilum.foreign import open_model
from others import PROBABILITY, SIDE, Net, films, sigmoid, softmax, write_onnx, write_toml


def opened(path: Path, stated: str):
    write_toml(path, stated)
    bundle = open_model(path)
    return bundle, open_engine(bundle)(films())


@pytest.mark.parametrize(
    ("output", "ends"),
    [
        ("probability", ["Sigmoid"]),
        ("probability", ["Sigmoid", "Abs"]),  # hides the sigmoid
        ("logit", []),
    ],
)
def test_a_sigmoid_becomes_the_logit_that_went_into_it(
    tmp_path: Path, output: str, ends: list[str]
) -> None:
    net = Net.random(1, 3)
    path = write_onnx(tmp_path / "m.onnx", net, ends=ends)
    stated = f'findings = {{ Effusion = 2, Mass = 0 }}\noutput = "{output}"\ninput.range = [0, 1]'
    bundle, found = opened(path, stated)
    assert bundle.findings == ("Effusion", "Mass")
    expected = net.says(films())[:, [2, 0]]
    np.testing.assert_allclose(sigmoid(found.logit_nf), sigmoid(expected), atol=1e-6)
    if ends != ["Sigmoid", "Abs"]:
        np.testing.assert_allclose(found.logit_nf, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("output", "ends"),
    [
        ("softmax", ["Softmax"]),
        ("softmax", ["Softmax", "Abs"]),
        ("softmax_logits", []),
    ],
)
def test_classes_of_a_softmax_are_taken_together(
    tmp_path: Path, output: str, ends: list[str]
) -> None:
    """Normal, bacterial and viral: pneumonia is either of the last two."""
    net = Net.random(1, 3)
    path = write_onnx(tmp_path / "m.onnx", net, ends=ends)
    stated = f'findings = {{ Pneumonia = [1, 2] }}\noutput = "{output}"\ninput.range = [0, 1]'
    bundle, found = opened(path, stated)
    prob_nk = softmax(net.says(films()))
    np.testing.assert_allclose(
        sigmoid(found.logit_nf[:, 0]), prob_nk[:, 1] + prob_nk[:, 2], atol=1e-6
    )
    assert default_method(bundle) == "occlusion"  # this logit is not linear in the map


def test_of_two_classes_the_logit_is_linear_in_the_map_and_grad_cam_needs_nothing_else(
    tmp_path: Path,
) -> None:
    net = Net.random(1, 2)
    path = write_onnx(tmp_path / "m.onnx", net, ends=["Softmax"])
    bundle, found = opened(
        path, 'findings = { Pneumonia = 1 }\noutput = "softmax"\ninput.range = [0, 1]'
    )
    np.testing.assert_allclose(found.feature_nchw, net.maps(films()), atol=1e-5)
    said = net.says(films())
    np.testing.assert_allclose(found.logit_nf[:, 0], said[:, 1] - said[:, 0], atol=1e-4)
    head = head_of(bundle, 6)
    summed_nf = head.adds(found.feature_nchw).sum(axis=(2, 3)) + head.bias_f
    np.testing.assert_allclose(summed_nf, found.logit_nf, atol=1e-4)
    assert default_method(bundle) == "grad_cam"


def test_grey_is_brought_to_the_range_the_channels_and_the_layout_that_are_stated(
    tmp_path: Path,
) -> None:
    net = Net.random(3, 1)
    path = write_onnx(tmp_path / "m.onnx", net, shape=("n", SIDE, SIDE, 3), nhwc=True)
    stated = PROBABILITY.replace("input.range = [0, 1]", "input.range = [-1, 1]")
    stated += "input.mean = [0.1, 0.2, 0.3]\ninput.std = [0.5, 0.6, 0.7]\n"
    _, found = opened(path, stated)
    given = 2 * films().astype(np.float64) - 1
    given = (given - np.reshape([0.1, 0.2, 0.3], (1, 3, 1, 1))) / np.reshape(
        [0.5, 0.6, 0.7], (1, 3, 1, 1)
    )
    np.testing.assert_allclose(found.logit_nf, net.says(given), atol=1e-4)


def test_a_size_that_the_model_leaves_open_is_the_one_stated(tmp_path: Path) -> None:
    net = Net.random(1, 1)
    path = write_onnx(tmp_path / "m.onnx", net, shape=("n", 1, "h", "w"))
    bundle, found = opened(path, PROBABILITY + f"input.size = {SIDE}\n")
    assert bundle.manifest.engine.input_size == SIDE
    np.testing.assert_allclose(found.logit_nf, net.says(films()), atol=1e-4)


def test_where_no_map_is_pooled_the_input_of_the_last_layer_stands_for_it(tmp_path: Path) -> None:
    net = Net.random(1, 1)
    path = write_onnx(tmp_path / "m.onnx", net, ends=["Relu", "Neg", "Sigmoid"])
    bundle, found = opened(path, PROBABILITY)
    np.testing.assert_allclose(found.logit_nf, -np.maximum(net.says(films()), 0), atol=1e-4)
    assert found.feature_nchw.shape[2:] == (1, 1)
    assert default_method(bundle) == "occlusion"


def test_a_batch_of_one_that_an_exporter_wrote_down_is_made_free(tmp_path: Path) -> None:
    net = Net.random(1, 1)
    shape = (1, 1, SIDE, SIDE)
    path = write_onnx(tmp_path / "m.onnx", net, shape=shape, flat_as=(1, -1))
    _, found = opened(path, PROBABILITY)
    np.testing.assert_allclose(found.logit_nf, net.says(films()), atol=1e-4)


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        (["First", "Sigmoid"], "takes 1 film at a time.*with a dynamic batch"),
        (["LessMean", "Sigmoid"], "answers differently when films stand beside"),
    ],
)
def test_a_model_that_takes_one_film_at_a_time_or_mixes_them_is_refused(
    tmp_path: Path, ends: list[str], said: str
) -> None:
    path = write_onnx(tmp_path / "m.onnx", Net.random(1, 1), ends=ends)
    with pytest.raises(BundleError, match=said):
        opened(path, PROBABILITY)


@pytest.mark.parametrize(
    ("change", "made", "said"),
    [
        ({"0 }": "3 }"}, {}, "findings.Pneumonia = 3 is stated, but the model has 1 output"),
        ({'"probability"': '"softmax"'}, {}, "the model has 1 output; expected two or more"),
        ({'"probability"': '"logit"'}, {}, "the network ends in a sigmoid"),
        ({}, {"ends": ["Softmax"]}, "the network ends in a softmax"),
        ({"[0, 1]": "[0, 1]\ninput.size = 64"}, {}, "input.size = 64 is stated, but the model"),
        ({"[0, 1]": "[0, 1]\ninput.channels = 3"}, {}, "input.channels = 3 is stated"),
        ({}, {"shape": ("n", 1, SIDE, 48)}, "32 × 48 pixels; expected a square"),
        ({}, {"shape": ("n", 1, "h", "w")}, "takes any; state input.size"),
        ({}, {"outputs": 2}, "2 outputs; expected one"),
        ({"[0, 1]": '[0, 1]\ninput.layout = "nhwc"'}, {}, "32 channels as nhwc; expected 1 or 3"),
    ],
)
def test_what_is_stated_and_what_the_file_holds_have_to_agree(
    tmp_path: Path, change: dict[str, str], made: dict, said: str
) -> None:
    path = write_onnx(tmp_path / "m.onnx", Net.random(1, 1), **made)
    stated = PROBABILITY
    for old, new in change.items():
        stated = stated.replace(old, new)
    with pytest.raises(BundleError) as caught:
        opened(path, stated)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
