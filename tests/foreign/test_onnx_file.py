"""ONNX files that are damaged, or whose weights stand elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hilum.engines import open_engine
from hilum.errors import BundleError
from hilum.foreign import open_model
from others import PROBABILITY, Net, films, write_onnx, write_toml


def with_weights_in(path: Path, location: str) -> bytes:
    """The same ONNX file with its convolution's weights in another; returns these."""
    import onnx
    from onnx.external_data_helper import set_external_data

    model = onnx.load(str(path))
    (tensor,) = (each for each in model.graph.initializer if each.name == "cw")
    content = bytes(tensor.raw_data)
    set_external_data(tensor, location=location, offset=0, length=len(content))
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    path.write_bytes(onnx.ModelProto.SerializeToString(model))
    return content


def test_weights_beside_the_file_are_read_and_are_part_of_its_digest(tmp_path: Path) -> None:
    net = Net.random(1, 1)
    path = write_onnx(tmp_path / "m.onnx", net)
    beside = tmp_path / "m.weights"
    beside.write_bytes(with_weights_in(path, "m.weights"))
    write_toml(path, PROBABILITY)
    bundle = open_model(path)
    np.testing.assert_allclose(open_engine(bundle)(films()).logit_nf, net.says(films()), atol=1e-4)
    beside.write_bytes((2 * net.conv_oc33).tobytes())
    assert open_model(path).digest != bundle.digest


@pytest.mark.parametrize("how", ["..", "absolute", "link", "missing"])
def test_weights_outside_the_folder_are_refused(tmp_path: Path, how: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    path = write_onnx(folder / "m.onnx", Net.random(1, 1))
    outside = tmp_path / "w.bin"
    places = {"..": "../w.bin", "absolute": str(outside), "link": "l.bin", "missing": "no.bin"}
    outside.write_bytes(with_weights_in(path, places[how]))
    if how == "link":
        (folder / "l.bin").symlink_to(outside)
    write_toml(path, PROBABILITY)
    with pytest.raises(BundleError, match="not a model that OpenVINO reads"):
        open_model(path)


@pytest.mark.parametrize("content", [b"", b"no model", None])
def test_a_damaged_file_is_one_line(
    tmp_path: Path, content: bytes | None, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_onnx(tmp_path / "m.onnx", Net.random(1, 1))
    path.write_bytes(path.read_bytes()[:200] if content is None else content)
    write_toml(path, PROBABILITY)
    with pytest.raises(BundleError, match="expected") as caught:
        open_model(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""
