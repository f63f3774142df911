"""How fast each plugin of pydicom decodes a film, beside the decoder that Hilum takes.

HILUM_DATA=... python benchmarks/dicom_decoders.py

The compressed films of dicom/; the fastest of seven rounds, in milliseconds, and how the
quickest of pydicom's plugins compares. With `--busy` processor time.
"""

from __future__ import annotations

import argparse
import functools
import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import figures
import pydicom
from pydicom.pixels import get_decoder

from hilum.data.radiograph import read_header
from hilum.data.radiograph.decoders import Layout, decode
from hilum.data.radiograph.elements import open_dicom

ROUNDS = 7


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    figures.add_to(parser)
    asked = parser.parse_args()
    ratios = {}
    print(f"{'film':40} {'pixels':>11} {'Hilum':>6} {'ratio':>6}  plugins of pydicom")
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
        ours = fastest(functools.partial(decode, opened.syntax, pixels, layout), asked.clock)
        decoder = get_decoder(film.file_meta.TransferSyntaxUID)
        theirs = {
            plugin: fastest(
                functools.partial(decoder.as_array, film, decoding_plugin=plugin, raw=True),
                asked.clock,
            )
            for plugin in decoder.available_plugins
        }
        size = f"{header.columns} x {header.rows}"
        others = ", ".join(f"{plugin} {ms:.1f}" for plugin, ms in theirs.items())
        ratio = min(theirs.values()) / ours
        ratios[f"pydicom's quickest to Hilum, {path.stem}"] = ratio
        print(f"{path.stem:40} {size:>11} {ours:6.1f} {ratio:6.2f}  {others}")
    figures.write(asked.json, ratios)


def fastest(work: Callable[[], object], clock: figures.Clock) -> float:
    """Milliseconds of the fastest round."""
    rounds = []
    for _ in range(ROUNDS):
        began = clock()
        work()
        rounds.append(clock() - began)
    return 1000 * min(rounds)


if __name__ == "__main__":
    main()
