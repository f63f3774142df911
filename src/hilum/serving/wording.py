"""Which words of a film's file may be told: those of the DICOM standard, and no others.

A console lets people type into fields that are meant for codes, and what they type may be a name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from hilum.errors import RadiographError

OTHER = "OTHER"

# PS3.3 C.7.3.1.1.1 (in use), C.8.1.1.3 and PS3.16 annex L (parts of the body, with what consoles
# of several countries write for the chest), C.8.1.1.1, C.7.3.1.1, C.7.1.1, C.7.6.3.1.2.
_WORDS: Mapping[str, frozenset[str]] = {
    name: frozenset(words.split())
    for name, words in {
        "modality": "CR CT DX ES IO IVUS MG MR NM OT PET PT PX RF RG SC SR US XA XC",
        "body_part": """
            ABDOMEN ABDOMENPELVIS ANKLE ARM BACK BREAST CALF CERVIX CHEST CHESTABDOMEN CLAVICLE
            COCCYX CSPINE CXR ELBOW EXTREMITY FEMUR FINGER FOOT FOREARM HAND HEAD HEADNECK HEART HIP
            HUMERUS JAW KNEE LEG LSPINE LUNG LUNGS MAXILLA MEDIASTINUM NECK NOSE ORBIT PATELLA
            PELVIS RIB RIBS SACRUM SCAPULA SHOULDER SINUS SKULL SPINE SSPINE STERNUM THIGH THORAX
            THUMB TMJ TOE TSPINE WHOLEBODY WRIST TORAX TORACE BRUST LUNGE POUMON""",
        "view": "AP PA LL RL LAT LATERAL LLAT RLAT LLD RLD LLO RLO LPO RPO LAO RAO CC MLO",
        "laterality": "L R U B",
        "sex": "M F O",
        "photometric": """
            MONOCHROME1 MONOCHROME2 RGB YBR_FULL YBR_FULL_422 YBR_ICT YBR_RCT YBR_PARTIAL_420
            YBR_PARTIAL_422 ARGB CMYK HSV""",
    }.items()
}
_WORDS = {**_WORDS, "photometric": _WORDS["photometric"] | {"PALETTE COLOR"}}
# What errors of `hilum.data.radiograph` quote of a file: the interpretation, the syntax, and what
# Pillow says of damaged bytes.
_QUOTED = (
    (re.compile(r"(?<=photometric interpretation )(.+?)(?= with \d)"), "photometric"),
    (re.compile(r"(?<=transfer syntax )(.+?)(?=; expected)"), "syntax"),
    (re.compile(r"(?<=cannot be decoded)( \(.*\))(?=;)"), "decoder"),
)
_SYNTAX = re.compile(r"1\.2\.840\.10008\.1\.2(\.\d{1,3}){0,3}")


def told_word(field: str, found: str) -> str:
    """The word as it was found, upper case, where the standard has it; OTHER for all else."""
    return found if found in _WORDS[field] else OTHER


def without_content(error: RadiographError) -> str:
    """An error's line without what it quotes of the file, apart from the standard's own words."""
    line = str(error)
    for pattern, field in _QUOTED:
        line = pattern.sub(lambda found, field=field: _allowed(field, found[1]), line)  # type: ignore[misc]
    return line


def _allowed(field: str, found: str) -> str:
    if field == "decoder":
        return ""
    if field == "syntax":
        return found if _SYNTAX.fullmatch(found) else OTHER
    return told_word(field, found.strip("'"))
