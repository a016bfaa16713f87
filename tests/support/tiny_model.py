"""An exported model small enough to know its answers by hand, and films to ask it about.

Evidence for a class is its weight times (mean pixel of a cell - 0.5); logits are the mean of the
evidence; the distance is ten times the mean pixel.
"""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from models.card import (
    CARD_KEY,
    DecisionThreshold,
    Golden,
    Histogram,
    ModelCard,
    Task,
    TrainingData,
)

CLASS_NAMES = ("normal", "pneumonia", "effusion")
WEIGHTS = np.array([-4, 4, 0], np.float32)
THRESHOLDS = (0.9, 0.1, 0.1)
IMAGE_SIZE = (32, 48)
GRID = (2, 4)
DISTANCE_THRESHOLD = 8.0


def quadrants(values: list[float], size: tuple[int, int] = IMAGE_SIZE) -> NDArray[np.uint8]:
    """Return a film of four even quarters, top left first, in shares of white."""
    cells = np.rint(255 * np.array(values)).astype(np.uint8).reshape(2, 2)
    return np.kron(cells, np.ones((size[0] // 2, size[1] // 2), np.uint8))


def picture(pixels: NDArray[np.uint8], kind: str = "PNG") -> bytes:
    """Return an image file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


# Mean pixel 0.4: distance 4. Logits 0.4, -0.4, 0. Only the top left argues for pneumonia.
FILM = picture(quadrants([0.8, 0.2, 0.2, 0.4]))
# Mean pixel 0.95: distance 9.5, above the threshold. All of it argues for pneumonia.
REFUSED_FILM = picture(quadrants([1.0, 0.9, 0.9, 1.0]))


def evidence(film: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the tiny model's evidence for a film of the network's size."""
    rows, columns = IMAGE_SIZE[0] // GRID[0], IMAGE_SIZE[1] // GRID[1]
    cells = (film / np.float32(255)).reshape(GRID[0], rows, GRID[1], columns).mean(axis=(1, 3))
    return (WEIGHTS[:, None, None] * (cells - 0.5)).astype(np.float32)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return probabilities."""
    return np.exp(logits) / np.exp(logits).sum()


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return probabilities of findings that don't exclude each other."""
    return 1 / (1 + np.exp(-logits))


def golden(task: Task = "multiclass") -> Golden:
    """Return an input with the outputs worked out without ONNX."""
    film = quadrants([0.8, 0.2, 0.2, 0.4])
    maps = evidence(film)
    logits = maps.mean(axis=(1, 2))
    return Golden(
        pixels_png=base64.b64encode(picture(film)).decode(),
        logits=tuple(logits.tolist()),
        probabilities=tuple((sigmoid if task == "multilabel" else softmax)(logits).tolist()),
        distance=10 * float(film.mean()) / 255,
        evidence=maps.tolist(),
    )


def card(**changes: Any) -> ModelCard:
    """Return the tiny model's card, with some fields changed."""
    histogram = Histogram(edges=(0, 1), counts=(1,))
    fields: dict[str, Any] = {
        "architecture": "chest_cnn",
        "class_names": CLASS_NAMES,
        "image_size": IMAGE_SIZE,
        "resize_mode": "stretch",
        "target_layer": "stages.3",
        "activation_grid": GRID,
        "mean": 0.5,
        "std": 0.25,
        "name": "tiny",
        "version": "1.2.3",
        "temperature": 1.0,
        "decision_thresholds": [
            DecisionThreshold(value=value, sensitivity=1, specificity=1) for value in THRESHOLDS
        ],
        "evidence_scale": 1.2,
        "distance_threshold": DISTANCE_THRESHOLD,
        "golden": golden(changes.get("task", "multiclass")),
        "score_histograms": [histogram] * 3,
        "distance_histogram": histogram,
        "training_data": TrainingData(
            manifest_sha256="0", split_sha256="0", films={"train": 1}, description="none"
        ),
        "intended_use": "tests",
        "limits": ("knows nothing",),
        "code_revision": "0",
    }
    return ModelCard(**fields | changes)


def first_schema() -> str:
    """Return the card as files of schema 1 have it: without the fields added since."""
    added = (
        *("blocks", "conformal_quantiles", "groups", "lung_limits", "lungs"),
        *("novelty_histogram", "novelty_threshold", "read_layer", "receptive_field"),
    )
    own = card(schema_version=1).model_dump(mode="json")
    return json.dumps({name: value for name, value in own.items() if name not in added})


def write_model(folder: Path, *, card_json: str | None = None, **changes: Any) -> Path:
    """Write the tiny model as an ONNX file with its card and return the file's path."""
    graph = _graph(changes.get("task", "multiclass"))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if card_json != "":
        text = card_json or card(**changes).model_dump_json()
        helper.set_model_props(model, {CARD_KEY: text})
    path = folder / f"{changes.get('name', 'tiny')}.onnx"
    onnx.save(model, path)
    return path


def _graph(task: Task) -> onnx.GraphProto:
    rows, columns = IMAGE_SIZE[0] // GRID[0], IMAGE_SIZE[1] // GRID[1]
    classes = len(CLASS_NAMES)
    constants = {"half": np.float32(0.5), "ten": np.float32(10), "weights": WEIGHTS[:, None, None]}
    last = "Sigmoid" if task == "multilabel" else "Softmax"
    nodes = [
        helper.make_node(
            "AveragePool",
            ["pixels"],
            ["cells"],
            kernel_shape=[rows, columns],
            strides=[rows, columns],
        ),
        helper.make_node("Sub", ["cells", "half"], ["centred"]),
        helper.make_node("Mul", ["centred", "weights"], ["evidence"]),
        helper.make_node("ReduceMean", ["evidence"], ["logits"], axes=[2, 3], keepdims=0),
        helper.make_node(last, ["logits"], ["probabilities"]),
        helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "ten"], ["distance"]),
    ]
    shapes = {
        "logits": ["batch", classes],
        "probabilities": ["batch", classes],
        "evidence": ["batch", classes, *GRID],
        "distance": ["batch"],
    }
    return helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 1, *IMAGE_SIZE])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in shapes.items()
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
