"""The tiny model as one that sees only the lungs, which are the same two ellipses on every film."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.card import LungSpec
from models.lungs.pieces import certainty
from models.radiograph import evenly_spread
from tests.support.drawn_lungs import LEFT, RIGHT, ellipses
from tests.support.tiny_model import GRID, IMAGE_SIZE, write_model

LUNGS = certainty(ellipses(RIGHT, LEFT))[0, 0].numpy()
"""How surely each of 64x64 cells is lung."""
REGION = np.array([0.1, 0.1, 0.9, 0.95], np.float32)
"""Top, left, bottom, right of what is taken to be seen, as shares of the input."""
FIGURES = np.array([0.2, 0.9, 0.0], np.float32)
"""Their area, balance and stray share."""


def write_lung_model(folder: Path, *, lungs: Any = LUNGS, **changes: Any) -> Path:
    """Write the tiny model with the outputs of one that finds lungs; return the file's path."""
    cells = evenly_spread(GRID, IMAGE_SIZE)
    path = write_model(folder, lungs=LungSpec(size=IMAGE_SIZE), cell_centres=cells, **changes)
    model = onnx.load(path)
    graph = model.graph
    outputs = {"lungs": lungs, "region": REGION, "lung_figures": FIGURES}
    for name, value in outputs.items():
        graph.initializer.append(numpy_helper.from_array(np.float32(value)[None], f"one_{name}"))
        shape = numpy_helper.from_array(np.array([-1] + [1] * value.ndim), f"{name}_shape")
        graph.initializer.append(shape)
        graph.node.append(helper.make_node("Reshape", ["nothing", f"{name}_shape"], [f"no_{name}"]))
        graph.node.append(helper.make_node("Add", [f"no_{name}", f"one_{name}"], [name]))
        sizes = ["batch", *value.shape]
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes))
    first = next(place for place, node in enumerate(graph.node) if node.op_type == "Reshape")
    graph.node.insert(first, helper.make_node("Sub", ["mean", "mean"], ["nothing"]))
    onnx.save(model, path)
    return path
