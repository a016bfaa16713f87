"""The model card: a frozen record inside the ONNX file, from which the server configures itself."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

CARD_KEY = "model_card"
"""Key of the card's JSON in an ONNX file's `metadata_props`."""

Architecture = Literal["chest_cnn", "vgg16", "vit_b16"]
Head = Literal["pooled", "fully_connected"]
ReadOut = Literal["token", "average"]
ReceptiveField = Literal["wide", "local"]
ReadLayer = Literal["conv4_3", "conv5_3"]
Standardisation = Literal["none", "mean_std", "ranks"]
Task = Literal["multiclass", "multilabel"]
ResizeMode = Literal["stretch", "letterbox"]
Storage = Literal["float32", "float16", "int8"]
ExplanationMethod = Literal["grad_cam", "hirescam", "legrad"]
Refusal = Literal["lungs", "distance", "novelty"]
"""Why a film is refused: no plausible lungs, unlike the training films, or acquired unlike them."""
REFUSALS: tuple[Refusal, ...] = get_args(Refusal)
Probability = Annotated[float, Field(ge=0, le=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
PositiveShare = Annotated[float, Field(gt=0, le=1)]
PositiveInt = Annotated[int, Field(gt=0)]
ModelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
"""A name that can stand in a URL, and be the name of a file or folder."""
BlockCount = Annotated[int, Field(ge=3, le=12)]
Grid = tuple[PositiveInt, PositiveInt]
"""A size as (rows, columns)."""
LUNG_MASK_SIZE: Grid = (64, 64)
"""Rows and columns of the lungs' mask on the whole input, in every exported file that has one."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Colours = tuple[float, float, float]
"""A figure for each of red, green and blue."""
PerChannel = float | Colours
"""One figure for grey pixels, or one for each of red, green and blue where a network was pretrained
on colour images."""


class Record(BaseModel):
    """Base class of the card and its parts: immutable, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DecisionThreshold(Record):
    """Decision threshold of a class, with its sensitivity and specificity.

    Attributes:
        value: Calibrated probability; a film at or above it is called positive.
        sensitivity: Share of positive films called positive, on the films it was chosen on.
        specificity: Share of negative films called negative, on the same films.
        criterion: How the operating point was chosen.
    """

    value: Probability
    sensitivity: Probability
    specificity: Probability
    criterion: str = "largest Youden index on val"


class ClassGroup(Record):
    """Group of classes, one of which a film has or has not: `abnormal`, `any_pneumonia`.

    Attributes:
        name: Name of the group; no class has it.
        class_names: Classes of the group; their probabilities are summed.
        threshold: Decision threshold of that sum.
        evidence_scale: Evidence for the group that gets full colour, as the card's own for a class.
    """

    name: str
    class_names: tuple[str, ...]
    threshold: DecisionThreshold
    evidence_scale: PositiveFloat


def check_groups(
    groups: Mapping[str, Sequence[str]], *, class_names: Sequence[str], task: Task
) -> None:
    """Raise ValueError unless every group has some of the classes, not all, and its own name.

    Args:
        groups: Names of its classes by the name of each group.
        class_names: All classes of the model.
        task: Of the model; findings do not exclude each other, so that no sum is a probability.
    """
    if groups and task != "multiclass":
        raise ValueError(f"groups must be absent for a {task} model, not {sorted(groups)}")
    for name, members in groups.items():
        if name in class_names:
            raise ValueError(f"groups must have other names than the classes: {name}")
        unknown = set(members) - set(class_names)
        if unknown or not 0 < len(set(members)) == len(members) < len(class_names):
            raise ValueError(
                f"group {name} must have some of the classes {list(class_names)}, not all, each "
                f"once; it has {list(members)}"
            )


def memberships(
    groups: Iterable[Sequence[str]], class_names: Sequence[str]
) -> tuple[tuple[bool, ...], ...]:
    """Return for each group, given by the names of its classes, which of all classes are in it."""
    return tuple(tuple(name in group for name in class_names) for group in groups)


class Metric(Record):
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
    split: Literal["train", "val", "test"]
    class_name: str | None = None
    estimate: float
    low: float
    high: float


class Histogram(Record):
    """Histogram of val films: counts between consecutive edges, a reference for monitoring."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    @model_validator(mode="after")
    def _one_edge_more_than_counts(self) -> "Histogram":
        if len(self.edges) != len(self.counts) + 1:
            raise ValueError(
                f"edges must be one more than counts: {len(self.edges)}, {len(self.counts)}"
            )
        return self


