"""Check that a runtime reproduces the golden answer in a model's card."""

import base64
import io
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.card import Golden, ModelCard
from xai.runtime.execution import Precision

Floats = NDArray[np.float32]

TOLERANCES: dict[Precision, dict[str, float]] = {
    "float32": {
        "logits": 1e-3,
        "probabilities": 1e-4,
        "evidence": 1e-3,
        "distance": 1e-3,
        "novelty": 1e-3,
    },
    "bfloat16": {
        "logits": 0.1,
        "probabilities": 0.01,
        "evidence": 0.25,
        "distance": 0.05,
        "novelty": 0.25,
    },
}
"""Largest difference from the golden outputs; except for probabilities, a share of the largest.
Groups' evidence has that of evidence.

Those of bfloat16, which has 8 significant bits, are 1.5 times the worst of forty films in
`benchmarks/providers.py`: 7 % of logits, 16 % of evidence, 3 % of distance."""

SMALLEST_CORRELATION = 0.98
"""Smallest correlation of evidence in bfloat16 with the golden evidence."""

SMALLEST_SCALE = 1e-3
"""Smallest scale of the comparison, for outputs that are all smaller."""


def check_golden(
    run: Callable[[Floats], Mapping[str, Floats]],
    card: ModelCard,
    *,
    precision: Precision = "float32",
    batches: Iterable[int] = (1,),
) -> None:
    """Raise ValueError if a runtime does not reproduce the golden answer in a card.

    Args:
        run: From pixels [batch, 1, rows, columns] to the outputs by name, each [batch, ...].
        card: Card with the golden answer.
        precision: Number format of the arithmetic; tolerances for float32 are tighter.
        batches: Batch sizes to check, with copies of the golden film. A runtime may choose other
            code for each, and be wrong with one of them only.
    """
    pixels = golden_pixels(card.golden, card.image_size)
    for batch in batches:
        outputs = run(np.repeat(pixels, batch, axis=0))
        for film in range(batch):
            found = {name: np.asarray(outputs[name][film]) for name in outputs}
            _check_film(found, card, precision)


def _check_film(found: Mapping[str, Floats], card: ModelCard, precision: Precision) -> None:
    for name, shape in _shapes(card).items():
        _check_shape(f"the graph's {name}", found[name], shape)
        expected = np.asarray(getattr(card.golden, name), np.float32)
        _check_shape(f"the card's golden.{name}", expected, shape)
        _check_close(
            name, found[name], expected, TOLERANCES[precision][name.removeprefix("group_")]
        )
        if precision == "bfloat16" and name.endswith("evidence"):
            _check_correlation(found[name], expected)


def golden_pixels(golden: Golden, image_size: tuple[int, int]) -> Floats:
    """Return the golden input as [1, 1, rows, columns] in [0, 1]."""
    try:
        png = base64.b64decode(golden.pixels_png, validate=True)
        values = np.asarray(Image.open(io.BytesIO(png), formats=["PNG"]))
    except (ValueError, OSError) as error:
        raise ValueError("golden.pixels_png in the card is not a base64 PNG") from error
    if values.dtype != np.uint8 or values.shape != image_size:
        raise ValueError(
            f"golden.pixels_png must be 8-bit grey of size {image_size}, "
            f"not {values.dtype} of size {values.shape}"
        )
    return (values.astype(np.float32) / np.float32(255))[None, None]


def correlation(one: Floats, other: Floats) -> float:
    """Return Pearson's correlation over all numbers; 0 if one of the arrays is constant."""
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float((one * other).sum()) / scale if scale else 0.0


def _shapes(card: ModelCard) -> dict[str, tuple[int, ...]]:
    """Return the shape of each output for one film."""
    classes = len(card.class_names)
    shapes: dict[str, tuple[int, ...]] = {
        "logits": (classes,),
        "probabilities": (classes,),
        "evidence": (classes, *card.activation_grid),
        "distance": (),
    }
    if card.golden.novelty is not None:
        shapes["novelty"] = ()
    if card.groups:
        shapes["group_evidence"] = (len(card.groups), *card.activation_grid)
    return shapes


def _check_shape(what: str, found: Floats, expected: tuple[int, ...]) -> None:
    if found.shape != expected:
        raise ValueError(
            f"{what} must have shape {expected} (class_names, activation_grid), not {found.shape}"
        )


def _check_close(name: str, found: Floats, expected: Floats, tolerance: float) -> None:
    scale = 1.0 if name == "probabilities" else max(SMALLEST_SCALE, np.abs(expected).max())
    difference = np.abs(found - expected).max()
    if not difference <= tolerance * scale:  # also catches NaN
        raise ValueError(
            f"golden {name} not reproduced: off by {difference:.3g}, allowed is "
            f"{tolerance * scale:.3g}; export it again, check this machine's ONNX Runtime, or use "
            "another execution provider"
        )


def _check_correlation(found: Floats, expected: Floats) -> None:
    found_correlation = correlation(found, expected)
    if not found_correlation >= SMALLEST_CORRELATION:
        raise ValueError(
            f"golden evidence not reproduced: correlates by {found_correlation:.3f}, needed is "
            f"{SMALLEST_CORRELATION}; use precision float32 or another execution provider"
        )
