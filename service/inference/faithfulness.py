"""Test whether a model relies on the map of its answer, and put the result in a sentence."""

import asyncio
from collections.abc import Sequence

from service.answers.film_answer import FilmAnswer
from service.answers.schemas import Faithfulness
from service.inference.engine import Engine
from xai.heatmap import Status
from xai.measures.faithfulness import RANDOM_MAPS, TenthTest

FILMS = 1 + RANDOM_MAPS
"""Number of films that one test runs."""

REFUSED = "The film is unlike the training films, so that its evidence is withheld."
NOTHING_HOT = "No position argues for {}, so that there is nothing to mask."


async def faithful(
    engine: Engine, film_answers: Sequence[FilmAnswer], class_name: str | None, force: bool
) -> list[Faithfulness]:
    """Return the results of testing one map of each model.

    Args:
        engine: Runs the models.
        film_answers: Of one film, a model each.
        class_name: Class or group whose map is tested; None is each model's top class.
        force: Test even where a model finds the film unlike its training films.
    """
    return list(
        await asyncio.gather(*(_tested(engine, one, class_name, force) for one in film_answers))
    )


async def _tested(
    engine: Engine, film_answer: FilmAnswer, class_name: str | None, force: bool
) -> Faithfulness:
    name = class_name or film_answer.top_class
    number = film_answer.explainer.card.question_names.index(name)
    if film_answer.statuses(force=force)[number] is Status.OUT_OF_DISTRIBUTION:
        return _not_tested(film_answer, number, REFUSED)
    if not (film_answer.all_evidence[number] > 0).any():
        return _not_tested(film_answer, number, NOTHING_HOT.format(name))
    test = await engine.tested(film_answer, number)
    return Faithfulness(
        class_name=name,
        verdict=test.verdict,
        sentence=sentence(name, test),
        probability=test.probability,
        probability_masked=test.masked,
        probability_elsewhere=test.mean_elsewhere,
        gap=test.gap,
        random_masks=len(test.elsewhere),
    )


def _not_tested(film_answer: FilmAnswer, number: int, why: str) -> Faithfulness:
    return Faithfulness(
        class_name=film_answer.explainer.card.question_names[number],
        verdict="not_tested",
        sentence=why,
        probability=film_answer.all_probabilities[number],
        probability_masked=None,
        probability_elsewhere=None,
        gap=None,
        random_masks=None,
    )


def sentence(class_name: str, test: TenthTest) -> str:
    """Return the sentence that says what a test shows."""
    takes = "lowers its" if test.masked < test.probability else "does not lower its"
    return (
        f"Masking the tenth of the film that argues most for {class_name} {takes} probability "
        f"from {test.probability:.2f} to {test.masked:.2f}; "
        f"masking another tenth: {test.mean_elsewhere:.2f} (mean of {len(test.elsewhere)})."
    )