class Golden(Record):
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
    logits: tuple[float, ...]
    probabilities: tuple[Probability, ...]
    distance: float
    novelty: float | None = None
    evidence: tuple[tuple[tuple[float, ...], ...], ...]
    group_evidence: tuple[tuple[tuple[float, ...], ...], ...] = ()


class TrainingData(Record):
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


class CellCentres(Record):
    """Cell centres of an activation grid, in pixels of the network's input.

    The centre of cell (i, j) is `origin + (i, j) * step`; pixel (0, 0) covers [0, 1) x [0, 1).

    Attributes:
        origin: Row and column of the centre of cell (0, 0).
        step: Rows and columns from one centre to the next.
    """

    origin: tuple[float, float]
    step: tuple[PositiveFloat, PositiveFloat]


class WeightStorage(Record):
    """Number format of the large weights in the file, and the effect of rounding them.

    They are float32 again once the file is loaded. Thresholds, golden outputs, histograms and
    metrics are those of the rounded weights. The effect was measured on val films.

    Attributes:
        kind: `int8` has one scale per output channel.
        auroc_difference: Macro AUROC (before temperature scaling), rounded minus as trained.
        evidence_correlation: Pearson's, over all films, classes and positions.
    """

    kind: Storage
    auroc_difference: float
    evidence_correlation: float


def prediction_set(probabilities: Sequence[float], quantiles: Sequence[float]) -> list[bool]:
    """Return the conformal prediction set of a film: for each class, whether it is not excluded.

    A class is in the set when 1 - probability is at most its quantile; the most probable class
    always is. Where each quantile is of films of its class, `training.statistics.conformal`, a film
    of any class has that class in its set as often as the quantiles were chosen for.

    Args:
        probabilities: Calibrated, in class order.
        quantiles: One per class, in [0, 1].

    Source:
        Sadinle, Lei and Wasserman 2019, JASA 114(525), least ambiguous sets with class-conditional
        coverage.
    """
    most = max(probabilities)
    pairs = zip(probabilities, quantiles, strict=True)
    return [p == most or 1 - p <= quantile for p, quantile in pairs]


def check_variant(architecture: str, *, head: Head | None, read_out: ReadOut | None) -> None:
    """Raise ValueError unless vgg16 has a `head`, vit_b16 a `read_out`, and no other has either."""
    for name, value, owner in (("head", head, "vgg16"), ("read_out", read_out, "vit_b16")):
        if (value is None) == (architecture == owner):
            raise ValueError(
                f"{name} must be given for {owner} and for no other network: "
                f"{architecture} has {name} {value}"
            )


def check_receptive_field(architecture: str, receptive_field: ReceptiveField | None) -> None:
    """Raise ValueError if a network other than chest_cnn has a `receptive_field`."""
    if receptive_field is not None and architecture != "chest_cnn":
        raise ValueError(
            f"receptive_field must be absent for {architecture}, not {receptive_field}: "
            f"only chest_cnn has one"
        )


def check_blocks(architecture: str, blocks: BlockCount | None) -> None:
    """Raise ValueError if a network other than vit_b16 has a number of `blocks`."""
    if blocks is not None and architecture != "vit_b16":
        raise ValueError(
            f"blocks must be absent for {architecture}, not {blocks}: only vit_b16 has them"
        )


