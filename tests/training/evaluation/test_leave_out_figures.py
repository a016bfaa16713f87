"""Who knows nothing of a film gets 0.5 in every figure within an origin, and 0 in a difference."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.card import Metric
from tests.support.bright_spot import config
from tests.support.origin_films import (
    DATA,
    constant_by_origin,
    films,
    origin_films,
    shuffled,
    skilled,
)
from training.config import Config
from training.evaluation.leave_out_figures import (
    SeedScores,
    constant_scores,
    is_balanced,
    left_out_sets,
    recipe_differences,
    recipe_figures,
    within,
)
from training.evaluation.leave_out_films import NORMAL, PAIR, OriginFilms
from training.evaluation.leave_out_picture import draw_left_out
from training.evaluation.leave_out_result import LeaveOutRecipe, LeaveOutResult

pytestmark = pytest.mark.slow

OWN = origin_films()
ORIGINS = ("city", "hospital", "scanners")


@pytest.fixture(scope="module")
def spot_config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return config(tmp_path_factory.mktemp("config") / "manifest.csv")


@pytest.fixture(scope="module")
def found(spot_config: Config) -> LeaveOutRecipe:
    return measured(spot_config, skilled(OWN, 0))


def measured(config: Config, scores: SeedScores, own: OriginFilms = OWN) -> LeaveOutRecipe:
    return recipe_figures("recipe", config, [7, 8][: len(scores)], scores, own)


def within_figures(recipe: LeaveOutRecipe) -> Iterator[Metric]:
    """Yield every figure within origins that a recipe's record holds."""
    for origin in recipe.within:
        yield from (pair.auroc for pair in origin.pairs if pair.auroc)
        yield from (metric for metric in (origin.pair_auroc, origin.normal_auroc) if metric)
    for mean in recipe.means:
        yield mean.auroc
        for value in mean.by_seed:
            yield mean.auroc.model_copy(update={"estimate": value})


def every_figure() -> list[tuple[str, tuple[str, ...]]]:
    single = [(name, (origin,)) for name in (PAIR, NORMAL) for origin in OWN.having(name)]
    return [*OWN.means(), *single]


def estimates(scores: SeedScores) -> list[float]:
    once = np.ones((1, len(OWN.films)), int)
    return [float(within(*figure, scores, OWN)(once)[0]) for figure in every_figure()]


def counted_by_hand(scores: np.ndarray, positive: list[int], negative: list[int]) -> float:
    """Return the share of pairs of films in the right order; ties are half."""
    right = [
        float(scores[i] > scores[j]) + 0.5 * float(scores[i] == scores[j])
        for i in positive
        for j in negative
    ]
    return sum(right) / len(right)


def rows_of(origin: str, *classes: str) -> list[int]:
    return [
        number
        for number, (film, own) in enumerate(zip(OWN.films, OWN.origins, strict=True))
        if own == origin and film.label in classes
    ]


@settings(max_examples=4)
@given(seed=st.integers(0, 1000))
def test_a_constant_for_each_origin_gets_one_half_in_every_figure(
    spot_config: Config, seed: int
) -> None:
    constant = measured(spot_config, constant_by_origin(OWN, seed))
    metrics = list(within_figures(constant))
    assert len(metrics) > 15
    assert {(m.estimate, m.low, m.high) for m in metrics} == {(0.5, 0.5, 0.5)}


def test_one_constant_for_all_films_gets_one_half_pooled_too(spot_config: Config) -> None:
    scores = np.broadcast_to([0.4, 0.3, 0.2, 0.1], (2, *OWN.is_class.shape))
    constant = measured(spot_config, np.array(scores))
    every = [*within_figures(constant), *constant.aurocs, constant.macro_auroc]
    assert {(m.estimate, m.low, m.high) for m in every} == {(0.5, 0.5, 0.5)}


def test_two_constants_differ_by_nothing() -> None:
    recipes = {"one": constant_by_origin(OWN, 1), "other": constant_by_origin(OWN, 2)}
    found = list(recipe_differences(recipes, OWN))
    assert len(found) == len(every_figure())
    differences = [one.difference for one in found]
    assert {(m.estimate, m.low, m.high) for m in differences} == {(0, 0, 0)}
    assert {value for one in found for value in one.by_seed} == {0}


