"""One film before one model: the story from bytes to answer that server and command line share."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.radiograph import (
    MAX_FILM_BYTES,
    MAX_FILM_PIXELS,
    NetworkPixels,
    Radiograph,
    network_pixels,
    read_radiograph,
)
from service.problems import FilmRefused, UnknownClass
from service.schemas import (
    ExplainedFinding,
    ExplainedPrediction,
    Explanation,
    Film,
    Finding,
    ModelIdentity,
    Prediction,
)
from xai.explainer import Explainer, Floats
from xai.heatmap import Status, explanation_status, film_heat, heat, overlay

BAND_PIXELS = 2**20


@dataclass(frozen=True)
class Overlay:
    """The evidence for one class, painted over the film.

    Attributes:
        png: Of the film's own size.
        class_name: The class.
        status: Only `ok` is coloured.
    """

    png: bytes
    class_name: str
    status: Status


@dataclass(frozen=True)
class Examination:
    """A film with what a model says about it.

    Attributes:
        explainer: The model.
        radiograph: The film.
        seen: What the network saw of it.
        logits: One per class.
        probabilities: One per class, calibrated.
        evidence: Classes x grid rows x grid columns.
        distance: From the training films.
    """

    explainer: Explainer
    radiograph: Radiograph
    seen: NetworkPixels
    logits: Floats
    probabilities: Floats
    evidence: Floats
    distance: float

    @property
    def in_distribution(self) -> bool:
        """Whether the film is like the training films."""
        return self.explainer.card.is_alike(self.distance)

    @property
    def is_confident(self) -> bool:
        """Whether the largest probability is large enough for a decision."""
        return self.explainer.card.is_confident(float(self.probabilities.max()))

    @property
    def predicted_class(self) -> str | None:
        """The class with the largest probability; None where findings are independent."""
        card = self.explainer.card
        if card.task == "multilabel":
            return None
        return card.class_names[int(np.argmax(self.probabilities))]

    @property
    def foremost_class(self) -> str:
        """The predicted class; or the most probable finding, those called present before others."""
        findings = [self._finding(index) for index in self._classes]
        foremost = max(findings, key=lambda one: (one.decision or False, one.probability))
        return self.predicted_class or foremost.class_name

    def prediction(self) -> Prediction:
        """Return the answer without explanations."""
        return Prediction(
            **self._about_the_film(),
            findings=[self._finding(index) for index in self._classes],
        )

    def explained_prediction(self, *, force: bool = False) -> ExplainedPrediction:
        """Return the answer with the evidence for every class.

        Args:
            force: Give the evidence even for a film unlike the training films.
        """
        return ExplainedPrediction(
            **self._about_the_film(),
            findings=[
                ExplainedFinding(
                    **dict(self._finding(index)), explanation=self._explanation(index, force)
                )
                for index in self._classes
            ],
        )

    def overlay(self, class_name: str | None = None, *, force: bool = False) -> Overlay:
        """Return the film with the evidence for one class painted over it.

        A class that is not called present, or for which nothing argues, leaves the film grey.

        Args:
            class_name: None is the foremost class.
            force: Paint even a film unlike the training films.

        Raises:
            UnknownClass: The model has no such class.
            FilmRefused: The film is unlike the training films.
        """
        class_name = class_name or self.foremost_class
        check_class(self.explainer, class_name)
        index = self.explainer.card.class_names.index(class_name)
        status = self._status(index, force)
        if status is Status.OUT_OF_DISTRIBUTION:
            raise FilmRefused(
                f"Its distance is {self.distance:.3g}, the model's limit is "
                f"{self.explainer.card.distance_threshold:.3g}. Ask for JSON, or add ?force=true."
            )
        return Overlay(self._painted(index, coloured=status is Status.OK), class_name, status)

    @property
    def _classes(self) -> range:
        return range(len(self.explainer.card.class_names))

    def _about_the_film(self) -> dict[str, Any]:
        card, film = self.explainer.card, self.radiograph
        return {
            "model": ModelIdentity(
                name=card.name,
                version=card.version,
                sha256=self.explainer.sha256,
                evidence_scale=card.evidence_scale,
            ),
            "film": Film(rows=film.rows, columns=film.columns, format=film.format),
            "distance": self.distance,
            "distance_threshold": card.distance_threshold,
            "in_distribution": self.in_distribution,
            "confidence_threshold": card.confidence_threshold,
            "is_confident": self.is_confident,
            "predicted_class": self.predicted_class,
        }

    def _finding(self, index: int) -> Finding:
        card = self.explainer.card
        probability = float(self.probabilities[index])
        threshold = card.decision_thresholds[index].value
        is_decided = self.in_distribution and self.is_confident
        return Finding(
            class_name=card.class_names[index],
            logit=float(self.logits[index]),
            probability=probability,
            threshold=threshold,
            decision=probability >= threshold if is_decided else None,
        )

    def _status(self, index: int, force: bool) -> Status:
        return explanation_status(
            self.evidence[index],
            probability=float(self.probabilities[index]),
            threshold=self.explainer.card.decision_thresholds[index].value,
            in_distribution=self.in_distribution,
            force=force,
        )

    def _explanation(self, index: int, force: bool) -> Explanation:
        card, status = self.explainer.card, self._status(index, force)
        withheld = status is Status.OUT_OF_DISTRIBUTION
        return Explanation(
            status=status,
            target_layer=card.target_layer,
            evidence=None if withheld else self.evidence[index].tolist(),
            affine=self.seen.grid_affine(card.activation_grid),
        )

    def _painted(self, index: int, *, coloured: bool) -> bytes:
        card, film = self.explainer.card, self.radiograph
        warm = heat(self.evidence[index], card.evidence_scale) * np.float32(coloured)
        affine = self.seen.grid_affine(card.activation_grid)
        warm_film = film_heat(warm, affine, film.rows, film.columns)
        picture = np.empty((film.rows, film.columns, 3), np.uint8)
        # Band by band: a film of 40 megapixels in float colours would need two gigabytes.
        band = max(1, BAND_PIXELS // film.columns)
        for first in range(0, film.rows, band):
            rows = slice(first, first + band)
            picture[rows] = overlay(film.pixels[rows], warm_film[rows])
        return encoded_png(picture)


def examine(
    explainer: Explainer,
    film: bytes,
    *,
    max_bytes: int = MAX_FILM_BYTES,
    max_pixels: int = MAX_FILM_PIXELS,
) -> Examination:
    """Return what a model says about a film.

    Args:
        explainer: The model.
        film: Bytes of a PNG, JPEG, TIFF or DICOM file.
        max_bytes: Longest film.
        max_pixels: Most pixels, checked before they are decoded.

    Raises:
        RadiographError: The film can't be used.
    """
    card = explainer.card
    radiograph = read_radiograph(film, max_bytes=max_bytes, max_pixels=max_pixels)
    seen = network_pixels(
        radiograph,
        image_size=card.image_size,
        resize_mode=card.resize_mode,
        crop_pct=card.crop_pct,
    )
    answers = explainer(seen.pixels[None, None])
    return Examination(
        explainer=explainer,
        radiograph=radiograph,
        seen=seen,
        logits=answers.logits[0],
        probabilities=answers.probabilities[0],
        evidence=answers.evidence[0],
        distance=float(answers.distance[0]),
    )


def encoded_png(picture: NDArray[np.uint8]) -> bytes:
    """Return a PNG of 8-bit pixels, grey [rows, columns] or RGB [rows, columns, 3]."""
    png = io.BytesIO()
    # Level 1 takes a fifth to a third of the usual level's time and a fifth more bytes.
    Image.fromarray(picture).save(png, "PNG", compress_level=1)
    return png.getvalue()


def grey_png(radiograph: Radiograph) -> bytes:
    """Return the film's own pixels as an 8-bit PNG: air dark, bone bright."""
    return encoded_png(np.rint(255 * radiograph.pixels).astype(np.uint8))


def check_class(explainer: Explainer, class_name: str | None) -> None:
    """Raise UnknownClass unless the model has this class (or None is asked for)."""
    class_names = explainer.card.class_names
    if class_name is not None and class_name not in class_names:
        raise UnknownClass(f"The classes of {explainer.card.name} are {', '.join(class_names)}.")