def check_read_layer(architecture: str, *, head: Head | None, read_layer: ReadLayer | None) -> None:
    """Raise ValueError if a network other than vgg16 with a pooled head has a `read_layer`."""
    if read_layer is not None and (architecture != "vgg16" or head != "pooled"):
        raise ValueError(
            f"read_layer must be absent for {architecture}, head {head}, not {read_layer}: "
            f"only vgg16 with a pooled head has one"
        )


class LungSpec(Record):
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

    size: Grid = (224, 224)
    margin: Probability = 0.05
    blank: bool = True
    standardise: Standardisation = "ranks"
    inside: bool = True


class LungLimits(Record):
    """Limits of plausible lungs, chosen on val films; of a film beyond one the lungs are refused.

    The figures are those of `models.lungs.pieces.LungFigures`.

    Attributes:
        area: Smallest and largest share of the film that is lung.
        balance: Smallest lung area on one half of the film / on the other.
        stray: Largest share of the mask that was removed as stray.
    """

    area: tuple[Probability, Probability]
    balance: Probability
    stray: Probability

    def faults(self, figures: Sequence[float]) -> list[str]:
        """Return what is not plausible about a film's lungs, in words; empty if all is.

        Args:
            figures: Area, balance and stray, as the graph's `lung_figures`.
        """
        area, balance, stray = figures
        low, high = self.area
        checks = (
            (
                low <= area <= high,
                f"they cover {area:.2g} of the film, the limits are {low:.2g} and {high:.2g}",
            ),
            (
                balance >= self.balance,
                f"one half of the film has {balance:.2g} of the lung area of the other, the limit "
                f"is {self.balance:.2g}",
            ),
            (
                stray <= self.stray,
                f"{stray:.2g} of what looks like lung is apart from them, the limit is "
                f"{self.stray:.2g}",
            ),
        )
        return [fault for is_plausible, fault in checks if not is_plausible]


class LungFieldSpec(Record):
    """Specification of a lung field: all that is needed to build it and to prepare its input.

    Attributes:
        architecture: Name of the network.
        image_size: Rows and columns of its input: a whole film, its borders trimmed, stretched.
    """

    architecture: Literal["lung_field"] = "lung_field"
    image_size: Grid


