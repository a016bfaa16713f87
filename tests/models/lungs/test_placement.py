import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.lungs.placement import region_affine
from models.lungs.region import cropped
from models.radiograph import Affine, NetworkPixels, Radiograph, network_pixels

IMAGE, CROP, GRID = (320, 320), (224, 224), (28, 28)
REGION = (0.15, 0.1, 0.85, 0.95)


def film_with_dot(row: float, column: float) -> NDArray[np.float32]:
    """Return a film of 500x640 pixels with a border, and a smooth dot at a place on it."""
    down, across = np.mgrid[0:500, 0:640] + 0.5
    noise = np.random.default_rng(0).uniform(0.1, 0.3, (500, 640))
    film = noise + 0.7 * np.exp(-0.5 * ((down - row) ** 2 + (across - column) ** 2) / 6**2)
    film[:40], film[:, 600:] = 0, 0
    return film.astype(np.float32)


def seen(film: NDArray[np.float32], mode: str) -> NetworkPixels:
    return network_pixels(Radiograph(film, "png"), image_size=IMAGE, resize_mode=mode)


def on_film(affine: Affine, row: float, column: float) -> tuple[float, float]:
    a, b, c, d, e, f = affine
    return d * column + e * row + f, a * column + b * row + c


def centre_of_dot(pixels: NDArray[np.float32]) -> tuple[float, float]:
    weight = np.clip(pixels - 0.5, 0, None)
    rows, columns = np.mgrid[0 : pixels.shape[0], 0 : pixels.shape[1]] + 0.5
    return float((rows * weight).sum() / weight.sum()), float(
        (columns * weight).sum() / weight.sum()
    )


@given(st.floats(0.2, 0.8), st.floats(0.2, 0.8), st.sampled_from(["stretch", "letterbox"]))
def test_a_dot_lies_where_the_affine_of_the_grid_says(
    down: float, across: float, mode: str
) -> None:
    """Of a film with trimmed borders, its region, and the activation grid: to a quarter cell."""
    place = 110 + 300 * down, 80 + 440 * across
    view = seen(film_with_dot(*place), mode)
    crop = cropped(torch.from_numpy(view.pixels)[None, None], torch.tensor([REGION]), CROP)
    row, column = centre_of_dot(crop[0, 0].numpy())
    cell = row * GRID[0] / CROP[0], column * GRID[1] / CROP[1]
    affine = region_affine(view.affine, REGION, image_size=IMAGE, raster=GRID)
    found = on_film(affine, *cell)
    assert abs(found[0] - place[0]) < affine[4] / 4
    assert abs(found[1] - place[1]) < affine[0] / 4


def test_a_crops_pixels_are_finer_than_its_grid_and_begin_at_the_same_corner() -> None:
    view = seen(film_with_dot(200, 200), "stretch")
    by_pixel = region_affine(view.affine, REGION, image_size=IMAGE, raster=CROP)
    by_cell = region_affine(view.affine, REGION, image_size=IMAGE, raster=GRID)
    assert on_film(by_pixel, 0, 0) == pytest.approx(on_film(by_cell, 0, 0))
    assert on_film(by_pixel, *CROP) == pytest.approx(on_film(by_cell, *GRID))
    assert on_film(by_pixel, 8, 16) == pytest.approx(on_film(by_cell, 1, 2))


def test_the_whole_film_as_region_has_the_affine_of_the_grid() -> None:
    view = seen(film_with_dot(200, 200), "stretch")
    affine = region_affine(view.affine, (0.0, 0.0, 1.0, 1.0), image_size=IMAGE, raster=GRID)
    assert affine == pytest.approx(view.grid_affine(GRID))


def test_a_rotated_film_is_followed() -> None:
    """A quarter turn: x grows with rows."""
    turned = (0.0, 2.0, 5.0, 3.0, 0.0, 7.0)
    affine = region_affine(turned, (0.5, 0.25, 1.0, 0.75), image_size=(8, 4), raster=(2, 2))
    assert on_film(affine, 0, 0) == on_film(turned, 4, 1)
    assert on_film(affine, 2, 2) == on_film(turned, 8, 3)


def test_pytorch_is_not_loaded() -> None:
    code = "import sys, models.lungs.placement; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code]).split() == [b"False"]
