"""A checkup as a page of plain lines that can be pasted into an issue."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hilum.doctor.checkup import Checkup, without_person
from hilum.doctor.machine import GIB
from hilum.doctor.requirements import BASE, by_part
from hilum.doctor.streams import DECODER


def page(found: Checkup) -> list[str]:
    """All lines, problems last but for the advice."""
    lines: list[str] = without_person([*_lines(found)])
    return lines


def _lines(found: Checkup) -> Iterator[str]:
    machine = found.machine
    yield f"hilum {found.version}, {machine.python}, {machine.system}"
    yield from _libraries(found)
    yield from _machine(found)
    yield from _engines(found)
    yield from _at_hand(found)
    yield "problems:" if found.problems else "problems: none"
    for problem in found.problems:
        yield f"  {'BROKEN ' if problem.broken else ''}{problem.line}"
    yield "what would be fast here:"
    for line in found.advice:
        yield f"  {line}"


def _libraries(found: Checkup) -> Iterator[str]:
    for part, libraries in by_part(found.libraries).items():
        there = [each for each in libraries if each.installed is not None]
        if part != BASE and not there:
            yield f"{part}: not installed"
            continue
        said = ", ".join(f"{each.name} {each.installed or 'absent'}" for each in libraries)
        yield f"{part}: {said}"


def _machine(found: Checkup) -> Iterator[str]:
    machine = found.machine
    quota = f", time for {machine.quota:g}" if machine.quota is not None else ""
    memory = f"{machine.memory_bytes / GIB:.1f} GiB" if machine.memory_bytes else "not known"
    instructions = machine.instructions
    sets = "not known" if instructions is None else ", ".join(instructions) or "none that help"
    yield f"machine: {machine.cores} cores{quota}; memory {memory}; instruction sets {sets}"
    free = ", ".join(f"{name} {free / GIB:.0f} GiB" for name, free in machine.free_bytes.items())
    yield f"room: {free}; open files {machine.open_files or 'unlimited'}"


def _engines(found: Checkup) -> Iterator[str]:
    for device, told in found.tried.get("openvino", {}).get("devices", {}).items():
        yield f"OpenVINO {device}: {told['name']}; {', '.join(told['capabilities'])}"
    if "torch" in found.tried:
        yield f"torch: {_torch(found.tried['torch'])}"
    decoders = {
        name.removeprefix(DECODER): each
        for name, each in found.tried.items()
        if name.startswith(DECODER)
    }
    works = ", ".join(f"{what}{' FAILS' if 'error' in e else ''}" for what, e in decoders.items())
    yield f"decoders: {works or 'none'}"


def _torch(told: Any) -> str:
    if "error" in told:
        return "does not work"
    built = told["built_for"] or "the processor alone"
    gpus = ", ".join(f"{g['name']} {g['memory_bytes'] / GIB:.0f} GiB" for g in told["gpus"])
    return f"built for {built}; GPU {gpus or 'none'}"


def _at_hand(found: Checkup) -> Iterator[str]:
    for place, counts in found.data.found.items():
        said = (
            "none"
            if counts is None
            else ", ".join(f"{kind}{f' ({n})' if n > 1 else ''}" for kind, n in counts.items())
            or "nothing known"
        )
        yield f"data in {place}: {said}"
    bundles = ", ".join(f"{name} {digest[:12]}" for name, digest in found.shipped.items())
    yield f"bundles that came with hilum: {bundles or 'none'}"
