"""Rows, pages and queries of the audit trail, and how an answer becomes a row."""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from models.card import ModelCard, ModelName, Sha256
from models.radiograph import PixelBox
from service.answers.examples import AUDIT_PAGE, shown
from service.answers.schemas import Answer
from xai.ensemble import Ensemble
from xai.explainer import Answers, Explainer
from xai.heatmap import Status

LAST_ID = 2**63 - 1
"""The largest number a database takes for an id."""


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("must lie between the years 1 and 9999 in UTC") from error


Time = Annotated[AwareDatetime, AfterValidator(_in_utc)]
# PostgreSQL takes no NUL in a text.
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]


class AuditRow(Answer):
    """An answer: when, to whom, about which film, by which model; no pixels and no names."""

    time: Time = Field(description="When the film was examined, in UTC.")
    request_id: Text = Field(
        description="The request's id, as in the log; the films of a batch share it."
    )
    key_id: Text | None = Field(
        description="Id of the API key that was used; null where none is needed."
    )
    verb: str = Field(
        description="What was asked: `predict`, `predict-masked` (about a part of the film), "
        "`explain`, `batch`, `infer`."
    )
    model: str
    version: str
    model_sha256: Sha256
    film_sha256: Sha256 = Field(
        description="SHA-256 of the film's bytes, or the tensor's, as they were sent."
    )
    mask: PixelBox | None = Field(
        default=None,
        description="Left, top, right, bottom of what the model did not see, in film pixels; null "
        "of a whole film, and in rows of older servers.",
    )
    probabilities: dict[str, float] = Field(
        description="By class; then by group of classes, whose probability is a sum of theirs."
    )
    decisions: dict[str, bool | None] = Field(
        description="By class, then by group: called present; null for a film that is refused or "
        "(of classes) not decided. In rows of older servers, by the threshold of each class."
    )
    is_decided: bool | None = Field(
        default=None,
        description="Whether the film is decided: not refused, and one class is left. Null in rows "
        "of older servers.",
    )
    predicted_class: str | None = Field(
        default=None,
        description="The most probable class; null of a refused film and of a multi-label model, "
        "and in rows of older servers.",
    )
    prediction_set: list[str] | None = Field(
        default=None,
        description="The classes that cannot be excluded; null of a model without prediction sets, "
        "and in rows of older servers.",
    )
    in_distribution: bool = Field(
        description="Whether the film is like the training films; false of one that is refused."
    )
    refusals: list[str] | None = Field(
        default=None,
        description="Why the film is refused; empty if it is answered, null in rows of older "
        "servers.",
    )
    map_statuses: dict[str, Status] | None = Field(
        default=None,
        description="By class, then by group: the status of its map, as `/v1/explain` gives it; "
        "`out_of_distribution_forced` is a map of a refused film that was asked for all the same. "
        "Null where no map was asked for, and in rows of older servers.",
    )
    distance: float
    novelty: float | None = Field(
        default=None, description="Null of a model without it, and in rows of older servers."
    )
    status: Literal["ok"] = Field(default="ok", description="Only answers are kept so far.")


class KeptRow(AuditRow):
    """A row of the audit trail."""

    id: int = Field(description="Larger than that of every row written before.")


class AuditPage(Answer):
    """Some rows of the audit trail, oldest first."""

    model_config = ConfigDict(json_schema_extra=shown(AUDIT_PAGE))

    rows: list[KeptRow]
    next: int | None = Field(
        description="Ask for the following rows with `after` set to this; null at the end."
    )


class AuditQuery(BaseModel):
    """Filters of the rows to return; one that is left out lets every row through."""

    since: Time | None = Field(default=None, description="From this time on, with a time zone.")
    until: Time | None = Field(default=None, description="Before this time, with a time zone.")
    model: ModelName | None = Field(default=None, description="Of the model of this name.")
    key_id: Text | None = Field(default=None, description="Asked with this API key.")
    film_sha256: Sha256 | None = Field(default=None, description="About this film.")
    request_id: Text | None = Field(default=None, description="Asked by the request of this id.")
    is_decided: bool | None = Field(
        default=None, description="Decided, or not; rows of older servers are neither."
    )
    after: int = Field(default=0, ge=0, le=LAST_ID, description="With a larger id than this.")
    limit: int = Field(default=100, ge=1, le=1000, description="Most rows to return.")


def audit_row(
    explainer: Explainer | Ensemble,
    answers: Answers,
    *,
    verb: str,
    request_id: str,
    key_id: str | None,
    film_sha256: str,
    mask: PixelBox | None = None,
    force: bool | None = None,
) -> AuditRow:
    """Return the row of one film's answer, with the current time.

    Args:
        explainer: The model, or the ensemble, that answered.
        answers: Its answers for one film: a `FilmAnswer`'s, or one of `Answers.films()`.
        verb: What was asked, such as `predict`.
        request_id: As in the log.
        key_id: Id of the API key; None where none is needed.
        film_sha256: Hash of the bytes that were sent, in 64 hexadecimal digits.
        mask: Pixels of the film that the model did not see; None is none.
        force: Whether maps of a refused film were asked for; None where no map was.
    """
    card = explainer.card
    return AuditRow(
        time=datetime.now(UTC),
        request_id=request_id,
        key_id=key_id,
        verb=verb,
        model=card.name,
        version=card.version,
        model_sha256=explainer.sha256,
        film_sha256=film_sha256,
        mask=mask,
        map_statuses=_map_statuses(card, answers, force),
        **_said(card, answers),
    )


def _said(card: ModelCard, answers: Answers) -> dict[str, Any]:
    """Return what a model says of one film, by the names of a row's fields."""
    probabilities = answers.all_probabilities(card)[0].tolist()
    of_classes, [refusals] = probabilities[: len(card.class_names)], answers.refusals(card)
    named = partial(zip, card.question_names, strict=True)
    return {
        "probabilities": dict(named(probabilities)),
        "decisions": dict(named(card.question_decisions(probabilities, refusals))),
        "is_decided": card.is_decided(of_classes, refusals),
        "predicted_class": card.predicted_class(of_classes, refusals),
        "prediction_set": card.prediction_set(of_classes),
        "in_distribution": not refusals,
        "refusals": list(refusals),
        "distance": float(answers.distance[0]),
        "novelty": answers.novelty_of(0),
    }


def _map_statuses(
    card: ModelCard, answers: Answers, force: bool | None
) -> dict[str, Status] | None:
    if force is None or not answers.evidence.size:  # an ensemble has no map
        return None
    [statuses] = answers.map_statuses(card, force=force)
    return dict(zip(card.question_names, statuses, strict=True))
