"""Load the films of a manifest and build the network that a training starts from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from models.architectures import activation_grid, build, target_layer
from models.card import Architecture, NetworkSpec, Task, check_groups
from models.checkpoint import lung_field
from models.layers import CONTRAST_MEAN, CONTRAST_STD
from models.lungs.window import LungWindow, window_of
from models.network import Network
from models.pretrained import Pretrained, from_file, from_hub, load_pretrained
from training.config import Config, NetworkConfig
from training.data.augmentation import LungOpacities, augmentation
from training.data.boxes import planes_outside_boxes
from training.data.dataset import FilmDataset, Teacher, film_targets
from training.data.film_cache import FilmMemory
from training.data.manifest import (
    Film,
    class_names,
    labels,
    of_split,
    read_manifest,
    task_of,
)
from training.data.split import check_classes, check_split, with_held_out
from training.data.style_mixing import StyleBank
from training.fitting.teacher import read_teacher
from training.outlines.found import found_lungs


def checked_films(config: Config) -> tuple[Film, ...]:
    """Return the films of a classifier's manifest; ValueError says what is wrong with them."""
    if config.task != "classification":
        raise ValueError(f"task must be classification here, not {config.task}")
    films = with_held_out(read_manifest(config.data.manifest), config.data)
    check_split(films)
    check_classes(films)
    check_groups(config.groups, class_names=class_names(films), task=task_of(films))
    return films


def datasets(
    config: Config, films: tuple[Film, ...]
) -> tuple[FilmDataset, FilmDataset, tuple[str, ...]]:
    """Return the decoded films of train, with augmentation, those of val, and the class names."""
    names = class_names(films)
    train_films, val_films = of_split(films, "train"), of_split(films, "val")
    wanted = config.network
    memory = FilmMemory(config.data.cache, wanted.image_size, wanted.resize_mode, wanted.crop_pct)
    train_pixels = memory.pixels(train_films)
    lungs = None
    if wanted.lungs:
        window = LungWindow(lung_field()[0], wanted.lungs, wanted.image_size)
        lungs = found_lungs(train_films, train_pixels, window, config.data.cache)
    sources = [film.source for film in train_films]
    by_origin = config.training.sampling.by == "class_and_origin"
    train_set = FilmDataset(
        train_pixels,
        film_targets(train_films, names),
        lungs=lungs,
        sources=[config.data.origin(source) for source in sources] if by_origin else sources,
        augmentation=augmentation(config.augmentation, StyleBank(train_pixels, sources)),
        seed=config.training.seed,
        teacher=_teacher(config, train_films, names),
        **_places_of_evidence(config, train_films),
    )
    val_set = FilmDataset(
        memory.pixels(val_films),
        film_targets(val_films, names),
        sources=[config.data.origin(film.source) for film in val_films],
    )
    return train_set, val_set, names


def _teacher(config: Config, films: Sequence[Film], names: Sequence[str]) -> Teacher | None:
    """Return what a teacher says of the films; None without a teacher."""
    wanted = config.training.distillation
    if wanted is None:
        return None
    labels(films)
    return read_teacher(wanted.probabilities, films, config.data.manifest, names)


def _places_of_evidence(config: Config, films: Sequence[Film]) -> dict[str, Any]:
    """Return what a data set is told of where evidence should not lie; nothing without a penalty.

    Raises:
        ValueError: Films have findings instead of a class, or the boxes are unfit.
    """
    wanted, seen = config.training.evidence, config.network
    if wanted is None:
        return {}
    own = labels(films)
    barred = {}
    if config.data.boxes:
        barred = planes_outside_boxes(
            config.data.boxes,
            films,
            config.data.manifest,
            image_size=seen.image_size,
            resize_mode=seen.resize_mode,
            crop_pct=seen.crop_pct,
        )
    normal = [n for n, label in enumerate(own) if label == config.data.normal]
    drawn = normal if wanted.opacities else []
    return {"barred": barred, "drawing": dict.fromkeys(drawn, LungOpacities(wanted.opacities))}


def starting_network(
    config: Config, films: FilmDataset, names: tuple[str, ...], *, task: Task = "multiclass"
) -> tuple[Network, NetworkSpec]:
    """Return the network before training, and its specification.

    Without pretrained weights it is normalised by the mean and standard deviation of `films`.

    Raises:
        ValueError: The config's network is no classifier.
    """
    wanted = config.network
    if wanted.architecture == "lung_field":
        raise ValueError("architecture must be a classifier's, not lung_field")
    pretrained = _pretrained(wanted, wanted.architecture)
    mean, std = pretrained[1:] if pretrained else _own_mean_and_std(wanted, films)
    spec = NetworkSpec(
        architecture=wanted.architecture,
        head=wanted.head,
        read_out=wanted.read_out,
        class_names=names,
        task=task,
        image_size=wanted.image_size,
        resize_mode=wanted.resize_mode,
        crop_pct=wanted.crop_pct,
        local_contrast=wanted.local_contrast,
        mean=mean,
        std=std,
        **_seen(wanted, wanted.architecture),
    )
    torch.manual_seed(config.training.seed)
    network = build(spec, drop_rate=wanted.drop_rate, drop_path_rate=wanted.drop_path_rate)
    if pretrained:
        load_pretrained(network, pretrained)
    if window := window_of(network):
        window.field.load_state_dict(lung_field()[0].state_dict())
    return network, spec


def _seen(wanted: NetworkConfig, architecture: Architecture) -> dict[str, Any]:
    """Return the fields of a spec on what a network sees of a film, and where its maps lie."""
    lungs, field, read = wanted.lungs, wanted.receptive_field, wanted.read_layer
    size = lungs.size if lungs else wanted.image_size
    inside = lungs is not None and lungs.inside
    return {
        "receptive_field": field,
        "read_layer": read,
        "blocks": wanted.blocks,
        "lungs": lungs,
        "target_layer": target_layer(
            architecture,
            read_out=wanted.read_out,
            read_layer=read,
            blocks=wanted.blocks,
            inside_lungs=inside,
        ),
        "activation_grid": activation_grid(
            architecture, size, receptive_field=field, read_layer=read
        ),
    }


def _own_mean_and_std(wanted: NetworkConfig, films: FilmDataset) -> tuple[float, float]:
    if wanted.local_contrast is not None or (wanted.lungs and wanted.lungs.standardise != "none"):
        return CONTRAST_MEAN, CONTRAST_STD
    mean, std = mean_and_std(films.pixels)
    return round(mean, 4), round(std, 4)


def _pretrained(wanted: NetworkConfig, architecture: Architecture) -> Pretrained | None:
    if wanted.pretrained:
        return from_hub(architecture)
    if wanted.weights and wanted.mean and wanted.std:
        return from_file(architecture, wanted.weights, mean=wanted.mean, std=wanted.std)
    return None


def mean_and_std(pixels: UInt8[np.ndarray, "films rows columns"]) -> tuple[float, float]:
    """Return mean and standard deviation of pixels / 255, counted film by film."""
    counts = sum(np.bincount(film.ravel(), minlength=256) for film in pixels)
    shares = counts / pixels.size
    grey = np.arange(256) / 255
    mean = float(shares @ grey)
    return mean, float(np.sqrt(shares @ (grey - mean) ** 2))
