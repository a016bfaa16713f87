"""Compare methods of explanation on one network: a table of measures, on val films only.

    python benchmarks/methods.py MODEL --manifest FILE --marked FOLDER -o JSON
        [--films 40] [--few 10] [--seeds 3] [--methods NAME ...] [--layers NAME ...]

Hit rate, IoU and energy are on val films with boxes; deletion, insertion and ROAD on val films that
the network decides rightly; randomisation (of the head alone, of the last block alone) and
stability on a few of those, since each takes many maps of a film. Every figure has its 95 %
interval, bootstrapped by group. Time is the median of a map as `training.maps.methods` makes it.
Score-CAM, which asks the network once for each channel, is left out unless it is named: ReciproCAM
stands for methods without gradients.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import torch
from tqdm import tqdm

from models.architectures import build
from models.card import CellCentres, Record, Sha256
from models.network import Network
from models.registration import cell_centres
from training.data.manifest import of_split, read_manifest, spread
from training.data.split import check_split
from training.maps.annotations import LUNGS, read_annotations
from training.maps.faithfulness import RightFilm, probabilities_of, right_films
from training.maps.localised import Marked, ShownFilm, marked_films
from training.maps.methods import METHODS, Map, Method, methods_at, methods_for
from training.maps.randomisation import last_block, mean_figure, randomised, weight_blocks
from training.maps.road import road
from training.onnx_files.graph_weights import GraphWeights
from training.onnx_files.network_from_onnx import network_from_onnx, restored
from training.statistics.bootstrap import Resamples
from xai.explainer import Explainer
from xai.measures.faithfulness import deletion_insertion, on_pixels
from xai.measures.localisation import THRESHOLDS, Scores, best_threshold, scores
from xai.measures.sanity import perturbed, rank_correlation
from xai.measures.trust import Figure

USUAL = tuple(name for name in METHODS if name != "score_cam")
STEPS, PERCENTILES = 8, (10, 30, 50, 70, 90)
"""Of deletion, insertion and ROAD: half as many as `cxr faithfulness` takes, for more films."""


class MethodFigures(Record):
    """One row of the table; means over films, None where no film could be asked.

    Attributes:
        method: Its name in `training.maps.methods`.
        seconds: Median time of one map.
        threshold: Share of the map's range, tuned on these val films, for `iou_tuned`.
        figures: By name: `hit`, `iou_otsu`, `iou_tuned`, `energy`, `deletion`, `insertion`,
            `road`, `random_head`, `random_last_block`, `unrelated`, `noise`, `shift`.
    """

    method: str
    seconds: float
    threshold: float
    figures: dict[str, Figure]


class MethodTable(Record):
    """All methods on one network."""

    model: str
    version: str
    sha256: Sha256
    marked_films: int
    right_films: int
    few_films: int
    seeds: int
    methods: tuple[MethodFigures, ...]


@dataclass(frozen=True)
class Setting:
    """The networks and films that all methods are measured on.

    Attributes:
        explainer: The exported model, which answers for films with pixels removed.
        network: The same as a PyTorch network.
        randomised_networks: By the part that is random (`head`, `last block`): a network per seed.
        marked: Val films with boxes.
        right: Val films rightly decided.
        few: Number of them for randomisation and stability.
    """

    explainer: Explainer
    network: Network
    randomised_networks: dict[str, tuple[Network, ...]]
    marked: tuple[ShownFilm, ...]
    right: tuple[RightFilm, ...]
    few: int


def setting(model: Path, manifest: Path, marked: Path, options: argparse.Namespace) -> Setting:
    """Return the networks, and films of val only."""
    explainer, films = Explainer(model), read_manifest(manifest)
    check_split(films)
    network, card = network_from_onnx(model)
    right = list(right_films(explainer, spread(of_split(films, "val"), 2 * options.films)))
    return Setting(
        explainer,
        network.requires_grad_(False),
        {
            part: tuple(randomised_networks(model, part, options.seeds))
            for part in ("head", "last block")
        },
        tuple(ShownFilm.of(explainer, one) for one in marked_val(marked, card.class_names)),
        tuple(right[: options.films]),
        options.few,
    )


def marked_val(folder: Path, class_names: tuple[str, ...]) -> list[Marked]:
    """Return the val films on which a finding is marked that the network has a class for."""
    annotations = [
        annotation
        for annotation in read_annotations("localisation", folder)
        if annotation.split == "val" and annotation.finding != LUNGS
    ]
    return marked_films(annotations, class_names)[0]


def randomised_networks(model: Path, name: str, seeds: int) -> Iterator[Network]:
    """Yield the network with its head, or its last block, random."""
    graph = onnx.load(model)
    blocks = weight_blocks(GraphWeights(graph).names)
    part = blocks[0] if name == "head" else last_block(blocks)
    for seed in range(seeds):
        random = restored(build(Explainer(model, lazy=True).card), randomised(graph, part, seed))
        yield random.requires_grad_(False)


def measured(name: str, method: Method, cells: CellCentres, asked: Setting) -> MethodFigures:
    """Return the row of a method whose maps have their cells there."""
    map_of = partial(method, asked.network)
    seconds: list[float] = []
    maps = [timed(map_of, one, seconds) for one in tqdm(asked.right, name, leave=False)]
    threshold, localised = localisation(map_of, cells, asked.marked)
    few, few_maps = asked.right[: asked.few], maps[: asked.few]
    figures = {
        **localised,
        **faithfulness(asked.explainer, asked.right, maps, cells),
        **{
            f"random_{part.replace(' ', '_')}": randomisation(method, networks, few, few_maps)
            for part, networks in asked.randomised_networks.items()
        },
        "unrelated": unrelated(asked.right, maps),
        **steadiness(map_of, few, few_maps),
    }
    return MethodFigures(
        method=name, seconds=statistics.median(seconds), threshold=threshold, figures=figures
    )


def timed(map_of: partial[Map], film: RightFilm, seconds: list[float]) -> Map:
    """Return a film's map, and append the seconds that it took."""
    start = time.perf_counter()
    found = map_of(tensor(film.pixels), film.number)
    seconds.append(time.perf_counter() - start)
    return found


