"""How fast each plugin of pydicom decodes a film, beside the decoder that Hilum takes.

HILUM_DATA=... python benchmarks/dicom_decoders.py

The compressed films of dicom/; the fastest of seven rounds, in milliseconds.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.pixels import get_decoder

from hilum.data.radiograph import read_header
from hilum.data.radiograph.decoders import Layout, decode
from hilum.data.radiograph.elements import open_dicom

ROUNDS = 7


def main() -> None:
    print(f"{'film':40} {'pixels':>11} {'Hilum':>6}  plugins of pydicom")
    for path in sorted((Path(os.environ["HILUM_DATA"]) / "dicom").glob("*/*.dcm")):
        data = path.read_bytes()
        header, opened = read_header(data), open_dicom(BytesIO(data))
        if opened.native or path.stem.endswith("jply"):
            continue
        film = pydicom.dcmread(path)
        layout = Layout(
            header.rows, header.columns, 1, film.BitsAllocated, header.photometric, False
        )
        pixels = opened.pixels(1 << 30)
        ours = fastest(functools.partial(decode, opened.syntax, pixels, layout))
        decoder = get_decoder(film.file_meta.TransferSyntaxUID)
        theirs = {
            plugin: fastest(
                functools.partial(decoder.as_array, film, decoding_plugin=plugin, raw=True)
            )
            for plugin in decoder.available_plugins
        }
        size = f"{header.columns} x {header.rows}"
        others = ", ".join(f"{plugin} {ms:.1f}" for plugin, ms in theirs.items())
        print(f"{path.stem:40} {size:>11} {ours:6.1f}  {others}")


def fastest(work: Callable[[], object]) -> float:
    """Milliseconds of the fastest round."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        rounds.append(time.perf_counter() - began)
    return 1000 * min(rounds)


if __name__ == "__main__":
    main()
