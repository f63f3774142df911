"""The picture of docs/pacs.md: `python overlay_picture.py BUNDLE OUT.jpg`, of a simulated film.

The first phantom film with the finding that the bundle calls present is taken.
"""

from __future__ import annotations

import argparse
from io import BytesIO

import numpy as np
from PIL import Image

from hilum.bundle import load_bundle
from hilum.data.grey import as_float
from hilum.data.sources import open_source
from hilum.serving.answering import Answerer
from hilum.serving.decoding import Decoder
from hilum.serving.dicom.picture import overlay_image, shown_finding


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle")
    parser.add_argument("out")
    given = parser.parse_args()
    bundle = load_bundle(given.bundle)
    answerer = Answerer(bundle)
    decoder = Decoder(bundle.manifest.reading, bundle.manifest.preprocessing)
    cohort = open_source("phantom@512")
    present = np.flatnonzero(cohort.table["label_pneumonia"].to_numpy() == 1)
    for row in present[:40]:
        grey_hw = as_float(cohort.pixels.read(int(row)))
        file = BytesIO()
        Image.fromarray((grey_hw * 255).round().astype(np.uint8)).save(file, "PNG")
        film = decoder.decode(file.getvalue(), picture=True)
        answer = answerer.answer([film])[0]
        shown = shown_finding(answer)
        if shown.decision == "present":
            break
    map_hw = answerer.map_of(answer, shown.finding)
    Image.fromarray(overlay_image(film.picture, map_hw, answer)).save(given.out, quality=82)
    print(f"{shown.finding}: {shown.probability:.2f}, {shown.refer or shown.decision}")
    decoder.close()


if __name__ == "__main__":
    main()
