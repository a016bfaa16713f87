"""Build the model card of a trained network from its run and its answers for val films."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from models.card import (
    ClassGroup,
    DecisionThreshold,
    ExplanationMethod,
    Golden,
    Grid,
    Histogram,
    LungLimits,
    ModelCard,
    WeightStorage,
    memberships,
)
from models.registration import cell_centres
from training.code_revision import code_revision
from training.data.phantom import draw_film
from training.export.lung_limits import lung_limits
from training.export.trained_run import TrainedRun
from training.statistics.calibration import calibrated, youden_threshold
from training.statistics.conformal import conformal_quantiles
from xai.explained_network import (
    AnyExplanation,
    ExplainedNetwork,
    GroupedExplanation,
    GroupedLungExplanation,
    LungExplanation,
)

DISTANCE_QUANTILE = 0.98
"""Share of val films that the distance threshold accepts."""

NOVELTY_QUANTILE = 0.95
"""Share of val films that the novelty threshold accepts."""

EVIDENCE_QUANTILE = 0.99
"""Share of positive evidence of the true class, on val, that does not saturate the colours."""


@dataclass(frozen=True)
class Measurements:
    """Answers of a network for val films, with what was fitted on them.

    Attributes:
        answers: Explanations of the val films; only their probabilities may be of another
            temperature.
        truth: 1 where a class or finding is present, 0 where absent, NaN where unknown.
        temperature: Divides the logits.
        golden: An input with its outputs.
        storage: How the weights are stored, if not in float32, and what that changed.
        method: How evidence is found.
        weights: Of the films, when thresholds are chosen; None is 1 each.
    """

    answers: AnyExplanation
    truth: Float[np.ndarray, "films classes"]
    temperature: float
    golden: Golden
    storage: WeightStorage | None = None
    method: ExplanationMethod = "grad_cam"
    weights: Float[np.ndarray, " films"] | None = None


def model_card(run: TrainedRun, measured: Measurements, *, proof_sha256: str) -> ModelCard:
    """Return the card of a trained network, still without figures on test films.

    Args:
        run: Its training.
        measured: Its answers for val films.
        proof_sha256: Hash of the report on its gradients by hand.
    """
    config, spec, answers = run.config, run.spec, measured.answers
    probabilities = calibrated(answers.logits.numpy(), measured.temperature, task=spec.task)
    distance, novelty = answers.distance.numpy(), answers.novelty.numpy()
    return ModelCard(
        **spec.model_dump(),
        name=config.name,
        version=config.version,
        temperature=measured.temperature,
        decision_thresholds=decision_thresholds(probabilities, measured.truth, measured.weights),
        groups=class_groups(run.config.groups, spec.class_names, probabilities, measured),
        evidence_scale=evidence_scale(answers.evidence, measured.truth),
        distance_threshold=float(np.quantile(distance, DISTANCE_QUANTILE)),
        novelty_threshold=float(np.quantile(novelty, NOVELTY_QUANTILE)),
        lung_limits=_lung_limits(answers),
        conformal_quantiles=None
        if spec.task == "multilabel"
        else conformal_quantiles(probabilities, measured.truth.argmax(axis=1)),
        method=measured.method,
        cell_centres=cell_centres(run.network),
        golden=measured.golden,
        score_histograms=tuple(histogram(scores, (0.0, 1.0)) for scores in probabilities.T),
        distance_histogram=histogram(distance, (0.0, float(distance.max()))),
        novelty_histogram=histogram(novelty, (0.0, float(novelty.max()))),
        training_data=run.data,
        intended_use=config.intended_use,
        limits=config.limits,
        code_revision=code_revision(),
        backprop_report_sha256=proof_sha256,
        storage=measured.storage,
        credits=config.credits,
    )


def _lung_limits(answers: AnyExplanation) -> LungLimits | None:
    if isinstance(answers, LungExplanation | GroupedLungExplanation):
        return lung_limits(answers.lung_figures.numpy())
    return None


def decision_thresholds(
    probabilities: Float[np.ndarray, "films classes"],
    truth: Float[np.ndarray, "films classes"],
    weights: Float[np.ndarray, " films"] | None = None,
) -> tuple[DecisionThreshold, ...]:
    """Return each class's threshold with the largest Youden index, over films of known truth."""
    thresholds = []
    for scores, values in zip(probabilities.T, truth.T, strict=True):
        known = ~np.isnan(values)
        own = None if weights is None else weights[known]
        thresholds.append(youden_threshold(scores[known], values[known] == 1, own))
    return tuple(thresholds)


def class_groups(
    groups: Mapping[str, Sequence[str]],
    class_names: Sequence[str],
    probabilities: Float[np.ndarray, "films classes"],
    measured: Measurements,
) -> tuple[ClassGroup, ...]:
    """Return the groups of classes of a config, with thresholds and scales chosen as for classes.

    Raises:
        ValueError: No film of a group has positive evidence for it.
    """
    if not isinstance(measured.answers, GroupedExplanation | GroupedLungExplanation):
        return ()
    is_member = np.array(memberships(groups.values(), class_names), float)
    of_groups, truth = probabilities @ is_member.T, measured.truth @ is_member.T
    evidence = measured.answers.group_evidence
    thresholds = decision_thresholds(of_groups, truth, measured.weights)
    return tuple(
        ClassGroup(
            name=name,
            class_names=tuple(members),
            threshold=thresholds[number],
            evidence_scale=evidence_scale(evidence[:, [number]], truth[:, [number]]),
        )
        for number, (name, members) in enumerate(groups.items())
    )


def evidence_scale(
    evidence: Float[Tensor, "films classes grid_rows grid_columns"],
    truth: Float[np.ndarray, "films classes"],
) -> float:
    """Return the 99th percentile of the positive evidence for true classes or present findings.

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
    """Return counts of values in bins of equal width over `span`."""
    counts, edges = np.histogram(values, bins, span)
    return Histogram(edges=tuple(edges.tolist()), counts=tuple(counts.tolist()))


@torch.inference_mode()
def golden_answer(network: ExplainedNetwork, image_size: Grid) -> Golden:
    """Return a drawn film with the network's answer, to check a runtime against."""
    drawing = draw_film("opacity", seed=0).pixels
    grey = np.array(Image.fromarray(drawing).resize(image_size[::-1]))
    answer = network(torch.from_numpy(grey).float()[None, None] / 255)
    group_evidence: Any = ()
    if isinstance(answer, GroupedExplanation | GroupedLungExplanation):
        group_evidence = answer.group_evidence[0].tolist()
    png = io.BytesIO()
    Image.fromarray(grey).save(png, "PNG")
    return Golden(
        pixels_png=base64.b64encode(png.getvalue()).decode(),
        logits=answer.logits[0].tolist(),
        probabilities=answer.probabilities[0].tolist(),
        distance=answer.distance[0].item(),
        novelty=answer.novelty[0].item(),
        evidence=answer.evidence[0].tolist(),
        group_evidence=group_evidence,
    )
