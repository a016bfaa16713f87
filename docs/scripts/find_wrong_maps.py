"""Find the three films whose map is most wrong, for docs/trust.md.

python docs/scripts/find_wrong_maps.py --data ../shared/data/localisation

It writes docs/results/wrong_maps.json.

One film for each network is chosen by a rule, from the test films with boxes of pneumonia that
the network classifies rightly and does not refuse: the one whose boxes have the smallest share in
the hottest tenth, of several the first by file name. The file holds the grid of evidence and the
outlines of the marks, but not the films, which may not be published here.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from skimage.measure import approximate_polygon, find_contours

from docs.scripts.insert_results import RESULTS
from service.settings import OWN_MODELS
from training.maps.annotations import read_annotations
from training.maps.localised import ShownFilm, marked_films
from xai.explainer import Explainer
from xai.measures.faithfulness import SHARE

Region = Bool[np.ndarray, "rows columns"]
NAMES = ("chest_cnn", "vgg16", "vit_b16")
TOLERANCE = 3.0
"""Largest error of a simplified outline, in pixels."""


def main() -> int:
    """Find and write the three films."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with boxes.csv")
    options = parser.parse_args()
    films = [worst(name, options.data) for name in NAMES]
    file = RESULTS / "wrong_maps.json"
    file.write_text(json.dumps({"films": films}, indent=1) + "\n", encoding="utf-8")
    return 0


def worst(name: str, data: Path) -> dict[str, Any]:
    """Return the record of the film on which a network's map is most wrong."""
    explainer = Explainer(OWN_MODELS / f"{name}.onnx")
    found = [(share(shown), shown) for shown in right_films(explainer, data)]
    least, shown = min(found, key=lambda pair: (pair[0], pair[1].marked.film.name))
    card = explainer.card
    probability = shown.answers.probabilities[0, shown.number]
    return {
        "film": shown.marked.film.name,
        "says": f"{name}: {shown.marked.class_name} {probability:.2f}",
        "map": f"{least:.0%} of the marked area is among the hottest tenth of the film "
        f"(the lowest of {len(found)} films)",
        "rows": shown.radiograph.rows,
        "columns": shown.radiograph.columns,
        "evidence": np.round(shown.evidence, 5).tolist(),
        "place": shown.seen.grid_place(card.activation_grid, shown.cells)._asdict(),
        "marked": list(outlines(shown.region)),
    }


def right_films(explainer: Explainer, data: Path) -> Iterator[ShownFilm]:
    """Yield the test films with boxes that a network classifies rightly and does not refuse."""
    card = explainer.card
    marked, _ = marked_films(read_annotations("localisation", data), card.class_names)
    for one in marked:
        if one.split != "test" or one.is_lungs:
            continue
        shown = ShownFilm.of(explainer, one)
        is_right = shown.answers.probabilities[0].argmax() == shown.number
        if is_right and not shown.answers.refusals(card)[0]:
            yield shown


def share(shown: ShownFilm) -> float:
    """Return the share of the marks in the hottest tenth."""
    heat = shown.drawn
    is_hot = (heat > 0) & (heat >= np.quantile(heat, 1 - SHARE))
    return float(is_hot[shown.region].mean())


def outlines(region: Region) -> Iterator[Sequence[Sequence[float]]]:
    """Yield the outline of each part of a region, as [column, row] pairs."""
    for contour in find_contours(np.pad(region, 1).astype(float), 0.5):
        yield np.round(approximate_polygon(contour - 1, TOLERANCE)[:, ::-1], 1).tolist()


if __name__ == "__main__":
    raise SystemExit(main())