def tensor(pixels: np.ndarray) -> torch.Tensor:
    """Return pixels [rows, columns] as a batch of one."""
    return torch.from_numpy(pixels)[None, None]


def localisation(
    map_of: partial[Map], cells: CellCentres, marked: Sequence[ShownFilm]
) -> tuple[float, dict[str, Figure]]:
    """Return the tuned threshold, and how well maps agree with boxes."""
    found: list[Scores] = []
    for shown in tqdm(marked, "boxes", leave=False):
        heat = shown.heat(map_of(tensor(shown.seen.pixels), shown.number), cells, shown.outline)
        found.append(scores(heat, shown.region))
    threshold = best_threshold(found)
    place = THRESHOLDS.index(threshold)
    columns = {
        "hit": [one.hit for one in found],
        "iou_otsu": [one.iou_otsu for one in found],
        "iou_tuned": [one.iou_at[place] for one in found],
        "energy": [np.nan_to_num(one.energy_ratio) for one in found],
    }
    groups = [shown.marked.patient_id for shown in marked]
    return threshold, {name: figure(values, groups) for name, values in columns.items()}


def faithfulness(
    explainer: Explainer, right: Sequence[RightFilm], maps: Sequence[Map], cells: CellCentres
) -> dict[str, Figure]:
    """Return deletion, insertion and ROAD: the class when hot pixels are removed or added."""
    answer = probabilities_of(explainer)
    columns: dict[str, list[float]] = {"deletion": [], "insertion": [], "road": []}
    for one, evidence in zip(tqdm(right, "faithfulness", leave=False), maps, strict=True):
        drawn = on_pixels(evidence, one.pixels.shape, cells)
        curves = deletion_insertion(answer, one.pixels, drawn, one.number, steps=STEPS)
        columns["deletion"].append(curves[0].area)
        columns["insertion"].append(curves[1].area)
        columns["road"].append(road(answer, one.pixels, drawn, one.number, percentiles=PERCENTILES))
    return {name: figure(values, groups_of(right)) for name, values in columns.items()}


