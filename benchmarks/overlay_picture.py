"""The picture of docs/pacs.md: `python overlay_picture.py BUNDLE OUT.jpg`, of a simulated film.

Of 60 phantom films with the finding, the one that the bundle is surest of is taken.
"""

from __future__ import annotations

import argparse
from io import BytesIO

import numpy as np
from PIL import Image

from hilum.bundle import load_bundle
from hilum.data.grey import as_float
from hilum.data.sources import open_source
from hilum.serving.answering import Answerer, FilmAnswer
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
    best: tuple[float, FilmAnswer, bytes] | None = None
    for row in present[:60]:
        grey_hw = as_float(cohort.pixels.read(int(row)))
        file = BytesIO()
        Image.fromarray((grey_hw * 255).round().astype(np.uint8)).save(file, "PNG")
        film = decoder.decode(file.getvalue(), picture=True)
        answer = answerer.answer([film])[0]
        key = (answer.refer is None) + shown_finding(answer).probability
        if best is None or key > best[0]:
            best = key, answer, film.picture
    assert best is not None
    _, answer, picture = best
    shown = shown_finding(answer)
    map_hw = answerer.map_of(answer, shown.finding)
    Image.fromarray(overlay_image(picture, map_hw, answer)).save(given.out, quality=82)
    print(f"{shown.finding}: {shown.probability:.2f}, {shown.refer or shown.decision}")
    decoder.close()


if __name__ == "__main__":
    main()
