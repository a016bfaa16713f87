"""Randomise weights of an exported graph and compare its maps with the original ones.

The graph that is shipped is randomised itself, not a network like it. Weights are drawn as before
training: if they were as small as trained ones, three random layers would let almost nothing
through and change any map. A BatchNorm that was folded into its convolution becomes the identity.

Source:
    Adebayo et al. 2018, arXiv:1810.03292, section 3: cascading and independent randomisation.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import onnx
import onnxruntime
import torch
from jaxtyping import Float, Int

from models.architectures import build
from models.card import NetworkSpec
from training.onnx_files.graph_weights import GraphWeights
from training.onnx_files.network_from_onnx import card_of
from training.statistics.bootstrap import Resamples
from xai.measures.sanity import rank_correlation, structural_similarity
from xai.measures.trust import Figure, Likeness
from xai.runtime.processors import available_cpus

BATCH = 16

Pixels = Float[np.ndarray, "films 1 rows columns"]
Maps = Float[np.ndarray, "films grid_rows grid_columns"]
Classes = Int[np.ndarray, " films"]
Values = dict[str, np.ndarray]


@dataclass(frozen=True)
class WeightBlock:
    """Weights that are randomised together: a layer, a block of layers, or several blocks.

    Attributes:
        name: Of the layer or block in the network.
        weights: Their names.
    """

    name: str
    weights: tuple[str, ...]


def weight_blocks(names: Iterable[str]) -> tuple[WeightBlock, ...]:
    """Return the weights of a network block by block, from the head down to the pixels.

    Args:
        names: Of its weights, in the order of the forward pass.
    """
    grouped: dict[str, list[str]] = {}
    for name in names:
        if not name.startswith(("normalise.", "inside.")):  # what has no weights
            grouped.setdefault(_block_of(name), []).append(name)
    return tuple(WeightBlock(name, tuple(weights)) for name, weights in grouped.items())[::-1]


def _block_of(weight: str) -> str:
    """Return the numbered block that a weight belongs to, else the network's own child."""
    numbered = re.match(r"(\w+(?:\.\d+)+)\.", weight)
    return numbered[1] if numbered else weight.partition(".")[0]


def last_block(blocks: Sequence[WeightBlock]) -> WeightBlock:
    """Return the last block: a residual network's or a transformer's; of vgg16 the last stage.

    Args:
        blocks: From the head down. vgg16's are single convolutions, numbered with the layers
            between them: two apart within a stage, three apart across a pooling.

    Raises:
        ValueError: No block is numbered.
    """
    numbered = [block for block in blocks if "." in block.name]
    if not numbered:
        raise ValueError("the network must have numbered blocks, but has none")
    chosen = [numbered[0]]
    for before, block in pairwise(numbered):
        if not block.name.startswith("trunk.") or _number(before) - _number(block) != 2:
            break
        chosen.append(block)
    return WeightBlock("last block", tuple(weight for block in chosen for weight in block.weights))


def _number(block: WeightBlock) -> int:
    return int(block.name.rpartition(".")[2])


def randomised(model: onnx.ModelProto, block: WeightBlock, seed: int) -> onnx.ModelProto:
    """Return a copy of the graph with a block's weights randomised, wherever they stand."""
    graph, drawn = GraphWeights(model), untrained(card_of(model), seed)
    for name in block.weights:
        shape = graph.read(name).shape
        is_folded = name.endswith(".weight_bias")
        graph.write(name, np.zeros(shape, np.float32) if is_folded else drawn[name].reshape(shape))
    return graph.model


def untrained(spec: NetworkSpec, seed: int) -> dict[str, np.ndarray]:
    """Return a network's initial weights by name."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build(spec)
    return {name: value.numpy() for name, value in network.state_dict().items()}


def maps_of(model: onnx.ModelProto, pixels: Pixels, classes: Classes) -> Maps:
    """Return each film's signed evidence for its class, computed by the graph."""
    batches = answers(model, ("evidence",), [{"pixels": batch} for batch in _batches(pixels)])
    return _for_classes([batch["evidence"] for batch in batches], classes)


def randomised_maps(
    model: onnx.ModelProto, block: WeightBlock, films: "ExplainedFilms", seeds: Sequence[int]
) -> Iterator[Maps]:
    """Yield the maps of the graph with a block randomised, once for each seed.

    The layers before the block are computed only once for all seeds.
    """
    before: dict[tuple[str, ...], list[Values]] = {}
    batches = [{"pixels": batch} for batch in _batches(films.pixels)]
    for seed in seeds:
        random = randomised(model, block, seed)
        crossing, rest = cut(random, changed(model, random))
        if crossing not in before:
            before[crossing] = answers(model, crossing, batches)
        evidence = answers(rest, ("evidence",), before[crossing]) if rest else before[crossing]
        yield _for_classes([batch["evidence"] for batch in evidence], films.classes)


def _batches(pixels: Pixels) -> list[np.ndarray]:
    return [pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH)]


def _for_classes(evidence: Sequence[np.ndarray], classes: Classes) -> Maps:
    return np.concatenate(evidence)[np.arange(len(classes)), classes]


def changed(model: onnx.ModelProto, other: onnx.ModelProto) -> set[str]:
    """Return the names of the other graph's constants that differ from this one's, or are new."""
    own = {constant.name: constant for constant in model.graph.initializer}
    return {c.name for c in other.graph.initializer if own.get(c.name) != c}