def randomisation(
    method: Method, networks: Sequence[Network], few: Sequence[RightFilm], maps: Sequence[Map]
) -> Figure:
    """Return the absolute rank correlation of maps with those of randomised networks."""
    kept = [
        [
            abs(rank_correlation(own, method(network, tensor(one.pixels), one.number)))
            for network in networks
        ]
        for one, own in zip(tqdm(few, "random", leave=False), maps, strict=True)
    ]
    return figure(np.mean(kept, axis=1).tolist(), groups_of(few))


def unrelated(right: Sequence[RightFilm], maps: Sequence[Map]) -> Figure:
    """Return the absolute rank correlation of each film's map with one of another group."""
    groups, random = np.array(groups_of(right)), np.random.default_rng(0)
    others = [random.choice(np.flatnonzero(groups != group)) for group in groups]
    values = [abs(rank_correlation(maps[n], maps[other])) for n, other in enumerate(others)]
    return figure(values, groups.tolist())


def steadiness(
    map_of: partial[Map], few: Sequence[RightFilm], maps: Sequence[Map]
) -> dict[str, Figure]:
    """Return the rank correlation with maps of the film with noise, and moved by a pixel."""
    columns: dict[str, list[float]] = {"noise": [], "shift": []}
    for seed, (one, own) in enumerate(zip(tqdm(few, "steady", leave=False), maps, strict=True)):
        for kind, changed in dict(perturbed(one.pixels, seed=seed, noises=1)).items():
            columns[kind].append(rank_correlation(own, map_of(tensor(changed), one.number)))
    return {name: figure(values, groups_of(few)) for name, values in columns.items()}


def groups_of(films: Sequence[RightFilm]) -> list[str]:
    """Return the group of each film."""
    return [one.film.group_id for one in films]


def figure(values: Sequence[float], groups: Sequence[str]) -> Figure:
    """Return the mean with its interval."""
    return mean_figure(np.asarray(values, np.float64), Resamples(groups))


def lines(table: MethodTable) -> Iterator[str]:
    """Yield the lines of the table as text."""
    names = list(table.methods[0].figures)
    yield f"{table.model} {table.version}: {table.marked_films} marked, {table.right_films} right"
    yield f"{'':22}{'seconds':>9}" + "".join(f"{name:>26}" for name in names)
    for row in table.methods:
        cells = "".join(f"{row.figures[name]!s:>26}" for name in names)
        yield f"{row.method:22}{row.seconds:9.2f}{cells}"


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--marked", type=Path, required=True, help="folder with boxes.csv")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--films", type=int, default=40)
    parser.add_argument("--few", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=USUAL)
    parser.add_argument("--layers", nargs="*", default=(), help="beside the target layer")
    options = parser.parse_args()
    asked = setting(options.model, options.manifest, options.marked, options)
    known, own = methods_for(asked.network), cell_centres(asked.network)
    chosen = {name: (known[name], own) for name in known if name in options.methods}
    for layer_name in options.layers:
        cells = cell_centres(asked.network, layer_name)
        chosen |= {name: (method, cells) for name, method in methods_at(layer_name).items()}
    table = MethodTable(
        model=asked.explainer.card.name,
        version=asked.explainer.card.version,
        sha256=asked.explainer.sha256,
        marked_films=len(asked.marked),
        right_films=len(asked.right),
        few_films=min(asked.few, len(asked.right)),
        seeds=options.seeds,
        methods=tuple(measured(name, *found, asked) for name, found in chosen.items()),
    )
    options.output.write_text(table.model_dump_json(indent=2) + "\n", encoding="utf-8")
    print("\n".join(lines(table)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
