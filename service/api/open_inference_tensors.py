"""Read the tensors of an Open Inference Protocol v2 request, and write answers as tensors.

A request holds one input: `pixels` as the network takes them, or `film`, whole files. Tensors are
in the JSON or, by the binary tensor data extension, behind it. An element of `film` is a file's own
bytes where it is binary, and base64 where it is JSON, which can't hold bytes.

Source:
    Triton's documentation, protocol/extension_binary_data.md; MLServer's content type `base64`.
"""

import base64
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from models.card import LUNG_MASK_SIZE, REFUSALS, ModelCard, prediction_set
from service.answers.open_inference_schemas import (
    InferenceRequest,
    InferenceResponse,
    ModelMetadata,
    RequestInput,
    RequestOutput,
    ResponseOutput,
    Scalar,
    TensorMetadata,
    TensorParameters,
)
from service.problems import MalformedTensor
from xai.explainer import Answers, Explainer, Floats, outputs_of
from xai.heatmap import Status

Tensor = NDArray[np.float32] | NDArray[np.bool_]

BINARY_EXTENSION = "binary_tensor_data"
DATATYPES = {"pixels": "FP32", "film": "BYTES"}
STATUSES = tuple(Status)
VERDICTS = (
    "in_distribution",
    "refusals",
    "is_confident",
    "is_decided",
    "predicted_class",
    "map_status",
)
SET = "prediction_set"
"""What is concluded from the network's outputs, as booleans; the set only by some models."""
LENGTH_BYTES = 4
"""Each element of a binary BYTES tensor follows its length, little-endian."""
OTHER_VALUES = 1000
"""JSON values that a request may have beside those of its tensor."""


@dataclass(frozen=True)
class Question:
    """A request whose tensor has been read.

    Attributes:
        request: The JSON of the request.
        tensor: Pixels [batch, 1, rows, columns] in [0, 1], or films as files.
    """

    request: InferenceRequest
    tensor: Floats | list[bytes]


def model_metadata(explainer: Explainer) -> ModelMetadata:
    """Return the metadata of a model: the tensors it takes and gives."""
    card, shapes = explainer.card, _shapes(explainer.card)
    return ModelMetadata(
        name=card.name,
        versions=[card.version],
        platform="onnxruntime_onnx",
        inputs=[
            TensorMetadata(name="pixels", datatype="FP32", shape=[-1, 1, *card.image_size]),
            TensorMetadata(name="film", datatype="BYTES", shape=[-1]),
        ],
        outputs=[
            TensorMetadata(
                name=name,
                datatype="BOOL" if name in (*VERDICTS, SET) else "FP32",
                shape=shapes.get(name, [-1]),
            )
            for name in output_names(card)
        ],
        parameters=_scales(card)
        | {
            "class_names": json.dumps(card.class_names),
            "conformal_quantiles": json.dumps(card.conformal_quantiles),
            "decision_thresholds": json.dumps([one.value for one in card.decision_thresholds]),
            **_groups(card),
            "map_statuses": json.dumps(STATUSES),
            "refusals": json.dumps(REFUSALS),
            "sha256": explainer.sha256,
        },
    )


def _shapes(card: ModelCard) -> dict[str, list[int]]:
    """Return the shapes of output tensors that have more than a number for each film."""
    classes = len(card.class_names)
    return {
        "logits": [-1, classes],
        "probabilities": [-1, classes],
        "evidence": [-1, classes, *card.activation_grid],
        "group_evidence": [-1, len(card.groups), *card.activation_grid],
        "lungs": [-1, *LUNG_MASK_SIZE],
        "region": [-1, 4],
        "lung_figures": [-1, 3],
        "refusals": [-1, len(REFUSALS)],
        "predicted_class": [-1, classes],
        "map_status": [-1, len(card.question_names), len(STATUSES)],
        SET: [-1, classes],
    }


def output_names(card: ModelCard) -> tuple[str, ...]:
    """Return the names of a model's output tensors, in their order."""
    return (*outputs_of(card), *VERDICTS, *((SET,) if card.conformal_quantiles else ()))


