"""Schemas of the answers; clients rely on them, so fields may be added but never renamed."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.card import Architecture, ExplanationMethod, ModelCard
from models.radiograph import FilmFormat
from service.answers import examples
from service.answers.examples import shown
from xai.ensemble_card import EnsembleCard
from xai.heatmap import ColourMapName, Status
from xai.measures.trust import Trust

Affine = Annotated[
    tuple[float, float, float, float, float, float],
    Field(
        description="(a, b, c, d, e, f) takes grid coordinates to the film's own pixels: "
        "x = a*column + b*row + c, y = d*column + e*row + f. "
        "Cell (0, 0) covers [0, 1) x [0, 1), and so does pixel (0, 0). "
        "Its centre is (0.5, 0.5)."
    ),
]
Extent = Annotated[
    tuple[float, float, float, float],
    Field(
        description="Left, top, right and bottom of what the model saw, in the film's own pixels; "
        "it may reach beyond the film. The outermost cells go on to its edges, and outside it "
        "there is no map."
    ),
]


class Answer(BaseModel):
    """Base of all parts of an answer; NaN and infinity are not JSON and are refused."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class ModelIdentity(Answer):
    """The model that answered."""

    name: str
    version: str
    sha256: str
    evidence_scale: float = Field(description="Evidence that gets full colour; above it, the same.")


class Film(Answer):
    """The film as it was decoded, after EXIF rotation."""

    rows: int
    columns: int
    format: FilmFormat


class FilmWindow(Answer):
    """Values shown from black to white: a LINEAR window of DICOM (PS3.3 C.11.2.1.2)."""

    name: str | None = Field(description="One of a few standard words, such as `LUNG`.")
    centre: float
    width: float = Field(description="At least 1, which is a step.")


class FilmPixels(Film):
    """Meaning of the raw pixels of a film: value = pixel * slope + intercept.

    A window shows a value as the grey
    clip((value - (centre - 0.5)) / max(width - 1, 1e-6) + 0.5, 0, 1).
    """

    slope: float
    intercept: float
    spacing: tuple[float, float] | None = Field(
        description="Millimetres between rows and between columns; null if the film doesn't say."
    )
    windows: list[FilmWindow] = Field(
        min_length=1, description="The first is what models see the film through."
    )
    low: float = Field(description="Smallest value of the film; padding is left out.")
    high: float = Field(description="Largest value of the film; padding is left out.")


class Explanation(Answer):
    """The evidence for one class on the film."""

    status: Status = Field(
        description="First that holds. `out_of_distribution`: the film is refused, evidence is "
        "withheld. `out_of_distribution_forced`: it is refused, and the evidence was asked for all "
        "the same. `no_positive_evidence`: none of it is for the class. `below_threshold`: the "
        "class is excluded, not in `prediction_set`; of a model without sets, its probability is "
        "below its threshold. `ok`."
    )
    method: ExplanationMethod
    target_layer: str
    evidence: list[list[float]] | None = Field(
        description="Rows of signed evidence in logits per position; the map is its positive part. "
        "By `legrad`: in logits per attention, at least 0."
    )
    affine: Affine
    extent: Extent
    inside_lungs: float | None = Field(
        default=None,
        description="Share of the positive evidence that lies inside `lung_outline`, of the map "
        "bilinear on the film, before it is cut off at the outline. Null if the evidence is "
        "withheld or nowhere positive, and for a model that sees the whole film.",
    )


class Finding(Answer):
    """The model's answer for one class."""

    class_name: str
    logit: float
    probability: float = Field(description="Calibrated.")
    threshold: float = Field(
        description="Probability from which a multi-label model calls the finding present. It "
        "decides nothing where a film has exactly one class."
    )
    excluded_below: float | None = Field(
        default=None,
        description="Probability below which the class is excluded, unless it is the most probable "
        "one; null of a model without prediction sets.",
    )
    decision: bool | None = Field(
        description="Called present. Where a film has exactly one class: true for "
        "`predicted_class` of a decided film, and for no other. Null for all classes of a film "
        "that is not decided."
    )


class ExplainedFinding(Finding):
    """The model's answer for one class, with the evidence for it."""

    explanation: Explanation


class GroupFinding(Answer):
    """The model's answer for a group of classes, one of which a film has or has not."""

    name: str
    class_names: tuple[str, ...]
    log_odds: float = Field(description="log(P / (1 - P)) of its probability P.")
    probability: float = Field(description="Sum of the calibrated probabilities of its classes.")
    threshold: float = Field(description="Probability from which the group is called present.")
    decision: bool | None = Field(description="Called present; null for a film that is refused.")
    evidence_scale: float = Field(
        description="Evidence for the group that gets full colour, in place of the model's."
    )


