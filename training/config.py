"""Read a run's TOML file into a frozen record; an unknown key is an error."""

import json
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from models.card import (
    Architecture,
    BlockCount,
    Colours,
    Grid,
    Head,
    LungSpec,
    ModelName,
    PositiveShare,
    ReadLayer,
    ReadOut,
    ReceptiveField,
    Record,
    ResizeMode,
    check_blocks,
    check_read_layer,
    check_receptive_field,
    check_variant,
)
from training.flat_keys import with_tables
from training.training_config import Fraction, NonNegativeFloat, Rate, TrainingConfig

MaskBy = Literal["human", "network"]
RunTask = Literal["classification", "segmentation"]

FROM_SCRATCH = ("chest_cnn", "lung_field")
"""Networks that nobody has published weights of."""

STRIDE = 16
"""Pixels of the network's input per cell of its activation grid."""


class DataConfig(Record):
    """Table `[data]`: the films of a run.

    Attributes:
        manifest: CSV with one film per row (see `training.data.manifest`, or for segmentation
            `training.outlines.outlined_films`); relative to where `cxr` runs.
        description: The origin of the films, in a sentence for the card.
        cache: Folder of decoded films, shared by all runs; may be removed when none is under way.
        masks_by: For segmentation: whose masks are taught and choose the epoch.
        origins: Sources that are one origin (one hospital, one collection copied twice), by its
            name; any other source is an origin of its own.
        confounded_origins: Origins in which each class has a machine of its own, so that even
            within them the machine tells the class; `cxr leave-out` also takes means without them.
        hold_out: Origin whose films of train choose (epoch, temperature, thresholds) with those of
            val, instead of being learnt from.
        normal: Class of the healthy films, which `cxr leave-out` measures against all others.
        boxes: CSV of boxes that experts drew on films, for `[training.evidence]`: `path` as in the
            manifest, and `x`, `y` (top left), `width`, `height` in the film's pixels. Those of
            films that are not in train are left out.
    """

    manifest: Path
    description: str
    cache: Path = Path("artifacts/films")
    masks_by: tuple[MaskBy, ...] = ("human",)
    origins: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    confounded_origins: tuple[str, ...] = ()
    hold_out: str | None = None
    normal: str | None = None
    boxes: Path | None = None

    def origin(self, source: str) -> str:
        """Return the origin of the films of a source."""
        return next((name for name, own in self.origins.items() if source in own), source)


