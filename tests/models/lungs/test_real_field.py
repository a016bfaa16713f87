"""The trained lung field in the window: how still its box holds, and which lungs are plausible."""

import csv
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.card import LungLimits, LungSpec, Storage
from models.checkpoint import lung_field
from models.chest_cnn import LocalChestCNN
from models.lungs.window import LungWindow, window_of
from models.network import Chain, Network
from models.radiograph import network_pixels, read_radiograph
from tests.support.drawn_lungs import FILM, drawn_film
from training.export.lung_limits import lung_limits
from training.onnx_files.storage import with_rounded_weights

pytestmark = pytest.mark.slow

STORED = pytest.mark.parametrize("storage", ["float16", "int8"])
RESTLESS = "images/e6aa3e714f5affb1.jpg"
"""A film whose box moved by 4 pixels when an earlier lung field was rounded to int8."""


def network() -> Network:
    """Return a network behind a window with the trained lung field."""
    spec, (field, _) = LungSpec(), lung_field()
    built = LocalChestCNN(classes=3, mean=0.5, std=0.25, masked=spec.size)
    built.normalise = Chain(LungWindow(field, spec, FILM), built.normalise)
    return built.eval()


def pixels(file: Path) -> Tensor:
    """Return a film as the network takes it, [1, 1, rows, columns]."""
    film = network_pixels(
        read_radiograph(file.read_bytes()), image_size=FILM, resize_mode="stretch"
    )
    return torch.from_numpy(film.pixels)[None, None]


def listed(shared: Path, split: str, most: int) -> list[Path]:
    """Return films of a split, evenly over the manifest."""
    with (shared / "data/cxr/manifest.csv").open(newline="") as file:
        rows = [row["path"] for row in csv.DictReader(file) if row["split"] == split]
    return [shared / "data/cxr" / path for path in rows[:: len(rows) // most][:most]]


@torch.inference_mode()
def boxes(built: Network, films: Tensor) -> Tensor:
    """Return the films' boxes in pixels of the input, [films, 4]."""
    window = window_of(built)
    assert window is not None
    return FILM[0] * torch.cat([window.view(film[None]).region for film in films])


def moved(built: Network, other: Network, films: Tensor) -> Tensor:
    """Return how far the edge that moves most goes on each film, in pixels of the input."""
    return (boxes(built, films) - boxes(other, films)).abs().amax(dim=1)


def shaken(films: Tensor) -> Tensor:
    """Return films with noise whose standard deviation is a ten thousandth of white."""
    noise = torch.randn(films.shape, generator=torch.Generator().manual_seed(0))
    return films + 1e-4 * noise


def drawn() -> Tensor:
    return torch.cat([drawn_film(seed) for seed in range(12)])


def real(shared: Path) -> Tensor:
    files = [*listed(shared, "val", 20), shared / "data/cxr" / RESTLESS]
    return torch.cat([pixels(file) for file in files])


@STORED
def test_stored_small_the_box_of_a_drawn_film_moves_by_less_than_a_pixel(storage: Storage) -> None:
    built = network()
    assert moved(built, with_rounded_weights(built, storage), drawn()).max() < 1


@STORED
def test_stored_small_the_box_of_a_film_moves_by_less_than_a_pixel(
    shared: Path, storage: Storage
) -> None:
    built = network()
    assert moved(built, with_rounded_weights(built, storage), real(shared)).max() < 1


def test_in_int8_the_network_is_rounded_and_the_lung_field_is_not() -> None:
    built = network()
    rounded = with_rounded_weights(built, "int8")
    for (name, before), after in zip(built.named_parameters(), rounded.parameters(), strict=True):
        if name.startswith("normalise"):
            assert torch.equal(before, after), name
    assert not torch.equal(built.stages[3][0].conv1.weight, rounded.stages[3][0].conv1.weight)


def test_noise_of_a_ten_thousandth_moves_no_edge_of_a_drawn_film_by_a_tenth_of_a_pixel() -> None:
    built = network()
    assert (boxes(built, shaken(drawn())) - boxes(built, drawn())).abs().max() < 0.1


def test_noise_of_a_ten_thousandth_moves_no_edge_of_a_film_by_a_tenth_of_a_pixel(
    shared: Path,
) -> None:
    built, films = network(), real(shared)
    assert (boxes(built, shaken(films)) - boxes(built, films)).abs().max() < 0.1


@torch.inference_mode()
def figures(built: Network, films: Tensor) -> Tensor:
    """Return area, balance and stray share of each film."""
    window = window_of(built)
    assert window is not None
    return torch.cat([torch.stack(window.view(film[None]).figures, dim=1) for film in films])


def refused(limits: LungLimits, found: Tensor) -> list[bool]:
    return [bool(limits.faults(film)) for film in found.tolist()]


def test_limits_from_val_films_let_films_pass_and_refuse_what_has_no_lungs(shared: Path) -> None:
    built = network()
    val, test = (
        figures(built, torch.cat([pixels(file) for file in listed(shared, split, 60)]))
        for split in ("val", "test")
    )
    limits = lung_limits(val.numpy())
    assert sum(refused(limits, val)) <= 3
    assert sum(refused(limits, test)) <= 4
    for name in ("us_1.png", "nm_whole_body_bone_scan.png", "mr_shoulder.png"):
        image = pixels(shared / "data/ood" / name)
        assert refused(limits, figures(built, image)) == [True], name
