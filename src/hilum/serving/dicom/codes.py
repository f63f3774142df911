"""Findings and what is said of them as codes: SNOMED CT and DICOM's own where they have one,
99HILUM, Hilum's private scheme, where they have none.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from types import MappingProxyType

from highdicom import UID
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept
from pydicom.sr.coding import Code

from hilum.abstention import REASONS

PRIVATE = "99HILUM"
_SPACE = uuid.UUID("0b7c2a4e-5f0e-4c68-9a36-0f4b2c9d7c11")

# Our spelling → SNOMED CT. A finding whose concept is broader or narrower than the label that
# ChestX-ray14 and CheXpert mean (Infiltration, Lung Opacity, Nodule) is left to the private scheme.
FINDINGS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "Atelectasis": ("46621007", "Atelectasis"),
        "Cardiomegaly": ("8186001", "Cardiomegaly"),
        "Consolidation": ("95436008", "Lung consolidation"),
        "Edema": ("19242006", "Pulmonary edema"),
        "Emphysema": ("87433001", "Pulmonary emphysema"),
        "Fibrosis": ("51615001", "Fibrosis of lung"),
        "Fracture": ("125605004", "Fracture of bone"),
        "Hernia": ("84089009", "Hiatal hernia"),
        "Mass": ("309529002", "Lung mass"),
        "Pleural Effusion": ("60046008", "Pleural effusion"),
        "Pneumonia": ("233604007", "Pneumonia"),
        "Pneumothorax": ("36118008", "Pneumothorax"),
    }
)

PRESENT = Code("52101004", "SCT", "Present")
ABSENT = Code("272519000", "SCT", "Absent")
INDETERMINATE = Code("82334004", "SCT", "Indeterminate")
CHEST_FILM = Code("399208008", "SCT", "Plain X-ray of chest")
PROBABILITY = Code("122157", "DCM", "Probability")
COMMENT = Code("121106", "DCM", "Comment")
SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")
NO_UNITS = Code("1", "UCUM", "no units")
THRESHOLD = Code("operating-point", PRIVATE, "Probability from which it is called present")
DECISION = Code("decision", PRIVATE, "Decision at the operating point")
REFERRAL = Code("referral", PRIVATE, "Why it is referred to a reader")
_REASONS = {
    "gate": "Does not look like an upright frontal chest radiograph",
    "novelty": "Unlike the films that the classifier was made from",
    "conformal": "Too uncertain to decide",
}


def finding_code(finding: str) -> CodedConcept:
    """The code of a finding, in our spelling or a bundle's own."""
    if finding in FINDINGS:
        value, meaning = FINDINGS[finding]
        return CodedConcept(value, "SCT", meaning)
    value = re.sub(r"[^a-z0-9]+", "-", finding.casefold()).strip("-")[:16]
    return CodedConcept(value or "finding", PRIVATE, finding[:64])


def reason_code(reason: str) -> CodedConcept:
    """The code of one of abstention's REASONS."""
    return CodedConcept(
        reason[:16], PRIVATE, _REASONS.get(reason, REASONS.get(reason, reason))[:64]
    )


def scheme() -> CodingSchemeIdentificationItem:
    """What a report that uses it says of the private scheme."""
    return CodingSchemeIdentificationItem(
        designator=PRIVATE, name="Hilum findings and decisions", responsible_organization="Hilum"
    )


def uid_of(*parts: str) -> UID:
    """A UID that the same parts give again; PS3.5 B.2, of UUID version 5."""
    name = uuid.uuid5(_SPACE, "\n".join(parts))
    return UID(f"2.25.{name.int}")
