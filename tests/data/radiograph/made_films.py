"""Small films in every format and transfer syntax, written by other libraries than read them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

CODESTREAMS = Path(__file__).parent / "codestreams"
ROWS, COLUMNS = 40, 48


def pattern(bits: int) -> np.ndarray[Any, Any]:
    """A film that uses all of its bits; what the files of `codestreams` hold, too."""
    row, column = np.indices((ROWS, COLUMNS))
    value = (row * 37 + column * 53 + row * column % 97 * 11) % (1 << bits)
    return value.astype(np.uint8 if bits <= 8 else np.uint16)


def data_set(pixels: np.ndarray[Any, Any] | None = None, **elements: Any) -> Dataset:
    """A plain chest film of these pixels, elements set or, where None, removed."""
    pixels = pattern(12) if pixels is None else pixels
    film = Dataset()
    film.SOPClassUID = DigitalXRayImageStorageForPresentation
    film.SOPInstanceUID = "1.2.826.0.1.3680043.8.498.4711"
    film.Modality = "DX"
    film.PatientName = "Nobody^Secret"
    film.PatientBirthDate = "19620229"
    film.PatientID = "P-17"
    film.PatientSex = "F"
    film.PatientAge = "057Y"
    film.BodyPartExamined = "CHEST"
    film.ViewPosition = "PA"
    film.ImageLaterality = "U"
    film.StudyInstanceUID = "1.2.826.0.1.3680043.8.498.4712"
    film.Rows, film.Columns = pixels.shape[:2]
    film.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    film.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        film.PlanarConfiguration = 0
    film.BitsAllocated = 8 * pixels.itemsize
    film.BitsStored = 8 if pixels.itemsize == 1 else 12
    film.PixelRepresentation = int(pixels.dtype.kind == "i")
    film.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    for keyword, value in elements.items():
        if value is None:
            delattr(film, keyword)
        else:
            setattr(film, keyword, value)
    film.HighBit = elements.get("HighBit", film.BitsStored - 1)
    film["PixelData"].VR = "OW"
    return film


def lut(output: np.ndarray[Any, Any], first: int = 0, bits: int = 16) -> Dataset:
    """An item of a Modality or VOI LUT sequence."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(output) % 65536, first % 65536, bits])
    item.add_new("LUTData", "OW", output.astype("<u2").tobytes())
    item.ModalityLUTType = "US"
    return item


def dicom(film: Dataset, syntax: str = ExplicitVRLittleEndian, meta: bool = True) -> bytes:
    """The film as a file; its pixel data as they are."""
    file = io.BytesIO()
    if meta:
        film.file_meta = FileMetaDataset()
        film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID
        film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
        film.file_meta.TransferSyntaxUID = syntax
        if film.file_meta.TransferSyntaxUID.is_encapsulated:
            film["PixelData"].VR = "OB"
            film["PixelData"].is_undefined_length = True
        dcmwrite(file, film, enforce_file_format=True)
    else:
        implicit = syntax == ImplicitVRLittleEndian
        dcmwrite(file, film, implicit_vr=implicit, little_endian=True)
    return file.getvalue()


def enclosed(stream: bytes, syntax: str, pixels: np.ndarray[Any, Any], **elements: Any) -> bytes:
    """A film whose pixels are this compressed stream of `pixels`."""
    return dicom(data_set(pixels, **elements, PixelData=encapsulate([stream])), syntax)


def stream(name: str) -> bytes:
    """A codestream made elsewhere, see the folder's README."""
    return (CODESTREAMS / name).read_bytes()


def jpeg(pixels: np.ndarray[Any, Any], **options: Any) -> bytes:
    return raster(Image.fromarray(pixels), "JPEG", **options)


def raster(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def compressed(film: Dataset, syntax: str) -> bytes:
    """The film as pydicom's own encoders compress it."""
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.compress(syntax, generate_instance_uid=False)
    return dicom(film, syntax)


def big_endian(film: Dataset) -> bytes:
    """The film in Explicit VR Big Endian."""
    film.PixelData = (
        np.frombuffer(film.PixelData, f"u{film.BitsAllocated // 8}").byteswap().tobytes()
    )
    film["PixelData"].VR = "OW" if film.BitsAllocated == 16 else "OB"
    return dicom(film, ExplicitVRBigEndian)


def all_formats() -> dict[str, bytes]:
    """A small file of each kind that can be read, by a name."""
    grey8, grey12 = pattern(8), pattern(12)
    image8, image16 = Image.fromarray(grey8), Image.fromarray(grey12 * np.uint16(16))
    colour = Image.merge("RGB", [image8] * 3)
    window = {"WindowCenter": [2048, 1000], "WindowWidth": [4096, 300]}
    return {
        "grey8.png": raster(image8, "PNG"),
        "grey16.png": raster(image16, "PNG"),
        "colour.png": raster(colour, "PNG"),
        "palette.png": raster(colour.quantize(64), "PNG"),
        "grey.jpg": jpeg(grey8),
        "colour.jpg": raster(colour, "JPEG"),
        "progressive.jpg": jpeg(grey8, progressive=True),
        "plain8.tif": raster(image8, "TIFF"),
        "plain16.tif": raster(image16, "TIFF"),
        "deflate16.tif": raster(image16, "TIFF", compression="tiff_adobe_deflate"),
        "lzw.tif": raster(image8, "TIFF", compression="tiff_lzw"),
        "jpeg.tif": raster(image8, "TIFF", compression="jpeg"),
        "implicit.dcm": dicom(data_set(**window), ImplicitVRLittleEndian),
        "bare.dcm": dicom(data_set(), ImplicitVRLittleEndian, meta=False),
        "explicit.dcm": dicom(data_set(grey8, VOILUTSequence=[lut(np.arange(256), bits=8)])),
        "big.dcm": big_endian(data_set(**window)),
        "deflated.dcm": dicom(data_set(**window), DeflatedExplicitVRLittleEndian),
        "rle.dcm": compressed(data_set(**window), RLELossless),
        "jpeg.dcm": enclosed(jpeg(grey8), JPEGBaseline8Bit, grey8),
        "lossless8.dcm": enclosed(stream("jpeg_lossless_8.jpg"), JPEGLosslessSV1, grey8),
        "lossless12.dcm": enclosed(stream("jpeg_lossless_12.jpg"), JPEGLosslessSV1, grey12),
        "jpegls.dcm": compressed(data_set(**window), JPEGLSLossless),
        "j2k.dcm": compressed(data_set(**window), JPEG2000Lossless),
        "htj2k.dcm": enclosed(
            stream("htj2k_lossless_16.j2c"), HTJ2KLossless, grey12, BitsStored=16
        ),
    }
