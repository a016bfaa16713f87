"""The fields of the server's answers, as its OpenAPI document has them.

`python -m tests.support.client_source` writes this file.
"""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """Base of all answers and of their parts."""

    model_config = ConfigDict(frozen=True)


class ModelIdentity(Answer):
    """The model that answered."""

    name: str
    version: str
    sha256: str
    evidence_scale: float
    """Evidence that gets full colour; above it, the same."""


class Film(Answer):
    """The film as it was decoded, after EXIF rotation."""

    rows: int
    columns: int
    format: str


class Finding(Answer):
    """The model's answer for one class."""

    class_name: str
    logit: float
    probability: float
    """Calibrated."""
    threshold: float
    """Probability from which a multi-label model calls the finding present. It decides nothing
    where a film has exactly one class."""
    excluded_below: float | None = None
    """Probability below which the class is excluded, unless it is the most probable one; null of a
    model without prediction sets."""
    decision: bool | None
    """Called present. Where a film has exactly one class: true for `predicted_class` of a decided
    film, and for no other. Null for all classes of a film that is not decided."""


class GroupFinding(Answer):
    """The model's answer for a group of classes, one of which a film has or has not."""

    name: str
    class_names: list[str]
    log_odds: float
    """log(P / (1 - P)) of its probability P."""
    probability: float
    """Sum of the calibrated probabilities of its classes."""
    threshold: float
    """Probability from which the group is called present."""
    decision: bool | None
    """Called present; null for a film that is refused."""
    evidence_scale: float
    """Evidence for the group that gets full colour, in place of the model's."""


class Prediction(Answer):
    """A model's answer about a film."""

    model: ModelIdentity
    film: Film
    mask: tuple[int, int, int, int] | None = None
    """Pixels of the film that the model did not see: left, top, right, bottom, the last two
    outside. Null is an answer about the whole film."""
    distance: float
    """The larger, the less similar to the training films."""
    distance_threshold: float
    """A film above it is refused."""
    novelty: float | None = None
    """How unlike the training films' its acquisition is (grey levels, sharpness, noise, borders),
    the larger the more; null of a model without this figure."""
    novelty_threshold: float | None = None
    """A film above it is refused; null is no such limit."""
    in_distribution: bool
    """Whether the film is like the training films; false of one that is refused."""
    refusals: list[str]
    """Why the film is refused; empty if it is answered. `lungs`: no plausible lungs were found.
    `distance`: it is above the threshold. `novelty`: its novelty is above `novelty_threshold`.
    Others may follow."""
    confidence_threshold: float | None
    """Largest probability from which classes are decided; null is no such limit."""
    is_confident: bool
    """Whether the largest probability reaches that. It is one condition of `is_decided`, and holds
    for every film where there is no such limit."""
    is_decided: bool
    """Whether the film is decided: it is not refused, `is_confident`, and one class is left in
    `prediction_set`, if there is one."""
    prediction_set: list[str] | None
    """The classes that cannot be excluded, in the model's order; the most probable one always is
    among them. On films like those of validation, the true class is in it for at least 90 % of the
    films of each class; of a refused film it means as little as its probabilities. Null of a
    multi-label model, and of files exported before there were sets."""
    predicted_class: str | None
    """The class with the largest probability, whether the film is decided or not; null of a refused
    film, and of a multi-label model, whose findings do not exclude each other and whose
    probabilities do not add up to 1."""
    most_probable_class: str
    """The class, or finding, with the largest probability, of refused films too."""
    findings: Sequence[Finding]
    """Every class, in the model's order."""
    groups: Sequence[GroupFinding] = []
    """Every group of classes that the model's card defines; often there is none."""


