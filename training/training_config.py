"""The `[training]` tables of a run's TOML file: how the weights are found.

Settings that exclude each other are in tables of different kinds, so that they can't be written
down together.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import BeforeValidator, Field, field_validator, model_validator

from models.card import PositiveFloat, PositiveInt, Record
from training.flat_keys import refuse_flat_keys

NonNegativeFloat = Annotated[float, Field(ge=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Sampling = Literal["shuffle", "class", "class_and_source", "class_and_origin"]
Log = Literal["none", "tensorboard"]


def _default(key: str, value: str) -> BeforeValidator:
    """Return a validator that adds a table's kind where the file leaves it out."""
    return BeforeValidator(
        lambda table: {key: value, **table} if isinstance(table, Mapping) else table
    )


class OptimiserConfig(Record):
    """Table `[training.optimiser]`, whichever optimiser it is.

    Attributes:
        learning_rate: Peak of the schedule.
        layer_decay: Share of the next deeper layer's learning rate that a layer has; 1 gives all
            layers the same.
        weight_decay: Not applied to biases, normalisation, class token and positions.
        warmup_epochs: Linear rise to the peak, before the cosine.
        gradient_clipping: Largest norm of all gradients together.
    """

    learning_rate: PositiveFloat = 1e-3
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    weight_decay: NonNegativeFloat = 0.05
    warmup_epochs: NonNegativeFloat = 2.0
    gradient_clipping: PositiveFloat = 1.0


class AdamWConfig(OptimiserConfig):
    """AdamW, the default."""

    opt: Literal["adamw"] = "adamw"


class SGDConfig(OptimiserConfig):
    """Stochastic gradient descent with Nesterov's momentum."""

    opt: Literal["sgd"] = "sgd"
    momentum: Rate = 0.9


class ShuffledConfig(Record):
    """Table `[training.sampling]`, the default: every film once per epoch.

    Attributes:
        by: `shuffle`.
        class_weights: `balanced` weighs a class in the loss by the inverse of its number of films,
            or a finding that is present by how many films lack it for each that has it.
    """

    at_most: ClassVar[None] = None

    by: Literal["shuffle"] = "shuffle"
    class_weights: Literal["balanced", "none"] = "balanced"


class BalancedConfig(Record):
    """Table `[training.sampling]`: every class equally often, and equal in the loss.

    Attributes:
        by: `class`; `class_and_source`: also every source within a class equally often; or
            `class_and_origin`: every origin (`[data.origins]`) instead.
        at_most: How often a film may come, relative to the mean of its class: a source or origin
            of few films then comes less often than others; absent, as often.
    """

    class_weights: ClassVar[Literal["none"]] = "none"

    by: Literal["class", "class_and_source", "class_and_origin"]
    at_most: Annotated[float, Field(ge=1)] | None = None


class Unfreezing(NamedTuple):
    """A layer, and the epoch from which on it and all after it train.

    Attributes:
        epoch: From 0.
        first: Name of the layer; `trunk.24` of `vgg16`, `blocks.8` of `vit_b16`, `stages.2` of
            `chest_cnn`, `head`. The order is that of the forward pass.
    """

    epoch: NonNegativeInt
    first: str


class FeatureCacheConfig(Record):
    """Table `[training.unfreeze.feature_cache]`: compute what never trains once per film and copy.

    Attributes:
        copies: Differently augmented copies of each film, which epochs take in turn.
        dtype: Of the numbers on disk.
        folder: Where they are kept; by default `features` in the run folder.
    """

    copies: PositiveInt = 1
    dtype: Literal["float16", "float32"] = "float16"
    folder: Path | None = None


class UnfreezeConfig(Record):
    """Table `[training.unfreeze]`: the layers that train from an epoch on.

    Attributes:
        layers: Late layers first; the first of them from epoch 0 on.
        feature_cache: Cache of what the layers before them make of the films.
    """

    layers: Annotated[tuple[Unfreezing, ...], Field(min_length=1)]
    feature_cache: FeatureCacheConfig | None = None

    @field_validator("layers")
    @classmethod
    def _rise(cls, layers: tuple[Unfreezing, ...]) -> tuple[Unfreezing, ...]:
        epochs = [unfreezing.epoch for unfreezing in layers]
        if epochs[0] != 0 or epochs != sorted(set(epochs)):
            raise ValueError(f"epochs of unfreeze must rise from 0, not be {epochs}")
        return layers


