"""Load outlined films and build the lung field that a training starts from."""

import torch

from models.card import LungFieldSpec
from models.lung_field import LungField
from training.config import Config
from training.data.augmentation import augmentation
from training.data.film_cache import FilmMemory
from training.data.manifest import of_split
from training.data.split import check_split
from training.data.style_mixing import StyleBank
from training.outlines.dataset import OutlineDataset
from training.outlines.outlined_films import OutlinedFilm, read_outlined_films
from training.outlines.planes import cached_planes


def checked_outlined_films(config: Config) -> tuple[OutlinedFilm, ...]:
    """Return the films whose outlines are taught; ValueError says what is wrong with them."""
    films = read_outlined_films(config.data.manifest)
    check_split(films)
    taught = tuple(film for film in films if film.mask_by in config.data.masks_by)
    return of_split(taught, "train") + of_split(taught, "val")


def outline_datasets(
    config: Config, films: tuple[OutlinedFilm, ...]
) -> tuple[OutlineDataset, OutlineDataset]:
    """Return the decoded films and masks of train, with augmentation, and those of val."""
    train = _dataset(config, [film for film in films if film.split == "train"])
    bank = StyleBank(train.pixels, train.sources)
    train.augmentation = augmentation(config.augmentation, bank)
    return train, _dataset(config, [film for film in films if film.split == "val"])


def _dataset(config: Config, films: list[OutlinedFilm]) -> OutlineDataset:
    folder, image_size = config.data.cache, config.network.image_size
    return OutlineDataset(
        FilmMemory(folder, image_size, "stretch").pixels(films),
        cached_planes(films, folder, image_size),
        cell=LungField.cell,
        sources=[film.source for film in films],
        seed=config.training.seed,
    )


def starting_lung_field(config: Config) -> tuple[LungField, LungFieldSpec]:
    """Return the network before training, and its specification."""
    torch.manual_seed(config.training.seed)
    return LungField(), LungFieldSpec(image_size=config.network.image_size)