class Explanation(Answer):
    """The evidence for one class on the film."""

    status: str
    """First that holds. `out_of_distribution`: the film is refused, evidence is withheld.
    `out_of_distribution_forced`: it is refused, and the evidence was asked for all the same.
    `no_positive_evidence`: none of it is for the class. `below_threshold`: the class is excluded,
    not in `prediction_set`; of a model without sets, its probability is below its threshold.
    `ok`."""
    method: str
    target_layer: str
    evidence: list[list[float]] | None
    """Rows of signed evidence in logits per position; the map is its positive part. By `legrad`: in
    logits per attention, at least 0."""
    affine: tuple[float, float, float, float, float, float]
    """(a, b, c, d, e, f) takes grid coordinates to the film's own pixels: x = a*column + b*row + c,
    y = d*column + e*row + f. Cell (0, 0) covers [0, 1) x [0, 1), and so does pixel (0, 0). Its
    centre is (0.5, 0.5)."""
    extent: tuple[float, float, float, float]
    """Left, top, right and bottom of what the model saw, in the film's own pixels; it may reach
    beyond the film. The outermost cells go on to its edges, and outside it there is no map."""
    inside_lungs: float | None = None
    """Share of the positive evidence that lies inside `lung_outline`, of the map bilinear on the
    film, before it is cut off at the outline. Null if the evidence is withheld or nowhere positive,
    and for a model that sees the whole film."""


class ExplainedFinding(Finding):
    """The model's answer for one class, with the evidence for it."""

    explanation: Explanation


class ExplainedGroupFinding(GroupFinding):
    """The model's answer for a group of classes, with the evidence for it: of its log-odds."""

    explanation: Explanation


class Faithfulness(Answer):
    """Test of the reliance on a map: the effect of masking the tenth with most evidence.

    A tenth of the film as the network sees it is filled with the film's median, once where the map
    is hottest, and for comparison where random maps as smooth are.
    """

    class_name: str
    verdict: str
    """`faithful`: the hottest tenth lowers the probability more than each of the random ones.
    `unclear`: more than they do on average. `unfaithful`: no more than that. `not_tested`: the
    sentence says why, and the figures are null."""
    sentence: str
    probability: float
    """For the whole film."""
    probability_masked: float | None
    """With the hottest tenth masked."""
    probability_elsewhere: float | None
    """Mean, with a random tenth masked."""
    gap: float | None
    """The last less the one before: the more, the better."""
    random_masks: int | None


class ExplainedPrediction(Prediction):
    """A model's answer about a film, with the evidence for every class."""

    findings: list[ExplainedFinding]
    """Every class, in the model's order."""
    groups: list[ExplainedGroupFinding] = []
    """Every group of classes that the model's card defines; often there is none."""
    faithfulness: Faithfulness | None = None
    """Of one class; null unless `?faithfulness=true` asks for it."""
    lung_outline: list[list[tuple[float, float]]] | None = None
    """Rings around the lungs, each a list of (x, y) in the film's own pixels, its last corner
    joined to the first. What lies in an odd number of them is lung; no map is drawn elsewhere.
    Empty if no lungs were found; null of a model that sees the whole film."""


class MapAgreement(Answer):
    """Similarity of two models' maps of one class, where both models see the film.

    Where one looks only inside the lungs, only positions inside its outline count; of two, inside
    both.
    """

    models: tuple[str, str]
    class_name: str
    rank_correlation: float | None
    """Spearman's, from -1 to 1; null where a map is withheld or constant."""
    top_tenth_overlap: float | None
    """Share of the tenth of the film with most evidence for the class in one map that is in the
    same tenth of the other; 0.1 is chance."""


class LeftOut(Answer):
    """A model that gave no answer."""

    name: str
    reason: str


class ExplainedComparison(Answer):
    """Each model's answer about a film with its evidence, side by side."""

    models: list[ExplainedPrediction]
    agreement: list[MapAgreement]
    """Of each two models, for each class that both of them know, and each group."""
    ensemble: Prediction | None = None
    """What the models answer together, as a model called `ensemble`; null without a file that has
    its calibration. It is refused where one of them refuses; its distance is the largest of theirs,
    as a share of each one's limit."""
    left_out: list[LeftOut] = []
    """Models that failed their checks and gave no answer; an ensemble of them gives none either."""


class FilmWindow(Answer):
    """Values shown from black to white: a LINEAR window of DICOM (PS3.3 C.11.2.1.2)."""

    name: str | None
    """One of a few standard words, such as `LUNG`."""
    centre: float
    width: float
    """At least 1, which is a step."""


class FilmPixels(Film):
    """Meaning of the raw pixels of a film: value = pixel * slope + intercept.

    A window shows a value as the grey
    clip((value - (centre - 0.5)) / max(width - 1, 1e-6) + 0.5, 0, 1).
    """

    slope: float
    intercept: float
    spacing: tuple[float, float] | None
    """Millimetres between rows and between columns; null if the film doesn't say."""
    windows: list[FilmWindow]
    """The first is what models see the film through."""
    low: float
    """Smallest value of the film; padding is left out."""
    high: float
    """Largest value of the film; padding is left out."""


