"""Read and replace the weights of an exported graph by their names in the network.

The exporter keeps most names, but it

    transposes  the weight of a product, and calls it `val_18`; the bias added next has its name
    folds       a BatchNorm into the convolution before it, with a bias `<conv>.weight_bias`
    slices      the query's bias off that of keys and values, in a block that reads one token
    copies      the head's weight, scaled and spread, for the backward pass of Grad-CAM

and `training.onnx_files.stored_graph` stores large ones small. Here they are read as float32 in
the network's own shapes, and written so that every copy of a weight follows.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

PREFIX = "grad_cam.network."
SUMMED = "grad_cam.summed_weight"
"""Of vgg16's fully connected head: the first hidden layer's weight, summed over positions."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Place:
    """The constants of a graph that hold a weight.

    Attributes:
        constants: Their names; joined along the first axis they are the weight.
        transposed: Whether the one constant is the weight's transpose.
    """

    constants: tuple[str, ...]
    transposed: bool = False


@dataclass(frozen=True)
class Copy:
    """Another constant of the graph, which is computed from a weight."""

    constant: str
    made_of: Callable[[Array], Array]


class GraphWeights:
    """The weights of a graph, to be read and to be replaced in a copy of it.

    Attributes:
        model: The copy.
        names: Of the weights in the network, in the graph's order.
    """

    model: onnx.ModelProto
    names: tuple[str, ...]

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        self._constants = {constant.name: constant for constant in self.model.graph.initializer}
        self._made_by = {node.output[0]: node for node in self.model.graph.node}
        self._places = dict(self._named()) | dict(self._transposed())
        self._places |= self._sliced()
        self.names = tuple(self._places)

    def read(self, name: str) -> Array:
        """Return a weight in the network's shape.

        Raises:
            KeyError: The graph has no such weight.
        """
        place = self._places[name]
        held = [self._value(constant) for constant in place.constants]
        return held[0].T if place.transposed else np.concatenate(held) if held[1:] else held[0]

    def write(self, name: str, values: Array) -> None:
        """Replace a weight, and all copies of it.

        Raises:
            KeyError: The graph has no such weight.
            ValueError: `values` has another shape than the weight.
        """
        before, place = self.read(name), self._places[name]
        if values.shape != before.shape:
            raise ValueError(f"values of {name} must have shape {before.shape}, not {values.shape}")
        copies = list(self._copies(name, before))
        sizes = [len(self._value(constant)) for constant in place.constants]
        slices = [values.T] if place.transposed else np.split(values, np.cumsum(sizes)[:-1])
        for constant, own in zip(place.constants, slices, strict=True):
            self._store(constant, own)
        for copy in copies:
            self._store(copy.constant, copy.made_of(values))

    def _named(self) -> Iterator[tuple[str, Place]]:
        made = [name for name in self._made_by if self._is_constant(name)]
        packed = {source for name in made for source in self._made_by[name].input}
        for name in (*self._constants, *made):
            if name.startswith(PREFIX) and name not in packed:
                yield name.removeprefix(PREFIX), Place((name,))

    def _transposed(self) -> Iterator[tuple[str, Place]]:
        """Yield weights held transposed: factors of products to which a named bias is added."""
        for node in self.model.graph.node:
            product = self._made_by.get(node.input[0]) if node.op_type == "Add" else None
            bias = next((name for name in node.input if name.startswith(PREFIX)), "")
            if product is None or product.op_type != "MatMul" or not bias.endswith(".bias"):
                continue
            if self._is_constant(product.input[1]):
                own = bias.removeprefix(PREFIX).removesuffix("bias") + "weight"
                yield own, Place((product.input[1],), transposed=True)

    def _sliced(self) -> dict[str, Place]:
        """Return the bias of query, key and value, which the graph holds in unnamed slices."""
        weights = [name for name in self._places if name.endswith(".attn.qkv.weight")]
        lost = [bias for bias in map(_bias, weights) if bias not in self._places]
        addends = [name for node in self.model.graph.node for name in self._addends(node)]
        return {lost[0]: Place(tuple(addends))} if lost else {}

    def _addends(self, node: onnx.NodeProto) -> Iterator[str]:
        """Yield the names of vectors, unknown to the network, that are added to a product."""
        product = self._made_by.get(node.input[0]) if node.op_type == "Add" else None
        if product and product.op_type == "MatMul":
            constant = self._constants.get(node.input[1])
            if constant and len(constant.dims) == 1 and not constant.name.startswith(PREFIX):
                yield constant.name

    def _copies(self, name: str, before: Array) -> Iterator[Copy]:
        if name == "hidden.fc1.weight" and SUMMED in self._constants:
            channels = self._constants[SUMMED].dims[1]
            yield Copy(SUMMED, lambda new: new.reshape(len(new), channels, -1).sum(axis=2))
        if name != "head.weight":
            return
        for constant in self._constants.values():
            if not constant.name.startswith(PREFIX) and constant.data_type == TensorProto.FLOAT:
                values = numpy_helper.to_array(constant)
                share = _spread_share(values, before)
                if share:
                    yield Copy(constant.name, _spread(share, values.shape))

    def _is_constant(self, name: str) -> bool:
        """Return whether a value is a constant, or is unpacked from a constant's small form."""
        node = self._made_by.get(name)
        if node is None:
            return name in self._constants
        return node.op_type in ("Cast", "Mul") and all(map(self._is_constant, node.input))

    def _value(self, name: str) -> Array:
        node = self._made_by.get(name)
        if node is None:
            return numpy_helper.to_array(self._constants[name]).astype(np.float32, copy=False)
        factors = [self._value(source) for source in node.input]
        return factors[0] * factors[1] if node.op_type == "Mul" else factors[0]

    def _store(self, name: str, values: Array) -> None:
        tensor = numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name)
        if name in self._constants:
            self._constants[name].CopyFrom(tensor)
            return
        self._drop(name)
        self._constants[name] = self.model.graph.initializer.add()
        self._constants[name].CopyFrom(tensor)

    def _drop(self, name: str) -> None:
        """Remove a constant, or the nodes and constants of its small form."""
        if name in self._constants:
            self.model.graph.initializer.remove(self._constants.pop(name))
            return
        node = self._made_by.pop(name)
        self.model.graph.node.remove(node)
        for source in node.input:
            self._drop(source)


def _bias(weight: str) -> str:
    return weight.removesuffix("weight") + "bias"


def _spread_share(values: Array, weight: Array) -> float | None:
    """Return the factor of the weight if `values` repeat it, scaled, over further axes."""
    if values.ndim <= weight.ndim or values.shape[: weight.ndim] != weight.shape:
        return None
    first = values.reshape(*weight.shape, -1)[..., 0]
    share = float((first * weight).sum() / (weight * weight).sum())
    expected = _spread(share, values.shape)(weight)
    return share if np.allclose(values, expected, rtol=1e-5, atol=0) else None


def _spread(share: float, shape: Sequence[int]) -> Callable[[Array], Array]:
    def spread(weight: Array) -> Array:
        further = (1,) * (len(shape) - weight.ndim)
        scaled = (weight * np.float32(share)).reshape(*weight.shape, *further)
        return np.broadcast_to(scaled, tuple(shape))

    return spread
