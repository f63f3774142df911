"""What every object that we make says: whose study it is, who made it, from which film.

What it says of the film is left to `report` and `picture`.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from highdicom import UID
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite

from hilum import __version__
from hilum.serving.answering import NOTICE
from hilum.serving.dicom.codes import uid_of
from hilum.serving.dicom.source import STUDY

MANUFACTURER = "Hilum"
SERIES = {
    "sr": (9901, "Hilum findings - RESEARCH USE ONLY"),
    "sc": (9902, "Hilum overlay - RESEARCH USE ONLY"),
}
_PATIENT = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex")
_STUDY = ("AccessionNumber", "StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName")


@dataclass(frozen=True)
class Filed:
    """The identity of one object made of a film by a bundle: always the same of the same two, by
    the same Hilum and engine, which what it says may depend on.

    kind: sr or sc
    """

    source: Dataset
    bundle: str
    engine: str
    kind: str

    @property
    def uid(self) -> UID:
        return self._uid("instance")

    @property
    def series(self) -> UID:
        return self._uid("series")

    @property
    def number(self) -> int:
        return SERIES[self.kind][0]

    def _uid(self, what: str) -> UID:
        film = str(self.source.SOPInstanceUID)
        return uid_of(what, self.kind, self.bundle, self.engine, __version__, film)

    def equipment(self) -> dict[str, Any]:
        """General Equipment and General Series, as highdicom's arguments."""
        return {
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": "Hilum",
            "device_serial_number": self.bundle[:16],
            "software_versions": __version__,
            "series_description": SERIES[self.kind][1],
        }


def evidence(source: Dataset) -> Dataset:
    """A film's header as highdicom wants it: what it refers to, and nobody's name.

    highdicom checks values, and would refuse or quote those that a PACS has taken for years;
    `encoded` puts them in as they stand.
    """
    blank = Dataset()
    for word in (*_PATIENT, *_STUDY):
        setattr(blank, word, None)
    for word in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
        setattr(blank, word, str(source[word].value))
    return blank


def encoded(made: Dataset, source: Dataset) -> bytes:
    """The object as a DICOM file, its patient and study as the film has them."""
    for word in STUDY:
        if word in source:
            made[word] = deepcopy(source[word])
    for word in (*_PATIENT, *_STUDY):
        if word not in made:
            setattr(made, word, None)
    file = BytesIO()
    dcmwrite(file, made, enforce_file_format=True)
    return file.getvalue()


def notice(synthetic: bool) -> str:
    """What must be said in every object."""
    return NOTICE + (" Made by a classifier of SYNTHETIC data." if synthetic else "")