class ModelSummary(Answer):
    """One model that can be asked."""

    name: str
    version: str
    sha256: str
    architecture: str
    class_names: list[str]
    is_default: bool
    """Answers when no model is asked for."""
    provider: str
    """ONNX Runtime's execution provider that runs it."""
    is_loaded: bool
    """Answers at once; another loads when it is first asked."""
    is_sound: bool = True
    """False of one that failed its checks: it answers nothing until it is reloaded."""


class Member(Answer):
    """A model of an ensemble: that very file, or the ensemble was not measured."""

    name: str
    version: str
    sha256: str


class DecisionThreshold(Answer):
    """Decision threshold of a class, with its sensitivity and specificity.

    Attributes:
        value: Calibrated probability; a film at or above it is called positive.
        sensitivity: Share of positive films called positive, on the films it was chosen on.
        specificity: Share of negative films called negative, on the same films.
        criterion: How the operating point was chosen.
    """

    value: float
    sensitivity: float
    specificity: float
    criterion: str = "largest Youden index on val"


class ClassGroup(Answer):
    """Group of classes, one of which a film has or has not: `abnormal`, `any_pneumonia`.

    Attributes:
        name: Name of the group; no class has it.
        class_names: Classes of the group; their probabilities are summed.
        threshold: Decision threshold of that sum.
        evidence_scale: Evidence for the group that gets full colour, as the card's own for a class.
    """

    name: str
    class_names: list[str]
    threshold: DecisionThreshold
    evidence_scale: float


class Histogram(Answer):
    """Histogram of val films: counts between consecutive edges, a reference for monitoring."""

    edges: list[float]
    counts: list[int]


class Metric(Answer):
    """A figure of merit with its 95 % interval.

    Attributes:
        name: `auroc`, `balanced_accuracy`, `expected_calibration_error`, ...
        split: Films it was measured on.
        class_name: Class or group that it belongs to; None for a figure over all classes.
        estimate: The value.
        low: Lower end of the 95 % interval, bootstrapped by `group_id`.
        high: Upper end.
    """

    name: str
    split: str
    class_name: str | None = None
    estimate: float
    low: float
    high: float


class EnsembleSummary(Answer):
    """What the models answer together, asked with `?model=ensemble`: members, limits, figures."""

    schema_version: int = 1
    version: str
    members: list[Member]
    temperature: float
    decision_thresholds: list[DecisionThreshold]
    groups: list[ClassGroup] = []
    conformal_quantiles: list[float]
    score_histograms: list[Histogram]
    metrics: list[Metric] = []
    name: str
    sha256: str
    """Of the file beside the models."""
    class_names: list[str]


class ModelList(Answer):
    """The models that can be asked."""

    models: list[ModelSummary]
    ensemble: EnsembleSummary | None = None
    """Their answer together: members, temperature, limits and figures. Null without a file that has
    its calibration."""


class LungSpec(Answer):
    """What a network sees of a film when it looks only at the lungs.

    Attributes:
        size: Rows and columns of the lungs' box, as the network behind it takes it.
        margin: Added to the box on each side, as a share of it.
        blank: Fill what lies outside a widened outline with one grey level.
        standardise: What grey levels are measured against: `mean_std` or `ranks` of the pixels
            inside the lungs, or `none`.
        inside: Only positions inside the lungs count for the logits. The masking is then the target
            layer, but of a class token it is in the last two blocks' attentions.
    """

    size: tuple[int, int] = (224, 224)
    margin: float = 0.05
    blank: bool = True
    standardise: str = "ranks"
    inside: bool = True


class LungLimits(Answer):
    """Limits of plausible lungs, chosen on val films; of a film beyond one the lungs are refused.

    The figures are those of `models.lungs.pieces.LungFigures`.

    Attributes:
        area: Smallest and largest share of the film that is lung.
        balance: Smallest lung area on one half of the film / on the other.
        stray: Largest share of the mask that was removed as stray.
    """

    area: tuple[float, float]
    balance: float
    stray: float


