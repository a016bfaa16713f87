"""Shared by routes: a request's engine and models, its film and caller, its answer's media type."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Header, Query, Request

from service.answers.comparison import comparison, explained_comparison
from service.answers.film_answer import FilmAnswer
from service.answers.schemas import (
    Comparison,
    ExplainedComparison,
    ExplainedPrediction,
    Faithfulness,
    Prediction,
)
from service.api.openapi import JSON
from service.films.masks import Mask
from service.films.uploads import NO_MODEL, film_upload, while_connected
from service.inference.engine import Caller, Engine
from service.inference.registry import ALL
from service.observability.trace_context import current_request
from service.problems import NoMap, NotAcceptable, NotReady, UnknownModel, openapi_problems
from xai.ensemble import Ensemble
from xai.ensemble_card import ENSEMBLE
from xai.explainer import Explainer

Accept = Annotated[list[str] | None, Header(include_in_schema=False)]
"""The lines of the `Accept` header; read by `negotiated`."""
Force = Annotated[
    bool, Query(description="Explain the film even if it is unlike the training films.")
]


async def open_engine(request: Request) -> Engine:
    """Return the engine that the lifespan opened.

    Raises:
        NotReady: It is not open yet, or closed already.
    """
    engine = getattr(request.app.state, "engine", None)
    if engine is None:
        raise NotReady("Ask again in a moment.")
    return engine


OpenEngine = Annotated[Engine, Depends(open_engine)]


class Asked(NamedTuple):
    """The engine and the models that a request asks.

    Attributes:
        engine: The server's.
        explainers: One model, or all of them; none where a film is only shown.
        ensemble: Of the models, if they are to answer together too.
        is_alone: Whether only the ensemble's answer is wanted.
    """

    engine: Engine
    explainers: Sequence[Explainer] = ()
    ensemble: Ensemble | None = None
    is_alone: bool = False

    async def answers(self, film: bytes, caller: Caller, mask: Mask | None = None) -> "FilmAnswers":
        """Return each model's answer about a film, and the ensemble's; see `Engine.ask`."""
        found, unsound = await self.engine.ask(self.explainers, film, caller, mask)
        if unsound and self.is_alone:
            raise next(iter(unsound.values()))
        left_out = {name: problem.detail for name, problem in unsound.items()}
        if self.ensemble is None or unsound.keys() & {m.card.name for m in self.ensemble.members}:
            return FilmAnswers(found, None, left_out)
        together = await self.engine.together(self.ensemble, found, film, caller)
        return FilmAnswers([] if self.is_alone else found, together, left_out)


class FilmAnswers(NamedTuple):
    """Answers about one film.

    Attributes:
        of_models: A model each; empty where only the ensemble's is wanted.
        together: The ensemble's; None without one.
        left_out: Why models that were asked gave no answer, by name.
    """

    of_models: Sequence[FilmAnswer]
    together: FilmAnswer | None = None
    left_out: Mapping[str, str] = {}


async def asked_models(
    request: Request,
    model: Annotated[
        str | None,
        Query(
            description=f"Name of a model, see /v1/models; `{ALL}` asks all of them. `{ENSEMBLE}` "
            "gives their answer together, where a file beside them has its calibration."
        ),
    ] = None,
) -> Asked:
    """Return the engine and the models that the client asks, the default one if it names none.

    Raises:
        NotReady: The engine is not open.
        UnknownModel: There is no model of that name, or no ensemble.
    """
    # Calls `open_engine` itself: FastAPI takes a tenth of a millisecond for each dependency.
    engine = await open_engine(request)
    if model == ALL:
        request.state.model = ALL
        explainers = list(engine.registry.explainers.values())
        return Asked(engine, explainers, engine.registry.ensemble())
    if model == ENSEMBLE:
        request.state.model = ENSEMBLE
        ensemble = engine.registry.ensemble()
        if ensemble is None:
            raise UnknownModel(
                "There is no ensemble of the models here; `cxr ensemble` writes one."
            )
        return Asked(engine, ensemble.members, ensemble, is_alone=True)
    explainer = engine.registry.explainer(model)
    request.state.model = explainer.card.name
    return Asked(engine, [explainer])


AskedModels = Annotated[Asked, Depends(asked_models)]


def caller(request: Request, verb: str, force: bool | None = None) -> Caller:
    """Return the caller of a request, for audit trail and metrics; see `Caller`."""
    identity = current_request.get()
    request_id = identity.request_id if identity else ""
    return Caller(verb, request_id, getattr(request.state, "key_id", None), force)


@asynccontextmanager
async def admitted_film(request: Request, asked: Asked, *, films: int = 1) -> AsyncIterator[bytes]:
    """Yield the film in a request; places, bytes and time are bounded.

    Places and bytes are kept until the answer is sent. The block is cancelled when the client
    disconnects or the deadline for the answer passes.

    Args:
        request: Its body has not been read.
        asked: The engine, and the models in whose queues the film takes places.
        films: How many films each model runs for the answer.

    Raises:
        Overloaded: There is no place, or no memory, for the film.
        UploadProblem: The body could not be taken in, or the client disconnected.
        TooSlow: The deadline passed.
    """
    engine, settings = asked.engine, asked.engine.settings
    names = (one.card.name for one in asked.explainers)
    place = engine.admission.place(*names, films=films)
    held = request.state.until_sent.enter_context(place)
    with engine.metrics.stage("upload", NO_MODEL):
        film = await film_upload(
            request, held, max_bytes=settings.max_upload_bytes, seconds=settings.upload_seconds
        )
    async with while_connected(request, seconds=settings.request_seconds):
        yield film


def predicted(film_answers: FilmAnswers) -> Prediction | Comparison:
    """Return the answer of one model, or of the ensemble, or those of several side by side."""
    of_models, together, left_out = film_answers
    if not of_models and together:
        return together.prediction()
    if len(of_models) == 1 and not left_out:
        return of_models[0].prediction()
    return comparison(of_models, together, left_out)


def explained(
    film_answers: FilmAnswers, force: bool, tests: Sequence[Faithfulness] = ()
) -> ExplainedPrediction | ExplainedComparison:
    """Return the answer of one model with its evidence, or those of several side by side."""
    of_models, together, left_out = film_answers
    if len(of_models) == 1 and not left_out:
        test = tests[0] if tests else None
        return of_models[0].explained_prediction(force=force, faithfulness=test)
    return explained_comparison(of_models, together, left_out, force=force, tests=tests)


def check_has_map(asked: Asked) -> None:
    """Raise NoMap if the ensemble alone is asked to explain."""
    if asked.is_alone:
        raise NoMap(f"Ask for the maps of its members, with ?model={ALL}, or for /v1/predict.")


def negotiated(accept: Sequence[str] | None, offers: Sequence[str]) -> str:
    """Return the media type that the client prefers, by its `Accept` header.

    Among offers of the same quality, one that is named wins over one that a wildcard matches, then
    the first.

    Args:
        accept: Lines of the `Accept` header, which are one list; None or empty is anything.
        offers: Media types, best first; `multipart/related` with the type of its parts, as in
            `multipart/related; type="application/dicom"`.

    Raises:
        NotAcceptable: The client accepts none of them.

    Source:
        RFC 9110, section 12.5.1.
    """
    texts = [text for line in accept or () for text in line.split(",") if text.strip()]
    ranges = [_media_range(text) for text in texts or ["*/*"]]
    best = max(offers, key=lambda offer: _preference(offer, ranges))
    if _preference(best, ranges)[0] == 0:
        raise NotAcceptable(f"The answer can be had as {' or '.join(offers)}.")
    return best


async def check_json(accept: Accept = None) -> None:
    """Raise NotAcceptable if the client takes no JSON, for routes that answer with nothing else."""
    negotiated(accept, (JSON,))


JSON_ONLY: dict[str, Any] = {
    "dependencies": [Depends(check_json)],
    "responses": openapi_problems(NotAcceptable),
}
"""Arguments of a router whose routes all answer with JSON."""


def _media_range(text: str) -> tuple[str, float]:
    """Return a media range in lower case and its quality; one that can't be read has quality 0.

    Parameters are dropped, but for the type of the parts of `multipart/related`.
    """
    media_range, *rest = (part.strip().lower() for part in text.split(";"))
    parameters = dict(one.split("=", 1) for one in rest if "=" in one)
    if media_range == "multipart/related" and "type" in parameters:
        kind = parameters["type"].strip('"')
        media_range = f'{media_range}; type="{kind}"'
    return media_range, _quality(parameters.get("q", "1"))


def _quality(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0


def _preference(offer: str, ranges: Sequence[tuple[str, float]]) -> tuple[float, int]:
    """Return quality and specificity of the most specific range that matches the offer."""
    wider = (offer.split(";")[0], f"{offer.split('/')[0]}/*", "*/*")
    for specificity, wanted in zip((3, 2, 1, 0), (offer, *wider), strict=True):
        qualities = [quality for media_range, quality in ranges if media_range == wanted]
        if qualities:
            return max(qualities), specificity
    return 0.0, 0
