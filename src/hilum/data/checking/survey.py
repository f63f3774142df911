"""Every film's header, or the shape of the array that holds it, counted and never kept.

Pixels are `fingerprints`' to read; what is wrong with what was found is `problems`' to say.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hilum.data.cohort import Cohort
from hilum.data.pixels import ArrayPixels, FilePixels, Pixels
from hilum.data.radiograph import Header, read_header
from hilum.data.shards.pixels import ShardPixels
from hilum.errors import DataError, RadiographError

Progress = Callable[[int, int], None]

_RIFF = b"RIFF"  # how a WebP film begins, whose header tells its size alone
_CHUNK = 128  # films a thread takes at a time
_SHAPES_READ = 64  # films read for their size where no header and no array tells it

_Told = Literal["format", "bits", "photometric", "modality", "body_part", "transfer_syntax"]
_TOLD: tuple[_Told, ...] = (
    "format", "bits", "photometric", "modality", "body_part", "transfer_syntax",
)  # fmt: skip
# What a file says of a film and the table may say otherwise.
_COMPARED: tuple[Literal["view", "sex"], ...] = ("view", "sex")


@dataclass
class Survey:
    """Of the films of a cohort, by row position.

    size_n2: rows and columns in pixels, 0 where not known, shape (n, 2)
    told: what -> value -> films
    odd: position -> what is odd about a film that can be read
    broken: position -> why it cannot be read, without the file's name
    differing: column -> positions where the file says otherwise than the table
    """

    size_n2: NDArray[np.int32]
    told: dict[_Told, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    odd: dict[int, tuple[str, ...]] = field(default_factory=dict)
    broken: dict[int, str] = field(default_factory=dict)
    differing: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def counts(self, what: _Told) -> dict[str, int]:
        """Value -> films, the commonest first."""
        return dict(self.told[what].most_common())


def survey(cohort: Cohort, progress: Progress = lambda done, total: None) -> Survey:
    """Look at every film as far as that costs no decoding, on all cores."""
    found = Survey(np.zeros((len(cohort), 2), dtype=np.int32))
    pixels = cohort.pixels
    if (header_of := _headers(pixels)) is not None:
        _survey_headers(cohort, header_of, found, progress)
    elif isinstance(pixels, ArrayPixels):
        found.size_n2[:] = pixels.image_nhw.shape[1:]
        found.told["format"]["array"] = len(cohort)
        found.told["bits"][str(pixels.image_nhw.dtype.itemsize * 8)] = len(cohort)
    else:
        _survey_some(cohort, found, progress)
    return found


def _headers(pixels: Pixels) -> Callable[[int], Header] | None:
    """How the header of a film is read, by index; None where films have none that tells much."""
    if isinstance(pixels, FilePixels):
        return lambda index: read_header(pixels.path(index))
    if isinstance(pixels, ShardPixels) and len(pixels.shards):
        try:
            webp = pixels.data(0)[:4] == _RIFF
        except RadiographError:  # told when its turn comes
            webp = False
        return None if webp else lambda index: read_header(pixels.data(index))
    return None


def _survey_headers(
    cohort: Cohort, header_of: Callable[[int], Header], found: Survey, progress: Progress
) -> None:
    index_n = cohort.table.index.to_numpy()
    # A column that wholly lacks a value has nothing to differ from.
    said = {name: cohort.table[name].to_numpy(dtype=object) for name in _COMPARED}

    def look(positions: range) -> list[tuple[int, Header | str]]:
        return [(position, _tried(header_of, int(index_n[position]))) for position in positions]

    n = len(cohort)
    chunks = [range(start, min(start + _CHUNK, n)) for start in range(0, n, _CHUNK)]
    done = 0
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for seen in pool.map(look, chunks):
            for position, header in seen:
                if isinstance(header, str):
                    found.broken[position] = header
                else:
                    _note(found, position, header, {name: said[name][position] for name in said})
            done += len(seen)
            progress(done, n)


def _tried(header_of: Callable[[int], Header], index: int) -> Header | str:
    try:
        return header_of(index)
    except RadiographError as error:
        return reason(error)


def reason(error: DataError) -> str:
    """What an error says, without its file's name, which may name a patient."""
    return str(error).removeprefix(f"{error.where}: ")


def unnamed(cohort: Cohort, position: int, line: str) -> str:
    """The line of an error about a film without what the line calls the film."""
    pixels = cohort.pixels
    if isinstance(pixels, FilePixels):
        return line.removeprefix(f"{pixels.path(int(cohort.table.index[position]))}: ")
    if isinstance(pixels, ShardPixels) and line.startswith(pixels.store.location):
        return line.partition(": ")[2]
    return line


def _note(found: Survey, position: int, header: Header, said: Mapping[str, object]) -> None:
    found.size_n2[position] = header.rows, header.columns
    for what in _TOLD:
        value = getattr(header, what)
        if value is not None:
            found.told[what][str(value)] += 1
    if header.warnings:
        found.odd[position] = header.warnings
    for name in _COMPARED:
        in_file, in_table = getattr(header, name), said[name]
        if in_file and isinstance(in_table, str) and in_file.upper() != in_table.upper():
            found.differing[name].append(position)


def _survey_some(cohort: Cohort, found: Survey, progress: Progress) -> None:
    """Films without a header, such as those drawn when read: the sizes of the first few."""
    n = min(len(cohort), _SHAPES_READ)
    for position in range(n):
        found.size_n2[position] = cohort.radiograph(position).shape
        progress(position + 1, n)