class CellCentres(Answer):
    """Cell centres of an activation grid, in pixels of the network's input.

    The centre of cell (i, j) is `origin + (i, j) * step`; pixel (0, 0) covers [0, 1) x [0, 1).

    Attributes:
        origin: Row and column of the centre of cell (0, 0).
        step: Rows and columns from one centre to the next.
    """

    origin: tuple[float, float]
    step: tuple[float, float]


class Golden(Answer):
    """Golden answer: an input and its expected outputs, to check a runtime at start.

    Attributes:
        pixels_png: Network input as a base64 PNG, 8 bits; pixels are its values / 255.
        logits: One per class.
        probabilities: One per class.
        distance: Distance from the training films.
        novelty: How unlike theirs its acquisition is; None of a file without that output.
        evidence: Classes x grid rows x grid columns, in the units of the card's `method`.
        group_evidence: Groups x grid rows x grid columns; empty without groups.
    """

    pixels_png: str
    logits: list[float]
    probabilities: list[float]
    distance: float
    novelty: float | None = None
    evidence: list[list[list[float]]]
    group_evidence: list[list[list[float]]] = []


class TrainingData(Answer):
    """Films that the network was trained on.

    Attributes:
        manifest_sha256: Hash of the manifest file.
        split_sha256: Hash of the sorted (path, split) pairs.
        films: Number of films per split.
        description: Their sources, in one sentence.
    """

    manifest_sha256: str
    split_sha256: str
    films: dict[str, int]
    description: str


class WeightStorage(Answer):
    """Number format of the large weights in the file, and the effect of rounding them.

    They are float32 again once the file is loaded. Thresholds, golden outputs, histograms and
    metrics are those of the rounded weights. The effect was measured on val films.

    Attributes:
        kind: `int8` has one scale per output channel.
        auroc_difference: Macro AUROC (before temperature scaling), rounded minus as trained.
        evidence_correlation: Pearson's, over all films, classes and positions.
    """

    kind: str
    auroc_difference: float
    evidence_correlation: float


class ModelCard(Answer):
    """Model card: everything the server knows about a model, in the ONNX file's metadata.

    Attributes:
        schema_version: Version of this record's own shape; 2 since `lung_limits`.
        name: Name under which the server offers the model.
        version: Version of the weights.
        temperature: Divides the logits before softmax or sigmoid.
        decision_thresholds: One per class, in class order. They decide about the findings of a
            multi-label model, each for itself, and about no film of a multi-class one.
        groups: Groups of classes that are answered beside the classes, of a multi-class model.
        evidence_scale: Evidence that gets full colour, in the units of `method`: the 99th
            percentile, over val films, of positive evidence of the true class.
        distance_threshold: Films whose `distance` is above it are refused.
        novelty_threshold: Films whose `novelty` is above it are refused; None is no such limit.
        lung_limits: Films whose lungs are beyond them are refused; None is no such limit, as for a
            network that sees the whole film.
        confidence_threshold: Films whose largest probability is below it get no decision; None is
            no such limit, as for findings, and in all files exported since `conformal_quantiles`.
        conformal_quantiles: One per class, of a multi-class model: a class is excluded when 1 minus
            its probability is above its quantile; see `prediction_set`. A film is decided when one
            class is left. None in files that were exported before.
        method: Method by which evidence is computed. Evidence is in logits per position; that of
            `legrad` in logits per attention, and it is at least 0.
        cell_centres: Centres of the cells of `activation_grid`, computed from the layers below
            `target_layer`; of a network that sees only the lungs, in what it sees. None in files
            that were exported before it was: their cells are taken to fill the input evenly, with
            centres at (i + 0.5) * side / cells.
        golden: An input with its outputs.
        score_histograms: Calibrated probabilities of val films, one histogram per class.
        distance_histogram: Distances of val films.
        novelty_histogram: Novelties of val films; None of a file without that output.
        metrics: Figures with intervals.
        training_data: Films that it was trained on.
        intended_use: Purpose of the model.
        limits: Limits of the model.
        code_revision: Revision of this repository that exported it.
        backprop_report_sha256: Hash of `<model>.backprop.json`, which compares the gradients by
            hand with autograd's, for these weights.
        storage: Number format of the large weights; None is float32, as they were trained.
        credits: Credits for the films, and for the weights that training started from.
    """

    architecture: str
    head: str | None = None
    read_out: str | None = None
    receptive_field: str | None = None
    read_layer: str | None = None
    blocks: int | None = None
    lungs: LungSpec | None = None
    class_names: list[str]
    task: str = "multiclass"
    image_size: tuple[int, int]
    resize_mode: str
    crop_pct: float = 1.0
    local_contrast: float | None = None
    target_layer: str
    activation_grid: tuple[int, int]
    mean: float | tuple[float, float, float]
    std: float | tuple[float, float, float]
    schema_version: int = 2
    name: str
    version: str
    temperature: float
    decision_thresholds: list[DecisionThreshold]
    groups: list[ClassGroup] = []
    evidence_scale: float
    distance_threshold: float
    novelty_threshold: float | None = None
    lung_limits: LungLimits | None = None
    confidence_threshold: float | None = None
    conformal_quantiles: list[float] | None = None
    method: str = "grad_cam"
    cell_centres: CellCentres | None = None
    golden: Golden
    score_histograms: list[Histogram]
    distance_histogram: Histogram
    novelty_histogram: Histogram | None = None
    metrics: list[Metric] = []
    training_data: TrainingData
    intended_use: str
    limits: list[str]
    code_revision: str
    backprop_report_sha256: str | None = None
    storage: WeightStorage | None = None
    credits: list[str] = []


