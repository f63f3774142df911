"""Golden values of the real chest films, by pydicom's own slow path and no line of Hilum.

Run: HILUM_DATA=... python tests/data/radiograph/make_golden.py
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.pixels import apply_modality_lut, apply_voi_lut

GOLDEN = Path(__file__).parent / "golden.json"


def obvious(path: Path) -> np.ndarray[Any, Any]:
    """float64 [h, w] in [0, 1], step by step."""
    film = pydicom.dcmread(path, force=True)
    if "TransferSyntaxUID" not in film.file_meta:
        film.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    real = apply_modality_lut(film.pixel_array, film).astype(np.float64)
    top = 2**film.BitsStored - 1
    if "WindowCenter" in film:
        # pydicom scales a window's output to the range of the stored bits.
        low, high = 0.0, float(top) * float(film.get("RescaleSlope", 1))
        grey = (apply_voi_lut(real, film) - low) / (high - low)
    else:
        grey = real / top
    return 1 - grey if film.PhotometricInterpretation == "MONOCHROME1" else grey


def main() -> None:
    folder = Path(os.environ["HILUM_DATA"]) / "dicom"
    golden = {}
    for path in sorted(folder.glob("*_chest/*.dcm")):
        grey = obvious(path)
        rows, columns = (np.linspace(0, side - 1, 5).astype(int) for side in grey.shape)
        golden[f"{path.parent.name}/{path.name}"] = {
            "shape": list(grey.shape),
            "mean": round(float(grey.mean()), 6),
            "std": round(float(grey.std()), 6),
            "grid": np.round(grey[np.ix_(rows, columns)], 6).tolist(),
        }
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