def cut(model: onnx.ModelProto, names: set[str]) -> tuple[tuple[str, ...], onnx.ModelProto | None]:
    """Return the rest of a graph that depends on some constants, and the inputs of that rest.

    Args:
        model: With the output `evidence`.
        names: Of the constants. If the evidence depends on none, the input is the evidence itself
            and the rest is None.

    Returns:
        Names of the values that cross into the rest, and the rest.
    """
    of_films, reached, rest = {"pixels"}, set(names), onnx.ModelProto()
    rest.CopyFrom(model)
    del rest.graph.node[:], rest.graph.input[:], rest.graph.output[:]
    for node in model.graph.node:  # in the order of computation
        if reached & set(node.input):
            reached.update(node.output)
        if of_films & set(node.input):
            of_films.update(node.output)
        if reached & set(node.output) or not of_films & set(node.output):
            rest.graph.node.append(node)
    if "evidence" not in reached:
        return ("evidence",), None
    needed = {name for node in rest.graph.node for name in node.input}
    crossing = tuple(sorted(needed & of_films - reached))
    rest.graph.input.extend(onnx.ValueInfoProto(name=name) for name in crossing)
    rest.graph.output.append(onnx.ValueInfoProto(name="evidence"))
    return crossing, rest


def answers(
    model: onnx.ModelProto, names: Sequence[str], batches: Sequence[Values]
) -> list[Values]:
    """Return values inside a graph by their names, batch by batch."""
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    del asked.graph.output[:]
    asked.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    for given in asked.graph.input:
        value = batches[0][given.name]
        kind = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
        free = [None, *value.shape[1:]] if value.ndim else []
        given.CopyFrom(onnx.helper.make_tensor_value_info(given.name, kind, free))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cpus()
    session = onnxruntime.InferenceSession(
        asked.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [dict(zip(names, session.run(list(names), batch), strict=True)) for batch in batches]


@dataclass(frozen=True)
class ExplainedFilms:
    """Films whose maps are compared.

    Attributes:
        pixels: Network pixels in [0, 1].
        classes: The class of each one's map.
        groups: Each film's group.
        maps: Of the original model; NaN at positions outside the lungs, if it looks only there.
            They take no part in any comparison.
    """

    pixels: Pixels
    classes: Classes
    groups: tuple[str, ...]
    maps: Maps

    def first(self, number: int) -> "ExplainedFilms":
        """Return the first films."""
        return ExplainedFilms(
            self.pixels[:number], self.classes[:number], self.groups[:number], self.maps[:number]
        )


def kept(
    model: onnx.ModelProto,
    block: WeightBlock,
    films: ExplainedFilms,
    seeds: Sequence[int],
    *,
    done: Callable[[], object] = lambda: None,
) -> Likeness:
    """Return how similar maps are to those of the network with a block randomised.

    Args:
        model: The exported graph.
        block: The weights that are randomised.
        films: Their maps are compared.
        seeds: Of the random weights; a film's likeness is the mean over them.
        done: Called after each seed.

    Raises:
        ValueError: A random network gives a constant map, whose rank correlation is not defined.
    """
    likenesses = []
    for evidence in randomised_maps(model, block, films, seeds):
        maps = np.where(np.isnan(films.maps), np.nan, evidence)
        if not (np.nanmax(maps, axis=(1, 2)) > np.nanmin(maps, axis=(1, 2))).all():
            raise ValueError(
                f"with the {block.name} randomised a map is constant: it cannot be compared"
            )
        likenesses.append(list(_pairs(films.maps, maps)))
        done()
    return likeness(block.name, np.array(likenesses), films.groups)


def floor(films: ExplainedFilms, seeds: Sequence[int]) -> Likeness:
    """Return how similar the maps of two unrelated films are: each with one of another group.

    Maps of a network that looks only inside the lungs lie each on its own film's crop. Compared
    position by position where both are lung, one film's lungs are warped onto the other's, box to
    box. A finer warp is not needed: on 242 films the lungs of two share 0.86 of their positions
    (Dice coefficient on a 28x28 grid; on whole films 0.68).

    Raises:
        ValueError: All films are of one group.
    """
    groups = np.array(films.groups)
    if len(np.unique(groups)) < 2:
        raise ValueError("films must be of two patients or more, to compare unrelated ones")
    likenesses = []
    for seed in seeds:
        random = np.random.default_rng(seed)
        others = [random.choice(np.flatnonzero(groups != group)) for group in groups]
        likenesses.append(list(_pairs(films.maps, films.maps[others])))
    return likeness("two unrelated films", np.array(likenesses), films.groups)


def cascade(blocks: Sequence[WeightBlock]) -> Iterator[WeightBlock]:
    """Yield each block together with all blocks nearer to the head."""
    for number, block in enumerate(blocks):
        weights = tuple(weight for one in blocks[: number + 1] for weight in one.weights)
        yield WeightBlock(block.name, weights)


def likeness(
    what: str, values: Float[np.ndarray, "seeds films 2"], groups: Sequence[str]
) -> Likeness:
    """Return means over films, with intervals by group.

    Args:
        what: The difference between the two maps' networks or films.
        values: Rank correlation and similarity, for each seed and film.
        groups: Each film's group.
    """
    correlation, similarity = values.mean(axis=0).T
    resamples = Resamples(groups)
    return Likeness(
        what=what,
        rank_correlation=mean_figure(correlation, resamples),
        similarity=mean_figure(similarity, resamples),
        films=values.shape[1],
        seeds=values.shape[0],
    )


def mean_figure(values: Float[np.ndarray, " films"], resamples: Resamples) -> Figure:
    """Return the mean over films with its interval."""
    found = resamples.estimate(lambda weights: weights @ values / weights.sum(axis=1))
    return Figure(estimate=found.estimate, low=found.low, high=found.high)


def _pairs(one: Maps, other: Maps) -> Iterator[tuple[float, float]]:
    """Yield each film's absolute rank correlation and its similarity."""
    for first, second in zip(one, other, strict=True):
        yield abs(rank_correlation(first, second)), structural_similarity(first, second)
