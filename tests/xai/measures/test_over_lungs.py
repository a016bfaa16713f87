"""Maps of networks that look only inside the lungs are compared there, and zeros outside not."""

from collections.abc import Callable
from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from models.card import Grid, LungSpec, ModelCard
from models.lungs.cells import LungCells, position_weights
from models.lungs.pieces import TwoLungs, certainty
from models.lungs.region import cropped, lung_region
from models.radiograph import evenly_spread, grid_place
from tests.support.drawn_lungs import CROP, FILM, MASK, drawn_mask
from tests.support.tiny_model import card
from training.maps.randomisation import ExplainedFilms, WeightBlock, floor, kept
from training.maps.trust import films_of
from xai.explainer import Answers, Explainer
from xai.measures.agreement import EvidenceMap, agreement
from xai.measures.over_lungs import over_lungs
from xai.measures.sanity import rank_correlation, structural_similarity

GRID = (28, 28)
Maps = NDArray[np.float32]


def lung_card(grid: Grid) -> ModelCard:
    """Return the card of a network whose cells fill the lungs' box evenly."""
    return card(
        lungs=LungSpec(size=CROP),
        image_size=FILM,
        activation_grid=grid,
        cell_centres=evenly_spread(grid, CROP),
    )


CARD = lung_card(GRID)


def unrelated_maps(film: int, maps: int) -> Answers:
    """Return random positive evidence of `maps` classes, weighted by a film's lungs."""
    lungs = TwoLungs(MASK)(certainty(drawn_mask(film)))
    region = lung_region(lungs)
    weights = position_weights(LungCells(CROP, GRID)(cropped(lungs, region, CROP)))
    drawn = torch.randn(1, maps, *GRID, generator=torch.Generator().manual_seed(film)).abs()
    return Answers(
        logits=np.zeros((1, maps), np.float32),
        probabilities=np.zeros((1, maps), np.float32),
        evidence=(drawn * weights).numpy(),
        distance=np.zeros(1, np.float32),
        lungs=lungs[:, 0].numpy(),
        region=region.numpy(),
    )


FILMS = [unrelated_maps(film, 8) for film in range(8)]


def agreement_of(name: str) -> Callable[[Maps, Maps, tuple[float, ...]], float]:
    """Return a figure of two maps' agreement on the film."""

    def figure(one: Maps, other: Maps, region: tuple[float, ...]) -> float:
        place = grid_place(GRID, FILM, CARD.cells_on(region))
        return float(getattr(agreement(EvidenceMap(one, place), EvidenceMap(other, place)), name))

    return figure


LIKENESSES = {
    "rank correlation": (lambda one, other, _: rank_correlation(one, other), 0),
    "similarity": (lambda one, other, _: structural_similarity(one, other), 0),
    "rank correlation on the film": (agreement_of("rank_correlation"), 0),
    "top tenth": (agreement_of("top_tenth_overlap"), 0.1),
}


def mean_likeness(name: str, maps_of: Callable[[Answers], Maps]) -> float:
    """Return the mean likeness of unrelated maps under one outline."""
    figure, _ = LIKENESSES[name]
    return float(
        np.mean(
            [
                figure(*maps_of(answers)[0, pair : pair + 2], answers.region_of(0) or ())
                for answers in FILMS
                for pair in range(0, 8, 2)
            ]
        )
    )


@pytest.mark.parametrize("name", LIKENESSES)
def test_unrelated_maps_under_one_outline_are_not_alike(name: str) -> None:
    by_chance = LIKENESSES[name][1]
    assert abs(mean_likeness(name, lambda answers: answers.over_lungs(CARD)) - by_chance) < 0.03
    assert mean_likeness(name, lambda answers: answers.evidence) - by_chance > 0.07


def explained(maps: Callable[[Answers], Maps]) -> ExplainedFilms:
    drawn = np.concatenate([maps(answers)[0, :1] for answers in FILMS])
    return ExplainedFilms(np.zeros((8, 1, 2, 2)), np.zeros(8, int), tuple("abcdefgh"), drawn)


def test_the_floor_is_of_positions_that_are_lung_on_both_films() -> None:
    over = floor(explained(lambda answers: answers.over_lungs(CARD)), range(5))
    assert over.rank_correlation.estimate < 0.07  # absolute: 0.04 by chance
    assert abs(over.similarity.estimate) < 0.03
    whole = floor(explained(lambda answers: answers.evidence), range(5))
    assert whole.rank_correlation.estimate > 0.4


def test_maps_of_a_random_network_are_not_like_those_of_the_trained_one_by_their_outline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Maps of a random network are unrelated ones too, which share the outline."""
    others = np.concatenate([answers.evidence[0, 1:2] for answers in FILMS])
    monkeypatch.setattr("training.maps.randomisation.randomised_maps", lambda *_: iter([others]))
    films = films_of(Mock(spec=Explainer, card=CARD, side_effect=shown), PIXELS, list("abcdefghi"))
    assert films.groups == tuple("abcdefgh")  # on the ninth film no lungs are found
    found = kept(onnx.ModelProto(), WeightBlock("head", ()), films, [0])
    assert found.rank_correlation.estimate < 0.07
    assert abs(found.similarity.estimate) < 0.03


PIXELS = np.arange(9, dtype=np.float32)[:, None, None, None] + np.zeros((9, 1, 2, 2), np.float32)
"""Each film's pixels are its number."""


def shown(pixels: Maps) -> Answers:
    """Return the answers about a film; of the last one those without lungs."""
    number = int(pixels[0, 0, 0, 0])
    if number < len(FILMS):
        return FILMS[number]
    nothing = np.zeros((1, *MASK), np.float32)
    return replace(FILMS[0], lungs=nothing, region=np.array([[0, 0, 1, 1]], np.float32))


def test_where_one_model_has_an_outline_it_counts_for_both() -> None:
    """The other one sees the whole film, and is hot where the first cannot look."""
    (answers,), random = FILMS[:1], np.random.default_rng(0)
    own, place = answers.over_lungs(CARD)[0, 0], grid_place(GRID, FILM, None)
    inside = EvidenceMap(own, place)
    whole = np.where(np.isnan(own), 9, own + 0.1 * random.normal(size=GRID)).astype(np.float32)
    for pair in ((inside, EvidenceMap(whole, place)), (EvidenceMap(whole, place), inside)):
        assert (agreement(*pair).rank_correlation or 0) > 0.9


def test_without_lungs_there_is_nothing_to_compare() -> None:
    (answers,) = FILMS[:1]
    nowhere = np.full(GRID, np.nan, np.float32)
    assert rank_correlation(nowhere, answers.evidence[0, 0]) == 0
    assert structural_similarity(nowhere, answers.evidence[0, 0]) == 0
    maps = [EvidenceMap(one, grid_place(GRID, FILM, None)) for one in (nowhere, nowhere)]
    assert agreement(*maps).top_tenth_overlap is None


def test_a_position_counts_where_nearly_all_of_its_cell_is_lung() -> None:
    quarters = np.kron([[1, 0.5], [0.8, 0]], np.ones((32, 32))).astype(np.float32)
    counted = over_lungs(
        np.ones((1, 2, 2), np.float32), quarters, (0.0, 0.0, 1.0, 1.0), lung_card((2, 2))
    )
    assert np.isfinite(counted[0]).tolist() == [[True, False], [True, False]]


def test_of_a_model_that_sees_the_whole_film_every_position_counts() -> None:
    (answers,) = FILMS[:1]
    whole = Answers(answers.logits, answers.probabilities, answers.evidence, answers.distance)
    assert whole.over_lungs(card()) is whole.evidence