class ExplainedGroupFinding(GroupFinding):
    """The model's answer for a group of classes, with the evidence for it: of its log-odds."""

    explanation: Explanation


class Prediction(Answer):
    """A model's answer about a film."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            examples.PREDICTION, examples.REFUSED_PREDICTION, examples.MASKED_PREDICTION
        )
    )

    model: ModelIdentity
    film: Film
    mask: tuple[int, int, int, int] | None = Field(
        default=None,
        description="Pixels of the film that the model did not see: left, top, right, bottom, the "
        "last two outside. Null is an answer about the whole film.",
    )
    distance: float = Field(description="The larger, the less similar to the training films.")
    distance_threshold: float = Field(description="A film above it is refused.")
    novelty: float | None = Field(
        default=None,
        description="How unlike the training films' its acquisition is (grey levels, sharpness, "
        "noise, borders), the larger the more; null of a model without this figure.",
    )
    novelty_threshold: float | None = Field(
        default=None, description="A film above it is refused; null is no such limit."
    )
    in_distribution: bool = Field(
        description="Whether the film is like the training films; false of one that is refused."
    )
    refusals: list[str] = Field(
        description="Why the film is refused; empty if it is answered. `lungs`: no plausible lungs "
        "were found. `distance`: it is above the threshold. `novelty`: its novelty is above "
        "`novelty_threshold`. Others may follow."
    )
    confidence_threshold: float | None = Field(
        description="Largest probability from which classes are decided; null is no such limit."
    )
    is_confident: bool = Field(
        description="Whether the largest probability reaches that. It is one condition of "
        "`is_decided`, and holds for every film where there is no such limit."
    )
    is_decided: bool = Field(
        description="Whether the film is decided: it is not refused, `is_confident`, and one class "
        "is left in `prediction_set`, if there is one."
    )
    prediction_set: list[str] | None = Field(
        description="The classes that cannot be excluded, in the model's order; the most probable "
        "one always is among them. On films like those of validation, the true class is in it for "
        "at least 90 % of the films of each class; of a refused film it means as little as its "
        "probabilities. Null of a multi-label model, and of files exported before there were sets."
    )
    predicted_class: str | None = Field(
        description="The class with the largest probability, whether the film is decided or not; "
        "null of a refused film, and of a multi-label model, whose findings do not exclude each "
        "other and whose probabilities do not add up to 1."
    )
    most_probable_class: str = Field(
        description="The class, or finding, with the largest probability, of refused films too."
    )
    findings: Sequence[Finding] = Field(description="Every class, in the model's order.")
    groups: Sequence[GroupFinding] = Field(
        default=(),
        description="Every group of classes that the model's card defines; often there is none.",
    )


class Faithfulness(Answer):
    """Test of the reliance on a map: the effect of masking the tenth with most evidence.

    A tenth of the film as the network sees it is filled with the film's median, once where the map
    is hottest, and for comparison where random maps as smooth are.
    """

    class_name: str
    verdict: Literal["faithful", "unclear", "unfaithful", "not_tested"] = Field(
        description="`faithful`: the hottest tenth lowers the probability more than each of the "
        "random ones. `unclear`: more than they do on average. `unfaithful`: no more than that. "
        "`not_tested`: the sentence says why, and the figures are null."
    )
    sentence: str
    probability: float = Field(description="For the whole film.")
    probability_masked: float | None = Field(description="With the hottest tenth masked.")
    probability_elsewhere: float | None = Field(description="Mean, with a random tenth masked.")
    gap: float | None = Field(description="The last less the one before: the more, the better.")
    random_masks: int | None


class ExplainedPrediction(Prediction):
    """A model's answer about a film, with the evidence for every class."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            examples.EXPLAINED_PREDICTION,
            examples.FORCED_PREDICTION,
            examples.TESTED_PREDICTION,
            examples.OUTLINED_PREDICTION,
        )
    )

    findings: Sequence[ExplainedFinding] = Field(description="Every class, in the model's order.")
    groups: Sequence[ExplainedGroupFinding] = Field(
        default=(),
        description="Every group of classes that the model's card defines; often there is none.",
    )
    faithfulness: Faithfulness | None = Field(
        default=None, description="Of one class; null unless `?faithfulness=true` asks for it."
    )
    lung_outline: Sequence[Sequence[tuple[float, float]]] | None = Field(
        default=None,
        description="Rings around the lungs, each a list of (x, y) in the film's own pixels, its "
        "last corner joined to the first. What lies in an odd number of them is lung; no map is "
        "drawn elsewhere. Empty if no lungs were found; null of a model that sees the whole film.",
    )