class NetworkConfig(Record):
    """Table `[network]`: the network, the weights it starts from, and how a film becomes its input.

    Attributes:
        architecture: `chest_cnn`, `vgg16` or `vit_b16`; for segmentation `lung_field`.
        head: Of `vgg16`: `pooled` (default) or `fully_connected`.
        read_out: Of `vit_b16`: `token` (default) or `average`.
        image_size: Rows and columns; the `fully_connected` head's published weights need 224x224.
        resize_mode: `stretch` or `letterbox`.
        crop_pct: Share of each side of the film, about the middle, that the network sees: markers
            are at the edges.
        local_contrast: Standard deviation of the window that each pixel's contrast is measured in,
            as a share of the side; absent takes pixels as they are.
        pretrained: Start from timm's default weights, which are downloaded.
        weights: Start from this safetensors file instead, with timm's or torchvision's names.
        mean: Subtracted from red, green and blue in [0, 1] by the publisher of `weights`.
        std: Divisors of the colours after that.
        drop_rate: Of dropout in the `fully_connected` head, while training.
        drop_path_rate: Of stochastic depth in `vit_b16`'s last block, while training; earlier
            blocks have less, in proportion to their depth.
        receptive_field: Of `chest_cnn`: `wide` (default), or `local`: a position of the map then
            depends on a patch about a third of the lungs wide.
        read_layer: Of `vgg16` with a `pooled` head: the convolution that it reads, `conv5_3`
            (default), or `conv4_3`, half-way through the network.
        blocks: Of `vit_b16`: how many of its 12 blocks there are (default: all); features half-way
            tell less about the scanner than the last ones.
        lungs: See only the lungs, in this way (`models.card.LungSpec`); absent sees the whole film.
    """

    architecture: Architecture | Literal["lung_field"] = "chest_cnn"
    head: Head | None = None
    read_out: ReadOut | None = None
    image_size: Grid = (224, 224)
    resize_mode: ResizeMode = "stretch"
    crop_pct: PositiveShare = 1.0
    local_contrast: PositiveShare | None = None
    pretrained: bool = False
    weights: Path | None = None
    mean: Colours | None = None
    std: Colours | None = None
    drop_rate: Rate = 0.0
    drop_path_rate: Rate = 0.0
    receptive_field: ReceptiveField | None = None
    read_layer: ReadLayer | None = None
    blocks: BlockCount | None = None
    lungs: LungSpec | None = None

    @model_validator(mode="before")
    @classmethod
    def _default_variant(cls, fields: dict[str, object]) -> dict[str, object]:
        defaults: dict[object, dict[str, object]] = {
            "vgg16": {"head": "pooled"},
            "vit_b16": {"read_out": "token"},
        }
        return defaults.get(fields.get("architecture"), {}) | fields

    @model_validator(mode="after")
    def _exists(self) -> "NetworkConfig":
        check_variant(self.architecture, head=self.head, read_out=self.read_out)
        check_receptive_field(self.architecture, self.receptive_field)
        check_blocks(self.architecture, self.blocks)
        check_read_layer(self.architecture, head=self.head, read_layer=self.read_layer)
        if self.lungs and self.lungs.inside and self.head == "fully_connected":
            raise ValueError(
                "inside of lungs must be false under a fully_connected head: it takes no mean of "
                "positions"
            )
        seen = self.lungs.size if self.lungs else self.image_size
        if self.head == "fully_connected" and any(side % (2 * STRIDE) for side in seen):
            raise ValueError(
                f"image_size, or size of lungs, must be multiples of {2 * STRIDE} under a "
                f"fully_connected head, not {seen}"
            )
        return self

    @model_validator(mode="after")
    def _starts_once_with_the_right_colours(self) -> "NetworkConfig":
        if self.architecture in FROM_SCRATCH and (self.pretrained or self.weights):
            raise ValueError(
                f"{self.architecture} is trained from scratch: there are no weights to start from"
            )
        if self.pretrained and self.weights:
            raise ValueError("pretrained and weights exclude each other: one start is enough")
        if (self.weights is None) != (self.mean is None) or (self.mean is None) != (
            self.std is None
        ):
            raise ValueError(
                "weights, mean and std must be given together: the wrong mean trains silently "
                "(timm's vit_base_patch16_224 wants 0.5 and 0.5, most others ImageNet's "
                "0.485, 0.456, 0.406 and 0.229, 0.224, 0.225)"
            )
        return self

    @model_validator(mode="after")
    def _drops_in_layers_that_exist(self) -> "NetworkConfig":
        if self.drop_rate and self.head != "fully_connected":
            raise ValueError(
                f"drop_rate must be 0 without a fully_connected head, not {self.drop_rate}"
            )
        if self.drop_path_rate and self.architecture != "vit_b16":
            raise ValueError(
                f"drop_path_rate must be 0 for {self.architecture}, not {self.drop_path_rate}"
            )
        return self

    @model_validator(mode="after")
    def _outlines_whole_films(self) -> "NetworkConfig":
        sees_all = self.resize_mode == "stretch" and self.crop_pct == 1
        if self.architecture == "lung_field" and not (sees_all and self.local_contrast is None):
            raise ValueError(
                "lung_field takes whole films, stretched: resize_mode, crop_pct and local_contrast "
                "must be left as they are"
            )
        return self

    @field_validator("image_size")
    @classmethod
    def _divisible(cls, image_size: Grid) -> Grid:
        if any(side % STRIDE for side in image_size):
            raise ValueError(f"image_size must be multiples of {STRIDE}, not {image_size}")
        return image_size


