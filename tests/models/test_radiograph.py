import io
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from models.card import CellCentres
from models.radiograph import (
    FilmTooLargeError,
    NotAnImageError,
    Radiograph,
    network_pixels,
    read_radiograph,
)


def noise(rows, columns):
    return np.random.default_rng(0).uniform(0.2, 0.6, (rows, columns)).astype(np.float32)


def film(pixels):
    return Radiograph(pixels.astype(np.float32), "png")


def on_film(affine, column, row):
    a, b, c, d, e, f = affine
    return a * column + b * row + c, d * column + e * row + f


def centre(mask):
    rows, columns = np.nonzero(mask)
    return columns.mean() + 0.5, rows.mean() + 0.5


@st.composite
def bordered_films(draw):
    """Return a film with black borders and a bright square, and the (left, top) border widths."""
    rows, columns = draw(st.integers(48, 300)), draw(st.integers(48, 300))
    top, bottom = (draw(st.integers(0, rows // 4)) for _ in range(2))
    left, right = (draw(st.integers(0, columns // 4)) for _ in range(2))
    content = noise(rows, columns)
    row, column = draw(st.integers(0, rows * 3 // 4)), draw(st.integers(0, columns * 3 // 4))
    content[row : row + rows // 4, column : column + columns // 4] = 1
    return np.pad(content, ((top, bottom), (left, right))), (left, top)


@given(bordered_films(), st.sampled_from([(96, 96), (64, 128)]))
def test_the_affine_leads_a_bright_square_back_to_its_place_on_the_film(bordered, image_size):
    pixels, _ = bordered
    for resize_mode in ("stretch", "letterbox"):
        seen = network_pixels(film(pixels), image_size=image_size, resize_mode=resize_mode)
        found = on_film(seen.affine, *centre(seen.pixels > 0.8))
        one_network_pixel = max(seen.affine[0], seen.affine[4])
        assert found == pytest.approx(centre(pixels > 0.8), abs=one_network_pixel)


@given(bordered_films())
def test_black_borders_are_trimmed(bordered):
    pixels, (left, top) = bordered
    seen = network_pixels(film(pixels), image_size=(64, 64), resize_mode="stretch")
    assert (seen.affine[2], seen.affine[5]) == (left, top)
    assert seen.pixels.min() > 0.1


def test_at_most_a_quarter_of_each_side_is_trimmed():
    pixels = np.zeros((40, 40))
    pixels[19:21, 19:21] = 1
    seen = network_pixels(film(pixels), image_size=(20, 20), resize_mode="stretch")
    assert seen.affine == (1, 0, 10, 0, 1, 10)


def test_a_line_of_sixteen_grey_levels_counts_as_border_and_of_seventeen_as_film():
    pixels = noise(40, 40)
    pixels[0], pixels[1] = 50 / 255, 100 / 255
    pixels[0, 0], pixels[1, 0] = 66 / 255, 117 / 255
    seen = network_pixels(film(pixels), image_size=(39, 40), resize_mode="stretch")
    assert seen.affine == (1, 0, 0, 0, 1, 1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2), (50, 70)])
@pytest.mark.parametrize("resize_mode", ["stretch", "letterbox"])
def test_a_uniform_film_of_any_size_is_not_trimmed(shape, resize_mode):
    seen = network_pixels(film(np.full(shape, 0.5)), image_size=(32, 48), resize_mode=resize_mode)
    scale = (shape[1] / 48, shape[0] / 32)
    scales = scale if resize_mode == "stretch" else (max(scale),) * 2
    assert (seen.affine[0], seen.affine[4]) == pytest.approx(scales, rel=0.1)
    assert seen.pixels.shape == (32, 48)
    assert seen.pixels.dtype == np.float32


def test_letterbox_centres_the_film_and_fills_the_rest_with_zero():
    seen = network_pixels(film(noise(50, 100)), image_size=(64, 64), resize_mode="letterbox")
    assert not seen.pixels[:16].any()
    assert not seen.pixels[48:].any()
    assert seen.pixels[16:48].min() > 0.1
    assert on_film(seen.affine, 0, 16) == pytest.approx((0, 0))
    assert on_film(seen.affine, 64, 48) == pytest.approx((100, 50))


@given(st.integers(1, 20), st.integers(1, 20))
def test_a_grid_that_fills_the_input_ends_where_that_ends(grid_rows, grid_columns):
    seen = network_pixels(film(noise(90, 70)), image_size=(64, 32), resize_mode="letterbox")
    affine, extent = seen.grid_place((grid_rows, grid_columns), None)
    assert on_film(affine, 0, 0) == pytest.approx(on_film(seen.affine, 0, 0))
    assert on_film(affine, grid_columns, grid_rows) == pytest.approx(on_film(seen.affine, 32, 64))
    assert extent == pytest.approx((*on_film(seen.affine, 0, 0), *on_film(seen.affine, 32, 64)))


@pytest.mark.parametrize("resize_mode", ["stretch", "letterbox"])
@pytest.mark.parametrize("crop_pct", [1.0, 0.84])
def test_the_centre_of_a_cell_lies_on_the_film_where_the_card_has_it(resize_mode, crop_pct):
    cells = CellCentres(origin=(0.5, 3.0), step=(16, 8))
    bordered = np.pad(noise(90, 70), ((7, 0), (0, 20)))
    seen = network_pixels(
        film(bordered), image_size=(64, 32), resize_mode=resize_mode, crop_pct=crop_pct
    )
    affine, extent = seen.grid_place((4, 4), cells)
    for row, column in [(0, 0), (3, 0), (0, 3), (2, 1)]:
        centre_of_cell = on_film(seen.affine, 3.0 + 8 * column, 0.5 + 16 * row)
        assert on_film(affine, column + 0.5, row + 0.5) == pytest.approx(centre_of_cell)
    assert extent == seen.grid_place((4, 4), None).extent


def test_network_pixels_are_averaged_when_the_film_is_larger():
    chequered = np.indices((512, 512)).sum(axis=0) % 2
    seen = network_pixels(film(chequered), image_size=(64, 64), resize_mode="stretch")
    assert seen.pixels == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("content", [b"", b"\x00", b"GIF89a", b"%PDF-1.7", b"RIFF", b"x" * 200])
def test_what_is_no_image_says_so(content):
    with pytest.raises(NotAnImageError, match="PNG, JPEG, TIFF or DICOM"):
        read_radiograph(content)


def test_too_many_bytes_are_refused_before_anything_else():
    with pytest.raises(FilmTooLargeError, match="10 bytes"):
        read_radiograph(b"no image at all", max_bytes=10)


def test_rows_and_columns_are_the_films_own():
    buffer = io.BytesIO()
    Image.new("L", (30, 20)).save(buffer, "PNG")
    radiograph = read_radiograph(buffer.getvalue())
    assert (radiograph.rows, radiograph.columns, radiograph.format) == (20, 30, "png")


def test_importing_radiograph_loads_neither_pydicom_nor_torch():
    code = "import sys, models.radiograph; print({'pydicom', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("resize_mode", ["stretch", "letterbox"])
def test_of_a_cropped_film_the_middle_is_seen_and_stays_in_its_place(resize_mode):
    pixels = noise(100, 200)
    pixels[40:60, 120:140] = 1.0
    pixels[:8, :10] = 0.9  # a marker in the corner
    seen = network_pixels(film(pixels), image_size=(84, 84), resize_mode=resize_mode, crop_pct=0.84)
    assert seen.pixels[:30, :30].max() < 0.7
    assert on_film(seen.affine, *centre(seen.pixels > 0.95)) == pytest.approx((130, 50), abs=1.5)
    if resize_mode == "stretch":
        assert seen.affine == pytest.approx((2, 0, 16, 0, 1, 8))


@pytest.mark.parametrize("resize_mode", ["stretch", "letterbox"])
def test_a_masked_part_has_the_films_median_and_nothing_else_changes(resize_mode):
    pixels = np.pad(noise(80, 80), 10)
    views = [
        network_pixels(film(pixels), image_size=(80, 80), resize_mode=resize_mode, mask=mask)
        for mask in (None, (20, 30, 50, 40))
    ]
    assert views[1].affine == views[0].affine == (1, 0, 10, 0, 1, 10)
    inside = np.zeros((80, 80), bool)
    inside[20:30, 10:40] = True
    assert (views[1].pixels[inside] == np.median(pixels.astype(np.float32))).all()
    assert np.array_equal(views[1].pixels[~inside], views[0].pixels[~inside])


def test_a_mask_over_the_content_does_not_move_the_borders():
    pixels = np.pad(noise(80, 80), 10)
    views = [
        network_pixels(film(pixels), image_size=(80, 80), resize_mode="stretch", mask=mask)
        for mask in (None, (0, 0, 100, 60))
    ]
    assert views[1].affine == views[0].affine
