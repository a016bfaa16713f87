"""Set several models' answers about one film side by side."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, zip_longest

from service.answers.film_answer import FilmAnswer
from service.answers.schemas import (
    Comparison,
    ExplainedComparison,
    Faithfulness,
    LeftOut,
    MapAgreement,
)
from xai.measures.agreement import Agreement, EvidenceMap, agreement

UNKNOWN = Agreement(None, None)


def comparison(
    film_answers: Sequence[FilmAnswer],
    together: FilmAnswer | None = None,
    left_out: Mapping[str, str] | None = None,
) -> Comparison:
    """Return several models' answers without explanations, and their ensemble's if there is one.

    Args:
        film_answers: Of one film, by different models.
        together: Their ensemble's, if there is one.
        left_out: Why other models gave no answer, by name.
    """
    return Comparison(
        models=[one.prediction() for one in film_answers],
        ensemble=together.prediction() if together else None,
        left_out=_left_out(left_out),
    )


def explained_comparison(
    film_answers: Sequence[FilmAnswer],
    together: FilmAnswer | None = None,
    left_out: Mapping[str, str] | None = None,
    *,
    force: bool = False,
    tests: Sequence[Faithfulness | None] = (),
) -> ExplainedComparison:
    """Return several models' answers with the evidence, and how similar their maps are.

    Args:
        film_answers: Of one film, by different models.
        together: Their ensemble's, if there is one.
        left_out: Why other models gave no answer, by name.
        force: Give the evidence even where a model finds the film unlike its training films.
        tests: Results of testing a map of each, if that was asked for.
    """
    return ExplainedComparison(
        models=[
            one.explained_prediction(force=force, faithfulness=test)
            for one, test in zip_longest(film_answers, tests)
        ],
        agreement=[
            found
            for one, other in combinations(film_answers, 2)
            for found in _agreements(one, other, force)
        ],
        ensemble=together.prediction() if together else None,
        left_out=_left_out(left_out),
    )


def _left_out(reasons: Mapping[str, str] | None) -> list[LeftOut]:
    return [LeftOut(name=name, reason=reason) for name, reason in (reasons or {}).items()]


def _agreements(one: FilmAnswer, other: FilmAnswer, force: bool) -> Iterator[MapAgreement]:
    names = other.explainer.card.question_names
    for class_name in one.explainer.card.question_names:
        if class_name not in names:
            continue
        withheld = not force and not (one.in_distribution and other.in_distribution)
        similar = UNKNOWN if withheld else agreement(_map(one, class_name), _map(other, class_name))
        yield MapAgreement(
            models=(one.explainer.card.name, other.explainer.card.name),
            class_name=class_name,
            rank_correlation=similar.rank_correlation,
            top_tenth_overlap=similar.top_tenth_overlap,
        )


def _map(film_answer: FilmAnswer, class_name: str) -> EvidenceMap:
    card = film_answer.explainer.card
    evidence = film_answer.answers.over_lungs(card)[0, card.question_names.index(class_name)]
    return EvidenceMap(evidence, film_answer.place)
