"""A small network behind a window on the lungs as an exported file, and films to ask it about."""

from pathlib import Path
from typing import Any

import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.card import CARD_KEY, DecisionThreshold, Histogram
from models.lungs.window import window_of
from models.network import Network
from tests.support import tiny_model
from tests.support.drawn_lungs import LEFT, LUNG_GREY, RIGHT, TISSUE_GREY, ellipses
from tests.support.lung_networks import FILM, SPEC, films, lung_network
from tests.support.small_networks import plain_distance, plain_novelty
from tests.support.tiny_model import picture
from training.export.lung_limits import lung_limits
from training.export.model_card import golden_answer
from training.export.novelty import fitted_novelty
from training.onnx_files.writing import onnx_model
from xai.explained_network import ExplainedNetwork, LungExplanation
from xai.novelty import Novelty, acquisition

CLASS_NAMES = ("normal", "pneumonia", "effusion", "mass")


def film_file(film: Tensor) -> bytes:
    """Return a film of shares of white, [rows, columns], as a PNG file."""
    return picture((255 * film).round().byte().numpy())


def shaded(lung: Tensor) -> bytes:
    """Return a film of tissue on which a mask, [1, 1, side, side], is as dark as lung is."""
    wide = torch.nn.functional.interpolate(lung, FILM, mode="bilinear")[0, 0]
    texture = 0.02 * torch.rand(FILM, generator=torch.Generator().manual_seed(0))
    return film_file(TISSUE_GREY + (LUNG_GREY - TISSUE_GREY) * wide + texture)


LUNGS = film_file(films(1)[0, 0])
WITHOUT_LUNGS = {
    "blank": shaded(0 * ellipses(RIGHT, LEFT)),
    "one blob": shaded(ellipses(RIGHT)),
    "noise": film_file(torch.rand(FILM, generator=torch.Generator().manual_seed(0))),
}
"""Films by what is on them."""


def write_lung_model(folder: Path, *, known: Tensor | None = None, **changes: Any) -> Path:
    """Write the network as an ONNX file with its card, some fields changed; return its path.

    Its limits are chosen on drawn films, and no distance is too large for it; nor is a novelty,
    which is measured from films that are `known`.
    """
    network = lung_network(local=True).float()
    distance = plain_distance(network, films(1).float())
    novelty = plain_novelty(lungs=True) if known is None else novelty_from(network, known)
    explained = ExplainedNetwork(network, distance, novelty, temperature=1.0).eval()
    fields = _fields(explained) | changes
    model = onnx_model(explained, films(2).float(), explained.outputs)
    card = tiny_model.card(**fields)
    onnx.helper.set_model_props(model, {CARD_KEY: card.model_dump_json()})
    path = folder / f"{card.name}.onnx"
    onnx.save(model, path)
    return path


def novelty_from(network: Network, known: Tensor) -> Novelty:
    """Return the novelty that is fitted on films."""
    window = window_of(network)
    assert window is not None
    with torch.inference_mode():
        statistics = acquisition(known, window.view(known).lungs)
    return fitted_novelty(statistics.numpy(), ["drawn"] * len(known))


def drawn_figures(explained: ExplainedNetwork, number: int) -> NDArray[Any]:
    """Return the lung figures of drawn films."""
    with torch.inference_mode():
        answer = explained(films(number).float())
    assert isinstance(answer, LungExplanation)
    return answer.lung_figures.numpy()


def _fields(explained: ExplainedNetwork) -> dict[str, Any]:
    classes = len(CLASS_NAMES)
    histogram = Histogram(edges=(0, 1), counts=(1,))
    golden = golden_answer(explained, FILM)
    return {
        "name": "lungs",
        "class_names": CLASS_NAMES,
        "image_size": FILM,
        "activation_grid": (len(golden.evidence[0]), len(golden.evidence[0][0])),
        "lungs": SPEC,
        "lung_limits": lung_limits(drawn_figures(explained, 40)),
        "golden": golden,
        "distance_threshold": 1e6,
        "decision_thresholds": [DecisionThreshold(value=0.1, sensitivity=1, specificity=1)]
        * classes,
        "score_histograms": [histogram] * classes,
    }
