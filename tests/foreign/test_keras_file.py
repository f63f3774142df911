"""Keras files: what they say, and what is not let in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hilum.engines import open_engine
from hilum.errors import BundleError, MissingExtraError
from hilum.explanation.grid import grid_of_engine
from hilum.foreign import open_model
from others import Net, films, keras, keras_net, save_keras, sigmoid, write_toml

STATED = 'findings = { Pneumonia = 0 }\noutput = "probability"\ninput.range = [0, 255]\n'


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_keras_file_says_what_numpy_says(tmp_path: Path, suffix: str) -> None:
    net = Net.random(3, 1)
    path = save_keras(keras_net(net, activation="sigmoid"), tmp_path / f"m{suffix}")
    write_toml(path, STATED)
    bundle = open_model(path)
    found = open_engine(bundle)(films())
    expected = net.says(np.repeat(films(), 3, axis=1))
    np.testing.assert_allclose(sigmoid(found.logit_nf), sigmoid(expected), atol=1e-5)
    np.testing.assert_allclose(
        found.feature_nchw, net.maps(np.repeat(films(), 3, axis=1)), atol=1e-4
    )


def test_the_cells_of_a_keras_map_are_where_its_convolutions_look(tmp_path: Path) -> None:
    net = Net.random(3, 1)
    for padding, first in (("valid", 1.0), ("same", 1.0)):
        path = save_keras(
            keras_net(net, activation="sigmoid", padding=padding), tmp_path / f"{padding}.keras"
        )
        write_toml(path, STATED)
        grid = grid_of_engine(open_model(path).engine)
        assert grid is not None
        # Padding "same" of stride 2 on an even side adds its one pixel at the far edge.
        assert (grid.side, grid.step, grid.first) == (32, 2.0, first)


def test_layers_that_flatten_take_any_batch(tmp_path: Path) -> None:
    layers = keras().layers
    model = keras().Sequential(
        [layers.Input((32, 32, 1)), layers.Flatten(), layers.Dense(1, activation="sigmoid")]
    )
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(0, 0.1, (1024, 1)), rng.normal(0, 1, 1)
    model.layers[-1].set_weights([kernel, bias])
    path = save_keras(model, tmp_path / "m.keras")
    write_toml(path, STATED.replace("255", "1"))
    found = open_engine(open_model(path))(films(7))
    expected = films(7).reshape(7, -1) @ kernel + bias
    np.testing.assert_allclose(found.logit_nf, expected, atol=1e-4)


def rewritten(path: Path, change: dict) -> None:
    """The same file, with something else in its configuration's last layer."""
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(held["config.json"])
    config["config"]["layers"][-1] |= change
    held["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in held.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"class_name": "Lambda"}, "a layer Lambda"),
        ({"class_name": "TFSMLayer"}, "a layer TFSMLayer"),
        ({"class_name": "TorchModuleWrapper"}, "a layer TorchModuleWrapper"),
        ({"class_name": "function", "module": "builtins", "config": "exec"}, "a layer function"),
        ({"class_name": "Popen", "module": "subprocess"}, "a part Popen"),
        ({"class_name": "get_file", "module": "keras.utils"}, "a part get_file"),
        ({"class_name": "Attention2", "module": "mine", "registered_name": "mine>Attention2"},
         "a part Attention2"),
        ({"class_name": "mine>Attention2", "module": None}, "of its makers' own"),
    ],
)  # fmt: skip
def test_what_would_run_code_or_is_not_keras_own_is_refused_before_keras_sees_it(
    tmp_path: Path, change: dict, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_keras(keras_net(Net.random(3, 1), activation="sigmoid"), tmp_path / "m.keras")
    rewritten(path, change)
    write_toml(path, STATED)
    monkeypatch.setattr(keras().models, "load_model", lambda *a, **k: pytest.fail("loaded"))
    with pytest.raises(BundleError, match=f"{said}.*Keras's own layers alone; export it to ONNX"):
        open_model(path)


def test_a_lambda_in_an_h5_file_is_refused(tmp_path: Path) -> None:
    import h5py

    path = save_keras(keras_net(Net.random(3, 1), activation="sigmoid"), tmp_path / "m.h5")
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][-1]["class_name"] = "Lambda"
        file.attrs["model_config"] = json.dumps(config)
    write_toml(path, STATED)
    with pytest.raises(BundleError, match=r"a layer Lambda \(dense"):
        open_model(path)


def test_an_h5_file_that_points_elsewhere_is_refused(tmp_path: Path) -> None:
    import h5py

    path = save_keras(keras_net(Net.random(3, 1), activation="sigmoid"), tmp_path / "m.h5")
    with h5py.File(path, "r+") as file:
        file["model_weights/more"] = h5py.ExternalLink("/etc/hosts", "/")
    write_toml(path, STATED)
    with pytest.raises(BundleError, match="more is a link"):
        open_model(path)


def test_an_h5_file_of_absurd_size_is_refused(tmp_path: Path) -> None:
    import h5py

    path = save_keras(keras_net(Net.random(3, 1), activation="sigmoid"), tmp_path / "m.h5")
    with h5py.File(path, "r+") as file:
        file.create_dataset("model_weights/huge", (1 << 40,), "f4", chunks=True)
    assert path.stat().st_size < 1 << 20
    write_toml(path, STATED)
    with pytest.raises(BundleError, match="more than 4 GiB unpacked"):
        open_model(path)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("content", [b"", b"no model", b"PK\x03\x04 cut"])
def test_what_is_no_keras_file_is_one_line(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"m{suffix}"
    path.write_bytes(content)
    write_toml(path, STATED)
    with pytest.raises(BundleError, match="not a Keras model"):
        open_model(path)


def test_a_keras_file_cut_short_is_one_line(tmp_path: Path) -> None:
    path = save_keras(keras_net(Net.random(3, 1), activation="sigmoid"), tmp_path / "m.keras")
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    held["model.weights.h5"] = held["model.weights.h5"][:500]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in held.items():
            archive.writestr(name, content)
    write_toml(path, STATED)
    with pytest.raises(BundleError, match="Keras cannot load it"):
        open_model(path)


def test_without_keras_a_keras_file_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.keras"
    path.write_bytes(b"")
    write_toml(path, STATED)
    monkeypatch.setattr("hilum.foreign.keras_file.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hilum\[keras\]', or use the same"):
        open_model(path)


def test_keras_is_imported_for_a_keras_file_alone_and_leaves_nothing_at_home(
    tmp_path: Path,
) -> None:
    save_keras(keras_net(Net.random(3, 1), activation="sigmoid"), tmp_path / "m.keras")
    write_toml(tmp_path / "m.keras", STATED)
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "import sys\n"
        "from hilum.foreign import open_model\n"
        "assert 'keras' not in sys.modules\n"
        f"open_model({str(tmp_path / 'm.keras')!r})\n"
        "assert not {'torch', 'tensorflow', 'jax'} & set(sys.modules)\n"
        "import os; assert 'KERAS_HOME' not in os.environ\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("KERAS")}
    environment |= {"HOME": str(home), "KERAS_BACKEND": "torch"}  # a user's own is left alone
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    # Keras draws with matplotlib, which makes its own folder; Keras's would be .keras.
    assert [each.name for each in home.iterdir()] in ([], [".config"])