def test_shuffled_scores_get_one_half_on_average() -> None:
    knowing = skilled(OWN, 0, skill=4)
    assert min(estimates(knowing)) > 0.9
    drawn = np.array([estimates(shuffled(knowing, OWN, seed)) for seed in range(24)])
    error = drawn.std(axis=0) / np.sqrt(len(drawn))
    assert (np.abs(drawn.mean(axis=0) - 0.5) < 4 * error).all()
    assert (error < 0.03).all()


def test_shuffled_scores_hold_one_half_in_nearly_every_interval(spot_config: Config) -> None:
    knowing = skilled(OWN, 0, skill=4)
    metrics = [
        metric
        for seed in range(4)
        for metric in within_figures(measured(spot_config, shuffled(knowing, OWN, seed)))
    ]
    held = [metric.low <= 0.5 <= metric.high for metric in metrics]
    assert np.mean(held) > 0.8


@pytest.mark.parametrize("class_weights", ["balanced", "none"])
def test_pooled_figures_of_a_constant_are_those_that_stand_beside(
    spot_config: Config, class_weights: str
) -> None:
    fields = spot_config.model_dump()
    fields["training"]["sampling"] |= {"class_weights": class_weights}
    config = Config.model_validate(fields)
    nothing = constant_scores(OWN, balanced=is_balanced(config))[None]
    constant = measured(config, nothing)
    assert constant.aurocs == constant.constant_aurocs
    assert constant.macro_auroc == constant.constant_macro_auroc
    other = measured(config, constant_by_origin(OWN, 1))
    assert other.constant_aurocs == constant.constant_aurocs
    assert other.aurocs != constant.constant_aurocs  # so that a pooled figure alone shows nothing


def test_a_constant_is_the_class_frequencies_of_other_origins_as_training_weighs_them() -> None:
    weighed = {balanced: constant_scores(OWN, balanced=balanced) for balanced in (True, False)}
    for scores in weighed.values():
        assert (scores[OWN.rows("web")] == scores[-1]).all()
    # normal 24 + 20 + 18, pneumonia 30 + 16, ring 14, tuberculosis 4 + 22, of 148
    assert weighed[False][-1] == pytest.approx(np.array([62, 46, 14, 26]) / 148)
    assert weighed[True][-1].tolist() == [0.25] * 4
    assert weighed[True][0] == pytest.approx([1 / 3, 1 / 3, 0, 1 / 3])  # no ring is elsewhere


def test_a_uniform_constant_gains_only_where_nothing_is_renormalised(spot_config: Config) -> None:
    uniform = constant_scores(OWN, balanced=True)
    pneumonia = OWN.class_names.index("pneumonia")
    others = [r for r, film in enumerate(OWN.films) if film.label in ("normal", "tuberculosis")]
    own = [r for r, film in enumerate(OWN.films) if film.label == "pneumonia"]
    assert counted_by_hand(uniform[:, pneumonia], own, others) > 0.7
    renormalised = measured(spot_config, uniform[None])
    assert {metric.estimate for metric in renormalised.aurocs} == {0.5}


def test_pooled_probabilities_are_renormalised_to_the_classes_that_stay(
    spot_config: Config,
) -> None:
    scores = skilled(OWN, 0)
    known = np.where(np.isnan(scores), 0, scores)
    known[:, OWN.rows("web"), OWN.class_names.index("ring")] = 9.0  # it is known here
    as_it_was = measured(spot_config, scores)
    assert measured(spot_config, known).aurocs == as_it_was.aurocs
    assert as_it_was.kept_classes == ("normal", "pneumonia", "tuberculosis")
    assert as_it_was.dropped_classes == {"ring": "all its films are of one origin"}
    assert as_it_was.films_by_origin == {"city": 54, "hospital": 40, "scanners": 40, "web": 20}