def read_question(
    body: bytes, json_length: str | None, *, card: ModelCard, max_films: int
) -> Question:
    """Return a request with its tensor read and checked.

    Args:
        body: JSON, and behind it binary tensors.
        json_length: The header `Inference-Header-Content-Length`; None is the whole body.
        card: The model's.
        max_films: Most films in a batch.

    Raises:
        MalformedTensor: It is no such request, or its tensor is not what the model takes.
    """
    text, binary = _divided(body, json_length)
    request = _request(text, most_values=max_films * math.prod(card.image_size) + OTHER_VALUES)
    _check_outputs(request, output_names(card))
    one = _only_input(request)
    _check_shape(one, card.image_size, max_films)
    _check_place(one, len(binary))
    return Question(request, _pixels(one, binary) if one.name == "pixels" else _films(one, binary))


def encoded_response(
    request: InferenceRequest, answers: Answers, card: ModelCard
) -> tuple[bytes, bytes]:
    """Return the JSON that answers a request, and the binary tensors that follow it."""
    tensors = _tensors(answers, card)
    outputs, behind = [], []
    for wanted in request.outputs or [RequestOutput(name=name) for name in tensors]:
        tensor = tensors[wanted.name]
        binary = tensor.tobytes() if request.wants_binary(wanted) else b""
        behind.append(binary)
        outputs.append(_output(wanted.name, tensor, binary))
    response = InferenceResponse(
        model_name=card.name,
        model_version=card.version,
        id=request.id,
        parameters=_scales(card),
        outputs=outputs,
    )
    return response.model_dump_json(exclude_none=True).encode(), b"".join(behind)


def _divided(body: bytes, json_length: str | None) -> tuple[bytes, memoryview]:
    if json_length is None:
        return body, memoryview(b"")
    if not re.fullmatch("[0-9]{1,12}", json_length) or int(json_length) > len(body):
        raise MalformedTensor(
            f"Inference-Header-Content-Length must be at most the body's {len(body)} bytes."
        )
    length = int(json_length)
    return body[:length], memoryview(body)[length:]


def _request(text: bytes, *, most_values: int) -> InferenceRequest:
    # Counted before they are parsed: a parsed value takes many times the memory of its text.
    if text.count(b",") > most_values:
        raise MalformedTensor(f"The JSON must hold at most {most_values} values.")
    try:
        request = InferenceRequest.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, fault["loc"])) or "request"
        raise MalformedTensor(f"{place}: {fault['msg']}.") from error
    return request


def _check_outputs(request: InferenceRequest, known: Sequence[str]) -> None:
    names = [one.name for one in request.outputs]
    if not set(names) <= set(known) or len(set(names)) < len(names):
        raise MalformedTensor(f"Ask only for these outputs, each once: {', '.join(known)}.")
    for one in request.outputs:
        if one.parameters.classification or one.parameters.shared_memory_region:
            raise MalformedTensor(
                "Neither classification (class_count) nor shared memory is offered: ask for the "
                "whole tensor; the model's metadata name the classes."
            )


def _only_input(request: InferenceRequest) -> RequestInput:
    if len(request.inputs) != 1 or request.inputs[0].name not in DATATYPES:
        raise MalformedTensor(f"Send one input, which is {' or '.join(DATATYPES)}.")
    one = request.inputs[0]
    if one.datatype != DATATYPES[one.name]:
        raise MalformedTensor(f"The datatype of {one.name} must be {DATATYPES[one.name]}.")
    return one


def _check_shape(one: RequestInput, image_size: tuple[int, int], max_films: int) -> None:
    rest = [1, *image_size] if one.name == "pixels" else []
    if one.shape[1:] != rest or not 1 <= one.shape[0] <= max_films:
        expected = ", ".join(map(str, ["batch", *rest]))
        raise MalformedTensor(
            f"The shape of {one.name} must be [{expected}] with a batch of 1 to {max_films}."
        )


def _check_place(one: RequestInput, binary_length: int) -> None:
    size = one.parameters.binary_data_size
    if (size is None) == (one.data is None):
        raise MalformedTensor(f"Give {one.name} either data or a binary_data_size.")
    if binary_length != (size or 0):
        raise MalformedTensor(
            f"Behind the JSON stand {binary_length} bytes, but binary_data_size is {size}."
        )


