"""Make a DICOM structured report (TID 1500) of a prediction, for people and programs."""

from collections.abc import Sequence

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    Comprehensive3DSR,
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
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from service.answers.schemas import (
    ExplainedFinding,
    ExplainedGroupFinding,
    ExplainedPrediction,
    ModelIdentity,
)
from service.dicom.result_context import SOFTWARE, ResultContext

OWN_CODES = "99CXR"
"""Designator of our own codes: a class of a research network is not a SNOMED diagnosis."""
DECISIONS = {True: codes.SCT.Present, False: codes.SCT.Absent, None: codes.SCT.Indeterminate}
RESEARCH = "Research use only. Not a medical device. Computed by a program, verified by nobody."
REFUSED = {
    "lungs": "Refused: no plausible lungs were found.",
    "distance": "Refused: the film is unlike the films that the model learnt from.",
    "novelty": "Refused: the film was acquired in a way that training never saw.",
}
WITHHELD = "There are no findings and there is no map."
FORCED = "Nothing is decided; probabilities and map were asked for all the same."
UNSURE = "Unsure: no probability is large enough for a decision."
UNDECIDED = "Undecided: more than one class cannot be excluded: {}."


def report_document(context: ResultContext) -> Comprehensive3DSR:
    """Return the report on a film: complete, preliminary, unverified.

    Its first group of measurements is about the film as such, and there is one for each class and
    group of classes unless the evidence is withheld, as of a refused film.
    """
    questions = {} if context.is_withheld else context.questions
    content = MeasurementReport(
        ObservationContext(_observer(context)),
        codes.SCT.ImagingProcedure,
        [_film_group(context), *(_finding_group(context, *one) for one in questions.items())],
    )
    content[0].ContentSequence.extend(map(_comment, _comments(context)))
    scheme = CodingSchemeIdentificationItem(OWN_CODES, name=f"Classes of {SOFTWARE}")
    about = context.about("report", 9001, "AI findings, research use only")
    return Comprehensive3DSR(
        [context.source.header], content, is_complete=True, coding_schemes=[scheme], **about
    )


def _observer(context: ResultContext) -> ObserverContext:
    model = context.prediction.model
    device = DeviceObserverIdentifyingAttributes(
        context.uid("device"),
        name=SOFTWARE,
        model_name=f"{model.name} {model.version}",
        serial_number=model.sha256,
    )
    return ObserverContext(codes.DCM.Device, device)


def _film_group(context: ResultContext) -> MeasurementsAndQualitativeEvaluations:
    """Return the film's distance and novelty, and whether it is decided or refused.

    Of a film that is not refused, each class that cannot be excluded follows.
    """
    film = context.prediction
    possible = film.prediction_set if film.in_distribution else None
    novelty = {"novelty": film.novelty, "novelty_threshold": film.novelty_threshold}
    return _group(
        context,
        "film",
        [
            _number(_own_code("distance"), film.distance),
            _number(codes.DCM.ThresholdValue, film.distance_threshold),
            *(
                _number(_own_code(name), value)
                for name, value in novelty.items()
                if value is not None
            ),
        ],
        [
            QualitativeEvaluation(_own_code("film"), _own_code(_film_status(film))),
            *(
                QualitativeEvaluation(_own_code("not excluded"), _own_code(name))
                for name in possible or ()
            ),
        ],
    )


def _film_status(film: ExplainedPrediction) -> str:
    if not film.in_distribution:
        return "refused"
    return "decided" if film.is_decided else "unsure"


def _finding_group(
    context: ResultContext, name: str, finding: ExplainedFinding | ExplainedGroupFinding
) -> MeasurementsAndQualitativeEvaluations:
    excluded_below = finding.excluded_below if isinstance(finding, ExplainedFinding) else None
    limit = finding.threshold if excluded_below is None else excluded_below
    return _group(
        context,
        name,
        [
            _number(codes.DCM.Probability, finding.probability),
            _number(codes.DCM.ThresholdValue, limit),
        ],
        [
            QualitativeEvaluation(_own_code("decision"), DECISIONS[finding.decision]),
            QualitativeEvaluation(_own_code("map"), _own_code(finding.explanation.status)),
        ],
    )


def _group(
    context: ResultContext,
    name: str,
    measurements: Sequence[Measurement],
    evaluations: Sequence[QualitativeEvaluation],
) -> MeasurementsAndQualitativeEvaluations:
    header = context.source.header
    return MeasurementsAndQualitativeEvaluations(
        TrackingIdentifier(context.uid(f"finding: {name}"), name),
        finding_type=_own_code(name),
        algorithm_id=_algorithm(context.prediction.model),
        measurements=measurements,
        qualitative_evaluations=evaluations,
        source_images=[SourceImageForMeasurementGroup(header.SOPClassUID, header.SOPInstanceUID)],
    )


def _algorithm(model: ModelIdentity) -> AlgorithmIdentification:
    return AlgorithmIdentification(
        model.name, model.version, parameters=[f"sha256 of the model file: {model.sha256}"]
    )


def _number(name: Code | CodedConcept, value: float) -> Measurement:
    return Measurement(name, value, codes.UCUM.NoUnits)


def _own_code(word: str) -> CodedConcept:
    return CodedConcept(word, OWN_CODES, word[:64])


def _comments(context: ResultContext) -> list[str]:
    film = context.prediction
    if not film.in_distribution:
        why = [REFUSED[reason] for reason in film.refusals]
        return [RESEARCH, " ".join([*why, WITHHELD if context.is_withheld else FORCED])]
    return [RESEARCH] if film.is_decided else [RESEARCH, _undecided(film)]


def _undecided(film: ExplainedPrediction) -> str:
    """Return why a film that is not refused is not decided."""
    if not film.is_confident or film.prediction_set is None:
        return UNSURE
    return UNDECIDED.format(", ".join(film.prediction_set))


def _comment(text: str) -> TextContentItem:
    return TextContentItem(codes.DCM.Comment, text, RelationshipTypeValues.CONTAINS)