class AutogradConfig(Record):
    """Table `[training.gradients]`, the default: gradients of PyTorch's automatic differentiation.

    Attributes:
        by: `autograd`.
        precision: `bfloat16` multiplies in bfloat16 and keeps the weights in float32; `float64` is
            for comparisons.
        torchcompile: Compile the network with `torch.compile`.
        mixup: Alpha of the beta distribution of the shares in which films are mixed; 0 mixes none.
        gradient_flow_every: Steps from one sample of the gradient flow to the next (see
            `training.gradient_flow.flow`); 0 takes none.
    """

    by: Literal["autograd"] = "autograd"
    precision: Literal["float32", "bfloat16", "float64"] = "float32"
    torchcompile: bool = False
    mixup: NonNegativeFloat = 0.0
    gradient_flow_every: NonNegativeInt = 25


class ManualConfig(Record):
    """Table `[training.gradients]`: gradients of `models.backprop`, written by hand.

    Films are not mixed, the network is not compiled, and autograd computes no gradient flow that
    could be sampled.

    Attributes:
        by: `manual`.
        precision: As under `autograd`.
        grad_checkpointing: Compute activations twice and keep fewer.
    """

    torchcompile: ClassVar[bool] = False
    mixup: ClassVar[float] = 0.0
    gradient_flow_every: ClassVar[int] = 0

    by: Literal["manual"] = "manual"
    precision: Literal["float32", "float64"] = "float32"
    grad_checkpointing: bool = False


class EvidenceConfig(Record):
    """Table `[training.evidence]`: a penalty on evidence where none should lie.

    Positive evidence of a film's class, in the network's own map, counts where experts drew boxes
    on the film and it lies outside them (`boxes` in `[data]`), and where it lies on an opacity
    that was drawn into the lungs of a normal film: an opacity is nothing normal.

    Attributes:
        weight: Of a logit of such evidence, relative to a nat of cross-entropy.
        opacities: Share of normal films with an opacity drawn into their lungs.
    """

    weight: PositiveFloat = 1.0
    opacities: Fraction = 0.0


class DistillationConfig(Record):
    """Table `[training.distillation]`: learn from what other networks say of the training films.

    The loss is (1 - weight) * cross-entropy of the classes + weight * T^2 * cross-entropy of the
    teacher's probabilities, both sides softened by the temperature T.

    Attributes:
        probabilities: CSV with a row for each film of train: `path` as in the manifest, and a
            column for each class; the mean of several networks, for instance.
        weight: Share of the teacher in the loss.
        temperature: T; large ones show how the teacher ranks the classes that it thinks unlikely.
    """

    probabilities: Path
    weight: Annotated[float, Field(gt=0, le=1)] = 0.5
    temperature: PositiveFloat = 2.0


class LinearProbeConfig(Record):
    """Table `[training.linear_probe]`: fit the head to frozen features by logistic regression.

    The one epoch of the run then finds the head's weights at once, from all cached copies of the
    films; `[training.optimiser]` has no part in it.

    Attributes:
        penalty: Of half the squared weights of standardised features, relative to a nat of the
            mean cross-entropy; large ones travel better to origins never seen.
    """

    penalty: PositiveFloat = 1.0


class ChoiceConfig(Record):
    """Table `[training.choice]`: what val films choose.

    An origin is a source, or what `[data.origins]` says. Whatever all films alike choose, the
    largest home chooses.

    Attributes:
        epoch: By the largest `macro_auroc` of all films; or by how well classes are told within
            an origin, as the mean over `origins` or of the `worst_origin`. Those in
            `confounded_origins`, and without two classes of ten films, have no say.
        temperature: Fitted to all `films` alike, to all `origins` alike, or the `largest` of those
            fitted to one origin of thirty films or more.
        thresholds: Chosen on all `films` alike, or on all `origins` alike.
    """

    epoch: Literal["macro_auroc", "origins", "worst_origin"] = "macro_auroc"
    temperature: Literal["films", "origins", "largest"] = "films"
    thresholds: Literal["films", "origins"] = "films"


