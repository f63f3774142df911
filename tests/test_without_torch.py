"""A base install has no torch: all but training works in an interpreter that cannot find it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from hilum.bundle import Bundle
from made import write_npz

# The finder of installed packages does not find these, as where they are not installed.
BLOCK = """
import sys
from importlib.machinery import PathFinder
ABSENT = {"torch", "torchvision", "timm", "lightning_fabric", "captum", "sklearn"}
class Base:
    find_distributions = PathFinder.find_distributions
    def find_spec(name, path=None, target=None):
        absent = name.partition(".")[0] in ABSENT
        return None if absent else PathFinder.find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Base
from hilum.cli import run
sys.exit(run(sys.argv[1:]))
"""


def hilum(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BLOCK, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_evaluate_and_predict_work_without_torch(
    small_bundle: Bundle, small_npz: Path, tmp_path: Path
) -> None:
    models = shutil.copytree(small_bundle.folder, tmp_path / "small")
    found = hilum("evaluate", models, "--data", small_npz, "--out", tmp_path / "out", "--json")
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["evaluation"]["n"] == 60
    found = hilum("predict", models, tmp_path / "out" / "roc_curve.png")
    assert found.returncode == 2  # a colour picture
    assert "greyscale radiograph" in found.stderr


def test_films_are_explained_without_torch(small_bundle: Bundle, tmp_path: Path) -> None:
    models = shutil.copytree(small_bundle.folder, tmp_path / "small")
    few, out = tmp_path / "pneumoniamnist.npz", tmp_path / "explained"
    write_npz(few, n=12, seed=1)
    start = ("explain", models, "--data", few, "--out", out, "--panels", "1")
    found = hilum(*start, "--shortcuts")
    assert found.returncode == 0, found.stderr
    assert (out / "contact_sheet.png").is_file()
    assert (out / "shortcuts.png").is_file()
    found = hilum(*start, "--method", "occlusion")
    assert found.returncode == 0, found.stderr
    found = hilum(*start, "--method", "integrated_gradients")
    assert found.returncode == 2
    assert "pip install 'hilum[train]'" in found.stderr


def test_int8_is_made_and_run_without_torch(
    small_bundle: Bundle, small_npz: Path, tmp_path: Path
) -> None:
    models = shutil.copytree(small_bundle.folder, tmp_path / "small")
    start = ("export", models, "--data", small_npz, "--to")
    found = hilum(*start, "openvino", "--int8", "--json")
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["engines"][0]["agreement"]["reference"] == "openvino-f32"
    found = hilum(*start, "onnx")
    assert found.returncode == 2
    assert "pip install 'hilum[train]'" in found.stderr


def test_training_without_torch_says_what_to_install(small_npz: Path, tmp_path: Path) -> None:
    found = hilum("train", "pneumoniamnist", "--out", tmp_path / "b", "--data", small_npz)
    assert found.returncode == 2
    assert "pip install 'hilum[train]'" in found.stderr
    assert "Traceback" not in found.stderr
