"""What routes share: the engine and models that a request asks, its parameters, and the answer.

Dependencies of FastAPI, parameters with their descriptions, who asks (for the audit trail), and a
film's way from the request to an answer, within the bounds of places and time.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Annotated, Any, NamedTuple, TypeVar

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
from service.films.admission import NO_MODEL
from service.films.masks import Mask
from service.films.uploads import film_upload
from service.http.deadline import while_wanted
from service.inference.engine import Caller, Engine
from service.inference.registry import ALL
from service.observability.trace_context import current_request
from service.problems import NotReady
from xai.explainer import Explainer

T = TypeVar("T")


async def open_engine(request: Request) -> Engine:
    """Return the engine that the lifespan opened.

    Raises:
        NotReady: It is not open yet, or not any more.
    """
    engine = getattr(request.app.state, "engine", None)
    if engine is None:
        raise NotReady("Ask again in a moment.")
    return engine


OpenEngine = Annotated[Engine, Depends(open_engine)]


class Asked(NamedTuple):
    """Whom a request asks.

    Attributes:
        engine: The server's.
        explainers: One model, or all of them.
    """

    engine: Engine
    explainers: list[Explainer]


async def asked_models(
    request: Request,
    model: Annotated[
        str | None, Query(description=f"Name of a model, see /v1/models; `{ALL}` asks all of them.")
    ] = None,
) -> Asked:
    """Return the engine and the models that the client asks, the default one if it names none.

    Both in one: FastAPI takes a tenth of a millisecond for each dependency.
    """
    engine = await open_engine(request)
    if model == ALL:
        request.state.model = ALL
        return Asked(engine, list(engine.registry.explainers.values()))
    explainer = engine.registry.explainer(model)
    request.state.model = explainer.card.name
    return Asked(engine, [explainer])


def caller(request: Request, verb: str) -> Caller:
    """Return who asks, for the audit trail."""
    identity = current_request.get()
    request_id = identity.request_id if identity else ""
    return Caller(verb, request_id, getattr(request.state, "key_id", None))


AskedModels = Annotated[Asked, Depends(asked_models)]
Accept = Annotated[str | None, Header(include_in_schema=False)]
Force = Annotated[
    bool, Query(description="Explain the film even if it is unlike the training films.")
]
Tested = Annotated[
    bool,
    Query(
        description="Test the map of one class, `class` or the foremost one: mask the tenth of the "
        "film that argues most for it, and 24 random tenths. As JSON only; it costs 25 films more."
    ),
]
MaskText = Annotated[
    str | None,
    Query(
        alias="mask",
        description="x0,y0,x1,y1 in pixels of the film, decimals allowed: what the model shall not "
        "see. Every pixel of the film that the rectangle touches is filled with the film's median. "
        "Such an answer counts for no figure of `/metrics`.",
        examples=["310,420,690,900"],
    ),
]
Side = Annotated[
    int | None,
    Query(ge=16, le=1024, description="Most pixels of the picture's larger side; only of a PNG."),
]
ClassName = Annotated[
    str | None,
    Query(
        alias="class",
        description="Class of the overlay, or of the map to test. If left out, the predicted "
        "class; of a multi-label model the most probable finding, those called present before "
        "others.",
    ),
]


async def answered(
    request: Request,
    engine: Engine,
    explainers: Sequence[Explainer],
    answer: Callable[[bytes], Coroutine[Any, Any, T]],
    *,
    films: int = 1,
) -> T:
    """Return the answer to the film in a request, within all bounds; each model runs `films`."""
    settings = engine.settings
    with engine.admission.place(*(one.card.name for one in explainers), films=films) as held:
        with engine.metrics.stage("upload", NO_MODEL):
            film = await film_upload(
                request, held, max_bytes=settings.max_upload_bytes, seconds=settings.upload_seconds
            )
        return await while_wanted(request, answer(film), seconds=settings.request_seconds)


async def ask_models(
    engine: Engine,
    explainers: Sequence[Explainer],
    film: bytes,
    who: Caller,
    mask: Mask | None = None,
) -> list[FilmAnswer]:
    """Return what each of the models says about a film, or about what the mask leaves of it."""
    return list(await asyncio.gather(*(engine.answer(one, film, who, mask) for one in explainers)))


def predicted(film_answers: Sequence[FilmAnswer]) -> Prediction | Comparison:
    """Return the answer of one model, or those of several side by side."""
    if len(film_answers) == 1:
        return film_answers[0].prediction()
    return comparison(film_answers)


def explained(
    film_answers: Sequence[FilmAnswer], force: bool, tests: Sequence[Faithfulness] = ()
) -> ExplainedPrediction | ExplainedComparison:
    """Return the answer of one model with its evidence, or those of several side by side."""
    if len(film_answers) == 1:
        test = tests[0] if tests else None
        return film_answers[0].explained_prediction(force=force, faithfulness=test)
    return explained_comparison(film_answers, force=force, tests=tests)