class MapAgreement(Answer):
    """Similarity of two models' maps of one class, where both models see the film.

    Where one looks only inside the lungs, only positions inside its outline count; of two, inside
    both.
    """

    models: tuple[str, str]
    class_name: str
    rank_correlation: float | None = Field(
        description="Spearman's, from -1 to 1; null where a map is withheld or constant."
    )
    top_tenth_overlap: float | None = Field(
        description="Share of the tenth of the film with most evidence for the class in one map "
        "that is in the same tenth of the other; 0.1 is chance."
    )


TOGETHER = (
    "What the models answer together, as a model called `ensemble`; null without a file that has "
    "its calibration. It is refused where one of them refuses; its distance is the largest of "
    "theirs, as a share of each one's limit."
)


UNSOUND = (
    "Models that failed their checks and gave no answer; an ensemble of them gives none either."
)


class LeftOut(Answer):
    """A model that gave no answer."""

    name: str
    reason: str


class Comparison(Answer):
    """Each model's answer about a film, side by side."""

    model_config = ConfigDict(json_schema_extra=shown(examples.COMPARISON))

    models: list[Prediction]
    ensemble: Prediction | None = Field(default=None, description=TOGETHER)
    left_out: list[LeftOut] = Field(default=[], description=UNSOUND)


class ExplainedComparison(Answer):
    """Each model's answer about a film with its evidence, side by side."""

    model_config = ConfigDict(json_schema_extra=shown(examples.EXPLAINED_COMPARISON))

    models: list[ExplainedPrediction]
    agreement: list[MapAgreement] = Field(
        description="Of each two models, for each class that both of them know, and each group."
    )
    ensemble: Prediction | None = Field(default=None, description=TOGETHER)
    left_out: list[LeftOut] = Field(default=[], description=UNSOUND)


class ModelSummary(Answer):
    """One model that can be asked."""

    name: str
    version: str
    sha256: str
    architecture: Architecture
    class_names: tuple[str, ...]
    is_default: bool = Field(description="Answers when no model is asked for.")
    provider: str = Field(description="ONNX Runtime's execution provider that runs it.")
    is_loaded: bool = Field(description="Answers at once; another loads when it is first asked.")
    is_sound: bool = Field(
        default=True,
        description="False of one that failed its checks: it answers nothing until it is reloaded.",
    )


class EnsembleSummary(EnsembleCard):
    """What the models answer together, asked with `?model=ensemble`: members, limits, figures."""

    name: str
    sha256: str = Field(description="Of the file beside the models.")
    class_names: tuple[str, ...]


class ModelList(Answer):
    """The models that can be asked."""

    model_config = ConfigDict(json_schema_extra=shown(examples.MODEL_LIST))

    models: list[ModelSummary]
    ensemble: EnsembleSummary | None = Field(
        default=None,
        description="Their answer together: members, temperature, limits and figures. Null without "
        "a file that has its calibration.",
    )


class TrustDescription(Answer):
    """Trust in a model's maps, as `cxr trust` measured it."""

    verdict: tuple[str, ...] = Field(description="What the figures mean, as sentences.")
    figures: Trust


class ModelDescription(Answer):
    """A model's card, and the figures measured of its maps."""

    model_config = ConfigDict(json_schema_extra=shown(examples.MODEL_DESCRIPTION))

    sha256: str
    card: ModelCard
    trust: TrustDescription | None = Field(
        default=None, description="Null where nothing was measured of this very file."
    )


class ColourMap(Answer):
    """Colours of heat: `rgb[floor(255 h + 0.5)]` for h in [0, 1], where the map is sequential.

    A diverging one is for signed heat h in [-1, 1]: `rgb[floor(127.5 h + 128)]`.
    """

    model_config = ConfigDict(json_schema_extra=shown(examples.COLOUR_MAP))

    name: ColourMapName
    source: str = Field(description="Author and licence.")
    kind: Literal["sequential", "diverging"]
    rgb: list[Annotated[list[int], Field(min_length=3, max_length=3)]]


class ColourMapList(Answer):
    """The colour maps that a heat map can be painted with."""

    model_config = ConfigDict(
        json_schema_extra=shown({"colour_maps": [examples.COLOUR_MAP, examples.SIGNED_COLOUR_MAP]})
    )

    colour_maps: list[ColourMap]


class Health(Answer):
    """The server is live, or ready."""

    model_config = ConfigDict(json_schema_extra=shown({"status": "live"}, {"status": "ready"}))

    status: Literal["live", "ready"]


class Version(Answer):
    """The program that answers."""

    model_config = ConfigDict(json_schema_extra=shown({"version": "0.1.0", "revision": "unknown"}))

    version: str
    revision: str = Field(description="Commit that it was built from; `unknown` outside the image.")
