"""All that `hilum doctor` finds, gathered; how it reads is left to `words`."""

from __future__ import annotations

import getpass
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hilum import __version__
from hilum.doctor import machine as machines
from hilum.doctor.advice import advice, unused_gpu
from hilum.doctor.machine import Machine
from hilum.doctor.places import Data, data_at_hand, environment, home_folder, shipped
from hilum.doctor.probing import Found, probe
from hilum.doctor.problem import Problem
from hilum.doctor.requirements import (
    BASE,
    Library,
    asked_by_hilum,
    installed_version,
    libraries,
    parts,
    problems,
)
from hilum.doctor.streams import DECODER, STREAMS

SCHEMA = 1
# Of the parts beyond the base, those that tell something once they are imported.
_TRIED = ("torch", "onnxruntime")


@dataclass(frozen=True)
class Checkup:
    """libraries: what Hilum asks for; tried: what came of trying what is installed
    shipped: digest by name of the bundles that came with Hilum
    problems: all of them, the broken first; advice: what would be fast here
    """

    libraries: tuple[Library, ...]
    tried: Found
    machine: Machine
    data: Data
    shipped: Mapping[str, str]
    problems: tuple[Problem, ...]
    advice: tuple[str, ...]
    version: str = field(default=__version__)

    @property
    def broken(self) -> bool:
        return any(each.broken for each in self.problems)

    def to_dict(self) -> dict[str, Any]:
        """For `--json`; paths of this user are taken out."""
        found = asdict(self) | {"schema": SCHEMA, "broken": self.broken}
        found["libraries"] = [asdict(each) | {"suffices": each.suffices} for each in self.libraries]
        found["data"] = self.data.found
        cleaned: dict[str, Any] = without_person(found)
        return cleaned


def examine() -> Checkup:
    """Look at everything; takes a few seconds, most of them to load what is installed."""
    found = libraries(asked_by_hilum(), installed_version)
    here = machines.look()
    tried = probe(to_try(found))
    data = data_at_hand(*environment())
    bundles, damaged = shipped()
    torch = tried.get("torch")
    if torch is not None and "error" in torch:
        torch = None
    told = [
        *problems(found),
        *failures(tried),
        *damaged,
        *machines.problems(here),
        *unused_gpu(torch, driver=Path("/proc/driver/nvidia/version").exists()),
        *data.problems,
    ]
    return Checkup(
        libraries=found,
        tried=tried,
        machine=here,
        data=data,
        shipped=bundles,
        problems=tuple(sorted(told, key=lambda each: not each.broken)),
        advice=tuple(advice(here, processor_of(tried), parts(found), torch)),
    )


def to_try(found: tuple[Library, ...]) -> list[str]:
    """What `probe` is to load: the base, what tells of GPUs and engines, each decoder."""
    there = [each for each in found if each.installed is not None]
    names = [each.name for each in there if each.part == BASE or each.name in _TRIED]
    have = {each.name for each in there}
    return [*names, *(DECODER + each.what for each in STREAMS if each.by in have)]


def failures(tried: Found) -> list[Problem]:
    """What is installed and does not work."""
    by = {DECODER + each.what: each.by for each in STREAMS}
    told = [
        Problem(
            name,
            f"does not work: {without_folders(' '.join(str(each['error']).split()))[:200]}",
            f"pip install --force-reinstall {by.get(name, name)}",
            broken=True,
        )
        for name, each in tried.items()
        if "error" in each
    ]
    openvino = tried.get("openvino", {})
    if "devices" in openvino and "CPU" not in openvino["devices"]:
        told.append(
            Problem(
                "openvino",
                "finds no processor that it can run on",
                "pip install --force-reinstall openvino",
                broken=True,
            )
        )
    return told


def without_folders(text: str) -> str:
    """Absolute paths as the last part of them: their folders are nobody else's business."""
    return re.sub(r"(?<![\w.:/])/(?:[^\s/:'\"]+/)+", "", text)


def processor_of(tried: Found) -> tuple[str, ...]:
    """What OpenVINO says that the processor computes in."""
    processor = tried.get("openvino", {}).get("devices", {}).get("CPU", {})
    return tuple(processor.get("capabilities", ()))


def without_person(found: Any, home: Path | None = None, user: str | None = None) -> Any:
    """The same, of texts, lists and tables, with the home folder as ~ and the user's name in any
    other path as USER.
    """
    home = home or home_folder() or Path("/")
    user = user or _user()
    match found:
        case str():
            if home != Path("/"):
                found = found.replace(str(home), "~")
            return re.sub(rf"(?<=/){re.escape(user)}(?=/|$)", "USER", found) if user else found
        case dict():
            return {key: without_person(each, home, user) for key, each in found.items()}
        case list() | tuple():
            return [without_person(each, home, user) for each in found]
        case _:
            return found


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in many containers
        return ""
