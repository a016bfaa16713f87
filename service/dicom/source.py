"""Read from a DICOM film what its results repeat: patient, study, and the UIDs to refer to it.

Imported only when DICOM results are asked for, since pydicom loads slowly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom import config
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID
from pydicom.valuerep import validate_value

from models.film_files.dicom import MALFORMED, MAX_VALUE_BYTES, read_dicom_header
from models.film_files.errors import UnreadableFilmError
from models.radiograph import MAX_FILM_BYTES
from service.answers.film_answer import check_is_source
from service.problems import NoSourceInstance

REQUIRED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
SIZE = ("Rows", "Columns")
IMAGE = (
    "PatientOrientation",
    "BodyPartExamined",
    "Laterality",
    "LossyImageCompression",
    "LossyImageCompressionMethod",
    "LossyImageCompressionRatio",
    "PixelSpacing",
    "ImagerPixelSpacing",
)
EMPTY_IF_MISSING = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""Elements of patient and study that the standard requires, empty if unknown (type 2)."""
OPTIONAL = (
    "SpecificCharacterSet",
    "IssuerOfPatientID",
    "PatientBirthTime",
    "EthnicGroup",
    "PatientComments",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "StudyDescription",
)
NUMBERS_AS_TEXT = ("DS", "IS")
MAX_SEQUENCE_BYTES = 2**16
ELEMENTS: dict[int, int] = {
    Tag(keyword): MAX_SEQUENCE_BYTES if keyword.endswith("Sequence") else MAX_VALUE_BYTES
    for keyword in (*REQUIRED, *SIZE, *IMAGE, *EMPTY_IF_MISSING, *OPTIONAL)
}


@dataclass(frozen=True)
class SourceInstance:
    """The elements of a DICOM film that objects derived from it repeat.

    Attributes:
        header: The film's UIDs, size and orientation; patient and study are present but empty,
            since highdicom refuses values that real films have.
        identity: Patient and study, word for word: a DICOM archive must find them to be the same.
    """

    header: Dataset
    identity: Dataset

    @property
    def uid(self) -> str:
        """SOP Instance UID."""
        return str(self.header.SOPInstanceUID)


def read_source_instance(film: bytes, *, max_bytes: int = MAX_FILM_BYTES) -> SourceInstance:
    """Return the elements of a film that its results repeat.

    Args:
        film: The whole file.
        max_bytes: Limit on its data set, which may be deflated.

    Raises:
        NoSourceInstance: It is not a DICOM file, or lacks the UIDs that results refer to.
        RadiographError: It can't be read.
    """
    check_is_source(film)
    read = read_dicom_header(film, ELEMENTS, max_bytes=max_bytes)
    for keyword in REQUIRED:
        if not _is_uid(read.get(keyword)):
            raise NoSourceInstance(f"DICOM results refer to the film's {keyword}; it has none.")
    try:
        return SourceInstance(_header(read), _identity(read))
    except MALFORMED as error:
        raise UnreadableFilmError("The DICOM file's header is malformed.") from error


def _is_uid(value: object) -> bool:
    return isinstance(value, UID) and value.is_valid


def _header(read: Dataset) -> Dataset:
    header = _copied(read, (*REQUIRED, *SIZE))
    header.update(_copied(read, [word for word in IMAGE if _is_well_formed(read, word)]))
    for keyword in EMPTY_IF_MISSING:
        setattr(header, keyword, "")
    return header


def _identity(read: Dataset) -> Dataset:
    """Return patient and study; elements that the standard doesn't require only if well-formed."""
    optional = [keyword for keyword in OPTIONAL if _is_well_formed(read, keyword)]
    return _copied(read, (*EMPTY_IF_MISSING, *optional))


def _copied(read: Dataset, keywords: Sequence[str]) -> Dataset:
    copied = Dataset()
    for keyword in keywords:
        if keyword in read:
            copied[keyword] = read[keyword]
    return copied


def _is_well_formed(read: Dataset, keyword: str) -> bool:
    try:
        element = read[keyword]
        for value in element.value if element.VM > 1 else [element.value]:
            checked = str(value) if element.VR in NUMBERS_AS_TEXT else value
            validate_value(element.VR, checked, config.RAISE)
    except MALFORMED:  # or absent
        return False
    return True
