"""Trying what is installed: what works, what fails in words, what takes its process with it."""

from __future__ import annotations

import json
import sys

import pytest

from hilum.doctor import probe as child
from hilum.doctor.probing import probe
from hilum.doctor.streams import DECODER, STREAMS, picture

# Names what it begins; at `crash` it ends by a signal, at `leave` with an exit code.
STAND_IN = """
import json, os, signal, sys
for name in sys.argv[1:]:
    print(json.dumps({"begun": name}), flush=True)
    if name == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "leave":
        sys.exit(3)
    print("a library that talks", flush=True)
    print(json.dumps({"name": name, "told": len(name)}), flush=True)
"""


def test_a_part_that_ends_its_process_is_named_and_the_others_are_tried_all_the_same() -> None:
    names = ["one", "crash", "two", "leave", "three"]
    found = probe(names, [sys.executable, "-c", STAND_IN])
    assert found == {
        "one": {"told": 3},
        "crash": {"error": "ends its process by SIGKILL"},
        "two": {"told": 3},
        "leave": {"error": "ends its process with code 3"},
        "three": {"told": 5},
    }


def test_a_process_that_says_nothing_at_all_leaves_nothing_untold() -> None:
    found = probe(["one", "two"], [sys.executable, "-c", "raise SystemExit(1)"])
    assert set(found) == {"one", "two"}
    assert all("code 1" in each["error"] for each in found.values())


def test_what_is_installed_is_really_loaded() -> None:
    found = probe(["openvino", "pillow", "no-such-package", *(DECODER + s.what for s in STREAMS)])
    assert "No module named 'no_such_package'" in found.pop("no-such-package")["error"]
    assert not [name for name, each in found.items() if "error" in each]
    assert "FP32" in found["openvino"]["devices"]["CPU"]["capabilities"]


@pytest.mark.parametrize("stream", STREAMS, ids=lambda each: each.what)
def test_a_decoder_that_gives_another_picture_does_not_work(
    stream: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    what = stream.what  # type: ignore[attr-defined]
    monkeypatch.setattr(sys, "argv", ["probe", DECODER + what])
    monkeypatch.setattr(child, "picture", lambda: picture() ^ 8)
    child.main()
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert "a pixel is off by" in said["error"]
