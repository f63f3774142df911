"""The oldest versions that pyproject.toml allows: installed by themselves, they do the work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.version import Version

from test_known_holes import behind

ROOT = Path(__file__).parent.parent
# What the tests themselves need; of any version.
TOOLS = (
    "pytest", "pytest-xdist", "hypothesis", "httpx", "imagehash", "psutil", "betacal", "mapie",
    "pyjpegls", "pylibjpeg",
)  # fmt: skip
# Reading films, judging, calibrating, predicting, training and serving.
TESTS = (
    "tests/test_bundle.py",
    "tests/test_predict.py",
    "tests/test_engines.py",
    "tests/data/radiograph",
    "tests/calibration",
    "tests/doctor",
    "tests/serving/test_http.py",
)


def run(*command: str | Path) -> str:
    # Nothing of the environment that runs this test stands beside the old one.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=env)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


@pytest.mark.slow
def test_the_oldest_versions_that_are_allowed_work_and_have_no_known_hole(tmp_path: Path) -> None:
    uv = shutil.which("uv") or Path(sys.executable).parent / "uv"
    python = tmp_path / "bin/python"
    run(uv, "venv", "--quiet", "--python", sys.executable, "--allow-existing", tmp_path)
    oldest = ("--resolution", "lowest-direct", ".[serve,train,export]")
    run(uv, "pip", "install", "--quiet", "--python", python, *oldest)
    run(uv, "pip", "install", "--quiet", "--python", python, *TOOLS)
    listed = json.loads(run(uv, "pip", "list", "--python", python, "--format", "json"))
    pins = [(each["name"], Version(each["version"])) for each in listed]
    assert [told for name, version in pins for told in behind(version, name)] == []
    # Old libraries may warn of what new ones have deprecated; GDCM has crashed after torch.
    pytest_words = (
        "-m",
        "pytest",
        "-q",
        "-n",
        "0",
        "-p",
        "no:cacheprovider",
        "-o",
        "filterwarnings=",
    )
    for tests in TESTS:
        run(python, *pytest_words, tests)
