"""What of a run goes into the model card."""

import base64
import io

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from models.card import (
    ExplanationMethod,
    Golden,
    Grid,
    Histogram,
    ModelCard,
    NetworkSpec,
    TrainingData,
    WeightStorage,
)
from training.code_revision import code_revision
from training.config import Config
from training.data.phantom import draw_film
from training.statistics.calibration import calibrated, youden_threshold
from xai.explained_network import ExplainedNetwork, Explanation

DISTANCE_QUANTILE = 0.98
"""Share of val films that the distance threshold lets pass."""

CONFIDENCE_QUANTILE = 0.01
"""Share of val films whose largest probability is below the confidence threshold."""

EVIDENCE_QUANTILE = 0.99
"""Share of positive evidence of the true class, on val, that does not saturate the colours."""


def model_card(
    config: Config,
    spec: NetworkSpec,
    *,
    answers: Explanation,
    truth: Float[np.ndarray, "films classes"],
    temperature: float,
    golden: Golden,
    data: TrainingData,
    backprop_report_sha256: str,
    storage: WeightStorage | None = None,
    method: ExplanationMethod = "grad_cam",
) -> ModelCard:
    """Return the card of a trained network, still without figures.

    Args:
        config: How it was trained.
        spec: Which network it is.
        answers: Its explanations of val films.
        truth: 1 where a class or finding is there, 0 where not, not a number where unknown.
        temperature: Fitted on them.
        golden: An input with its outputs.
        data: Which films taught it.
        backprop_report_sha256: Hash of the report on its gradients by hand.
        storage: How its weights are stored, if not in float32.
        method: How evidence is found.
    """
    probabilities = calibrated(answers.logits.numpy(), temperature, task=spec.task)
    distance = answers.distance.numpy()
    return ModelCard(
        **spec.model_dump(),
        name=config.name,
        version=config.version,
        temperature=temperature,
        decision_thresholds=tuple(
            youden_threshold(scores[~np.isnan(there)], there[~np.isnan(there)] == 1)
            for scores, there in zip(probabilities.T, truth.T, strict=True)
        ),
        evidence_scale=evidence_scale(answers.evidence, truth),
        distance_threshold=float(np.quantile(distance, DISTANCE_QUANTILE)),
        confidence_threshold=None
        if spec.task == "multilabel"
        else float(np.quantile(probabilities.max(axis=1), CONFIDENCE_QUANTILE)),
        method=method,
        golden=golden,
        score_histograms=tuple(histogram(scores, (0.0, 1.0)) for scores in probabilities.T),
        distance_histogram=histogram(distance, (0.0, float(distance.max()))),
        training_data=data,
        intended_use=config.intended_use,
        limits=config.limits,
        code_revision=code_revision(),
        backprop_report_sha256=backprop_report_sha256,
        storage=storage,
        credits=config.credits,
    )


def evidence_scale(
    evidence: Float[Tensor, "films classes grid_rows grid_columns"],
    truth: Float[np.ndarray, "films classes"],
) -> float:
    """Return the 99th percentile of positive evidence of what is there: true class, or findings.

    Raises:
        ValueError: There is no positive evidence at all: the network has learnt nothing.
    """
    of_true_class = evidence.numpy()[truth == 1]
    positive = of_true_class[of_true_class > 0]
    if not positive.size:
        raise ValueError("no val film has positive evidence of its class: train for longer")
    return float(np.quantile(positive, EVIDENCE_QUANTILE))


def histogram(
    values: Float[np.ndarray, " films"], span: tuple[float, float], *, bins: int = 20
) -> Histogram:
    """Return counts in equal steps over `span`."""
    counts, edges = np.histogram(values, bins, span)
    return Histogram(edges=tuple(edges.tolist()), counts=tuple(counts.tolist()))


@torch.inference_mode()
def golden_answer(network: ExplainedNetwork, image_size: Grid) -> Golden:
    """Return a drawn film with the network's answer, for a runtime to repeat."""
    drawing = draw_film("opacity", seed=0).pixels
    grey = np.array(Image.fromarray(drawing).resize(image_size[::-1]))
    answer = network(torch.from_numpy(grey).float()[None, None] / 255)
    png = io.BytesIO()
    Image.fromarray(grey).save(png, "PNG")
    return Golden(
        pixels_png=base64.b64encode(png.getvalue()).decode(),
        logits=answer.logits[0].tolist(),
        probabilities=answer.probabilities[0].tolist(),
        distance=answer.distance[0].item(),
        evidence=answer.evidence[0].tolist(),
    )
