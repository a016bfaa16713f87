"""UIDs, series and equipment shared by the DICOM objects derived from one film."""

from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import numpy as np
from highdicom import UID
from numpy.typing import NDArray

from models.radiograph import GridPlace
from service.answers.schemas import ExplainedFinding, ExplainedGroupFinding, ExplainedPrediction
from service.dicom.source import SourceInstance
from xai.outline import Outline

SOFTWARE = "chest-xray-explainer"
LAYOUT = 2
"""Raise it when the objects change for the same answer, so that their UIDs change too."""


@dataclass(frozen=True)
class ResultContext:
    """A film, its answer, and the class or group whose evidence DICOM objects show.

    Attributes:
        source: The film.
        prediction: The answer about it.
        class_name: Name of the class or group whose evidence is shown.
    """

    source: SourceInstance
    prediction: ExplainedPrediction
    class_name: str

    @property
    def finding(self) -> ExplainedFinding | ExplainedGroupFinding:
        """The answer about the class or group."""
        return self.questions[self.class_name]

    @property
    def questions(self) -> dict[str, ExplainedFinding | ExplainedGroupFinding]:
        """The answers about every class and group, by name."""
        of_classes = {one.class_name: one for one in self.prediction.findings}
        return of_classes | {one.name: one for one in self.prediction.groups}

    @property
    def evidence_scale(self) -> float:
        """Evidence that gets full colour."""
        if isinstance(self.finding, ExplainedGroupFinding):
            return self.finding.evidence_scale
        return self.prediction.model.evidence_scale

    @property
    def is_withheld(self) -> bool:
        """True where the evidence is withheld, as of a refused film."""
        return self.finding.explanation.evidence is None

    @cached_property
    def evidence(self) -> NDArray[np.float32]:
        """Signed evidence for the class, [grid rows, grid columns]; only if not withheld."""
        return np.array(self.finding.explanation.evidence, np.float32)

    @property
    def place(self) -> GridPlace:
        """Place of the evidence's grid on the film."""
        explanation = self.finding.explanation
        return GridPlace(explanation.affine, explanation.extent)

    @property
    def outline(self) -> Outline | None:
        """Outline of the lungs, outside which nothing is drawn; None is no such limit."""
        rings = self.prediction.lung_outline
        return None if rings is None else tuple(tuple(ring) for ring in rings)

    def of_class(self, role: str) -> str:
        """Return the role of an object that is about the class alone."""
        return f"{role} of {self.class_name}"

    def uid(self, role: str) -> UID:
        """Return the UID of an object derived from the film, the same each time it is derived.

        It depends on the film, the model file, our version, and whether evidence was withheld.

        Source:
            DICOM PS3.5, B.2: a UUID derived UID, here of a UUID of version 5.
        """
        words = (
            self.source.uid,
            self.prediction.model.sha256,
            version(SOFTWARE),
            str(LAYOUT),
            "withheld" if self.is_withheld else "shown",
            role,
        )
        return UID(f"2.25.{uuid5(NAMESPACE_OID, '/'.join(words)).int}")

    def about(self, role: str, series_number: int, description: str) -> dict[str, Any]:
        """Return series, instance and equipment of an object, as arguments for highdicom."""
        model = self.prediction.model
        return {
            "series_instance_uid": self.uid(f"series: {role}"),
            "series_number": series_number,
            "series_description": description,
            "sop_instance_uid": self.uid(role),
            "instance_number": 1,
            "manufacturer": SOFTWARE,
            "manufacturer_model_name": model.name[:64],
            "software_versions": (version(SOFTWARE), model.version[:64]),
            "device_serial_number": model.sha256,
        }
