"""Store an ONNX graph's large constants in the smallest form that restores them exactly.

    int8       behind Cast and Mul, with one scale per output channel
    float16    behind Cast

ONNX Runtime folds both into float32 constants when it loads the file, so products are computed as
if nothing had been stored small. One DequantizeLinear would do the same, but with it the runtime
multiplies integers.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, numpy_helper
from onnx.helper import make_node

from training.onnx_files.storage import Quantised, Weights, halves, is_large, quantised


class SmallForm(NamedTuple):
    """Replacement of a constant: smaller constants, and the nodes that compute it from them."""

    constants: list[TensorProto]
    nodes: list[NodeProto]


def store_small(model: onnx.ModelProto, *, rounded_values: int) -> None:
    """Store each large constant that was rounded for it in its small form, in place.

    Args:
        model: A graph in float32.
        rounded_values: How many values were rounded before it was exported.

    Raises:
        ValueError: Some of them are not in the graph unchanged.
    """
    graph = model.graph
    constants = list(graph.initializer)
    forms = {constant.name: form for constant in constants if (form := small_form(constant))}
    found = sum(math.prod(constant.dims) for constant in constants if constant.name in forms)
    if found < rounded_values:
        raise ValueError(
            f"storage must be float32 for this network: of {rounded_values} rounded weights "
            f"{rounded_values - found} are not in the exported graph as they are (a BatchNorm "
            "behind a convolution is multiplied into its weights); nothing was written"
        )
    kept = [constant for constant in constants if constant.name not in forms]
    nodes = [node for form in forms.values() for node in form.nodes] + list(graph.node)
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.initializer.extend(small for form in forms.values() for small in form.constants)
    graph.node.extend(nodes)


def small_form(constant: TensorProto) -> SmallForm | None:
    """Return the smallest form that restores the constant exactly, or None if none is smaller."""
    if constant.data_type != TensorProto.FLOAT or not is_large(constant.dims):
        return None
    weights, name = numpy_helper.to_array(constant), constant.name
    for integers in _quantised(weights):
        if np.array_equal(integers.weights, weights):
            return _as_integers(integers, name)
    return _as_halves(weights, name) if np.array_equal(halves(weights), weights) else None


def _quantised(weights: Weights) -> Iterator[Quantised]:
    """Yield the weights with the channels on the first axis, and, of a matrix, on the second.

    A layer's weight is [out, in]; a graph may hold it transposed.
    """
    yield quantised(weights, axis=0)
    if weights.ndim == 2:
        yield quantised(weights, axis=1)


def _as_integers(quantised: Quantised, name: str) -> SmallForm:
    integers, scale, unscaled = (f"{name}.{suffix}" for suffix in ("int8", "scale", "unscaled"))
    return SmallForm(
        [
            numpy_helper.from_array(quantised.integers, integers),
            numpy_helper.from_array(quantised.scale, scale),
        ],
        [
            make_node("Cast", [integers], [unscaled], to=TensorProto.FLOAT),
            make_node("Mul", [unscaled, scale], [name]),
        ],
    )


def _as_halves(weights: Weights, name: str) -> SmallForm:
    stored = f"{name}.float16"
    return SmallForm(
        [numpy_helper.from_array(halves(weights), stored)],
        [make_node("Cast", [stored], [name], to=TensorProto.FLOAT)],
    )
