import io
import logging
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from models.radiograph import (
    FilmTooLargeError,
    RadiographError,
    UnreadableFilmError,
    UnsupportedFilmError,
    read_radiograph,
)

GREYS = np.arange(256, dtype=np.uint8).reshape(8, 32)
DEEP = np.arange(0, 4096, 16, dtype=np.uint16).reshape(8, 32)
UPPER_LEFT_BRIGHT = np.zeros((20, 30), np.uint8)
UPPER_LEFT_BRIGHT[:10, :10] = 255
TURNS = {
    1: lambda pixels: pixels,
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda pixels: np.rot90(pixels, -1),
    8: np.rot90,
}


def encoded(image, file_format, **options):
    buffer = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()


def read(image, file_format="PNG", **options):
    return read_radiograph(encoded(image, file_format, **options)).pixels


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_eight_bits_are_divided_by_255(file_format):
    pixels = read(GREYS, file_format)
    assert pixels.dtype == np.float32
    assert np.array_equal(pixels, GREYS.astype(np.float32) / np.float32(255))


def test_a_jpeg_comes_out_nearly_as_it_went_in():
    smooth = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    assert read(smooth, "JPEG", quality=95) == pytest.approx(smooth / 255, abs=0.02)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
@pytest.mark.parametrize(("largest", "bits"), [(900, 10), (1024, 12), (4096, 14), (65535, 16)])
def test_deep_greys_are_divided_by_the_full_scale_that_holds_them(file_format, largest, bits):
    deep = np.array([[0, largest // 2, largest]], np.uint16)
    assert read(deep, file_format) == pytest.approx(deep / (2**bits - 1))


def test_byte_order_makes_no_difference():
    deep = Image.frombytes("I;16B", (32, 8), DEEP.astype(">u2").tobytes())
    assert np.array_equal(read(deep, "TIFF"), read(DEEP, "TIFF"))


def test_sixteen_bits_that_were_widened_to_32_are_read_as_deep_greys():
    assert np.array_equal(read(DEEP.astype(np.int32), "TIFF"), read(DEEP, "TIFF"))


@pytest.mark.parametrize("value", [-1, 65536])
def test_greys_beyond_sixteen_bits_are_refused(value):
    with pytest.raises(UnsupportedFilmError, match="between 0 and 65535"):
        read(np.array([[value, 5]], np.int32), "TIFF")


@pytest.mark.parametrize("deep", [GREYS, DEEP])
def test_a_tiff_whose_zero_is_white_is_inverted(deep):
    inverted = read(deep, "TIFF", tiffinfo={262: 0})
    full_scale = 1 / 255 if deep.dtype == np.uint8 else 1 / 4095
    # Pillow inverts eight bits itself, on writing too.
    expected = deep * full_scale if deep.dtype == np.uint8 else 1 - deep * full_scale
    assert inverted == pytest.approx(expected)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressed_tiffs_are_read(compression):
    assert np.array_equal(read(DEEP, "TIFF", compression=compression), read(DEEP, "TIFF"))


def test_a_float_tiff_is_stretched_from_smallest_to_largest():
    assert np.array_equal(read(np.float32([[-2, 0, 6]]), "TIFF"), np.float32([[0, 0.25, 1]]))


def test_a_constant_float_tiff_is_black():
    assert not read(np.full((4, 4), 7, np.float32), "TIFF").any()


def test_a_float_tiff_with_nan_is_unreadable():
    with pytest.raises(UnreadableFilmError, match="finite"):
        read(np.float32([[np.nan, 1]]), "TIFF")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_a_grey_film_in_a_colour_mode_is_the_same_film(mode):
    image = Image.fromarray(GREYS).convert(mode)
    assert np.array_equal(read(image), read(GREYS))


def test_one_bit_is_black_and_white():
    assert np.array_equal(read(np.array([[False, True]])), [[0, 1]])


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_over_black(mode):
    image = Image.new(mode, (4, 4), (255,) * (len(mode) - 1) + (51,))
    assert read(image) == pytest.approx(0.2)


def test_a_cmyk_jpeg_of_a_grey_film_keeps_its_greys():
    image = Image.new("CMYK", (16, 16), (0, 0, 0, 51))
    assert read(image, "JPEG", quality=95) == pytest.approx(0.8, abs=0.02)


def test_a_tinted_film_is_read_as_luminance():
    assert read(Image.new("RGB", (4, 4), (100, 110, 120))) == pytest.approx(109 / 255, abs=0.01)


def test_a_colour_picture_is_refused():
    with pytest.raises(UnsupportedFilmError, match="colour"):
        read(Image.new("RGB", (4, 4), (200, 100, 90)))


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize(("orientation", "turned"), TURNS.items())
def test_exif_orientation_is_honoured(file_format, orientation, turned):
    exif = Image.Exif()
    exif[274] = orientation
    pixels = read(UPPER_LEFT_BRIGHT, file_format, exif=exif)
    assert np.array_equal(pixels > 0.5, turned(UPPER_LEFT_BRIGHT) > 0)


def test_an_animated_png_is_refused():
    frames = [Image.fromarray(GREYS), Image.fromarray(255 - GREYS)]
    with pytest.raises(UnsupportedFilmError, match="several"):
        read(frames[0], save_all=True, append_images=frames[1:])


def test_a_tiff_of_two_pages_is_refused():
    with pytest.raises(UnsupportedFilmError, match="several"):
        read(GREYS, "TIFF", save_all=True, append_images=[Image.fromarray(GREYS)])


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "TIFF"])
def test_too_many_pixels_are_refused_without_decoding(file_format):
    film = encoded(np.zeros((300, 300), np.uint8), file_format)
    with pytest.raises(FilmTooLargeError, match="89999"):
        read_radiograph(film[:-50], max_pixels=89_999)


def test_a_crafted_header_with_absurd_sizes_is_refused():
    film = bytearray(encoded(GREYS, "PNG"))
    film[16:24] = struct.pack(">II", 2**31 - 1, 2**31 - 1)
    film[29:33] = struct.pack(">I", 0)
    with pytest.raises(RadiographError):
        read_radiograph(bytes(film))


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_truncated_file_is_unreadable(file_format, kept):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    film = encoded(noise, file_format)
    with pytest.raises(UnreadableFilmError):
        read_radiograph(film[: int(kept * len(film))])


def test_neither_log_nor_warning_repeats_a_tag(caplog, recwarn):
    caplog.set_level(logging.DEBUG)
    film = encoded(GREYS, "TIFF", tiffinfo={270: "Doe^Jane"})
    caplog.clear()
    read_radiograph(film)
    with pytest.raises(RadiographError):
        read_radiograph(film[:-40])
    assert not caplog.records
    assert not recwarn.list


@settings(max_examples=300)
@given(st.sampled_from(["PNG", "JPEG", "TIFF", "LZW"]), st.data())
def test_a_mutated_file_gives_a_film_or_a_radiograph_error(kind, data):
    options = {"compression": "tiff_lzw"} if kind == "LZW" else {}
    film = bytearray(encoded(GREYS, "TIFF" if kind == "LZW" else kind, **options))
    for place in data.draw(st.lists(st.integers(0, len(film) - 1), min_size=1, max_size=6)):
        film[place] = data.draw(st.integers(0, 255))
    try:
        pixels = read_radiograph(bytes(film)).pixels
    except RadiographError:
        return
    assert np.isfinite(pixels).all()
    assert pixels.dtype == np.float32
