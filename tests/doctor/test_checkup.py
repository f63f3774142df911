"""The whole checkup: what is broken, what may be told, what is printed."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from hilum.bundle import Bundle
from hilum.cli import run as hilum
from hilum.doctor import checkup
from hilum.doctor.checkup import failures, processor_of, without_person
from hilum.doctor.measuring import measure
from hilum.doctor.probing import Found
from hilum.engines import CARRIED

Captured = pytest.CaptureFixture[str]


def test_a_library_that_fails_is_broken_and_told_in_one_line() -> None:
    tried: Found = {"pandas": {"error": "ImportError:\n numpy.core\n"}, "numpy": {}}
    (told,) = failures(tried)
    assert told.broken
    assert told.line == (
        "pandas: does not work: ImportError: numpy.core; pip install --force-reinstall pandas"
    )
    lost = "ImportError: /srv/st_elsewhere/venv/libx.so.1: cannot open shared object file"
    (told,) = failures({"openvino": {"error": lost}})
    assert told.found == "does not work: ImportError: libx.so.1: cannot open shared object file"
    (told,) = failures({"decoder JPEG-LS": {"error": "ends its process by SIGABRT"}})
    assert told.remedy == "pip install --force-reinstall python-gdcm"


def test_openvino_without_a_processor_to_run_on_is_broken() -> None:
    (told,) = failures({"openvino": {"devices": {"NPU": {}}}})
    assert told.broken
    cpu = {"devices": {"CPU": {"name": "x", "capabilities": ["BF16"]}}}
    assert failures({"openvino": cpu}) == []
    assert processor_of({"openvino": cpu}) == ("BF16",)


def test_home_folder_and_user_are_taken_out_of_paths_and_nothing_else() -> None:
    told = {"a": ["/home/jane/.venv/lib", "/data/jane/x", "jane 1.0", "/data/janet"], "n": 3}
    assert without_person(told, Path("/home/jane"), "jane") == {
        "a": ["~/.venv/lib", "/data/USER/x", "jane 1.0", "/data/janet"],
        "n": 3,
    }


def test_each_engine_that_runs_here_is_timed_the_fastest_first(small_bundle: Bundle) -> None:
    found = measure(small_bundle)
    assert CARRIED in {each.engine for each in found}
    rates = [each.images_per_s for each in found]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] > 0


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes seconds to load is not tried: `test_probing` does that."""
    cpu = {"name": "x", "capabilities": ["FP32"]}
    found: Found = {"openvino": {"devices": {"CPU": cpu}}, "decoder RLE": {}}
    monkeypatch.setattr(checkup, "probe", lambda names: found)


@pytest.mark.usefixtures("tried")
def test_what_is_printed_names_no_host_no_user_and_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home_of_jane"))
    monkeypatch.setenv("LOGNAME", "jane_doe")
    monkeypatch.setenv("HILUM_DATA", str(tmp_path / "st_elsewhere"))
    assert hilum(["doctor"]) == 0
    text = capsys.readouterr().out
    assert hilum(["doctor", "--json"]) == 0
    text += capsys.readouterr().out
    assert "decoders: RLE\n" in text
    assert "OpenVINO CPU: x; FP32" in text
    for private in ("jane", "elsewhere", str(tmp_path), platform.node()):
        assert private not in text


def test_what_is_broken_ends_in_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    broken: Found = {"pandas": {"error": "ends its process by SIGILL"}}
    monkeypatch.setattr(checkup, "probe", lambda names: broken)
    assert hilum(["doctor", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["broken"] is True
    assert found["problems"][0]["where"] == "pandas"
    assert hilum(["doctor"]) == 1
    assert "  BROKEN pandas: does not work: ends its process by SIGILL" in capsys.readouterr().out


def test_every_base_library_and_decoder_is_tried() -> None:
    from hilum.doctor.requirements import asked_by_hilum, libraries

    names = checkup.to_try(libraries(asked_by_hilum(), lambda name: "1"))
    assert {"openvino", "pandas", "pydicom", "torch", "decoder JPEG 2000"} <= set(names)
    assert "mlflow" not in names
    assert "decoder JPEG 2000" not in checkup.to_try(())
