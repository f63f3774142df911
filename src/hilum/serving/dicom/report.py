"""An answer as a DICOM structured report: TID 1500, a group for each finding of the film."""

from __future__ import annotations

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from hilum import __version__
from hilum.serving.answering import FilmAnswer, FindingAnswer
from hilum.serving.dicom import codes as ours
from hilum.serving.dicom.filing import MANUFACTURER, Filed, encoded, evidence, notice

_DECISIONS = {"present": ours.PRESENT, "absent": ours.ABSENT}


def structured_report(answer: FilmAnswer, source: Dataset, *, name: str) -> bytes:
    """The report as a DICOM file, of the film's study. name: the bundle's."""
    filed = Filed(source, answer.bundle, answer.engine, "sr")
    film = evidence(source)
    groups = [_group(each, answer, film, filed, name) for each in answer.findings]
    content = MeasurementReport(
        observation_context=ObservationContext(
            observer_device_context=ObserverContext(
                observer_type=codes.DCM.Device,
                observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
                    uid=ours.uid_of("device", answer.bundle),
                    name=f"Hilum {__version__}",
                    manufacturer_name=MANUFACTURER,
                    model_name=name[:64],
                    serial_number=answer.bundle[:16],
                ),
            )
        ),
        procedure_reported=_concept(ours.CHEST_FILM),
        imaging_measurements=groups,
    )
    content[0].ContentSequence.append(_text(notice(answer.synthetic)))
    report = ComprehensiveSR(
        evidence=[film],
        content=content[0],
        series_instance_uid=filed.series,
        series_number=filed.number,
        sop_instance_uid=filed.uid,
        instance_number=1,
        is_complete=True,
        is_final=False,
        is_verified=False,
        coding_schemes=[ours.scheme()],
        **filed.equipment(),
    )
    return encoded(report, source)


def _group(
    each: FindingAnswer, answer: FilmAnswer, film: Dataset, filed: Filed, name: str
) -> MeasurementsAndQualitativeEvaluations:
    decision = ours.INDETERMINATE if each.refer else _DECISIONS[each.decision]
    said = [QualitativeEvaluation(_concept(ours.DECISION), _concept(decision))]
    if each.refer:
        said.append(QualitativeEvaluation(_concept(ours.REFERRAL), ours.reason_code(each.refer)))
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=ours.uid_of("tracking", filed.uid, each.finding), identifier=each.finding
        ),
        finding_type=ours.finding_code(each.finding),
        algorithm_id=AlgorithmIdentification(
            name="Hilum",
            version=__version__,
            manufacturer=MANUFACTURER,
            parameters=[
                f"bundle={name} sha256:{answer.bundle}",
                f"engine={answer.engine}",
                f"operating point={each.point} threshold={each.threshold:.6g}",
            ],
        ),
        measurements=[
            Measurement(_concept(ours.PROBABILITY), each.probability, _concept(ours.NO_UNITS)),
            Measurement(
                _concept(ours.THRESHOLD), round(each.threshold, 6), _concept(ours.NO_UNITS)
            ),
        ],
        qualitative_evaluations=said,
        source_images=[
            SourceImageForMeasurementGroup(
                referenced_sop_class_uid=film.SOPClassUID,
                referenced_sop_instance_uid=film.SOPInstanceUID,
            )
        ],
    )
    group[0].ContentSequence.append(_text(each.wording))
    for warning in answer.warnings:
        group[0].ContentSequence.append(_text(f"Note on the film: {warning}"))
    return group


def _text(words: str) -> TextContentItem:
    return TextContentItem(
        name=_concept(ours.COMMENT),
        value=words,
        relationship_type=RelationshipTypeValues.CONTAINS,
    )


def _concept(code: Code) -> CodedConcept:
    return CodedConcept(code.value, code.scheme_designator, code.meaning)