class AugmentationConfig(Record):
    """Table `[augmentation]`: how far training films may be changed; 0 switches a change off.

    Attributes:
        rotation: Largest angle, degrees.
        shift: Largest shift, as a share of the side.
        zoom: Largest change of size, as a share.
        stretch: Largest absolute logarithm of the factor by which a film becomes higher.
        mirror: Share of films mirrored; 0 for a classifier, since the heart has a side.
        gamma: Largest absolute logarithm of the exponent.
        contrast: Largest relative change around the film's mean.
        brightness: Largest shift of the grey level, in [0, 1].
        blur: Share of films blurred.
        downsampling: Share of films reduced and enlarged again.
        smallest_size: How far they are reduced at most, as a share of the side.
        jpeg: Share of films compressed once more.
        sharpness: Share of films sharpened.
        noise: Share of films with grain added.
        tone_curve: Share of films through a random rising curve of grey levels.
        clahe: Share of films whose contrast is equalised locally.
        histogram_matching: Share of films with the grey levels of another training film.
        style_mixing: Share of films with slow grey level changes mixed with another film's.
        outline: How far the lungs' outline is widened or narrowed at most, as a share of the side:
            its exact shape must not say where a film is from.
        opacities: Share of films with soft clouds drawn anywhere.
        shading: Share of films with uneven exposure.
        letters: Share of films with random letters in corners.
        corner_masking: Share of films with some corners and borders covered.
    """

    rotation: NonNegativeFloat = 8.0
    shift: Fraction = 0.06
    zoom: Fraction = 0.1
    stretch: NonNegativeFloat = 0.0
    mirror: Fraction = 0.0
    gamma: NonNegativeFloat = 0.3
    contrast: Fraction = 0.25
    brightness: Fraction = 0.1
    blur: Fraction = 0.2
    downsampling: Fraction = 0.25
    smallest_size: Annotated[float, Field(gt=0, le=0.9)] = 0.4
    jpeg: Fraction = 0.25
    sharpness: Fraction = 0.0
    noise: Fraction = 0.0
    tone_curve: Fraction = 0.0
    clahe: Fraction = 0.0
    histogram_matching: Fraction = 0.0
    style_mixing: Fraction = 0.0
    outline: Fraction = 0.0
    opacities: Fraction = 0.0
    shading: Fraction = 0.0
    letters: Fraction = 0.0
    corner_masking: Fraction = 0.0

    @classmethod
    def off(cls, *, smallest_size: float = 0.4) -> "AugmentationConfig":
        """Return the table that changes no film."""
        none = dict.fromkeys(cls.model_fields, 0.0)
        return cls.model_validate(none | {"smallest_size": smallest_size})


class Config(Record):
    """A training run, as its TOML file describes it.

    Attributes:
        name: Name of the model, and of the run folder.
        version: Version of the weights.
        task: `classification`, of classes or findings as the manifest has them, or `segmentation`:
            the lungs' outline.
        intended_use: For the card.
        limits: For the card: what the model cannot do.
        credits: For the card: the sources of pretrained weights and films.
        data: The films.
        network: The network.
        augmentation: How training films are changed.
        training: How the weights are found.
        groups: Groups of classes that the exported model answers beside its classes: the names of
            its classes by the name of each group. They change nothing in the training.
    """

    name: ModelName
    version: str
    task: RunTask = "classification"
    intended_use: str
    limits: tuple[str, ...]
    credits: tuple[str, ...] = ()
    data: DataConfig
    network: NetworkConfig = NetworkConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    training: TrainingConfig
    groups: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _network_does_the_task(self) -> "Config":
        if (self.task == "segmentation") != (self.network.architecture == "lung_field"):
            raise ValueError(
                f"architecture must be lung_field where task is segmentation, and only there: "
                f"{self.task} has {self.network.architecture}"
            )
        return self

    @model_validator(mode="after")
    def _evidence_has_a_place(self) -> "Config":
        wanted, network = self.training.evidence, self.network
        if wanted is None:
            return self
        is_pooled = network.architecture == "chest_cnn" or network.head == "pooled"
        needs = {
            "a network with a pooled head (chest_cnn, or vgg16 with head pooled), whose logit is a "
            "sum of one term per position": is_pooled,
            "boxes in [data], or opacities above 0": self.data.boxes or wanted.opacities,
            "normal in [data] and [network.lungs] for its opacities": not wanted.opacities
            or (self.data.normal and network.lungs),
            "[network.lungs] with a feature_cache or an outline in [augmentation]": network.lungs
            or not (self.training.feature_cache or self.augmentation.outline),
        }
        absent = [sentence for sentence, is_met in needs.items() if not is_met]
        if absent:
            raise ValueError(f"[training.evidence] needs {'; and '.join(absent)}")
        return self


def read_config(path: Path) -> Config:
    """Return the run that the TOML file describes.

    Raises:
        ValueError: The file is absent or not TOML, or a field is unknown, missing or out of range.
    """
    if not path.is_file():
        raise ValueError(f"config {path} does not exist")
    try:
        return Config.model_validate(tomllib.loads(path.read_text()))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not a TOML file: {error}") from error


def read_run_config(path: Path) -> Config:
    """Return the config that a run folder holds, also one from before keys were grouped in tables.

    Raises:
        ValueError: The file is not one that a run wrote.
    """
    try:
        fields = json.loads(path.read_text())
        return Config.model_validate(fields | {"training": with_tables(fields["training"])})
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not the config of a run: {error}") from error