def _pixels(one: RequestInput, binary: memoryview) -> Floats:
    try:
        given = (
            np.frombuffer(binary, "<f4")
            if one.data is None
            else np.fromiter(_shares(one.data), np.float32)
        )
        pixels = given.reshape(one.shape)
    except ValueError as error:
        raise MalformedTensor(f"The data of pixels don't fill the shape {one.shape}.") from error
    with np.errstate(invalid="ignore"):  # a signalling NaN
        if not np.all((pixels >= 0) & (pixels <= 1)):
            raise MalformedTensor("The data of pixels must be numbers from 0 to 1.")
    return pixels


def _shares(data: Iterable[object]) -> Iterator[float]:
    for value in _flat(data):
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
            raise MalformedTensor("The data of pixels must be numbers from 0 to 1.")
        yield value


def _flat(data: Iterable[object]) -> Iterator[object]:
    for value in data:
        if isinstance(value, list):
            yield from _flat(value)
        else:
            yield value


def _films(one: RequestInput, binary: memoryview) -> list[bytes]:
    if one.data is None:
        return list(_elements(binary, one.shape[0]))
    films = [_decoded(value) for value in _flat(one.data)]
    if len(films) != one.shape[0]:
        raise MalformedTensor(f"The data of film are {len(films)} files, not {one.shape[0]}.")
    return films


def _elements(binary: memoryview, count: int) -> Iterator[bytes]:
    for _ in range(count):
        end = LENGTH_BYTES + int.from_bytes(binary[:LENGTH_BYTES], "little")
        if end > len(binary):
            raise MalformedTensor("A length within film is more than the bytes that follow.")
        yield bytes(binary[LENGTH_BYTES:end])
        binary = binary[end:]
    if binary:
        raise MalformedTensor(f"Behind the {count} files of film stand {len(binary)} bytes.")


def _decoded(value: object) -> bytes:
    if isinstance(value, str):
        with suppress(ValueError):
            return base64.b64decode(value, validate=True)
    raise MalformedTensor("In JSON, the data of film must be files as base64.")


def _tensors(answers: Answers, card: ModelCard) -> Mapping[str, Tensor]:
    """Return the output tensors by name, in the order of `output_names`."""
    refused, films = answers.refusals(card), answers.probabilities.tolist()
    decided = [card.is_decided(*film) for film in zip(films, refused, strict=True)]
    predicted = [card.predicted_class(*film) for film in zip(films, refused, strict=True)]
    # Evidence of refused films is sent too, as where `force` asks for it.
    statuses = answers.map_statuses(card, force=True)
    verdicts = {
        "in_distribution": np.array([not reasons for reasons in refused]),
        "refusals": np.array([[one in reasons for one in REFUSALS] for reasons in refused]),
        "is_confident": np.array([card.is_confident(max(film)) for film in films]),
        "is_decided": np.array(decided),
        "predicted_class": np.array([[n == one for n in card.class_names] for one in predicted]),
        "map_status": np.array([[[s is one for s in STATUSES] for one in f] for f in statuses]),
    }
    if quantiles := card.conformal_quantiles:
        verdicts[SET] = np.array([prediction_set(film, quantiles) for film in films])
    return answers.outputs() | verdicts


def _output(name: str, tensor: Tensor, binary: bytes) -> ResponseOutput:
    return ResponseOutput(
        name=name,
        shape=tensor.shape,
        datatype="BOOL" if tensor.dtype == np.bool_ else "FP32",
        parameters=TensorParameters(binary_data_size=len(binary)) if binary else None,
        data=None if binary else tensor.ravel().tolist(),
    )


def _groups(card: ModelCard) -> dict[str, Scalar]:
    """Return the groups of classes in the order of `group_evidence`, as JSON; {} without any."""
    if not card.groups:
        return {}
    return {"groups": json.dumps([group.model_dump() for group in card.groups])}


def _scales(card: ModelCard) -> dict[str, Scalar]:
    scales: dict[str, Scalar] = {
        "evidence_scale": card.evidence_scale,
        "distance_threshold": card.distance_threshold,
    }
    for name in ("novelty_threshold", "confidence_threshold"):
        if (limit := getattr(card, name)) is not None:
            scales[name] = limit
    return scales
