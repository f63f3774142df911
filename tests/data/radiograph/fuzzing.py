"""Damaged films, read in a process of their own, so that a crash or a hang is seen and survived.

As a script it is that process: it reads mutants of the files of a folder, one line an answer.
"""

from __future__ import annotations

import resource
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

SECONDS = 5.0
MEGABYTES = 1024
_ENDS = np.array([0, 1, 0x7F, 0x80, 0xFE, 0xFF], dtype=np.uint8)


def mutant(files: list[bytes], number: int) -> bytes:
    """The number-th damaged file: one of `files` with one to four damages."""
    rng = np.random.default_rng(number)
    data = bytearray(files[number % len(files)])
    for _ in range(int(rng.integers(1, 5))):
        size = len(data)
        if size < 8:
            break
        # Headers decide over most of what a reader does; half of the damage is done there.
        at = int(rng.integers(0, min(size, 1500) if rng.random() < 0.5 else size))
        length = int(min(rng.integers(1, 17), size - at))
        match rng.integers(0, 8):
            case 0:
                data[at] ^= 1 << int(rng.integers(0, 8))
            case 1:
                data[at : at + length] = rng.integers(0, 256, length, dtype=np.uint8).tobytes()
            case 2:
                data[at : at + length] = rng.choice(_ENDS, length).tobytes()
            case 3:
                del data[at : at + length]
            case 4:
                data[at:at] = data[at : at + length * int(rng.integers(1, 40))]
            case 5:
                del data[max(at, 1) :]
            case 6:
                other = files[int(rng.integers(len(files)))]
                cut = int(rng.integers(0, len(other)))
                data[at : at + length * 16] = other[cut : cut + length * 16]
            case _:
                size_of = int(rng.choice([2, 4]))
                value = int(rng.choice([0, 1, 255, 32767, 65535, 2**31 - 1, 2**32 - 1]))
                order = "little" if rng.random() < 0.5 else "big"
                data[at : at + size_of] = (value % 256**size_of).to_bytes(size_of, order)
    return bytes(data)


@dataclass
class Report:
    """What became of the mutants. faults: mutant and what went wrong with it."""

    read: int = 0
    refused: int = 0
    slowest: float = 0.0
    megabytes: float = 0.0
    faults: list[str] = field(default_factory=list)

    def add(self, number: int, line: str) -> bool:
        """Count one answer; whether the process has grown too large to go on."""
        outcome, seconds, megabytes = line.rstrip("\n").split("\t")
        self.slowest = max(self.slowest, float(seconds))
        self.megabytes = max(self.megabytes, float(megabytes))
        if outcome == "read":
            self.read += 1
        elif outcome == "refused":
            self.refused += 1
        else:
            self.faults.append(f"{number}: {outcome}")
        if float(seconds) > SECONDS:
            self.faults.append(f"{number}: {seconds} s")
        if float(megabytes) > MEGABYTES:
            self.faults.append(f"{number}: {megabytes} MB")
            return True
        return False

    def __str__(self) -> str:
        return (
            f"{self.read} read, {self.refused} refused, slowest {self.slowest:.2f} s, "
            f"most memory {self.megabytes:.0f} MB, {len(self.faults)} faults"
        )


def fuzz(folder: Path, start: int, stop: int) -> Report:
    """Read mutants start … stop of the folder's files."""
    report = Report()
    while start < stop:
        start = _watch(folder, start, stop, report)
    return report


def _watch(folder: Path, start: int, stop: int, report: Report) -> int:
    """Follow one process to its end; returns the mutant to go on with."""
    command = [sys.executable, "-W", "error", __file__, str(folder), str(start), str(stop)]
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said) as process,
        selectors.DefaultSelector() as waiting,
    ):
        assert process.stdout is not None
        waiting.register(process.stdout, selectors.EVENT_READ)
        for number in range(start, stop):
            answered = waiting.select(timeout=60)  # loading takes a while on a busy machine
            line = process.stdout.readline().decode() if answered else ""
            if not line:
                process.kill()
                said.seek(0)
                code = process.wait() if answered else "none in time"
                words = " ".join(said.read()[-300:].decode(errors="replace").split())
                report.faults.append(f"{number}: exit code {code} {words}")
                return number + 1
            if report.add(number, line):
                process.kill()
                return number + 1
        return stop


def main() -> None:
    from hilum.data.radiograph import read_header, read_radiograph

    # The machine is kept alive; what counts is what is really used.
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    folder, start, stop = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    paths = sorted(folder.iterdir())
    files = [path.read_bytes() for path in paths]
    for number in range(start, stop):
        data = mutant(files, number)
        began = time.process_time()
        outcome = _outcome(read_header, data)
        if outcome in ("read", "refused"):
            outcome = _outcome(read_radiograph, data)
        if outcome not in ("read", "refused"):
            outcome = f"{paths[number % len(files)].name} {outcome}"
        seconds = time.process_time() - began
        # Not ru_maxrss, which begins with the parent's.
        status = Path("/proc/self/status").read_text()
        megabytes = int(status.partition("VmHWM:")[2].split()[0]) / 1024
        print(outcome, f"{seconds:.3f}", f"{megabytes:.0f}", sep="\t", flush=True)


def _outcome(read: Callable[[bytes], Any], data: bytes) -> str:
    from hilum.errors import RadiographError

    try:
        film = read(data)
    except RadiographError as error:
        plain = str(error).isprintable() and "Secret" not in str(error)
        return "refused" if plain else " ".join(repr(error).split())
    except BaseException as error:  # a fault, whatever it is
        return " ".join(repr(error).split())[:500]
    image_hw = getattr(film, "image_hw", np.zeros((1, 1)))
    fine = image_hw.ndim == 2 and image_hw.min() >= 0 and image_hw.max() <= 1
    return "read" if fine else f"{image_hw.shape} {image_hw.min()} to {image_hw.max()}"


if __name__ == "__main__":
    main()