def test_pairs_are_what_counting_by_hand_gives(spot_config: Config) -> None:
    scores = skilled(OWN, 3)
    [city] = [one for one in measured(spot_config, scores).within if one.origin == "city"]
    names = OWN.class_names
    sick, healthy = (names.index(name) for name in ("pneumonia", "normal"))
    expected = [
        counted_by_hand(
            one[:, sick] / (one[:, sick] + one[:, healthy]),
            rows_of("city", "pneumonia"),
            rows_of("city", "normal"),
        )
        for one in scores
    ]
    [pair] = [pair for pair in city.pairs if pair.auroc]
    assert (pair.positive, pair.negative, pair.films) == ("pneumonia", "normal", (30, 24))
    assert pair.auroc is not None
    assert pair.auroc.estimate == pytest.approx(np.mean(expected))
    assert city.pair_auroc is not None
    assert city.pair_auroc.estimate == pytest.approx(np.mean(expected))


def test_normal_is_measured_against_films_of_all_other_classes(spot_config: Config) -> None:
    scores = skilled(OWN, 3)
    [city] = [one for one in measured(spot_config, scores).within if one.origin == "city"]
    number = OWN.class_names.index("normal")
    others = rows_of("city", "pneumonia", "ring")  # networks without the city know no ring
    expected = [
        counted_by_hand(one[:, number], rows_of("city", "normal"), others) for one in scores
    ]
    assert city.normal_auroc is not None
    assert city.normal_auroc.estimate == pytest.approx(np.mean(expected))


def test_means_are_over_origins_and_seeds_with_and_without_those_of_two_machines(
    found: LeaveOutRecipe,
) -> None:
    assert [(mean.auroc.name, mean.origins) for mean in found.means] == [
        (PAIR, ORIGINS),
        (PAIR, ORIGINS[:2]),
        (NORMAL, ORIGINS),
        (NORMAL, ORIGINS[:2]),
    ]
    own = {one.origin: one for one in found.within}
    for mean in found.means:
        name = mean.auroc.name
        each = [getattr(own[origin], name).estimate for origin in mean.origins]
        assert mean.auroc.estimate == pytest.approx(np.mean(each))
        assert mean.auroc.estimate == pytest.approx(np.mean(mean.by_seed))
        assert mean.auroc.low < mean.auroc.estimate < mean.auroc.high
    assert found.seeds == (7, 8)


def test_what_has_no_figure_has_a_reason(found: LeaveOutRecipe) -> None:
    own = {one.origin: one for one in found.within}
    assert own["web"].reason == "only one class: tuberculosis"
    assert own["web"].pair_auroc is own["web"].normal_auroc is None
    rings = [pair.reason for pair in own["city"].pairs if "ring" in (pair.positive, pair.negative)]
    assert rings == ["no other origin has ring, so that no network without this one knows it"] * 2
    few = [pair.reason for pair in own["hospital"].pairs if pair.positive == "tuberculosis"]
    assert few == ["fewer than 10 films of a class"] * 2
    assert all(one.reason == "" for one in found.within if one.origin != "web")


def test_a_recipe_differs_from_itself_by_exactly_nothing() -> None:
    scores = skilled(OWN, 0)
    found = list(recipe_differences({"recipe": scores, "again": scores.copy()}, OWN))
    assert {(one.difference.low, one.difference.high) for one in found} == {(0, 0)}
    assert {(one.difference.estimate, *one.by_seed) for one in found} == {(0, 0, 0)}


def test_differences_are_paired(spot_config: Config) -> None:
    worse = skilled(OWN, 0)
    noise = np.random.default_rng(1).normal(scale=0.3, size=worse.shape)
    better = worse * np.exp(noise + 0.3 * OWN.is_class)
    first, second = (measured(spot_config, scores) for scores in (better, worse))
    found = next(iter(recipe_differences({"better": better, "worse": worse}, OWN)))
    assert (found.first, found.second, found.origins) == ("better", "worse", ORIGINS)
    means = [recipe.means[0].auroc for recipe in (first, second)]
    assert found.difference.estimate == pytest.approx(means[0].estimate - means[1].estimate)
    width = found.difference.high - found.difference.low
    assert width < 0.6 * min(mean.high - mean.low for mean in means)


def test_films_of_a_group_are_drawn_together(spot_config: Config) -> None:
    own = replace(OWN, films=tuple(replace(film, group_id=film.path.stem) for film in OWN.films))
    scores = skilled(OWN, 0)
    scores[:, 1::2] = scores[:, ::2]  # both films of a group say the same
    wide, narrow = (measured(spot_config, scores, films).means[0].auroc for films in (OWN, own))
    assert wide.high - wide.low > 1.2 * (narrow.high - narrow.low)


