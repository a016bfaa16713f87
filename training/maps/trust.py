"""Measure whether a model's maps depend on its weights, and how stable they are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
from jaxtyping import Float32
from tqdm import tqdm

from models.radiograph import NetworkPixels
from training.code_revision import code_revision
from training.data.dataset import film_radiograph, seen_by
from training.data.manifest import Film, manifest_sha256, of_split, read_manifest
from training.maps.randomisation import (
    ExplainedFilms,
    Pixels,
    WeightBlock,
    cascade,
    floor,
    kept,
    last_block,
    likeness,
    mean_figure,
    weight_blocks,
)
from training.onnx_files.graph_weights import GraphWeights
from training.statistics.bootstrap import Resamples
from xai.explainer import Answers, Explainer
from xai.measures.agreement import EvidenceMap, agreement
from xai.measures.sanity import stability
from xai.measures.trust import Companion, Likeness, Trust, randomisation_verdict, survives

FILMS, SEEDS = 100, 10
CASCADE_FILMS, CASCADE_SEEDS = 25, 3
"""Of the randomisation by depth, which takes a graph for each block and seed."""


@dataclass(frozen=True)
class TrustSettings:
    """Size of the measurement.

    Attributes:
        films: Number of val films; all of them if there are fewer.
        seeds: How often weights are randomised.
        by_depth: Also randomise block by block.
    """

    films: int = FILMS
    seeds: int = SEEDS
    by_depth: bool = True

    def __post_init__(self) -> None:
        if min(self.films, self.seeds) < 1:
            raise ValueError(
                f"films and seeds must be 1 or more, not {self.films} and {self.seeds}"
            )


@dataclass(frozen=True)
class Randomisation:
    """Likeness of maps to those of the network with some of its weights randomised.

    Attributes:
        head: With the head alone randomised.
        last_block: With the last block alone randomised.
        cascade: With all blocks from the head down to each one; empty if not asked for.
        independent: With each block alone; likewise.
    """

    head: Likeness
    last_block: Likeness
    cascade: tuple[Likeness, ...]
    independent: tuple[Likeness, ...]


def measured(
    model: Path, manifest: Path, settings: TrustSettings, *, beside: Sequence[Path] = ()
) -> Trust:
    """Measure a model's maps (signed evidence for the most probable class) on val films.

    Args:
        model: The ONNX file.
        manifest: Its films; val films are drawn from it.
        settings: How many of them, and how often weights are randomised.
        beside: Other models, for the agreement of maps.

    Raises:
        OSError: A file can't be read.
        ValueError: The model or the manifest is not sound.
    """
    chosen = drawn_films(of_split(read_manifest(manifest), "val"), settings.films)
    explainer = Explainer(model)
    films = explained_films(explainer, chosen)
    random = _randomisation(onnx.load(model), films, settings)
    noise, shift = _stability(explainer, films)
    return Trust(
        name=explainer.card.name,
        version=explainer.card.version,
        sha256=explainer.sha256,
        code_revision=code_revision(),
        packages={name: version(name) for name in ("numpy", "onnx", "onnxruntime")},
        manifest_sha256=manifest_sha256(manifest),
        films=len(films.maps),
        groups=len(set(films.groups)),
        floor=floor(films, range(settings.seeds)),
        head=random.head,
        last_block=random.last_block,
        cascade=random.cascade,
        independent=random.independent,
        noise=noise,
        shift=shift,
        companions=tuple(_companion(Explainer(other), explainer, chosen) for other in beside),
    )


def drawn_films(films: Sequence[Film], number: int) -> list[Film]:
    """Return films drawn at random, always the same ones."""
    order = np.random.default_rng(0).permutation(len(films))
    return [films[place] for place in order[:number]]


def seen_film(film: Film, explainer: Explainer) -> NetworkPixels:
    """Return a film as network pixels of a model."""
    return seen_by(explainer.card, film_radiograph(film))


def explained_films(explainer: Explainer, films: Sequence[Film]) -> ExplainedFilms:
    """Decode films and return them with their maps for the most probable class."""
    seen = [seen_film(film, explainer) for film in tqdm(films, "reading", leave=False)]
    pixels = np.stack([film.pixels[None] for film in seen])
    return films_of(explainer, pixels, [film.group_id for film in films])


def films_of(explainer: Explainer, pixels: Pixels, groups: Sequence[str]) -> ExplainedFilms:
    """Return films, given as network pixels, with their maps for the most probable class.

    A film on which a model that looks only inside the lungs finds none has no map, and is left out.
    """
    answers = Answers.joined([explainer(pixels[[n]]) for n in range(len(pixels))])
    classes = answers.probabilities.argmax(axis=1)
    maps = answers.over_lungs(explainer.card)[np.arange(len(classes)), classes]
    found = np.flatnonzero((~np.isnan(maps)).sum(axis=(1, 2)) > 1)
    return ExplainedFilms(
        pixels[found], classes[found], tuple(groups[film] for film in found.tolist()), maps[found]
    )


def _randomisation(
    graph: onnx.ModelProto, films: ExplainedFilms, settings: TrustSettings
) -> Randomisation:
    """Return the likeness of maps to those of the graph with each choice of random weights."""
    blocks, seeds = weight_blocks(GraphWeights(graph).names), settings.seeds
    by_depth = partial(_by_depth, graph, films=films)
    return Randomisation(
        head=_with_progress(graph, blocks[0], films, seeds),
        last_block=_with_progress(graph, last_block(blocks), films, seeds),
        cascade=by_depth(tuple(cascade(blocks))) if settings.by_depth else (),
        independent=by_depth(blocks) if settings.by_depth else (),
    )


def _with_progress(
    graph: onnx.ModelProto, block: WeightBlock, films: ExplainedFilms, seeds: int
) -> Likeness:
    with tqdm(total=seeds, desc=f"{block.name} randomised", unit="seed", leave=False) as bar:
        return kept(graph, block, films, range(seeds), done=bar.update)


def _by_depth(
    graph: onnx.ModelProto, blocks: Sequence[WeightBlock], films: ExplainedFilms
) -> tuple[Likeness, ...]:
    few, seeds = films.first(CASCADE_FILMS), range(CASCADE_SEEDS)
    total = len(blocks) * CASCADE_SEEDS
    with tqdm(total=total, desc="by depth", unit="seed", leave=False) as bar:
        return tuple(kept(graph, block, few, seeds, done=bar.update) for block in blocks)


def _stability(explainer: Explainer, films: ExplainedFilms) -> Iterator[Likeness]:
    """Yield how similar maps are to those of films with noise, and of films moved by a pixel."""
    pairs = []
    for number in tqdm(range(len(films.maps)), "stability", unit="film", leave=False):
        map_of = partial(_own_map, explainer, int(films.classes[number]))
        found = stability(map_of, films.pixels[number, 0], seed=number)
        pairs.append([found["noise"], found["shift"]])
    for place, what in enumerate(("noise", "shift")):
        yield likeness(what, np.array(pairs)[None, :, place], films.groups)


def _own_map(
    explainer: Explainer, own: int, pixels: Float32[np.ndarray, "rows columns"]
) -> Float32[np.ndarray, "grid_rows grid_columns"]:
    return explainer(pixels[None, None]).over_lungs(explainer.card)[0, own]


def _companion(other: Explainer, explainer: Explainer, films: Sequence[Film]) -> Companion:
    """Return how similar two models' maps are, over films whose predicted class both know."""
    found = []
    for film in tqdm(films, f"beside {other.card.name}", unit="film", leave=False):
        likeness_of_film = _agreement(film, explainer, other)
        if likeness_of_film:
            found.append((film.group_id, *likeness_of_film))
    if not found:
        raise ValueError(f"{other.card.name} must have a class in common with the other model")
    groups, correlations, overlaps = zip(*found, strict=True)
    resamples = Resamples(groups)
    return Companion(
        name=other.card.name,
        version=other.card.version,
        sha256=other.sha256,
        rank_correlation=mean_figure(np.array(correlations), resamples),
        top_tenth_overlap=mean_figure(np.array(overlaps), resamples),
    )


