"""The report and the picture: what they say, whose they are, and that they are always the same."""

from __future__ import annotations

import struct
import time
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import psutil
import pytest
from pydicom import DataElement, dcmread
from pydicom.dataset import Dataset

from hilum.abstention import REASONS
from hilum.bundle import Bundle
from hilum.data.findings import CHEXPERT, NIH
from hilum.serving.answering import Answerer, FilmAnswer
from hilum.serving.dicom import filing
from hilum.serving.dicom.codes import FINDINGS, finding_code, reason_code
from hilum.serving.dicom.picture import overlay_image, secondary_capture, shown_finding
from hilum.serving.dicom.quiet import quieten
from hilum.serving.dicom.report import structured_report
from hilum.serving.dicom.source import Unusable, read_source
from hilum.serving.film import Film, prepare
from pacs import CANARIES, lacking, made_film, validated


@pytest.fixture(scope="module")
def answerer(small_bundle: Bundle) -> Answerer:
    quieten()
    return Answerer(small_bundle)


def answered(answerer: Answerer, path: Path) -> tuple[Film, FilmAnswer, Dataset]:
    manifest = answerer.bundle.manifest
    film = prepare(path.read_bytes(), manifest.reading, manifest.preprocessing, picture=True)
    return film, answerer.answer([film])[0], read_source(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made_film().save_as(tmp_path / "film.dcm", enforce_file_format=True)
    return tmp_path / "film.dcm"


def items(container: Dataset) -> list[Dataset]:
    found = list(container.get("ContentSequence") or [])
    return found + [deeper for item in found for deeper in items(item)]


def value_of(report: Dataset, meaning: str) -> list[str]:
    return [
        item.ConceptCodeSequence[0].CodeMeaning
        if item.ValueType == "CODE"
        else str(item.MeasuredValueSequence[0].NumericValue)
        if item.ValueType == "NUM"
        else item.TextValue
        for item in items(report)
        if item.ValueType in ("CODE", "NUM", "TEXT")
        and item.ConceptNameCodeSequence[0].CodeMeaning == meaning
    ]


def test_a_report_says_what_the_answer_says(answerer: Answerer, path: Path) -> None:
    _, answer, source = answered(answerer, path)
    each = replace(answer.findings[0], refer=None, decision="present", probability=0.75)
    answer = replace(answer, findings=(each,))
    report = dcmread(BytesIO(structured_report(answer, source, name="small")))
    assert value_of(report, "Finding") == ["Pneumonia"]
    assert value_of(report, "Probability") == ["0.75"]
    assert value_of(report, "Decision at the operating point") == ["Present"]
    assert value_of(report, "Why it is referred to a reader") == []
    assert any("not a medical device" in words for words in value_of(report, "Comment"))
    assert any(answer.bundle in words for words in value_of(report, "Algorithm Parameters"))
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert evidence.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID


@pytest.mark.parametrize("reason", list(REASONS))
def test_a_referral_is_neither_present_nor_absent(
    answerer: Answerer, path: Path, reason: str
) -> None:
    _, answer, source = answered(answerer, path)
    answer = replace(answer, findings=(replace(answer.findings[0], refer=reason),))
    report = dcmread(BytesIO(structured_report(answer, source, name="small")))
    assert value_of(report, "Decision at the operating point") == ["Indeterminate"]
    assert value_of(report, "Why it is referred to a reader") == [reason_code(reason).meaning]


def test_each_finding_has_a_group_of_its_own(answerer: Answerer, path: Path) -> None:
    _, answer, source = answered(answerer, path)
    both = tuple(replace(answer.findings[0], finding=name) for name in ("Pneumonia", "Nodule"))
    report = dcmread(
        BytesIO(structured_report(replace(answer, findings=both), source, name="small"))
    )
    assert value_of(report, "Finding") == ["Pneumonia", "Nodule"]


def test_the_same_film_and_bundle_give_the_same_objects_and_another_bundle_others(
    answerer: Answerer, path: Path
) -> None:
    _, answer, source = answered(answerer, path)
    other = replace(answer, bundle="cd" * 32)
    uids = [
        dcmread(BytesIO(structured_report(each, source, name="small"))).SOPInstanceUID
        for each in (answer, answer, other)
    ]
    assert uids[0] == uids[1] != uids[2]


def test_another_engine_or_version_gives_objects_of_other_uids(
    answerer: Answerer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, answer, source = answered(answerer, path)

    def uid(answer: FilmAnswer) -> str:
        report = structured_report(answer, source, name="name")
        return str(dcmread(BytesIO(report)).SOPInstanceUID)

    uids = [uid(answer), uid(answer), uid(replace(answer, engine="int8"))]
    monkeypatch.setattr(filing, "__version__", "99")
    uids.append(uid(answer))
    assert uids[0] == uids[1]
    assert len(set(uids)) == 3


def test_nothing_of_the_patient_but_the_modules_that_file_it_is_in_an_object(
    answerer: Answerer, path: Path
) -> None:
    film, answer, source = answered(answerer, path)
    image = overlay_image(film.picture, None, answer)
    for content in (
        structured_report(answer, source, name="small"),
        secondary_capture(image, answer, source),
    ):
        made = dcmread(BytesIO(content))
        for word in ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber"):
            del made[word]
        del made.ReferringPhysicianName
        rest = made.to_json()
        assert not [canary for canary in CANARIES if canary in rest]


@pytest.mark.parametrize(
    "elements",
    [
        {"PatientName": "Å" * 80, "SpecificCharacterSet": "ISO_IR 192"},
        {"PatientName": "山田^太郎", "SpecificCharacterSet": "ISO_IR 192"},
        {"PatientBirthDate": "unknown", "PatientSex": "X", "StudyDate": "2026", "StudyTime": "x"},
        {"PatientID": "", "AccessionNumber": "A" * 40},
    ],
)
def test_what_a_pacs_has_taken_for_years_is_carried_as_it_stands(
    answerer: Answerer, tmp_path: Path, elements: dict[str, str]
) -> None:
    made_film(**elements).save_as(tmp_path / "film.dcm", enforce_file_format=True)
    film, answer, source = answered(answerer, tmp_path / "film.dcm")
    image = overlay_image(film.picture, None, answer)
    for content in (
        structured_report(answer, source, name="small"),
        secondary_capture(image, answer, source),
    ):
        made = dcmread(BytesIO(content))
        for word, value in elements.items():
            assert str(made[word].value or "") == value


def test_the_picture_is_the_film_with_a_strip_of_words_below(
    answerer: Answerer, path: Path
) -> None:
    film, answer, _ = answered(answerer, path)
    map_hw = np.zeros((96, 96), np.float32)
    map_hw[:20] = 30
    image = overlay_image(film.picture, map_hw, answer)
    assert image.shape[1] == 640
    assert image.shape[0] > 640
    assert image[:60, :, 0].mean() > image[:60, :, 2].mean() + 20  # red for the finding
    grey = image[300:600].astype(int)
    assert np.abs(grey[..., 0] - grey[..., 2]).max() <= 1  # nought is clear
    assert image[640:].max() > 200


def test_the_finding_shown_is_the_one_furthest_above_its_point(
    answerer: Answerer, path: Path
) -> None:
    _, answer, _ = answered(answerer, path)
    first, second = (
        replace(answer.findings[0], finding=name, probability=p, threshold=t)
        for name, p, t in (("Mass", 0.6, 0.55), ("Edema", 0.3, 0.1))
    )
    assert shown_finding(replace(answer, findings=(first, second))).finding == "Edema"


def test_every_finding_has_a_code_that_fits() -> None:
    for finding in {*NIH, *CHEXPERT, "Something of a bundle's own, with a very long name indeed"}:
        code = finding_code(finding)
        assert len(code.value) <= 16
        assert len(code.meaning) <= 64
        assert code.scheme_designator == ("SCT" if finding in FINDINGS else "99HILUM")


@pytest.mark.skipif(bool(lacking()), reason=lacking() or "")
def test_objects_of_real_films_are_valid(
    answerer: Answerer, data_folder: Path, tmp_path: Path
) -> None:
    for name in ("derived_chest/rg1s_deflated", "derived_chest/rg1s_explicitbe"):
        film, answer, source = answered(answerer, data_folder / "dicom" / f"{name}.dcm")
        map_hw = answerer.map_of(answer, shown_finding(answer).finding)
        image = overlay_image(film.picture, map_hw, answer)
        assert validated(structured_report(answer, source, name="small"), tmp_path) == []
        assert validated(secondary_capture(image, answer, source), tmp_path) == []


def test_a_deflated_bomb_in_the_header_costs_little_and_is_refused(tmp_path: Path) -> None:
    import tracemalloc
    import zlib

    film = made_film()
    film.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    film.save_as(tmp_path / "film.dcm", enforce_file_format=True)
    whole = (tmp_path / "film.dcm").read_bytes()
    meta = whole[: 132 + 12 + int.from_bytes(whole[140:144], "little")]
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = b"".join(squeeze.compress(bytes(1 << 20)) for _ in range(300)) + squeeze.flush()
    (tmp_path / "bomb.dcm").write_bytes(meta + bomb)
    tracemalloc.start()
    with pytest.raises(Unusable):
        read_source(tmp_path / "bomb.dcm")
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()


def with_sequence(path: Path, content: bytes, tag: tuple[int, int], *, told: bool) -> Path:
    """A film whose header has this before its study. told: with the sequence's length."""
    film = made_film()
    film[tag] = DataElement(tag, "OB", b"\0\0")
    film.save_as(path, enforce_file_format=True)
    whole = path.read_bytes()
    head = struct.pack("<HH", *tag)
    end = b"" if told else struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    length = len(content) if told else 0xFFFFFFFF
    begun = whole.index(head + b"OB")
    sequence = head + b"SQ\0\0" + struct.pack("<L", length) + content + end
    path.write_bytes(whole[:begun] + sequence + whole[begun + 14 :])
    return path


EMPTY = struct.pack("<HHL", 0xFFFE, 0xE000, 0)
OTHER_IDS, PRIVATE = (0x0010, 0x1002), (0x0011, 0x1002)


def nested(levels: int) -> bytes:
    content = b""
    for _ in range(levels):
        inside = struct.pack("<HH", *OTHER_IDS) + b"SQ\0\0" + struct.pack("<L", len(content))
        content = struct.pack("<HHL", 0xFFFE, 0xE000, 12 + len(content)) + inside + content
    return content


@pytest.mark.parametrize(
    ("tag", "told", "content"),
    [
        (OTHER_IDS, True, EMPTY * 500_000),
        (OTHER_IDS, False, EMPTY * 500_000),
        (PRIVATE, False, EMPTY * 500_000),
        (OTHER_IDS, True, EMPTY * 300),
        (OTHER_IDS, True, nested(5)),
        (OTHER_IDS, True, nested(2500)),
    ],
    ids=["many, told", "many", "many, unwanted", "some too many", "deep", "very deep"],
)
def test_a_bomb_of_sequences_costs_little_and_is_refused(
    tmp_path: Path, tag: tuple[int, int], told: bool, content: bytes
) -> None:
    path = with_sequence(tmp_path / "bomb.dcm", content, tag, told=told)
    before, begun = psutil.Process().memory_info().rss, time.monotonic()
    with pytest.raises(Unusable):
        read_source(path)
    assert time.monotonic() - begun < 5
    assert psutil.Process().memory_info().rss - before < 128 << 20


@pytest.mark.parametrize("told", [True, False])
def test_a_patients_other_ids_are_carried_over(tmp_path: Path, told: bool) -> None:
    content = struct.pack("<HHL", 0xFFFE, 0xE000, 14) + b"\x10\0\x20\0LO\6\0OTHER "
    path = with_sequence(tmp_path / "film.dcm", content, OTHER_IDS, told=told)
    assert read_source(path).OtherPatientIDsSequence[0].PatientID == "OTHER"