def test_only_origins_whose_classes_can_be_compared_are_left_out_when_choosing(
    spot_config: Config,
) -> None:
    fast = origin_films(compared=True)
    assert fast.left_out == ORIGINS
    few = measured(spot_config, skilled(fast, 0), fast)
    assert set(few.films_by_origin) == set(ORIGINS)
    assert [mean.origins for mean in few.means] == [ORIGINS, ORIGINS[:2]] * 2
    assert [one.reason for one in few.within if one.reason] == ["only one class: tuberculosis"]


def test_without_a_normal_class_only_pairs_are_measured(spot_config: Config) -> None:
    own = replace(OWN, normal=None)
    found = measured(spot_config, skilled(OWN, 0), own)
    assert {mean.auroc.name for mean in found.means} == {PAIR}
    assert all(one.normal_auroc is None for one in found.within)


def test_films_in_which_nothing_can_be_compared_are_refused() -> None:
    apart = [replace(film, source=str(film.label)) for film in films()]
    for compared in (False, True):
        with pytest.raises(ValueError, match="two classes must stay"):
            OriginFilms.of(DATA, apart, compared=compared)


def test_findings_are_refused() -> None:
    found = [replace(film, label=None, findings=(("nodule", True),)) for film in films()]
    with pytest.raises(ValueError, match="one label each, not findings"):
        OriginFilms.of(DATA, found)


def test_the_picture_shows_recipes_of_any_number(found: LeaveOutRecipe, tmp_path: Path) -> None:
    files = [tmp_path / "new" / f"{number}.png" for number in (1, 3)]
    for number, file in zip((1, 3), files, strict=True):
        recipes = (found.model_copy(update={"name": f"recipe {n}"}) for n in range(number))
        draw_left_out(LeaveOutResult(recipes=tuple(recipes)), file)
    sizes = [file.stat().st_size for file in files]
    assert 5000 < sizes[0] < sizes[1]


def drawn_sets(scores: SeedScores) -> np.ndarray:
    """Return sets that hold what has a probability of 0.3 or more, or the largest."""
    known = np.nan_to_num(scores, nan=-1.0)
    return np.asarray((known >= 0.3) | (known == known.max(axis=2, keepdims=True)))


def test_sets_are_measured_by_origin_without_classes_that_nobody_could_learn() -> None:
    scores = skilled(OWN, 3, seeds=1)
    sets = drawn_sets(scores)
    found = {one.origins: one for one in left_out_sets(scores, sets, OWN)}
    assert list(found) == [(origin,) for origin in OWN.left_out] + [OWN.left_out]
    assert found[("city",)].never_trained == {"ring": 14}
    assert found[OWN.left_out].never_trained == {"ring": 14}
    assert found[("city",)].films == 54
    rows = rows_of("city", "normal", "pneumonia")
    held = [bool(sets[0, row][OWN.is_class[row]].all()) for row in rows]
    one = [row for row in rows if sets[0, row].sum() == 1]
    right = [bool(sets[0, row][OWN.is_class[row]].all()) for row in one]
    figures = {metric.name: metric.estimate for metric in found[("city",)].figures}
    assert figures["set_coverage"] == pytest.approx(np.mean(held))
    assert figures["mean_set_size"] == pytest.approx(sets[0, rows].sum(axis=1).mean())
    assert figures["decided_share"] == pytest.approx(len(one) / len(rows))
    assert figures["right_if_decided"] == pytest.approx(np.mean(right))
    difference = figures["right_if_decided"] - figures["right_if_undecided"]
    assert figures["right_if_decided_minus_undecided"] == pytest.approx(difference)


def test_figures_of_sets_are_means_over_seeds(spot_config: Config) -> None:
    scores = skilled(OWN, 3)
    sets = drawn_sets(scores)
    both = recipe_figures("recipe", spot_config, [7, 8], scores, OWN, sets).sets[-1]
    each = [list(left_out_sets(scores[[k]], sets[[k]], OWN))[-1] for k in (0, 1)]
    for number, metric in enumerate(both.figures):
        mean = np.mean([one.figures[number].estimate for one in each])
        assert metric.estimate == pytest.approx(mean)