def _agreement(film: Film, one: Explainer, other: Explainer) -> tuple[float, float] | None:
    seen = {model: seen_film(film, model) for model in (one, other)}
    answers = {model: model(seen[model].pixels[None, None]) for model in (one, other)}
    class_name = one.card.class_names[int(answers[one].probabilities[0].argmax())]
    if class_name not in other.card.class_names:
        return None
    maps = [
        EvidenceMap(
            answers[model].over_lungs(model.card)[0, model.card.class_names.index(class_name)],
            seen[model].grid_place(
                model.card.activation_grid, model.card.cells_on(answers[model].region_of(0))
            ),
        )
        for model in (one, other)
    ]
    found = agreement(*maps)
    if found.rank_correlation is None or found.top_tenth_overlap is None:
        return None
    return found.rank_correlation, found.top_tenth_overlap


def doubts(model: Path, films: ExplainedFilms, *, seeds: int = 2) -> list[str]:
    """Return a warning for each block (head, last block) whose weights the maps survive."""
    graph = onnx.load(model)
    blocks = weight_blocks(GraphWeights(graph).names)
    least = floor(films, range(seeds))
    found = [kept(graph, one, films, range(seeds)) for one in (blocks[0], last_block(blocks))]
    return [randomisation_verdict(one, least) for one in found if survives(one, least)]
