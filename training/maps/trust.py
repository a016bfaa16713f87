"""`cxr trust`: whether a model's maps depend on what it has learnt, and how steady they are."""

from collections.abc import Iterator, Sequence
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
    Part,
    Pixels,
    cascade,
    floor,
    kept,
    last_block,
    likeness,
    mean_figure,
    parts,
)
from training.onnx_files.graph_weights import GraphWeights
from training.statistics.bootstrap import Resamples
from xai.explainer import Answers, Explainer
from xai.measures.agreement import EvidenceMap, agreement
from xai.measures.sanity import stability
from xai.measures.trust import Companion, Likeness, Trust, randomisation_verdict, survives

FILMS, SEEDS = 100, 10
CASCADE_FILMS, CASCADE_SEEDS = 25, 3
"""Of the randomisation by depth, which takes a graph for each part and draw."""


def measured(
    model: Path,
    manifest: Path,
    *,
    films: int = FILMS,
    seeds: int = SEEDS,
    by_depth: bool = True,
    beside: Sequence[Path] = (),
) -> Trust:
    """Return what is measured of a model's maps on val films.

    Maps are signed evidence for the class with the largest probability.

    Args:
        model: The ONNX file.
        manifest: Its films; those that are looked at are drawn from split val.
        films: How many, all of them where there are fewer.
        seeds: How often weights are drawn anew.
        by_depth: Also randomise part by part.
        beside: Other models, for the agreement of maps.

    Raises:
        OSError: A file can't be read.
        ValueError: The model or the manifest is not sound, or a number is below 1.
    """
    if min(films, seeds) < 1:
        raise ValueError(f"films and seeds must be 1 or more, not {films} and {seeds}")
    chosen = drawn_films(of_split(read_manifest(manifest), "val"), films)
    explainer, graph = Explainer(model), onnx.load(model)
    seen = [seen_film(film, explainer) for film in tqdm(chosen, "reading", leave=False)]
    pixels = np.stack([film.pixels[None] for film in seen])
    looked_at = films_of(explainer, pixels, [film.group_id for film in chosen])
    all_parts = parts(GraphWeights(graph).names)
    card, draws = explainer.card, range(seeds)
    of_part = partial(kept, graph, films=looked_at, seeds=draws)
    one_by_one = _by_depth(graph, all_parts, looked_at) if by_depth else ()
    down_to = _by_depth(graph, tuple(cascade(all_parts)), looked_at) if by_depth else ()
    noise, shift = _stability(explainer, looked_at)
    return Trust(
        name=card.name,
        version=card.version,
        sha256=explainer.sha256,
        code_revision=code_revision(),
        packages={name: version(name) for name in ("numpy", "onnx", "onnxruntime")},
        manifest_sha256=manifest_sha256(manifest),
        films=len(chosen),
        groups=len(set(looked_at.groups)),
        floor=floor(looked_at, draws),
        head=_with_progress(of_part, all_parts[0], seeds),
        last_block=_with_progress(of_part, last_block(all_parts), seeds),
        cascade=down_to,
        independent=one_by_one,
        noise=noise,
        shift=shift,
        companions=tuple(_companion(Explainer(other), explainer, chosen) for other in beside),
    )


def drawn_films(films: Sequence[Film], number: int) -> list[Film]:
    """Return films drawn at random, always the same ones."""
    order = np.random.default_rng(0).permutation(len(films))
    return [films[place] for place in order[:number]]


def seen_film(film: Film, explainer: Explainer) -> NetworkPixels:
    """Return a film as a model sees it."""
    return seen_by(explainer.card, film_radiograph(film))


def films_of(explainer: Explainer, pixels: Pixels, groups: Sequence[str]) -> ExplainedFilms:
    """Return films with their maps for the class that the model finds most probable."""
    answers = Answers.joined([explainer(pixels[[n]]) for n in range(len(pixels))])
    classes = answers.probabilities.argmax(axis=1)
    maps = answers.evidence[np.arange(len(classes)), classes]
    return ExplainedFilms(pixels, classes, tuple(groups), maps)


def _with_progress(of_part: partial[Likeness], part: Part, seeds: int) -> Likeness:
    with tqdm(total=seeds, desc=f"{part.name} drawn anew", unit="draw", leave=False) as bar:
        return of_part(part=part, done=bar.update)


def _by_depth(
    graph: onnx.ModelProto, wanted: Sequence[Part], films: ExplainedFilms
) -> tuple[Likeness, ...]:
    few, seeds = films.first(CASCADE_FILMS), range(CASCADE_SEEDS)
    total = len(wanted) * CASCADE_SEEDS
    with tqdm(total=total, desc="by depth", unit="draw", leave=False) as bar:
        return tuple(kept(graph, part, few, seeds, done=bar.update) for part in wanted)


def _stability(explainer: Explainer, films: ExplainedFilms) -> Iterator[Likeness]:
    """Yield how alike maps are to those of films with noise, and of films moved by a pixel."""
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
    return explainer(pixels[None, None]).evidence[0, own]


def _companion(other: Explainer, explainer: Explainer, films: Sequence[Film]) -> Companion:
    """Return how alike two models' maps are, over films whose class both of them know."""
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
            answers[model].evidence[0, model.card.class_names.index(class_name)],
            seen[model].grid_affine(model.card.activation_grid),
        )
        for model in (one, other)
    ]
    found = agreement(*maps)
    if found.rank_correlation is None or found.top_tenth_overlap is None:
        return None
    return found.rank_correlation, found.top_tenth_overlap


def doubts(model: Path, films: ExplainedFilms, *, seeds: int = 2) -> list[str]:
    """Return what a short form of the test warns of: maps that survive a randomised network."""
    graph = onnx.load(model)
    all_parts = parts(GraphWeights(graph).names)
    least = floor(films, range(seeds))
    wanted = (all_parts[0], last_block(all_parts))
    found = [kept(graph, part, films, range(seeds)) for part in wanted]
    return [randomisation_verdict(part, least) for part in found if survives(part, least)]