class NetworkSpec(Record):
    """Specification of a network: all that is needed to build it and to prepare its input.

    Attributes:
        architecture: Name of the network.
        head: For `vgg16` only: `pooled` is a global average and one linear layer,
            `fully_connected` the original two hidden layers of 4,096.
        read_out: For `vit_b16` only: the logits are read from the class `token`, or from the
            `average` of the patch tokens.
        receptive_field: For `chest_cnn` only: `wide` is almost the whole film for each position of
            the map, `local` a patch around it; None is `wide`.
        read_layer: For `vgg16` with a `pooled` head only: the last convolution, which the head
            reads. `conv5_3` is the last of all, `conv4_3` half-way: a finer grid, and each of its
            positions looks at 92x92 pixels instead of 196x196. None is `conv5_3`.
        blocks: For `vit_b16` only: number of its transformer blocks, of 12, after which it is read.
            Later ones are not built. None is 12.
        lungs: How the network looks at the lungs only; None is a network that sees the whole film.
        class_names: In the order of the logits.
        task: `multiclass` is softmax, `multilabel` is sigmoid.
        image_size: Rows and columns of the network's input.
        resize_mode: `stretch` ignores the film's aspect ratio, `letterbox` keeps it.
        crop_pct: Share of each side of the film, about the middle, that the network sees.
        local_contrast: Standard deviation of the window of local contrast normalisation, as a share
            of the film's side; None is no such normalisation.
        target_layer: Layer whose output the evidence is computed from.
        activation_grid: Rows and columns of that output.
        mean: Subtracted from pixels in [0, 1] by the network's first layer.
        std: Divides them afterwards.
    """

    architecture: Architecture
    head: Head | None = None
    read_out: ReadOut | None = None
    receptive_field: ReceptiveField | None = None
    read_layer: ReadLayer | None = None
    blocks: BlockCount | None = None
    lungs: LungSpec | None = None
    class_names: tuple[str, ...] = Field(min_length=2)
    task: Task = "multiclass"
    image_size: Grid
    resize_mode: ResizeMode
    crop_pct: PositiveShare = 1.0
    local_contrast: PositiveShare | None = None
    target_layer: str
    activation_grid: Grid
    mean: PerChannel
    std: PositiveFloat | tuple[PositiveFloat, PositiveFloat, PositiveFloat]

    @model_validator(mode="after")
    def _variant_belongs_to_the_architecture(self) -> "NetworkSpec":
        check_variant(self.architecture, head=self.head, read_out=self.read_out)
        return self

    @model_validator(mode="after")
    def _only_chest_cnn_has_a_receptive_field(self) -> "NetworkSpec":
        check_receptive_field(self.architecture, self.receptive_field)
        return self

    @model_validator(mode="after")
    def _only_a_pooled_vgg16_has_a_read_layer(self) -> "NetworkSpec":
        check_read_layer(self.architecture, head=self.head, read_layer=self.read_layer)
        return self

    @model_validator(mode="after")
    def _only_vit_b16_has_blocks(self) -> "NetworkSpec":
        check_blocks(self.architecture, self.blocks)
        return self

    @model_validator(mode="after")
    def _class_names_differ(self) -> "NetworkSpec":
        if len(set(self.class_names)) != len(self.class_names):
            raise ValueError(f"class_names must differ from each other: {self.class_names}")
        return self


