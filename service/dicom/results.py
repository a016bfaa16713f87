"""Make DICOM objects of an answer about a DICOM film, in the film's study.

A structured report holds the answer, a parametric map the evidence for one class at every pixel of
the film, and a secondary capture the overlay, for viewers that can show neither. Imported only when
such objects are requested: highdicom is an optional extra and loads slowly.
"""

import io
from typing import Any

import numpy as np
from highdicom import VOILUTTransformation
from highdicom.pm import DerivedPixelContrastValues, ParametricMap, RealWorldValueMapping
from highdicom.sc import SCImage
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from models.film_files.quiet_libraries import ignore_warnings, silence_logs
from service.answers.schemas import ExplainedPrediction
from service.dicom.plane import with_plane
from service.dicom.report import report_document
from service.dicom.result_context import ResultContext
from service.dicom.source import read_source_instance
from service.films.decoding import Limits, Paint, painted_pixels
from xai.heatmap import PAINTED, film_evidence, heat

OVERLAY_SIDE = 1024
"""Most pixels along the longer side of the overlay, which is only for viewing."""


def result_objects(
    film: bytes, prediction: ExplainedPrediction, class_name: str, limits: Limits
) -> list[bytes]:
    """Return DICOM files: the report and, unless evidence is withheld, the map and the overlay.

    Args:
        film: A DICOM film.
        prediction: The answer about it.
        class_name: The class whose evidence is shown.
        limits: Limits on the film's size.

    Raises:
        NoSourceInstance: The film is not a DICOM file, or lacks the UIDs that results refer to.
        RadiographError: The film can't be read.
    """
    silence_logs("highdicom")  # it logs patients' names that it finds malformed
    for library in ("highdicom", "pydicom"):
        ignore_warnings(library)
    source = read_source_instance(film, max_bytes=limits.max_bytes)
    context = ResultContext(source, prediction, class_name)
    objects: list[Dataset] = [report_document(context)]
    if not context.is_withheld:
        objects += [evidence_map(context), painted_film(context, film, limits)]
    return [_file(one, source.identity) for one in objects]


def evidence_map(context: ResultContext) -> ParametricMap:
    """Return the signed evidence, in its method's unit, at the film's own pixels."""
    header, film = context.source.header, context.prediction.film
    size = film.rows, film.columns
    evidence = film_evidence(context.evidence, context.place, *size, context.outline)
    role = context.of_class("map")
    image = ParametricMap(
        [with_plane(header, context.uid(f"{role}: frame of reference"))],
        evidence,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_meaning(context, evidence)],
        voi_lut_transformations=[_window(context.evidence_scale)],
        content_label="EVIDENCE",
        content_description="Evidence, research use only",
        image_flavor="STATIC",
        derived_pixel_contrast=DerivedPixelContrastValues.QUANTITY,
        **context.about(role, 9002, "AI evidence, research use only"),
    )
    _add_anatomy(image, header)
    return image


def _window(evidence_scale: float) -> VOILUTTransformation:
    """Return the window that shows evidence as heat: from 0 to the value of full colour."""
    return VOILUTTransformation(
        window_center=evidence_scale / 2,
        window_width=evidence_scale,
        voi_lut_function="LINEAR_EXACT",
    )


def _meaning(context: ResultContext, evidence: NDArray[np.float32]) -> RealWorldValueMapping:
    method = context.finding.explanation.method
    unit = "attention" if method == "legrad" else "position"
    return RealWorldValueMapping(
        lut_label="EVIDENCE",
        lut_explanation=f"Logits per {unit} for {context.class_name}"[:64],
        unit=codes.UCUM.NoUnits,
        value_range=(float(evidence.min()), float(evidence.max())),
        slope=1.0,
        intercept=0.0,
        quantity_definition=codes.DCM.GradientWeightedClassActivation,
    )


def painted_film(context: ResultContext, film: bytes, limits: Limits) -> SCImage:
    """Return the film with its evidence painted over it, in colour and at reduced size."""
    header, role = context.source.header, context.of_class("overlay")
    image = SCImage.from_ref_dataset(
        header,
        _small(painted_pixels(film, _paint(context), limits)),
        "RGB",
        8,
        "PATIENT",
        patient_orientation=("L", "F"),  # of most films; this one's own is set below
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **context.about(role, 9003, "AI overlay, research use only"),
    )
    image.PatientOrientation = header.get("PatientOrientation", "")
    image.DerivationDescription = f"Film with evidence for {context.class_name} painted over it"
    image.SourceImageSequence = [_reference(header)]
    _add_anatomy(image, header)
    return image


def _paint(context: ResultContext) -> Paint:
    warm = heat(context.evidence, context.evidence_scale)
    is_coloured = context.finding.explanation.status in PAINTED
    return Paint(warm * np.float32(is_coloured), context.place, context.outline)


def _small(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    picture = Image.fromarray(pixels)
    picture.thumbnail((OVERLAY_SIDE, OVERLAY_SIDE), Image.Resampling.BOX)
    return np.asarray(picture)


def _reference(header: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = header.SOPClassUID
    reference.ReferencedSOPInstanceUID = header.SOPInstanceUID
    purpose = CodedConcept.from_code(codes.DCM.SourceImageForImageProcessingOperation)
    reference.PurposeOfReferenceCodeSequence = [purpose]
    return reference


def _add_anatomy(image: Dataset, header: Dataset) -> None:
    """Copy the body part and the side from the film, where it has them."""
    for keyword in ("BodyPartExamined", "Laterality"):
        if keyword in header:
            setattr(image, keyword, header[keyword].value)
    if not image.get("BodyPartExamined"):
        image.Laterality = image.get(
            "Laterality", ""
        )  # must be present: the body part may be a paired one


def _file(one: Dataset, identity: Dataset) -> bytes:
    one.update(identity)
    file: Any = io.BytesIO()
    one.save_as(file, enforce_file_format=True)
    return file.getvalue()