class Figure(Answer):
    """Mean over films with its 95 % interval, bootstrapped by patient."""

    estimate: float
    low: float
    high: float


class Likeness(Answer):
    """Mean similarity of two maps of a film.

    Of a model that looks only inside the lungs, over positions inside them.

    Attributes:
        what: Difference between the two: the layers randomised, or the change of the film.
        rank_correlation: Spearman's of signed evidence; absolute for randomised networks.
        similarity: SSIM of the maps, each scaled to [0, 1].
        films: Number of films.
        seeds: Number of random weights, or of random noises.
    """

    what: str
    rank_correlation: Figure
    similarity: Figure
    films: int
    seeds: int


class Companion(Answer):
    """Agreement of this model's maps with another's, for the class that this one predicts.

    Attributes:
        name: Name of the other model.
        version: Its version.
        sha256: Hash of its file.
        rank_correlation: Spearman's, over the region that both maps cover, and inside the lungs of
            a model that looks only there.
        top_tenth_overlap: Share of the hottest tenth that is also the other's; 0.1 is chance.
    """

    name: str
    version: str
    sha256: str
    rank_correlation: Figure
    top_tenth_overlap: Figure


class Trust(Answer):
    """Trust record: sanity checks, stability and agreement of a model's maps.

    Attributes:
        schema_version: Version of this record's own shape.
        name: Name of the model.
        version: Its version.
        sha256: Hash of the file it was measured on.
        code_revision: Revision of this repository that measured.
        packages: Versions of the packages that computed it.
        manifest_sha256: Hash of the manifest of the films.
        split: Split of the films; never test.
        films: Number of films.
        groups: Number of patients (or groups that stay together).
        floor: Similarity of the maps of two unrelated films.
        head: With the head alone randomised.
        last_block: With the last block alone randomised.
        cascade: With all layers from the head down to each one randomised.
        independent: With each layer or block alone randomised.
        noise: Film compared with the same film with slight noise.
        shift: Film compared with the same film shifted by a pixel.
        companions: Agreement with other models on the same films.
    """

    schema_version: int = 1
    name: str
    version: str
    sha256: str
    code_revision: str
    packages: dict[str, str]
    manifest_sha256: str
    split: str = "val"
    films: int
    groups: int
    floor: Likeness
    head: Likeness
    last_block: Likeness
    cascade: list[Likeness] = []
    independent: list[Likeness] = []
    noise: Likeness
    shift: Likeness
    companions: list[Companion] = []


class TrustDescription(Answer):
    """Trust in a model's maps, as `cxr trust` measured it."""

    verdict: list[str]
    """What the figures mean, as sentences."""
    figures: Trust


class ModelDescription(Answer):
    """A model's card, and the figures measured of its maps."""

    sha256: str
    card: ModelCard
    trust: TrustDescription | None = None
    """Null where nothing was measured of this very file."""