class ModelCard(NetworkSpec):
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

    schema_version: Literal[1, 2] = 2
    name: ModelName
    version: str
    temperature: PositiveFloat
    decision_thresholds: tuple[DecisionThreshold, ...]
    groups: tuple[ClassGroup, ...] = ()
    evidence_scale: PositiveFloat
    distance_threshold: PositiveFloat
    novelty_threshold: PositiveFloat | None = None
    lung_limits: LungLimits | None = None
    confidence_threshold: Probability | None = None
    conformal_quantiles: tuple[Probability, ...] | None = None
    method: ExplanationMethod = "grad_cam"
    cell_centres: CellCentres | None = None
    golden: Golden
    score_histograms: tuple[Histogram, ...]
    distance_histogram: Histogram
    novelty_histogram: Histogram | None = None
    metrics: tuple[Metric, ...] = ()
    training_data: TrainingData
    intended_use: str
    limits: tuple[str, ...]
    code_revision: str
    backprop_report_sha256: Sha256 | None = None
    storage: WeightStorage | None = None
    credits: tuple[str, ...] = ()

    def refusals(
        self,
        distance: float,
        lung_figures: Sequence[float] | None,
        novelty: float | None = None,
    ) -> tuple[Refusal, ...]:
        """Return why a film is refused; empty for a film that is answered.

        Args:
            distance: The film's, from the training films.
            lung_figures: Its area, balance and stray; None of a network without a lung field.
            novelty: How unlike the training films' its acquisition is; None of a file without it.
        """
        return tuple(self.reasons(distance, lung_figures, novelty))

    def reasons(
        self,
        distance: float,
        lung_figures: Sequence[float] | None,
        novelty: float | None = None,
    ) -> dict[Refusal, str]:
        """Return why a film is refused, each with a sentence that has its figures and limits.

        Args:
            distance: As for `refusals`.
            lung_figures: Likewise.
            novelty: Likewise.
        """
        found: dict[Refusal, str] = {}
        if self.lung_limits is not None and lung_figures is not None:
            faults = self.lung_limits.faults(lung_figures)
            if faults:
                found["lungs"] = f"No plausible lungs: {'; '.join(faults)}."
        if not distance <= self.distance_threshold:  # not a number is refused too
            found["distance"] = (
                f"Its distance is {distance:.3g}, the model's limit is "
                f"{self.distance_threshold:.3g}."
            )
        limit = self.novelty_threshold
        if limit is not None and novelty is not None and not novelty <= limit:
            found["novelty"] = (
                f"It was acquired in a way that training never saw: its novelty is {novelty:.3g}, "
                f"the model's limit is {limit:.3g}."
            )
        return found

    def is_confident(self, probability: float) -> bool:
        """Return whether a film's largest probability is large enough for a decision."""
        return self.confidence_threshold is None or probability >= self.confidence_threshold

    def cells_on(self, region: Sequence[float] | None) -> CellCentres | None:
        """Return the centres of the evidence's cells in the whole input, for one film.

        Args:
            region: Top, left, bottom, right of what the network saw, as shares of its input, of a
                network that sees only the lungs; None of one that sees the whole film.
        """
        if self.lungs is None or self.cell_centres is None or region is None:
            return self.cell_centres
        (rows, columns), (seen_rows, seen_columns) = self.image_size, self.lungs.size
        top, left, bottom, right = (float(share) for share in region)
        down, across = (bottom - top) * rows / seen_rows, (right - left) * columns / seen_columns
        (row, column), (row_step, column_step) = self.cell_centres.origin, self.cell_centres.step
        return CellCentres(
            origin=(top * rows + down * row, left * columns + across * column),
            step=(down * row_step, across * column_step),
        )

    def most_probable_class(self, probabilities: Sequence[float]) -> str:
        """Return the class with the largest probability, whether the film is decided or not."""
        return self.class_names[max(range(len(probabilities)), key=probabilities.__getitem__)]

    def predicted_class(
        self, probabilities: Sequence[float], refusals: Sequence[Refusal]
    ) -> str | None:
        """Return the most probable class; None of a refused film, and of a multi-label model."""
        if refusals or self.task == "multilabel":
            return None
        return self.most_probable_class(probabilities)

    def prediction_set(self, probabilities: Sequence[float]) -> list[str] | None:
        """Return the classes that cannot be excluded; None without `conformal_quantiles`."""
        if self.conformal_quantiles is None:
            return None
        is_in = prediction_set(probabilities, self.conformal_quantiles)
        return [name for name, held in zip(self.class_names, is_in, strict=True) if held]

    def excluded_below(self, class_number: int) -> float | None:
        """Return the probability below which a class is excluded; None without such limits."""
        quantiles = self.conformal_quantiles
        return None if quantiles is None else 1 - quantiles[class_number]

    def is_decided(self, probabilities: Sequence[float], refusals: Sequence[Refusal]) -> bool:
        """Return whether a film is decided: not refused, confident, and one class is left.

        Args:
            probabilities: In class order.
            refusals: Why the film is refused; see `refusals`.
        """
        possible = self.prediction_set(probabilities)
        is_one = possible is None or len(possible) == 1
        return not refusals and self.is_confident(max(probabilities)) and is_one

    def decisions(
        self, probabilities: Sequence[float], refusals: Sequence[Refusal]
    ) -> list[bool | None]:
        """Return the decision for each class: present or not; all None if the film is undecided.

        A multi-class model decides for the most probable class and against all others; a
        multi-label one about each finding for itself, by its threshold.

        Args:
            probabilities: As for `is_decided`.
            refusals: Likewise.
        """
        if not self.is_decided(probabilities, refusals):
            return [None] * len(self.class_names)
        if self.task == "multilabel":
            return [*self.is_above_threshold(probabilities)]
        most = self.most_probable_class(probabilities)
        return [name == most for name in self.class_names]

    def is_possible(self, probabilities: Sequence[float]) -> list[bool]:
        """Return for each class and group whether its map may be read.

        A class must be in the prediction set, or, without `conformal_quantiles`, at or above its
        threshold, and a group at or above its own.

        Args:
            probabilities: In the order of `question_names`.
        """
        of_classes = probabilities[: len(self.class_names)]
        if self.conformal_quantiles is None:
            classes = self.is_above_threshold(of_classes)
        else:
            classes = prediction_set(of_classes, self.conformal_quantiles)
        of_groups = zip(probabilities[len(classes) :], self.groups, strict=True)
        return [*classes, *(p >= group.threshold.value for p, group in of_groups)]

    def is_above_threshold(self, probabilities: Sequence[float]) -> list[bool]:
        """Return for each class whether its probability is at or above its decision threshold."""
        thresholds = [threshold.value for threshold in self.decision_thresholds]
        return [p >= value for p, value in zip(probabilities, thresholds, strict=True)]

    @property
    def is_member(self) -> tuple[tuple[bool, ...], ...]:
        """For each group, which of the classes are in it."""
        return memberships((group.class_names for group in self.groups), self.class_names)

    @property
    def question_names(self) -> tuple[str, ...]:
        """Names of all that is answered and has a map: the classes, then the groups."""
        return (*self.class_names, *(group.name for group in self.groups))

    @property
    def question_thresholds(self) -> tuple[DecisionThreshold, ...]:
        """Decision thresholds in the order of `question_names`."""
        return (*self.decision_thresholds, *(group.threshold for group in self.groups))

    @property
    def question_scales(self) -> tuple[float, ...]:
        """Evidence that gets full colour, in the order of `question_names`."""
        of_classes = [self.evidence_scale] * len(self.class_names)
        return (*of_classes, *(group.evidence_scale for group in self.groups))

    def group_decisions(
        self, probabilities: Sequence[float], refusals: Sequence[Refusal]
    ) -> list[bool | None]:
        """Return the decision for each group: present or not, or None if the film is refused.

        Args:
            probabilities: In the order of the groups.
            refusals: Why the film is refused; see `refusals`.
        """
        pairs = zip(probabilities, self.groups, strict=True)
        return [None if refusals else p >= group.threshold.value for p, group in pairs]

    def question_decisions(
        self, probabilities: Sequence[float], refusals: Sequence[Refusal]
    ) -> list[bool | None]:
        """Return the decisions for the classes, then for the groups, in that order.

        Args:
            probabilities: In the order of `question_names`.
            refusals: Why the film is refused.
        """
        classes = len(self.class_names)
        of_groups = self.group_decisions(probabilities[classes:], refusals)
        return [*self.decisions(probabilities[:classes], refusals), *of_groups]

    @model_validator(mode="after")
    def _groups_are_of_classes(self) -> "ModelCard":
        groups = {group.name: group.class_names for group in self.groups}
        if len(groups) < len(self.groups):
            raise ValueError("groups must have different names")
        check_groups(groups, class_names=self.class_names, task=self.task)
        return self

    @model_validator(mode="after")
    def _a_limit_of_novelty_has_something_to_limit(self) -> "ModelCard":
        if self.novelty_threshold is not None and self.golden.novelty is None:
            raise ValueError("novelty_threshold must be null for a file without that output")
        return self

    @model_validator(mode="after")
    def _one_entry_per_class(self) -> "ModelCard":
        for field in ("decision_thresholds", "score_histograms"):
            if len(getattr(self, field)) != len(self.class_names):
                raise ValueError(f"{field} must have one entry per class of {self.class_names}")
        return self

    @model_validator(mode="after")
    def _one_quantile_per_class_of_one_softmax(self) -> "ModelCard":
        if self.conformal_quantiles is None:
            return self
        if self.task == "multilabel" or len(self.conformal_quantiles) != len(self.class_names):
            raise ValueError(
                f"conformal_quantiles must have one entry per class of a multi-class model: "
                f"{len(self.conformal_quantiles)} for {self.task}, {self.class_names}"
            )
        return self
