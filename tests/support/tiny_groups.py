"""The tiny model with groups of its classes: evidence for them too, known by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.card import ClassGroup, DecisionThreshold, Golden
from tests.support.tiny_model import CLASS_NAMES, GRID, evidence, golden, quadrants, write_model

GROUPS = {"abnormal": ("pneumonia", "effusion"), "harmless": ("normal", "effusion")}
IS_MEMBER = np.array([[name in members for name in CLASS_NAMES] for members in GROUPS.values()])
THRESHOLDS = (0.5, 0.99)
SCALE = 2.5


def group_evidence(film: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the evidence for each group on a film of the network's size."""
    maps = evidence(film)
    powers = np.exp(maps.mean(axis=(1, 2)))
    inside, outside = powers * IS_MEMBER, powers * ~IS_MEMBER
    shares = inside / inside.sum(axis=1)[:, None] - outside / outside.sum(axis=1)[:, None]
    return np.einsum("gc,crs->grs", shares, maps).astype(np.float32)


def write_group_model(folder: Path, **changes: Any) -> Path:
    """Write the tiny model with two groups; return the file's path."""
    groups = tuple(
        ClassGroup(
            name=name,
            class_names=members,
            threshold=DecisionThreshold(value=threshold, sensitivity=0.93, specificity=0.81),
            evidence_scale=SCALE,
        )
        for (name, members), threshold in zip(GROUPS.items(), THRESHOLDS, strict=True)
    )
    film = quadrants([0.8, 0.2, 0.2, 0.4])
    answer = Golden(**vars(golden()) | {"group_evidence": group_evidence(film).tolist()})
    path = write_model(folder, **{"groups": groups, "golden": answer} | changes)
    model = onnx.load(path)
    graph, never = model.graph, np.float32(-np.inf)
    constants = {"members": IS_MEMBER[None], "never": never, "one": np.array([1])}
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    )
    graph.node.extend(
        [
            helper.make_node("Unsqueeze", ["logits", "one"], ["each"]),
            helper.make_node("Where", ["members", "each", "never"], ["inside"]),
            helper.make_node("Where", ["members", "never", "each"], ["outside"]),
            helper.make_node("Softmax", ["inside"], ["towards"], axis=2),
            helper.make_node("Softmax", ["outside"], ["away"], axis=2),
            helper.make_node("Sub", ["towards", "away"], ["shares"]),
            helper.make_node(
                "Einsum", ["shares", "evidence"], ["group_evidence"], equation="bgc,bcrs->bgrs"
            ),
        ]
    )
    shape = ["batch", len(GROUPS), *GRID]
    graph.output.append(helper.make_tensor_value_info("group_evidence", TensorProto.FLOAT, shape))
    onnx.save(model, path)
    return path
