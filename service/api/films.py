"""What can be asked about one film: `/v1/predict`, `/v1/explain` and `/v1/film`."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from service.answers.film_answer import Overlay, check_class, check_is_source
from service.answers.schemas import (
    Comparison,
    ExplainedComparison,
    ExplainedPrediction,
    FilmPixels,
    Prediction,
)
from service.api.dependencies import (
    Accept,
    AskedModels,
    ClassName,
    Force,
    MaskText,
    OpenEngine,
    Side,
    Tested,
    answered,
    ask_models,
    caller,
    explained,
    predicted,
)
from service.api.openapi import (
    EXPLAIN_CONTENT,
    EXPLAIN_PROBLEMS,
    FILM_ANSWER,
    FILM_BODY,
    FILM_HEADER,
    FILM_PROBLEMS,
    JSON,
    PICTURE_PROBLEMS,
    PNG,
    RAW,
)
from service.dicom.answer import RELATED_DICOM, can_be_made, related_dicom
from service.films.admission import NO_MODEL
from service.films.decoding import RawFilm
from service.films.masks import asked_mask
from service.http.negotiation import negotiated
from service.inference.faithfulness import FILMS, faithful
from service.problems import VARY, MalformedMask, SideWithoutPicture, openapi_problems
from xai.explainer import Explainer

router = APIRouter()


@router.post(
    "/v1/predict",
    tags=["films"],
    response_model=Prediction | Comparison,
    responses=openapi_problems(*FILM_PROBLEMS, MalformedMask),
    openapi_extra=FILM_BODY,
)
async def predict(
    request: Request, asked: AskedModels, *, mask_text: MaskText = None, accept: Accept = None
) -> Response:
    """Say how probable each finding is on a film, or on what a mask leaves of it."""
    engine, explainers = asked
    negotiated(accept, (JSON,))
    mask = None if mask_text is None else asked_mask(mask_text)
    who = caller(request, "predict" if mask is None else "predict-masked")

    async def answer(film: bytes) -> Response:
        film_answers = await ask_models(engine, explainers, film, who, mask)
        with engine.metrics.stage("encode", NO_MODEL):
            text = predicted(film_answers).model_dump_json()
        return Response(text, media_type=JSON)

    return await answered(request, engine, explainers, answer)


@router.post(
    "/v1/explain",
    tags=["films"],
    response_model=ExplainedPrediction | ExplainedComparison,
    responses=openapi_problems(*EXPLAIN_PROBLEMS) | {200: {"content": EXPLAIN_CONTENT}},
    openapi_extra=FILM_BODY,
)
async def explain(
    request: Request,
    asked: AskedModels,
    *,
    class_name: ClassName = None,
    force: Force = False,
    faithfulness: Tested = False,
    accept: Accept = None,
) -> Response:
    """Say how probable each finding is on a film, and where the evidence for it lies.

    As JSON: the evidence for every class. With `Accept: image/png`, from one model: the film with
    the evidence for one class painted over it, in the film's own pixels. With
    `Accept: multipart/related; type="application/dicom"`, about a DICOM film: a structured report
    and, unless the film is refused, a parametric map of the evidence for one class and a secondary
    capture of the overlay, all of the film's study.
    """
    engine, explainers = asked
    media_type = negotiated(accept, (JSON,) if faithfulness else _offers(explainers))
    for explainer in explainers:
        check_class(explainer, class_name)
    who = caller(request, "explain")

    async def painted(film: bytes) -> Response:
        [film_answer] = await ask_models(engine, explainers, film, who)
        overlay = film_answer.overlay(class_name, force=force)
        return _picture(overlay, await engine.painted(film, overlay.paint))

    async def archived(film: bytes) -> Response:
        check_is_source(film)
        [film_answer] = await ask_models(engine, explainers, film, who)
        shown = class_name or film_answer.foremost_class
        prediction = film_answer.explained_prediction(force=force)
        return related_dicom(await engine.result_files(film, prediction, shown))

    async def told(film: bytes) -> Response:
        film_answers = await ask_models(engine, explainers, film, who)
        tests = await faithful(engine, film_answers, class_name, force) if faithfulness else ()
        with engine.metrics.stage("encode", NO_MODEL):
            text = explained(film_answers, force, tests).model_dump_json()
        return Response(text, media_type=JSON, headers=VARY)

    answer = {PNG: painted, RELATED_DICOM: archived}.get(media_type, told)
    films = 1 + FILMS if faithfulness else 1
    return await answered(request, engine, explainers, answer, films=films)


def _offers(explainers: Sequence[Explainer]) -> tuple[str, ...]:
    if len(explainers) > 1:
        return (JSON,)
    return (JSON, PNG, RELATED_DICOM) if can_be_made() else (JSON, PNG)


@router.post(
    "/v1/film",
    tags=["films"],
    response_class=Response,
    responses=openapi_problems(*PICTURE_PROBLEMS, SideWithoutPicture) | {200: FILM_ANSWER},
    openapi_extra=FILM_BODY,
)
async def film(
    request: Request, engine: OpenEngine, *, side: Side = None, accept: Accept = None
) -> Response:
    """Show the film as the models' reader decodes it, for a page whose browser can't read it.

    Raw, unless a picture is asked for: little-endian 16-bit unsigned pixels, rows x columns, row by
    row, after rescaling and MONOCHROME1 and before the window; the header `X-Film` says what they
    mean. With `Accept: image/png`: 8 bits, through the window that models see the film through, and
    as a thumbnail with `?side=`.

    A DICOM film whose grey is no linear window of its values (VOI LUT, SIGMOID, or a window too
    fine for 16 bits over the film's range) comes as that grey, from 0 to 65535.
    """
    if negotiated(accept, (RAW, PNG)) == PNG:
        picture = partial(engine.picture, side=side)
        png = await answered(request, engine, (), picture)
        return Response(png, media_type=PNG, headers=VARY)
    if side is not None:
        raise SideWithoutPicture(
            "Ask for a smaller film with `Accept: image/png`, or leave out side."
        )
    return _raw(await answered(request, engine, (), engine.raw))


def _raw(film: RawFilm) -> Response:
    facts = FilmPixels(
        rows=film.rows, columns=film.columns, format=film.format, **asdict(film.scale)
    )
    headers = VARY | {FILM_HEADER: facts.model_dump_json()}
    return Response(film.pixels, media_type=RAW, headers=headers)


def _picture(overlay: Overlay, png: bytes) -> Response:
    headers = {
        "Explanation-Class": quote(overlay.class_name),
        "Explanation-Status": overlay.status,
    }
    return Response(png, media_type=PNG, headers=VARY | headers)
