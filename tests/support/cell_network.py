"""Write a network of one layer that classifies films by the mean greys of chosen cells.

Evidence is weight times (mean grey of a cell - its mean over the training films); logits are its
sum, written as the real networks' are: features times a matrix.
"""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from sklearn.linear_model import LogisticRegression

from models.card import CARD_KEY, Golden
from tests.support import tiny_model
from training.data.dataset import class_numbers
from training.data.film_cache import FilmMemory
from training.data.manifest import Film

SIDE, CELLS = 48, 12


def cells(pixels: np.ndarray) -> np.ndarray:
    """Return the mean grey of each cell of films of 0 to 255, one row per film."""
    size = SIDE // CELLS
    blocks = (pixels / np.float32(255)).reshape(-1, CELLS, size, CELLS, size)
    return blocks.mean(axis=(2, 4)).reshape(len(pixels), -1)


def write_cell_network(
    films: Sequence[Film], names: tuple[str, str], model: Path, *, looks_at: np.ndarray
) -> Path:
    """Learn to tell two classes by some cells, write the ONNX file, and return its path."""
    memory = FilmMemory(model.parent / "films", (SIDE, SIDE), "stretch")
    pixels = memory.pixels(films)
    features, targets = cells(pixels) * looks_at.ravel(), np.array(class_numbers(films, names))
    mean = features.mean(axis=0)
    fit = LogisticRegression(C=3.0, max_iter=1000).fit(features - mean, targets)
    constants = {
        "mean": mean.reshape(1, 1, CELLS, CELLS),
        "weights": np.stack([-fit.coef_[0], fit.coef_[0]]).reshape(1, 2, CELLS, CELLS) / 2,
        "bias": np.array([-fit.intercept_[0], fit.intercept_[0]]) / 2,
    }
    write(constants, _golden(constants, pixels[0]), names, model)
    return model


def _golden(constants: dict[str, np.ndarray], film: np.ndarray) -> Golden:
    features = cells(film[None]).reshape(CELLS, CELLS)
    evidence = constants["weights"][0] * (features - constants["mean"][0])
    logits = evidence.sum(axis=(1, 2)) + constants["bias"]
    return Golden(
        pixels_png=base64.b64encode(_png(film)).decode(),
        logits=tuple(logits.tolist()),
        probabilities=tuple(tiny_model.softmax(logits).tolist()),
        distance=float(np.sqrt((features**2).sum())),
        evidence=evidence.tolist(),
    )


def _png(film: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(film).save(file, "PNG")
    return file.getvalue()


def write(constants: dict[str, np.ndarray], golden: Golden, names: Any, model: Path) -> None:
    """Write the graph and its card."""
    graph = _graph(constants)
    onnx_model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    card = tiny_model.card(
        name="cells",
        class_names=names,
        image_size=(SIDE, SIDE),
        activation_grid=(CELLS, CELLS),
        golden=golden,
        decision_thresholds=tiny_model.card().decision_thresholds[:2],
        score_histograms=tiny_model.card().score_histograms[:2],
    )
    helper.set_model_props(onnx_model, {CARD_KEY: card.model_dump_json()})
    onnx.save(onnx_model, model)


def _graph(constants: dict[str, np.ndarray]) -> onnx.GraphProto:
    outputs = {
        "logits": ["batch", 2],
        "probabilities": ["batch", 2],
        "evidence": ["batch", 2, CELLS, CELLS],
        "distance": ["batch"],
    }
    side = [SIDE // CELLS, SIDE // CELLS]
    nodes = [
        helper.make_node("AveragePool", ["pixels"], ["cells"], kernel_shape=side, strides=side),
        helper.make_node("Sub", ["cells", "mean"], ["centred"]),
        helper.make_node("Mul", ["centred", "weights"], ["evidence"]),
        helper.make_node("Reshape", ["cells", "flat"], ["features"]),
        helper.make_node("Gemm", ["features", "head", "head_bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
        helper.make_node("ReduceL2", ["features"], ["distance"], axes=[1], keepdims=0),
    ]
    head = constants["weights"].reshape(2, -1).T
    head_bias = constants["bias"] - constants["mean"].ravel() @ head
    used = {"mean": constants["mean"], "weights": constants["weights"], "head": head}
    constants = used | {"head_bias": head_bias, "flat": np.array([-1, CELLS * CELLS])}
    return helper.make_graph(
        nodes,
        "cells",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 1, SIDE, SIDE])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in outputs.items()
        ],
        [
            numpy_helper.from_array(
                value if value.dtype.kind == "i" else value.astype(np.float32), name
            )
            for name, value in constants.items()
        ],
    )
