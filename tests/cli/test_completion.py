"""Words that a shell offers: asked for as bash asks, from the script that `hilum` itself prints."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hilum.cli.completing import SOURCES
from hilum.recipes import recipe_names

BIN = Path(sys.executable).parent
# What each shell does with the script when a person presses Tab. One line a question is printed.
BASH = """
source <(hilum --show-completion)
complete -p hilum >/dev/null || exit 9
ask() {{
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _hilum_completion hilum
    echo "${{COMPREPLY[*]}}"
}}
{questions}
"""
FISH = """
hilum --show-completion | source
complete --do-complete {line}
"""


def told(shell: str, script: str) -> list[str]:
    done = subprocess.run(
        [shell, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stderr
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


def test_bash_offers_what_can_stand_there() -> None:
    cases = {
        ("hilum", "ex"): "explain export",
        ("hilum", "bundle", ""): "list show verify",
        ("hilum", "predict", "pn"): "pneumoniamnist",
        ("hilum", "train", "--qu"): "--quick",
        ("hilum", "train", ""): " ".join(recipe_names()),
        ("hilum", "reproduce", "--recipe", "kermany"): "kermany-224",
        ("hilum", "evaluate", "models/x", "--on", "ph"): "phantom",
        ("hilum", "data", "check", "n"): "nih:",
        ("hilum", "train", "./mine"): "",
    }
    questions = "\n".join(f"ask {shlex.join(words)}" for words in cases)
    answers = told("bash", BASH.format(questions=questions))
    assert dict(zip(cases, answers, strict=True)) == cases


def test_fish_offers_the_same() -> None:
    if shutil.which("fish") is None:
        pytest.skip("no fish on this machine")
    assert told("fish", FISH.format(line="'hilum train kermany'")) == ["kermany-224"]


def test_zsh_is_given_a_script_that_it_can_read() -> None:
    if shutil.which("zsh") is None:
        pytest.skip("no zsh on this machine")
    script = "autoload -Uz compinit; compinit -u; source <(hilum --show-completion); "
    assert told("zsh", script + "print ${_comps[hilum]}") == ["_hilum_completion"]


def test_completion_loads_nothing_heavy() -> None:
    asked = {"_HILUM_COMPLETE": "complete_bash", "COMP_WORDS": "hilum train k", "COMP_CWORD": "2"}
    done = subprocess.run(
        [BIN / "hilum"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | asked | {"PYTHONPROFILEIMPORTTIME": "1"},
    )
    assert done.stdout.split() == ["kermany-224"]
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "hilum.cli.train" in loaded
    assert not {"numpy", "pandas", "openvino", "pyarrow", "scipy", "torch"} & loaded


def test_the_sources_that_are_offered_are_those_there_are() -> None:
    from hilum.data.sources import KINDS, NAMES

    assert set(SOURCES) == {*NAMES, *(f"{kind}:" for kind in KINDS)}