class TrainingConfig(Record):
    """Table `[training]`.

    Attributes:
        epochs: Passes over the training films.
        batch_size: Films per forward pass, at most.
        grad_accum_steps: Forward passes per step of the optimiser, as one large batch but for
            batch normalisation. Several processes share the passes of a step; where there are
            fewer passes than processes, passes become smaller: a step's films stay the same.
        workers: Processes that augment films, beside each process that trains; 0 does it there.
        label_smoothing: Share of the target spread over all classes, or of each finding's moved to
            one half.
        model_ema_decay: Of the moving average of the weights; 0 keeps the last weights only.
        log: `tensorboard` writes its events into the run folder.
        seed: Of the weights, the order and the augmentation.
        optimiser: The optimiser and its learning rates.
        sampling: How often films are shown, and how classes are weighed.
        unfreeze: The layers that train from an epoch on; absent, all train from the beginning.
        linear_probe: Logistic regression of the head; absent, the optimiser finds the weights.
        evidence: Penalty on evidence where none should lie; absent, there is none.
        distillation: A teacher; absent, films' classes alone teach.
        choice: How val films choose the epoch, the temperature and the thresholds.
        gradients: How gradients are computed.
    """

    epochs: PositiveInt
    batch_size: PositiveInt = 32
    grad_accum_steps: PositiveInt = 1
    workers: NonNegativeInt = 0
    label_smoothing: Fraction = 0.0
    model_ema_decay: Rate = 0.99
    log: Log = "none"
    seed: NonNegativeInt = 0
    optimiser: Annotated[
        AdamWConfig | SGDConfig, Field(discriminator="opt"), _default("opt", "adamw")
    ] = AdamWConfig()
    sampling: Annotated[
        ShuffledConfig | BalancedConfig, Field(discriminator="by"), _default("by", "shuffle")
    ] = ShuffledConfig()
    unfreeze: UnfreezeConfig | None = None
    linear_probe: LinearProbeConfig | None = None
    evidence: EvidenceConfig | None = None
    distillation: DistillationConfig | None = None
    choice: ChoiceConfig = ChoiceConfig()
    gradients: Annotated[
        AutogradConfig | ManualConfig, Field(discriminator="by"), _default("by", "autograd")
    ] = AutogradConfig()

    @model_validator(mode="before")
    @classmethod
    def _is_in_tables(cls, fields: dict[str, Any]) -> dict[str, Any]:
        refuse_flat_keys(fields)
        return fields

    @model_validator(mode="after")
    def _can_unfreeze(self) -> "TrainingConfig":
        epochs = [unfreezing.epoch for unfreezing in self.unfreezings]
        if epochs and epochs[-1] >= self.epochs:
            raise ValueError(
                f"epochs of unfreeze must be below the {self.epochs} epochs, not {epochs}"
            )
        if self.feature_cache and self.gradients.by == "manual":
            raise ValueError("feature_cache must be off where gradients are manual")
        if self.evidence and self.gradients.mixup:
            raise ValueError("mixup must be 0 with [training.evidence]: a mixed film has no place")
        return self

    @model_validator(mode="after")
    def _can_probe(self) -> "TrainingConfig":
        if self.linear_probe is None:
            return self
        if self.unfreezings != (Unfreezing(0, "head"),) or not self.feature_cache:
            raise ValueError(
                "[training.linear_probe] fits the head alone, to cached features: it needs "
                '[training.unfreeze] layers = [[0, "head"]] and [training.unfreeze.feature_cache]'
            )
        if self.epochs != 1:
            raise ValueError(f"epochs must be 1 with [training.linear_probe], not {self.epochs}")
        unused = {
            "label_smoothing": self.label_smoothing,
            "mixup": self.gradients.mixup,
            "[training.evidence]": self.evidence,
            "[training.distillation]": self.distillation,
            "by of [training.sampling]": self.sampling.by != "shuffle",
        }
        if taken := [name for name, value in unused.items() if value]:
            raise ValueError(f"[training.linear_probe] knows no {taken[0]}; leave it out")
        return self

    @property
    def unfreezings(self) -> tuple[Unfreezing, ...]:
        """The layers that train from an epoch on; empty where all train from the beginning."""
        return self.unfreeze.layers if self.unfreeze else ()

    @property
    def feature_cache(self) -> FeatureCacheConfig | None:
        """The cache of features; None where there is none."""
        return self.unfreeze.feature_cache if self.unfreeze else None
